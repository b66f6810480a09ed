// Greedy removal: of what is left, take away the one whose absence scores best; n times. Scoring is injected and asked for
// all candidates of a round at once, since they share their prefixes. The lower of two equal ones goes first.

export type GreedyResult = {
  /** In the order in which they went. */
  readonly order: readonly number[];
  /** For each one, the score without it in the round in which it went; for those that stayed, in the last round. */
  readonly scores: readonly number[];
};

/** Removes `n` of 0 … count − 1. `scoresWithout` gets those that are left and gives a score for each one's absence. */
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
