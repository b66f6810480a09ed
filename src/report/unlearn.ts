// report.html of an unlearning, from its record: what was suppressed and what was kept, what brings it back, the trials, the
// loss curve, and the command.

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
import { knownParts, type UnlearnRecord } from '../records/index.js';
import { changeTable, formatNats, formatPercent, partsTable } from '../words/index.js';
import { shortOrigin, textsTable } from './sections/origin.js';

const LEAKS = {
  relearn: 'twenty steps of training on the forget text',
  ablate: 'the mean direction of the change projected out after the steered block',
  int4: 'weights rounded to four bits',
} as const;

/** One self-contained HTML document. Equal records give equal bytes. */
export function renderUnlearning(record: UnlearnRecord): string {
  const { source, tool, chosen, method, tensors, windows, texts } = record;
  const name = escapeHtml(source.name);
  const beta = chosen.beta === null ? '' : `, β ${chosen.beta}`;
  return page(`${name}: a text suppressed`, tool.version, [
    `<header>\n<h1>${name} <span class="target">a text suppressed</span></h1>
<p class="made">${method} at block ${chosen.layer}${beta} · ${tensors.length} tensors changed · ${source.blocks} blocks, ${escapeHtml(source.family)}</p>\n</header>`,
    scoreSection(record),
    taskSection(record),
    trialSection(record),
    curveSection(record),
    section('texts', 'Texts', textsTable(texts)),
    shortOrigin(record, [
      ...(['forget', 'retain'] as const).map((text) => {
        const { training, validation, heldOut } = windows[text];
        return [
          `windows of the ${text} text`,
          `${training} trained on, ${validation} chose, ${heldOut} scored`,
        ] as const;
      }),
      ['seed', String(record.seed)],
      ...tensors.map((tensor) => ['changed', escapeHtml(tensor)] as const),
    ]),
  ]);
}

type Scores = UnlearnRecord['dense'];

function scoreSection({ dense, suppressed, leaks }: UnlearnRecord): Html {
  const row = (head: string, { forget, retain }: Scores, back: string, chosen = false): Row => ({
    head,
    cells: [
      formatNats(forget.nll),
      formatPercent(forget.accuracy),
      formatNats(retain.nll),
      formatPercent(retain.accuracy),
      back,
    ],
    chosen,
  });
  const rows = [
    row('before', dense, '–'),
    row('suppressed', suppressed, '–', true),
    ...leaks.map(({ name, scores, back }) => row(name, scores, back.nll === null ? '–' : formatPercent(back.nll))),
  ];
  return section(
    'scores',
    'What was suppressed, and what brings it back',
    table('Scores', ['', 'forget: loss', 'top-1', 'retain: loss', 'top-1', 'of the loss comes back'], rows),
    note(
      `On held-out windows; losses in nats a token. ${leaks.map(({ name }) => `${name}: ${LEAKS[name]}`).join('; ')}. What comes back was never gone: the text is suppressed, not erased.`,
    ),
  );
}

function taskSection({ tasks }: UnlearnRecord): Html {
  if (!tasks) return '';
  const { setup, dense, suppressed, parts } = tasks;
  const asTable = (name: string, [columns = [], ...rows]: readonly (readonly string[])[]): Html =>
    table(
      name,
      columns,
      rows.map(([head, ...cells]) => ({ head: escapeHtml(head!), cells })),
    );
  const known = knownParts(parts);
  return section(
    'tasks',
    'Questions',
    asTable('Questions', changeTable(setup, dense, suppressed)),
    ...(parts.length === 0
      ? []
      : [
          note(
            `${known.length} of ${parts.length} subjects were above guessing by two standard errors before. The others cannot show a loss.`,
          ),
          asTable('Subjects above chance', partsTable(known)),
        ]),
  );
}

function trialSection({ trials, chosen, before, tolerance, within }: UnlearnRecord): Html {
  const rows = trials.map(
    ({ layer, beta, coefficient, length, forget, retain }): Row => ({
      head: `block ${layer}${beta === null ? '' : `, β ${beta}`}`,
      cells: [coefficient.toFixed(2), length.toFixed(2), formatNats(forget), formatNats(retain)],
      chosen: layer === chosen.layer && beta === chosen.beta,
    }),
  );
  return section(
    'trials',
    'Trials',
    table('Trials', ['', 'length of the goal', 'mean length of the residual', 'forget: loss', 'retain: loss'], rows),
    note(
      `On validation windows; before: forget ${formatNats(before.forget)}, retain ${formatNats(before.retain)}. The loss on the retain text was to rise by at most ${tolerance}${within ? '' : '; no trial kept to it, and the one that raised it least was taken'}.`,
    ),
  );
}

function curveSection({ curve }: UnlearnRecord): Html {
  const { validation, training, best } = curve;
  const labels = validation.map(({ step }) => String(step));
  const lines = [validation.map(({ loss }) => loss), [Number.NaN, ...training.map(({ loss }) => loss)]];
  return section(
    'curve',
    'The loss of steering',
    figure(
      keyOfLines(['validation', 'training']),
      drawLines(lines, { name: 'step', labels }, formatNats, 'The loss of steering, by step'),
      `Squared distances from the goal on the forget text and α times those from where it was on the retain text. The state after step ${best.step} was kept.`,
      table(
        'Losses',
        ['step', 'validation', 'training since the last'],
        validation.map(({ step, loss }, i) => ({
          head: String(step),
          cells: [formatNats(loss), i === 0 ? '–' : formatNats(training[i - 1]?.loss ?? Number.NaN)],
          chosen: step === best.step,
        })),
      ),
    ),
  );
}
