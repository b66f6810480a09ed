// Greedy removal: in each of n rounds, remove the item whose absence gives the best score. The injected scoring function
// gets all candidates of a round at once, because they share their prefixes. Ties remove the lower item.

export type GreedyResult = {
  /** The removed items, in the order of removal. */
  readonly order: readonly number[];
  /** For each item, the score without it: in the round that removed it, or in the last round if it stayed. */
  readonly scores: readonly number[];
};

/** Removes `n` of the items 0 … count − 1. `scoresWithout` scores the absence of each remaining item. */
export async function removeGreedily(
  count: number,
  n: number,
  scoresWithout: (left: readonly number[], round: number) => Promise<readonly number[]>,
): Promise<GreedyResult> {
  let left = Array.from({ length: count }, (_, i) => i);
  const order: number[] = [];
  const scores = new Array<number>(count).fill(Number.NaN);
  for (let round = 0; round < n; round++) {
    const tried = await scoresWithout(left, round);
    for (const [i, one] of left.entries()) scores[one] = tried[i]!;
    const best = left.reduce((least, one) => (scores[one]! < scores[least]! ? one : least));
    order.push(best);
    left = left.filter((one) => one !== best);
  }
  return { order, scores };
}
