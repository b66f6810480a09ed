// Where the weights of a linear W [rows, columns] compete. `row`: in their row. `matrix`: in the whole matrix. `columns`: in
// all rows of each panel of 128 columns. `n:m`: in each M consecutive columns of a row, of which N weights are KEPT and M − N
// pruned. Hardware and ALPS count so; the code of Wanda, SparseGPT, RIA and OWL calls the pruned number n, so their 4:8 is
// our 4:8 and their 1:4 is our 3:4. `2:4` has the same N for every linear; with `n:8` each linear's rate gives its own N.
// If M does not divide the columns, the last r = columns mod M of a row form a shorter group, which loses ⌊r·(M − N) / M⌋:
// never more than its share, and it never keeps more than N.

import { InternalError, OptionError } from '../../base/index.js';

const PATTERN_KINDS = ['row', 'matrix', 'columns', 'n:m'] as const;
export type PatternKind = (typeof PATTERN_KINDS)[number];

export type Pattern =
  | { readonly kind: 'row' }
  | { readonly kind: 'matrix' }
  | { readonly kind: 'columns' }
  /** `kept` of every `of` consecutive columns stay. If undefined, each linear has its own number. */
  | { readonly kind: 'n:m'; readonly kept: number | undefined; readonly of: number };

/** The legal M of mixed patterns. */
const GROUP_SIZES = [4, 8, 16, 32] as const;
/** The largest M of a fixed pattern. */
const LARGEST_GROUP = 32;

/** How to write each pattern, with one line for help texts. */
export const PATTERNS: readonly { readonly name: string; readonly summary: string }[] = [
  { name: 'row', summary: 'weights compete within their row' },
  { name: 'matrix', summary: 'weights compete within the whole matrix' },
  { name: 'columns', summary: 'weights compete within 128 columns of all rows' },
  {
    name: 'N:M',
    summary:
      'N are kept of every M consecutive columns of every linear, such as 2:4; the sparsity is 1 − N/M, the allocation uniform',
  },
  ...GROUP_SIZES.map((m) => ({
    name: `n:${m}`,
    summary: `n are kept of every ${m} consecutive columns; each linear has an n of its own, from its rate`,
  })),
];
const PATTERN_NAMES = PATTERNS.map(({ name }) => name);

/** @throws OptionError E_OPTION_PATTERN, with the known patterns */
export function parsePattern(text: string): Pattern {
  if (text === 'row' || text === 'matrix' || text === 'columns') return { kind: text };
  const [, n, m] = /^(n|[0-9]{1,3}):([0-9]{1,3})$/.exec(text) ?? [];
  const of = Number(m);
  const kept = n === 'n' ? undefined : Number(n);
  const fits =
    kept === undefined ? GROUP_SIZES.some((size) => size === of) : kept >= 1 && kept < of && of <= LARGEST_GROUP;
  if (m !== undefined && fits) return { kind: 'n:m', kept, of };
  throw new OptionError(
    'E_OPTION_PATTERN',
    `--pattern: expected one of ${PATTERN_NAMES.join(', ')} (N kept of every M columns, 1 ≤ N < M ≤ ${LARGEST_GROUP}, such as 2:4), got ${JSON.stringify(text)}.`,
    { option: 'pattern', got: text },
  );
}

/** The inverse of `parsePattern`. */
export const formatPattern = (pattern: Pattern): string =>
  pattern.kind === 'n:m' ? `${pattern.kept ?? 'n'}:${pattern.of}` : pattern.kind;

/** The weights that one row loses under `n:m`: per whole group, and in the shorter last group. */
export type GroupCounts = { readonly whole: number; readonly last: number };

/**
 * The pruned weights of a linear per group of `of`. They follow from the count: a row loses k = count / rows of its
 * columns, and k = g·n + ⌊r·n / M⌋ (g whole groups) holds only for n = ⌈k·M / columns⌉.
 * @throws InternalError if no n gives the count
 */
export function groupCounts(rows: number, columns: number, count: number, of: number): GroupCounts {
  const groups = Math.floor(columns / of);
  const perRow = count / rows;
  const whole = groups === 0 ? 0 : Math.ceil((perRow * of) / columns);
  const last = perRow - groups * whole;
  const fair =
    groups === 0 ? last >= 0 && last <= columns : last === Math.floor(((columns - groups * of) * whole) / of);
  if (Number.isInteger(perRow) && whole <= of && fair) return { whole, last };
  throw new InternalError(
    'E_INTERNAL_PATTERN',
    `${count} pruned weights of [${rows}, ${columns}] do not fill groups of ${of} evenly.`,
  );
}
