// What the run came to: the verdict in words, and the table of perplexities with paired intervals.

import { type Evaluation, type Manifest, pairedInterval, type ResultRow, verdictOf } from '../records/index.js';
import { escapeHtml, formatNumber, formatPerplexity, section, table } from './html.js';

/** `atp, β = 0.01` */
export function describePlan({ plan }: Manifest): string {
  const values = Object.entries(plan.policy?.hyperparameters ?? {});
  const numbers = values.map(([name, value]) => `${name === 'beta' ? 'β' : escapeHtml(name)} = ${formatNumber(value)}`);
  return [escapeHtml(plan.policy?.name ?? 'the plan'), ...numbers].join(', ');
}

const WORDS = {
  better: 'Better than uniform.',
  tie: 'A tie with uniform: the difference is inside the noise.',
  worse: 'Worse than uniform.',
} as const;

const formatRatio = (value: number): string => value.toFixed(3);
const formatInterval = ([low, high]: readonly [number, number]): string => `${formatRatio(low)} … ${formatRatio(high)}`;

/** The text that the verdict goes by: test where there is one, else validation. */
function decisive(manifest: Manifest): { readonly on: string; readonly of: (row: ResultRow) => Evaluation | null } {
  return manifest.chosen.test
    ? { on: 'test', of: (row) => row.test }
    : { on: 'validation', of: (row) => row.validation };
}

export function verdict(manifest: Manifest): string {
  const { on, of } = decisive(manifest);
  const [dense, uniform, chosen] = [manifest.dense, manifest.uniform, manifest.chosen].map((row) => row && of(row));
  if (!chosen) return '';
  const parts = [`${describePlan(manifest)} has ${on} perplexity ${formatPerplexity(chosen.perplexity)}`];
  if (dense) parts.push(`the dense model ${formatPerplexity(dense.perplexity)}`);
  if (!uniform || manifest.plan.policy?.name === 'uniform') return `<p class="verdict">${parts.join('; ')}.</p>`;
  parts.push(`uniform ${formatPerplexity(uniform.perplexity)}`);
  const interval = pairedInterval(chosen.nll, uniform.nll);
  const ratio = chosen.perplexity / uniform.perplexity;
  return `<p class="verdict">${parts.join('; ')}. <strong>${WORDS[verdictOf(interval)]}</strong> Ratio to uniform ${formatRatio(ratio)}, paired 95&nbsp;% interval ${formatInterval(interval)}.</p>`;
}

export function perplexityTable(manifest: Manifest): string {
  const { dense, uniform, chosen } = manifest;
  const isUniform = manifest.plan.policy?.name === 'uniform';
  const rows: (readonly [string, ResultRow])[] = [['dense', dense]];
  if (uniform) rows.push(['uniform', uniform]);
  if (!isUniform || !uniform) rows.push([describePlan(manifest), chosen]);
  const columns = (['validation', 'test'] as const).filter((on) => rows.some(([, row]) => row[on]));
  if (columns.length === 0) return '';
  const against = (row: ResultRow, on: 'validation' | 'test'): string => {
    const [a, b] = [row[on], uniform?.[on]];
    if (!a || !b || row === uniform || row === dense) return '';
    return `${formatRatio(a.perplexity / b.perplexity)} (${formatInterval(pairedInterval(a.nll, b.nll))})`;
  };
  const compared = uniform && !isUniform;
  const head = ['', ...columns.flatMap((on) => (compared ? [on, 'ratio to uniform (95&nbsp;%)'] : [on]))];
  const cells = ([name, row]: readonly [string, ResultRow]): string[] => [
    name,
    ...columns.flatMap((on) => {
      const score = row[on] ? formatPerplexity(row[on].perplexity) : '–';
      return compared ? [score, against(row, on)] : [score];
    }),
  ];
  const windows = columns.map((on) => rows[0]![1][on] ?? chosen[on]).map((e) => e?.windows ?? 0);
  const note = `<p class="note">Perplexity by the pruning papers’ protocol over ${windows.join(' and ')} windows; intervals are paired over the windows. Validation text chose the plan; the test text was read once, for the rows shown.</p>`;
  return section('Perplexity', table(head, rows.map(cells)), note);
}
