// Statistics of experts. Each is measured on the tokens that it was given, which of a short text may be none. To such an
// expert every column counts alike: its Σx² is, in each column, the mean Σx² of the block's other experts, and its Gram
// matrix that number times the identity. So its weights are ordered by their size and none is repaired; with nothing but
// zeros they would go in the order in which they stand, and SparseGPT would take every column for dead and zero it whole.
// Which experts those are is returned, to be reported.

import { expertSite, GIVEN } from '../model/index.js';
import type { Grams } from './gram.js';
import type { SquareSums } from './squares.js';

type Statistics = Readonly<Record<string, ArrayLike<number>>>;

/** Experts of a block that no token was given to, ascending; none in a block without experts. */
export const unseenExperts = (statistics: Statistics): readonly number[] =>
  Array.from(statistics[GIVEN] ?? []).flatMap((tokens, expert) => (tokens === 0 ? [expert] : []));

/** Σx² with what unseen experts are taken to read. */
export function fillSquareSums(sums: SquareSums): SquareSums {
  const filled = assume(sums, (site) => sums[site]!);
  return { ...sums, ...Object.fromEntries([...filled].map(([site, value]) => [site, sums[site]!.map(() => value)])) };
}

/** The same for Gram matrices, in place. */
export function fillGrams(grams: Grams): void {
  const diagonalOf = (site: string): Float32Array => {
    const columns = Math.sqrt(grams[site]!.length);
    return Float32Array.from({ length: columns }, (_, j) => grams[site]![j * columns + j]!);
  };
  for (const [site, value] of assume(grams, diagonalOf)) {
    const gram = grams[site]!;
    const columns = Math.sqrt(gram.length);
    for (let j = 0; j < columns; j++) gram[j * columns + j] = value;
  }
}

/** What to assume of each column of unseen experts' sites: the mean over those of the others. */
function assume(statistics: Statistics, squares: (site: string) => ArrayLike<number>): ReadonlyMap<string, number> {
  const unseen = unseenExperts(statistics);
  if (unseen.length === 0) return new Map();
  const seen = Array.from(statistics[GIVEN]!).flatMap((tokens, expert) => (tokens === 0 ? [] : [expert]));
  const values = (['in', 'out'] as const).flatMap((side) => {
    const means = seen.map((expert) => mean(squares(expertSite(expert, side))));
    const value = mean(means);
    return unseen.map((expert) => [expertSite(expert, side), value] as const);
  });
  return new Map(values);
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}
