// report.html of a healing, from its record: what it gained, the loss curves, the texts, and the command.

import {
  drawLines,
  escapeHtml,
  figure,
  type Html,
  keyOfLines,
  note,
  page,
  type Row,
  section,
  table,
} from '../page/index.js';
import { type HealRecord, readFidelity } from '../records/index.js';
import { formatCount, formatNats, formatPercent, formatPerplexity } from '../words/index.js';
import { shortOrigin, textsTable } from './sections/origin.js';

/** One self-contained HTML document. Equal records give equal bytes. */
export function renderHealing(record: HealRecord): string {
  const { source, dense, tool, train, adapter } = record;
  const name = escapeHtml(source.name);
  return page(`${name}: healed`, tool.version, [
    `<header>\n<h1>${name} <span class="target">healed${adapter ? ', as an adapter' : ''}</span></h1>
<p class="made">towards ${escapeHtml(dense.name)} · trained: ${escapeHtml(train)}, ${formatCount(record.trained.numbers)} numbers · ${source.blocks} blocks, ${escapeHtml(source.family)}</p>\n</header>`,
    scoreSection(record),
    wholeSection(record),
    streamSection(record),
    section('texts', 'Texts', textsTable(record.texts)),
    shortOrigin(record, [
      ['learning rate', String(record.rate)],
      ['tokens of a stage', formatCount(record.tokens)],
      ['tokens of a step', formatCount(record.batch)],
      ['seed', String(record.seed)],
    ]),
  ]);
}

function scoreSection({ scores, zeros }: HealRecord): Html {
  const rows = (['dense', 'start', 'healed'] as const).map((name): Row => {
    const { perplexity, fidelity } = scores[name];
    const kl = (text: 'validation' | 'test'): Html => {
      const of = fidelity?.[text];
      return of ? formatNats(readFidelity(of).divergence.mean) : '–';
    };
    const cells = [
      formatPerplexity(perplexity.validation),
      formatPerplexity(perplexity.test),
      kl('validation'),
      kl('test'),
    ];
    return { head: name, cells, chosen: name === 'healed' };
  });
  const share = (count: number): string => formatPercent(count / zeros.weights);
  return section(
    'scores',
    'What it gained',
    table('Scores', ['', 'perplexity, validation', 'test', 'KL to dense, validation', 'test'], rows),
    note(`Zeros among the weights of the linears: ${share(zeros.before)} before, ${share(zeros.after)} after.`),
  );
}

const ENDED = {
  done: 'All steps were taken.',
  early: 'Training ended early, because the validation loss no longer fell.',
  diverged: 'Training diverged; the best state before that was kept.',
} as const;

function wholeSection({ whole }: HealRecord): Html {
  if (!whole) return '';
  const { validation, training, loss, best, taken, steps } = whole;
  const labels = validation.map(({ step }) => String(step));
  const lines = [validation.map((one) => one.loss), [Number.NaN, ...training.map((one) => one.loss)]];
  const what = loss === 'kl' ? 'KL to the dense model' : 'negative log-likelihood';
  const numbers = table(
    'Losses',
    ['step', 'validation', 'training since the last'],
    validation.map(({ step, loss: value }, i) => ({
      head: String(step),
      cells: [formatNats(value), i === 0 ? '–' : formatNats(training[i - 1]?.loss ?? Number.NaN)],
      chosen: step === best.step,
    })),
  );
  return section(
    'whole',
    'The whole model',
    figure(
      keyOfLines(['validation', 'training']),
      drawLines(lines, { name: 'step', labels }, formatNats, `${what} over ${taken} of ${steps} steps`),
      `${what}, nats a token. The state after step ${best.step} was kept. ${ENDED[whole.ended]}`,
      numbers,
    ),
  );
}

function streamSection({ stream }: HealRecord): Html {
  if (!stream || stream.length === 0) return '';
  const rows = stream.map(({ block, half, validation, best, taken }): Row => {
    const start = validation[0]!.loss;
    return {
      head: `${block} ${half}`,
      cells: [formatNats(start), formatNats(best.loss), String(best.step), String(taken)],
    };
  });
  const lines = [stream.map(({ validation }) => validation[0]!.loss), stream.map(({ best }) => best.loss)];
  const labels = stream.map(({ block }) => String(block));
  return section(
    'stream',
    'Against the dense stream',
    figure(
      keyOfLines(['before training', 'kept']),
      drawLines(lines, { name: 'half blocks, by block', labels }, formatNats, 'Relative error of each half'),
      'Mean of ‖y − t‖²/‖t‖² over validation tokens: y the residual after a half block, t the dense one. Halves were trained in this order, each on what those before it give.',
      table('Halves', ['half', 'before', 'kept', 'step kept', 'steps'], rows),
    ),
  );
}
