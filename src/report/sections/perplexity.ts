// The result table: the dense model, uniform and the chosen plan on each text they were scored on, with paired intervals.

import type { Manifest, ResultRow } from '../../records/index.js';
import { describeGains, formatPerplexity, warnOfGains } from '../../words/index.js';
import { escapeHtml, type Html, note, type Row, section, table } from '../html.js';
import { formatEstimate, formatRatios } from '../numbers.js';
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

  const compared = texts.filter((which) => !same && compare(chosen, uniform, which));
  const columns = texts.flatMap((which) => [
    which,
    ...(compared.includes(which) ? [`${which} / uniform <span class="interval">[95 %]</span>`] : []),
  ]);
  const rows = lines
    .filter(({ row }) => texts.some((which) => scored(row[which])))
    .map(
      (line): Row => ({
        head: escapeHtml(line.name),
        chosen: line.chosen,
        cells: texts.flatMap((which) => [
          scored(line.row[which]) ? formatPerplexity(line.row[which].perplexity) : '–',
          ...(compared.includes(which) ? [ratioCell(line, uniform, which)] : []),
        ]),
      }),
    );
  return section(
    'perplexity',
    'Perplexity',
    table('Perplexity', ['', ...columns], rows),
    caption(manifest, texts, compared),
  );
}

function ratioCell({ row, compared }: Line, uniform: ResultRow | null, which: Which): Html {
  const comparison = compare(row, uniform, which);
  if (!comparison) return '–';
  if (row === uniform) return '1';
  const { ratio, interval } = comparison;
  return compared && interval ? formatEstimate(ratio, interval) : formatRatios([ratio])[0]!;
}

function caption({ chosen, search, gains }: Manifest, texts: readonly Which[], compared: readonly Which[]): Html {
  const windows = compared.map((which) => `${chosen[which]!.windows} ${which} windows`).join(' and ');
  const paired = windows === '' ? '' : ` Intervals are paired over the ${windows}.`;
  const chose =
    search && texts.includes('test') ? ' Validation text chose the plan; test text was scored once, after that.' : '';
  const gained = gains ? ` ${escapeHtml(describeGains(gains))}` : '';
  const parted = gains?.parted ? ` ${escapeHtml(warnOfGains(gains))}` : '';
  return note(`Lower is better.${paired}${chose}${gained}${parted}`);
}
