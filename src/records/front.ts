// Which of many models are worth having: those that no other equals on both axes and beats on one. A cost (bytes, seconds a
// token) is one number. A loss is paired over the windows that all models were scored on, and two losses whose difference
// has an interval with 0 in it are a tie.
//
// Ties are not transitive, but nobody is beaten in a circle: along one, costs would not grow, so they would all be equal, and
// each mean loss would be below the one before it. So every set has a front.

/** Lower is better on both. */
export type Standing = { readonly cost: number; readonly loss: readonly number[] };

/** For each of `all`, whether it is on the front. */
export const findFront = (all: readonly Standing[]): boolean[] =>
  all.map((one) => !all.some((other) => beats(other, one)));

/** Whether `a` is at least as good as `b` on both axes, and better on one. */
function beats(a: Standing, b: Standing): boolean {
  const [cost, loss] = [Math.sign(a.cost - b.cost), compareLosses(a.loss, b.loss)];
  return cost <= 0 && loss <= 0 && cost + loss < 0;
}

/** −1 where `a` is lower beyond its 95 % interval, 1 where it is higher, 0 for a tie. One window has no interval. */
function compareLosses(a: readonly number[], b: readonly number[]): number {
  const n = a.length;
  const differences = a.map((value, i) => value - b[i]!);
  const mean = differences.reduce((x, y) => x + y, 0) / n;
  const variance = n < 2 ? 0 : differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (n - 1);
  const margin = 1.96 * Math.sqrt(variance / n);
  if (mean + margin < 0) return -1;
  return mean - margin > 0 ? 1 : 0;
}
