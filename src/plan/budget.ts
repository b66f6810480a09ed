// Exact budgets. The raw rates of a policy are shifted by one constant and water-filled into [0, 1] until their mean is the
// target. Rates become whole numbers of weights by largest remainder, so rounding loses nothing. The counting `published`
// instead does as the published code does: ⌊columns × s⌋ weights per row, and the unweighted mean over blocks.

import { InternalError, OptionError } from '../base/index.js';
import type { Counting } from './policy.js';

/** @throws OptionError E_OPTION_SPARSITY unless 0 < target < 1. */
export function validateTarget(target: number): void {
  if (!(target > 0 && target < 1)) {
    throw new OptionError(
      'E_OPTION_SPARSITY',
      `--sparsity: expected a number between 0 and 1 (exclusive), such as 0.7, got ${target}.`,
      { option: 'sparsity', got: target },
    );
  }
}

const mean = (values: readonly number[], weights: readonly number[]): number => {
  let sum = 0;
  let total = 0;
  for (const [i, weight] of weights.entries()) {
    sum += weight * values[i]!;
    total += weight;
  }
  return sum / total;
};

/**
 * Shifts `raw` by one constant and clips to [0, max] so that the `weights`-weighted mean is `target` ≤ max (water-filling).
 * Rates that already fit are returned unchanged.
 */
export function fitBudget(
  raw: readonly number[],
  weights: readonly number[],
  target: number,
  max = 1,
): readonly number[] {
  const clamp = (value: number): number => Math.min(max, Math.max(0, value));
  const fits = raw.every((rate) => rate >= 0 && rate <= max) && Math.abs(mean(raw, weights) - target) < 1e-12;
  if (fits) return raw;
  // The clipped mean rises with the shift, so bisect until the bounds are neighbouring doubles.
  let low = -Math.max(...raw);
  let high = max - Math.min(...raw);
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    if (
      mean(
        raw.map((rate) => clamp(rate + middle)),
        weights,
      ) < target
    )
      low = middle;
    else high = middle;
  }
  return raw.map((rate) => clamp(rate + high));
}

/** The shape of a linear: W is [rows, columns]. */
export type Countable = { readonly rows: number; readonly columns: number };

/**
 * How many weights of each linear are pruned, from its rate. `exact`: ⌊rate × weights⌋, then one more for the largest
 * remainders until the total is the rounded sum (ties: the earlier linear). `published`: rows × ⌊columns × rate⌋.
 */
export function countPruned<T extends Countable>(
  linears: readonly T[],
  rateOf: (linear: T) => number,
  counting: Counting,
): number[] {
  if (counting === 'published') {
    return linears.map((linear) => linear.rows * Math.floor(linear.columns * rateOf(linear)));
  }
  const shares = linears.map((linear) => linear.rows * linear.columns * rateOf(linear));
  // A product such as 128 × 0.7 may miss a whole number by rounding; count it as that number.
  const counts = shares.map((share) => Math.floor(share + 1e-6));
  const wanted = shares.reduce((a, b) => a + b, 0);
  const given = counts.reduce((a, b) => a + b, 0);
  const missing = Math.round(wanted) - given;
  if (missing > linears.length) throw new InternalError('E_INTERNAL_BUDGET', `${missing} weights left to assign.`);
  const order = [...linears.keys()].sort((a, b) => shares[b]! - counts[b]! - (shares[a]! - counts[a]!) || a - b);
  for (const i of order.slice(0, Math.max(0, missing))) counts[i]!++;
  return counts;
}
