// Statistics of experts. Each expert is measured on the tokens routed to it, of which a short text may have none. An
// expert without tokens gets the same value for every column: its Σx² is the mean Σx² of the block's other experts, and
// its Gram matrix is that number times the identity. Its weights are then ranked by magnitude and none is repaired.
// With zeros instead, weights would be pruned in index order, and SparseGPT would treat every column as dead and zero
// it. The list of these experts is returned, to be reported.

import { diagonalOf } from '../linalg/index.js';
import { expertSite, TOKENS_PER_EXPERT } from '../model/index.js';
import type { Grams } from './gram.js';
import type { SquareSums } from './squares.js';

type Statistics = Readonly<Record<string, ArrayLike<number>>>;

/** The experts of a block without any token, ascending. Empty in a block without experts. */
export const unseenExperts = (statistics: Statistics): readonly number[] =>
  Array.from(statistics[TOKENS_PER_EXPERT] ?? []).flatMap((tokens, expert) => (tokens === 0 ? [expert] : []));

/** Σx², with assumed values for experts without tokens. */
export function fillSquareSums(sums: SquareSums): SquareSums {
  const filled = assume(sums, (site) => sums[site]!);
  return { ...sums, ...Object.fromEntries([...filled].map(([site, value]) => [site, sums[site]!.map(() => value)])) };
}

/** The same for Gram matrices, in place. */
export function fillGrams(grams: Grams): void {
  for (const [site, value] of assume(grams, (site) => diagonalOf(grams[site]!, Math.sqrt(grams[site]!.length)))) {
    const gram = grams[site]!;
    const columns = Math.sqrt(gram.length);
    for (let j = 0; j < columns; j++) gram[j * columns + j] = value;
  }
}

/** The value to assume for each column of an unseen expert's sites: the mean over the other experts' sites. */
function assume(statistics: Statistics, squares: (site: string) => ArrayLike<number>): ReadonlyMap<string, number> {
  const unseen = unseenExperts(statistics);
  if (unseen.length === 0) return new Map();
  const seen = Array.from(statistics[TOKENS_PER_EXPERT]!).flatMap((tokens, expert) => (tokens === 0 ? [] : [expert]));
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
