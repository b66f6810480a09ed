// report.html of a removal of experts, from its record: what it cost, which experts stay of each block, their scores, the trials.

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
import type { ExpertsRecord } from '../records/index.js';
import { formatPercent, formatPerplexity } from '../words/index.js';
import { distanceSection } from './sections/fidelity.js';
import { shortOrigin, textsTable } from './sections/origin.js';

const SCORES = {
  reap: 'the mean over an expert’s tokens of router weight × norm of its output',
  frequency: 'the tokens that an expert was given',
  merge: 'the tokens that an expert was given',
} as const;

/** One self-contained HTML document. Equal records give equal bytes. */
export function renderExperts(record: ExpertsRecord): string {
  const { source, tool, method, experts, parameters, fidelity } = record;
  const name = escapeHtml(source.name);
  return page(`${name}: experts removed`, tool.version, [
    `<header>\n<h1>${name} <span class="target">${experts.after} of ${experts.before} experts</span></h1>
<p class="made">${method} · ${formatPercent(parameters.after / parameters.before)} of the parameters · ${source.blocks} blocks, ${escapeHtml(source.family)}</p>\n</header>`,
    scoreSection(record),
    fidelity ? distanceSection([{ name: method, fidelity, chosen: true }], fidelity, 'smaller') : '',
    blockSection(record),
    trialSection(record),
    section('texts', 'Texts', textsTable(record.texts)),
    shortOrigin(record, [
      ['method', method],
      ...(record.align ? [['neurons aligned', record.align === 'neurons' ? 'yes' : 'no'] as const] : []),
      ['numbers of experts', record.perLayer],
      ...(record.allocation ? [['allocation', record.allocation.policy] as const] : []),
      ['seed', String(record.seed)],
    ]),
  ]);
}

function scoreSection({ dense, pruned, method }: ExpertsRecord): Html {
  if (dense.validation === null && dense.test === null) return '';
  const row = (head: string, { validation, test }: typeof dense, chosen: boolean): Row => ({
    head,
    cells: [formatPerplexity(validation), formatPerplexity(test)],
    chosen,
  });
  const rows = [row('dense', dense, false), row(method, pruned, true)];
  return section('scores', 'What it cost', table('Perplexity', ['perplexity', 'validation', 'test'], rows));
}

function blockSection({ blocks, method }: ExpertsRecord): Html {
  const rows = blocks.map(({ block, kept, scores, tokens, merged }): Row => {
    const gone = [...scores.keys()].filter((expert) => !kept.includes(expert));
    const shareOf = (some: readonly number[]): string => {
      const all = tokens.reduce((a, b) => a + b, 0);
      return all === 0 ? '–' : formatPercent(some.reduce((sum, expert) => sum + tokens[expert]!, 0) / all);
    };
    const went = merged?.map(({ expert, into }) => `${expert} into ${into}`) ?? gone.map(String);
    return {
      head: `block ${block}`,
      cells: [`${kept.length} of ${scores.length}`, shareOf(gone), went.join(', ') || '–'],
    };
  });
  const labels = blocks.map(({ block }) => String(block));
  const lines = [
    blocks.map(({ kept, scores }) => Math.min(...kept.map((expert) => scores[expert]!))),
    blocks.map(({ kept, scores }) =>
      Math.max(Number.NEGATIVE_INFINITY, ...scores.filter((_, expert) => !kept.includes(expert))),
    ),
  ];
  const most = Math.max(...blocks.map(({ scores }) => scores.length));
  const numbers = table(
    'Scores of all experts',
    ['', ...Array.from({ length: most }, (_, expert) => String(expert))],
    blocks.map(({ block, kept, scores }) => ({
      head: `block ${block}`,
      cells: scores.map((score, expert) => {
        const said = method === 'reap' ? score.toPrecision(3) : String(score);
        return kept.includes(expert) ? `<strong>${said}</strong>` : said;
      }),
    })),
  );
  const labelled = 'Least score that stays and largest that goes, by block';
  return section(
    'experts',
    'Which experts stay',
    table('Experts', ['', 'stay', 'routed tokens of those that go', method === 'merge' ? 'merged' : 'go'], rows),
    figure(
      keyOfLines(['least that stays', 'largest that goes']),
      drawLines(lines, { name: 'block', labels }, (value) => value.toPrecision(3), labelled),
      `Scores: ${SCORES[method]}, on the dense model. Experts are numbered as in the source; in this checkpoint they are numbered anew, in the same order.`,
      numbers,
    ),
  );
}

function trialSection({ trials, allocation }: ExpertsRecord): Html {
  if (!trials) return '';
  const rows = trials.map(
    ({ beta, experts, perplexity }): Row => ({
      head: `β ${beta.toPrecision(3)}`,
      cells: [formatPerplexity(perplexity), experts.join(', ')],
      chosen: beta === allocation?.values.beta,
    }),
  );
  return section(
    'trials',
    'Trials',
    table('Trials', ['', 'perplexity, validation', 'experts of each block'], rows),
    note('β is the difference between neighbouring blocks in the share that goes of the experts that may go.'),
  );
}
