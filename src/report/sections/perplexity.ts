// The result table: the dense model, uniform and the chosen plan on each text they were scored on, with paired intervals.

import {
  escapeHtml,
  formatCompared,
  formatEstimate,
  type Html,
  note,
  type Row,
  section,
  table,
} from '../../page/index.js';
import type { Manifest, ResultRow } from '../../records/index.js';
import { describeGains, type LossWords, warnOfGains, wordsOfLoss } from '../../words/index.js';
import { compare, describePlan, isUniform, scored, type Which } from '../reading.js';

type Line = { readonly name: string; readonly row: ResultRow; readonly compared: boolean; readonly chosen: boolean };

export function perplexitySection(manifest: Manifest): Html {
  const { dense, uniform, chosen } = manifest;
  const same = isUniform(manifest);
  const lines: Line[] = [{ name: 'dense', row: dense, compared: false, chosen: false }];
  if (uniform && !same) lines.push({ name: 'uniform', row: uniform, compared: false, chosen: false });
  lines.push({ name: same ? 'uniform' : describePlan(manifest), row: chosen, compared: !same, chosen: true });
  const texts = (['validation', 'test'] as const).filter((which) => lines.some(({ row }) => scored(row[which])));
  if (texts.length === 0) return '';

  const words = wordsOfLoss(chosen[texts[0]!] ?? dense[texts[0]!]);
  const to = words.compared === 'ratio' ? '/ uniform' : '− uniform';
  const compared = texts.filter((which) => !same && compare(chosen, uniform, which));
  const columns = texts.flatMap((which) => [
    which,
    ...(compared.includes(which) ? [`${which} ${to} <span class="interval">[95 %]</span>`] : []),
  ]);
  const rows = lines
    .filter(({ row }) => texts.some((which) => scored(row[which])))
    .map(
      (line): Row => ({
        head: escapeHtml(line.name),
        chosen: line.chosen,
        cells: texts.flatMap((which) => [
          scored(line.row[which]) ? words.format(line.row[which]) : '–',
          ...(compared.includes(which) ? [comparedCell(line, uniform, which, words)] : []),
        ]),
      }),
    );
  return section(
    words.compared === 'ratio' ? 'perplexity' : 'loss',
    words.title,
    table(words.title, ['', ...columns], rows),
    caption(manifest, texts, compared),
  );
}

function comparedCell(
  { row, compared }: Line,
  uniform: ResultRow | null,
  which: Which,
  { compared: by }: LossWords,
): Html {
  const comparison = compare(row, uniform, which);
  if (!comparison) return '–';
  if (row === uniform) return by === 'ratio' ? '1' : '0';
  const { ratio, interval } = comparison;
  return compared && interval ? formatEstimate(ratio, interval, by) : formatCompared(by, [ratio])[0]!;
}

function caption({ chosen, search, gains }: Manifest, texts: readonly Which[], compared: readonly Which[]): Html {
  const unit = (which: Which): string => (chosen[which]!.loss === 'cross-entropy' ? 'images' : 'windows');
  const windows = compared.map((which) => `${chosen[which]!.windows} ${which} ${unit(which)}`).join(' and ');
  const paired = windows === '' ? '' : ` Intervals are paired over the ${windows}.`;
  const chose =
    search && texts.includes('test') ? ' Validation text chose the plan; test text was scored once, after that.' : '';
  const gained = gains ? ` ${escapeHtml(describeGains(gains))}` : '';
  const parted = gains?.parted ? ` ${escapeHtml(warnOfGains(gains))}` : '';
  return note(`Lower is better.${paired}${chose}${gained}${parted}`);
}
