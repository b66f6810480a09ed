// W [rows, columns] → small integers on a symmetric grid with a signed scale: q in [−2^(b−1), 2^(b−1) − 1], W ≈ scale·q, a
// scale for each `group` columns of a row. The larger side of a group gets the larger side of the grid, so a scale is negative
// where that side is positive. Zeros stay zeros. The scales tried are f·m / −2^(b−1), m the weight of largest size, f in
// SHRINK, and the least-squares scale Σ w·q / Σ q² of the best of them; the least Σ (w − scale·q)² wins, the first of equals.

import { NumericError } from '../base/index.js';
import type { Grid } from '../checkpoint/index.js';
import { type DType, fromFloat32, nearestHalf, toFloat32 } from '../tensor/index.js';

/** The first is the grid without its lowest number; those below 1 clip the largest weight and hold the others more finely. */
const SHRINK: Readonly<Record<number, readonly number[]>> = {
  2: [1, 2, 0.9, 0.8, 0.7],
  3: [1, 4 / 3, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7],
  4: [1, 8 / 7, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7],
  6: [0, -8, -6, -4, -2, 2, 4, 6, 8, 10].map((tenths) => 32 / (32 + tenths / 10)),
  8: [1, 128 / 127],
};

/** The number nearest to a value among those that a scale may be: F16, BF16 or float32. */
export type Nearest = (value: number) => number;

/** The nearest number of a dtype. */
export function nearestTo(dtype: DType): Nearest {
  if (dtype === 'F16') return nearestHalf;
  return (value) => toFloat32(fromFloat32(Float32Array.of(value), dtype), dtype)[0]!;
}

/** The scale for the weights `from` to `to`, and 0 where all are 0 or too small to have one. */
export function bestScale(W: Float32Array, from: number, to: number, bits: number, nearest: Nearest): number {
  const high = 2 ** (bits - 1) - 1;
  let largest = 0;
  for (let i = from; i < to; i++) if (Math.abs(W[i]!) > Math.abs(largest)) largest = W[i]!;
  if (largest === 0) return 0;
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  for (const shrink of SHRINK[bits]!) {
    const scale = nearest((shrink * largest) / (-high - 1));
    const error = squaredError(W, from, to, scale, high);
    if (error < least) [best, least] = [scale, error];
  }
  if (best === 0) return 0;
  let [products, squares] = [0, 0];
  for (let i = from; i < to; i++) {
    const value = roundTo(W[i]!, best, high);
    products += W[i]! * value;
    squares += value * value;
  }
  const refined = squares > 0 ? nearest(products / squares) : best;
  return squaredError(W, from, to, refined, high) < least ? refined : best;
}

/** Infinite for a scale that is none. */
function squaredError(W: Float32Array, from: number, to: number, scale: number, high: number): number {
  if (scale === 0 || !Number.isFinite(scale)) return Number.POSITIVE_INFINITY;
  const [inverse, low] = [1 / scale, -high - 1];
  let error = 0;
  for (let i = from; i < to; i++) {
    const w = W[i]!;
    let q = Math.round(w * inverse);
    if (q > high) q = high;
    else if (q < low) q = low;
    const rest = w - scale * q;
    error += rest * rest;
  }
  return error;
}

/** w / scale, rounded and clipped to [−high − 1, high]. */
export const roundTo = (w: number, scale: number, high: number): number =>
  Math.min(high, Math.max(-high - 1, Math.round(w / scale)));

/** @throws NumericError E_NUMERIC_WEIGHT where a weight is not finite, or too large for any scale */
export function roundToGrid(
  name: string,
  W: Float32Array,
  columns: number,
  { bits, group, nearest }: { readonly bits: number; readonly group: number; readonly nearest: Nearest },
): Grid {
  const high = 2 ** (bits - 1) - 1;
  const [rows, groups] = [W.length / columns, Math.ceil(columns / group)];
  const q = new Int8Array(W.length);
  const scales = new Float32Array(rows * groups);
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < groups; at++) {
      const from = row * columns + at * group;
      const to = Math.min(from + group, (row + 1) * columns);
      requireScalable(name, W, from, to, high, nearest);
      const scale = bestScale(W, from, to, bits, nearest);
      scales[row * groups + at] = scale;
      if (scale !== 0) for (let i = from; i < to; i++) q[i] = roundTo(W[i]!, scale, high);
    }
  }
  return { bits, group, q, scales };
}

/** @throws NumericError E_NUMERIC_WEIGHT */
export function requireScalable(
  name: string,
  W: Float32Array,
  from: number,
  to: number,
  high: number,
  nearest: Nearest,
): void {
  let largest = 0;
  for (let i = from; i < to; i++) {
    const size = Math.abs(W[i]!);
    if (size <= largest) continue;
    largest = size;
    if (Number.isNaN(size)) break;
  }
  if (Number.isFinite(nearest(largest / (high + 1)))) return;
  const expected = Number.isFinite(largest) ? 'weights that a scale can reach' : 'finite weights';
  const message = `${name}: expected ${expected}, got ${largest}; fix the checkpoint.`;
  throw new NumericError('E_NUMERIC_WEIGHT', message, { tensor: name, expected, got: String(largest) });
}
