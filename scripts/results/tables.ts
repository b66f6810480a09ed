// The tables of docs/lab/results.md and docs/lab/theory.md, from records alone. Cells are not padded: the formatter does that.

import { type Comparison, type ComparisonRow, type DropRecord, type Manifest, pairedInterval } from '#src/records';

type Cell = string | number;

function markdown(head: readonly Cell[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const score = (value: number | null | undefined): string =>
  value === null || value === undefined ? '–' : value.toFixed(value < 10 ? 3 : value < 1000 ? 2 : 0);
const interval = (pair: readonly [number, number] | null): string =>
  pair ? `${pair[0].toFixed(3)} … ${pair[1].toFixed(3)}` : '';
const percent = (share: number): string => `${Number((100 * share).toPrecision(4))} %`;
const numbers = (values: Readonly<Record<string, number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join(', ');

/** What a row is judged by: the test text where there was one. */
const judged = ({ test, validation }: ComparisonRow) => test ?? validation;

/** One criterion and pattern: perplexities of all policies, their intervals over atp, and what the searches found. */
export function comparisonTables(comparison: Comparison): string {
  const { rows, dense } = comparison;
  const targets = [...new Set(rows.map(({ sparsity }) => sparsity.target))];
  const policies = [...new Set(rows.map(({ allocation }) => allocation))];
  const find = (policy: string, target: number): ComparisonRow =>
    rows.find((row) => row.allocation === policy && row.sparsity.target === target)!;
  const best = targets.map((target) => Math.min(...policies.map((policy) => judged(find(policy, target)).perplexity)));
  const { criterion, pattern } = rows[0]!;
  const which = rows[0]!.test ? 'Test' : 'Validation';
  const perplexities = policies.map((policy) => [
    policy,
    ...targets.map((target, t) => {
      const { perplexity } = judged(find(policy, target));
      return perplexity === best[t] ? `**${score(perplexity)}**` : score(perplexity);
    }),
  ]);
  const others = policies.filter((policy) => find(policy, targets[0]!).versusAtp);
  const intervals = others.map((policy) => [
    policy,
    ...targets.map((target) => interval(find(policy, target).versusAtp)),
  ]);
  const found = rows
    .filter(({ equivalents }) => equivalents !== 0 && equivalents !== 1)
    .map((row) => [
      percent(row.sparsity.target),
      row.allocation,
      score(row.validation.perplexity),
      numbers(row.hyperparameters),
      row.equivalents.toFixed(1),
    ]);
  const head = ['', ...targets.map(percent)];
  const parts = [
    `${which} perplexity, ${criterion}, weights compete by ${pattern}; dense ${score((dense.test ?? dense.validation).perplexity)}:`,
    markdown(head, perplexities),
  ];
  if (intervals.length > 0) parts.push('Over searched `atp`, paired 95 % intervals:', markdown(head, intervals));
  if (found.length > 0) {
    parts.push(
      'What was searched or measured, and what it cost in trials:',
      markdown(['target', 'policy', 'validation', 'chosen', 'trials'], found),
    );
  }
  return parts.join('\n\n');
}

/** What regular patterns cost at one target: uniform and atp, by pattern, over the first comparison's. */
export function patternTable(comparisons: readonly Comparison[]): string {
  const row = (comparison: Comparison, policy: string) => comparison.rows.find((one) => one.allocation === policy)!;
  const head = ['kept', 'uniform', 'over rows (95 %)', 'atp', 'over rows (95 %)'];
  const rows = comparisons.map((comparison) => {
    const cells = ['uniform', 'atp'].flatMap((policy) => {
      const [own, first] = [judged(row(comparison, policy)), judged(row(comparisons[0]!, policy))];
      return [score(own.perplexity), comparison === comparisons[0] ? '' : interval(pairedInterval(own.nll, first.nll))];
    });
    return [keptOf(row(comparison, 'uniform')), ...cells];
  });
  const { criterion, sparsity } = comparisons[0]!.rows[0]!;
  return `Patterns at ${percent(sparsity.target)} with ${criterion}; atp has an N of its own for each linear:\n\n${markdown(head, rows)}`;
}

/** `8:16` of n:16 at one half; other patterns as they are spelt. */
function keptOf({ pattern, sparsity }: ComparisonRow): string {
  const of = Number(/^n:(\d+)$/.exec(pattern)?.[1]);
  return Number.isNaN(of) ? pattern : `${Math.round((1 - sparsity.target) * of)}:${of}`;
}

/** Removals of whole blocks side by side: a line for each method, columns for each number of blocks. */
export function dropTable(records: readonly DropRecord[]): string {
  const counts = [...new Set(records.map(({ removed }) => removed.length))].sort((a, b) => a - b);
  const methods = [...new Set(records.map(({ method }) => method))];
  const head = ['', ...counts.flatMap((n) => [`${n} removed`, 'validation', 'test'])];
  const rows = methods.map((method) => [
    method,
    ...counts.flatMap((n) => {
      const record = records.find((one) => one.method === method && one.removed.length === n);
      if (!record) return ['–', '–', '–'];
      return [record.removed.join(', '), score(record.dropped.validation), score(record.dropped.test)];
    }),
  ]);
  const { dense } = records[0]!;
  const first = ['dense', ...counts.flatMap(() => ['–', score(dense.validation), score(dense.test)])];
  return `Whole blocks removed:\n\n${markdown(head, [first, ...rows])}`;
}

/** How errors travel: of uniform plans at each target, and of a plan that prunes the first block alone. */
export function growthTable(comparison: Comparison, first: Manifest): string {
  const uniform = comparison.rows.filter(({ allocation }) => allocation === 'uniform');
  const alone = first.chosen.errors;
  const rate = first.plan.units['blocks.0']!.zeros!.rate;
  const head = ['after block', ...uniform.map(({ sparsity }) => `uniform ${percent(sparsity.target)}`)];
  const rows = alone.map((error, block) => [
    block,
    ...uniform.map(({ errors }) => errors[block]!.toFixed(3)),
    error.toFixed(4),
    block === 0 ? '' : (error / alone[block - 1]!).toFixed(3),
  ]);
  return markdown([...head, `block 0 alone, ${percent(rate)}`, 'growth'], rows);
}
