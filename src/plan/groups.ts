// Rounds rates to whole numbers for N:M patterns: n of every M consecutive columns are pruned, so a rate can only be n / M.
// Rounds down, then up by largest remainder while that brings the total closer to Σ rate × weights, then moves single
// linears while that helps. Each n stays within 1 of rate·M. Equal remainders are taken in bit-reversed order, which spreads
// the linears that are rounded up evenly over the depth. The bounds and the reasons: docs/lab/methods.md.

import type { Countable } from './budget.js';

/** A product such as 0.7 × 10 may miss a whole number by rounding; within this much it counts as that number. */
const SLACK = 1e-6;

/** Weights that a linear loses if n of every `of` consecutive columns are pruned. */
const prunedInGroups = ({ rows, columns }: Countable, n: number, of: number): number =>
  rows * (Math.floor(columns / of) * n + Math.floor(((columns % of) * n) / of));

type Rounding = {
  readonly linear: Countable;
  /** n, rounded down. */
  readonly low: number;
  readonly remainder: number;
  readonly place: number;
  /** Weights between n rounded down and n rounded up; 0 if the rate is a whole number of M-ths. */
  readonly step: number;
};

/** How many weights of each linear are pruned, from its rate, in groups of `of` columns. */
export function countInGroups<T extends Countable>(
  linears: readonly T[],
  rateOf: (linear: T) => number,
  of: number,
): number[] {
  let missing = 0;
  const bits = Math.ceil(Math.log2(Math.max(2, linears.length)));
  const roundings = linears.map((linear, index): Rounding => {
    const rate = rateOf(linear);
    const low = Math.floor(rate * of + SLACK);
    const rest = rate * of - low;
    const remainder = rest > SLACK ? Math.round(rest / SLACK) * SLACK : 0;
    const pruned = prunedInGroups(linear, low, of);
    missing += linear.rows * linear.columns * rate - pruned;
    const step = remainder > 0 ? prunedInGroups(linear, low + 1, of) - pruned : 0;
    return { linear, low, remainder, place: reverseBits(index, bits), step };
  });
  const open = roundings.filter(({ step }) => step > 0).sort((a, b) => b.remainder - a.remainder || a.place - b.place);
  const raised = new Set<Rounding>();
  for (const rounding of open) {
    if (missing < rounding.step / 2) continue;
    raised.add(rounding);
    missing -= rounding.step;
  }
  for (;;) {
    const move = nearestMove(open, raised, missing);
    if (!move) break;
    if (raised.delete(move)) missing += move.step;
    else {
      raised.add(move);
      missing -= move.step;
    }
  }
  return roundings.map((rounding) => {
    const { linear, low } = rounding;
    return prunedInGroups(linear, raised.has(rounding) ? low + 1 : low, of);
  });
}

/** The linear whose move to its other neighbour brings the total closest; undefined if no move improves it. */
function nearestMove(open: readonly Rounding[], raised: ReadonlySet<Rounding>, missing: number): Rounding | undefined {
  let nearest = Math.abs(missing) - SLACK;
  let found: Rounding | undefined;
  for (const rounding of open) {
    const distance = Math.abs(missing + (raised.has(rounding) ? rounding.step : -rounding.step));
    if (distance < nearest) [nearest, found] = [distance, rounding];
  }
  return found;
}

/** The lowest `bits` bits of a number in reverse: 0, 1, 2, … so taken are spread evenly. */
export function reverseBits(value: number, bits: number): number {
  let reversed = 0;
  for (let bit = 0; bit < bits; bit++) reversed = reversed * 2 + (Math.floor(value / 2 ** bit) % 2);
  return reversed;
}
