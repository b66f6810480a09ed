// report.html of a cut, from its record: perplexities, the widths of the blocks beside the errors they make, the trials, what loads the
// checkpoint, and the command.

import { isDeepStrictEqual } from 'node:util';
import {
  drawErrors,
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
import type { CutRecord } from '../records/index.js';
import {
  describeGains,
  formatCount,
  formatLoss,
  formatNumber,
  formatPercent,
  nameUnits,
  warnOfGains,
  wordsOfLoss,
} from '../words/index.js';
import { distanceSection } from './sections/fidelity.js';
import { accuracyTable } from './sections/images.js';
import { shortOrigin, textsTable } from './sections/origin.js';

/** One self-contained HTML document. Equal records give equal bytes. */
export function renderCut(record: CutRecord): string {
  const { source, tool, parameters, units, importance, repair, seed, loads, target, fidelity } = record;
  const name = escapeHtml(source.name);
  const share = formatPercent(parameters.after / parameters.before);
  return page(`${name}: ${share} of the parameters`, tool.version, [
    `<header>\n<h1>${name} <span class="target">${share} of the parameters</span></h1>
<p class="made">${nameUnits(units)} by ${importance}, ${escapeHtml(policyOf(record))} · ${formatCount(parameters.after)} of ${formatCount(parameters.before)} parameters · ${source.blocks} blocks, ${escapeHtml(source.family)}</p>\n</header>`,
    scoreSection(record),
    imageSection(record),
    fidelity ? distanceSection([{ name: 'cut', fidelity, chosen: true }], fidelity, 'cut', record) : '',
    widthSection(record),
    trialSection(record),
    section('loads', 'What loads it', note(`${loads.map(escapeHtml).join(' · ')}.`)),
    section('texts', 'Texts', textsTable(record.texts)),
    shortOrigin(record, [
      ['importance', importance],
      ['repair', target ? `${repair}, stream α = ${target.alpha}, γ = ${target.gamma}` : repair],
      ['widths', `${record.equal ? 'equal' : 'free'}, MLPs in multiples of ${record.multiple}`],
      ...(record.spare ? [['blocks not cut', record.spare.join(', ')] as const] : []),
      ['parameters asked for', formatCount(parameters.target)],
      ['smallest step', formatCount(parameters.step)],
      ['seed', String(seed)],
    ]),
  ]);
}

const policyOf = ({ equal, allocation, hyperparameters }: CutRecord): string => {
  const values = Object.entries(hyperparameters).map(([name, value]) => `${name} = ${formatNumber(value)}`);
  return equal ? 'equal widths' : [allocation, ...values].join(', ');
};

function scoreSection({ dense, uniform, cut, gains, loss }: CutRecord): Html {
  if (dense.validation === null && dense.test === null) return '';
  const words = wordsOfLoss({ loss });
  const row = (head: string, { validation, test }: CutRecord['dense'], chosen = false): Row => ({
    head,
    cells: [validation, test].map((perplexity) => formatLoss(perplexity === null ? null : { loss, perplexity })),
    chosen,
  });
  return section(
    words.compared === 'ratio' ? 'perplexity' : 'loss',
    words.title,
    table(
      words.title,
      ['', 'validation', 'test'],
      [row('dense', dense), ...(uniform ? [row('uniform', uniform)] : []), row('cut', cut, true)],
    ),
    note(
      `Lower is better; of the checkpoint as it is written.${gains ? ` ${escapeHtml(describeGains(gains))}` : ''}${gains?.parted ? ` ${escapeHtml(warnOfGains(gains))}` : ''}`,
    ),
  );
}

function imageSection({ images }: CutRecord): Html {
  const role = images?.cut.test?.ranks ? 'test' : 'validation';
  const [dense, cut] = [images?.dense[role]?.ranks, images?.cut[role]?.ranks];
  if (!dense || !cut) return '';
  return section(
    'images',
    `Accuracy on the ${role} images`,
    accuracyTable([
      ['dense', dense, false],
      ['cut', cut, true],
    ]),
    note(`${cut.length} images. The interval of the difference is paired (McNemar).`),
  );
}

function widthSection({ widths, errors, units }: CutRecord): Html {
  const labels = widths.after.map((_, block) => String(block));
  const share = (at: 1 | 2): number[] => widths.after.map((own, block) => own[at] / widths.before[block]![at]);
  const [names, lines] =
    units === 'all'
      ? [
          ['MLP', 'attention'],
          [share(2), share(1)],
        ]
      : units === 'mlp'
        ? [['MLP'], [share(2)]]
        : [['attention'], [share(1)]];
  return section(
    'widths',
    'Widths',
    figure(
      keyOfLines(names),
      drawLines(
        lines,
        { name: 'block', labels },
        (value) => formatPercent(value),
        'Share of the width that each block keeps',
      ),
      'The share of its width that each block keeps.',
      table(
        'Widths',
        ['block', 'heads', 'key-value heads', 'MLP', ...(errors.length > 0 ? ['error'] : [])],
        widths.after.map(([heads, kvHeads, width], block): Row => {
          const [wasHeads, wasKv, was] = widths.before[block]!;
          return {
            head: String(block),
            cells: [
              `${heads} of ${wasHeads}`,
              `${kvHeads} of ${wasKv}`,
              `${width} of ${was}`,
              ...(errors.length > 0 ? [formatPercent(errors[block]!)] : []),
            ],
            chosen: false,
          };
        }),
      ),
    ),
    ...(errors.length > 0
      ? [
          figure(
            '',
            drawErrors(undefined, errors, 'Relative error of each block’s output'),
            'How far each block’s output is from the dense model’s, on validation text.',
            '',
          ),
        ]
      : []),
  );
}

function trialSection({ trials, errors: chosen, loss }: CutRecord): Html {
  if (trials.length === 0) return '';
  const rows = trials
    .filter(({ exact }) => exact)
    .map(({ hyperparameters, target, validation, interval, errors }): Row => {
      const values = Object.entries(hyperparameters).map(([name, value]) => `${name} = ${formatNumber(value)}`);
      const followed = target ? `stream α = ${target.alpha}, γ = ${target.gamma}` : 'own';
      return {
        head: escapeHtml([...(values.length > 0 ? values : ['uniform']), followed].join(', ')),
        cells: [formatLoss(validation), interval.map((one) => one.toFixed(4)).join(' – ')],
        chosen: isDeepStrictEqual(errors, chosen), // those of the record are those of the chosen trial
      };
    });
  return section(
    'trials',
    'Trials',
    table('Trials', ['', `validation ${wordsOfLoss({ loss }).name}`, 'of the first, 95 %'], rows),
    note(
      `Each trial is the real procedure on all validation ${loss === 'cross-entropy' ? 'images. The test images play' : 'windows. The test text plays'} no part.`,
    ),
  );
}
