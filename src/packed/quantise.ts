// W [rows, columns] float32 → small integers q and their scales, W ≈ scale·q. A zero stays zero. A weight too small for
// its scale becomes zero and is counted (`rounded`), because a sparse layout no longer stores it.
//   int8: q in [−127, 127], one float32 scale per row: the row's largest |w| / 127.
//   int4: q in [−7, 7], one F16 scale for each 128 columns of a row. The candidates are f·max|w|/7 for f in SHRINK, and the
//   least-squares scale Σ w·q / Σ q² of the best of these. The one with the smallest Σ (w − scale·q)² over the group's
//   nonzeros wins, the first of equals. A smaller scale clips the largest weights and represents the others more finely.
// Quotients and sums are in double precision, in the order of the columns; halves round away from zero.

import { NumericError } from '../base/index.js';
import { INT4_GROUP, type IntegerValues, type QuantisedMatrix } from '../layouts/index.js';
import { nearestHalf } from '../tensor/index.js';

const SHRINK = [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7] as const;

export type Quantised = {
  readonly matrix: QuantisedMatrix;
  /** Nonzero weights of q; and nonzero weights of W that became zero. */
  readonly nonzeros: number;
  readonly rounded: number;
};

/** @throws NumericError E_NUMERIC_WEIGHT where a weight is not finite, or too large for the largest int4 scale */
export function quantise(
  name: string,
  W: Float32Array,
  rows: number,
  columns: number,
  values: IntegerValues,
): Quantised {
  const [width, limit] = values === 'int8' ? [columns, 127] : [INT4_GROUP, 7];
  const groups = Math.ceil(columns / width);
  const q = new Int8Array(rows * columns);
  const scales = new Float32Array(rows * groups);
  const gathered = new Float64Array(width);
  let [nonzeros, rounded] = [0, 0];
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const from = row * columns + group * width;
      const to = Math.min(from + width, (row + 1) * columns);
      const max = largest(name, W, from, to);
      const scale = values === 'int8' ? Math.fround(max / 127) : int4Scale(name, W, from, to, max, gathered);
      scales[row * groups + group] = scale;
      for (let i = from; i < to; i++) {
        const w = W[i]!;
        if (w === 0) continue;
        const value = quotient(w, scale, limit);
        if (value === 0) rounded++;
        else {
          q[i] = value;
          nonzeros++;
        }
      }
    }
  }
  return { matrix: { rows, columns, values, q, scales }, nonzeros, rounded };
}

/** The best scale for the weights `from` to `to`. `gathered` is scratch for them. */
function int4Scale(
  name: string,
  W: Float32Array,
  from: number,
  to: number,
  max: number,
  gathered: Float64Array,
): number {
  if (nearestHalf(max / 7) === Number.POSITIVE_INFINITY) {
    throw unfit(name, max, 'weights up to 458528, the largest that int4 has a scale for', 'use --values int8');
  }
  let count = 0;
  for (let i = from; i < to; i++) if (W[i] !== 0) gathered[count++] = Math.abs(W[i]!);
  return bestScale(gathered, count, max);
}

/**
 * The scale with the least error for the first `count` magnitudes, none of them 0. Returns 0 where the largest has no
 * scale.
 */
function bestScale(sizes: Float64Array, count: number, max: number): number {
  let best = nearestHalf(max / 7);
  if (best === 0) return 0;
  let least = squaredError(sizes, count, best);
  const consider = (scale: number): void => {
    if (scale === 0) return;
    const error = squaredError(sizes, count, scale);
    if (error < least) [best, least] = [scale, error];
  };
  for (const shrink of SHRINK.slice(1)) consider(nearestHalf((shrink * max) / 7));
  let [products, squares] = [0, 0];
  for (let i = 0; i < count; i++) {
    const value = whole(sizes[i]!, best, 7);
    products += sizes[i]! * value;
    squares += value * value;
  }
  if (squares > 0) consider(nearestHalf(products / squares));
  return best;
}

function squaredError(sizes: Float64Array, count: number, scale: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const rest = sizes[i]! - scale * whole(sizes[i]!, scale, 7);
    sum += rest * rest;
  }
  return sum;
}

/** size / scale, rounded and clipped to `limit`. */
const whole = (size: number, scale: number, limit: number): number => Math.min(limit, Math.floor(size / scale + 0.5));

/** w / scale, rounded and clipped to ±limit; 0 where the scale is 0. */
function quotient(w: number, scale: number, limit: number): number {
  if (scale === 0) return 0;
  return w < 0 ? -whole(-w, scale, limit) : whole(w, scale, limit);
}

/** The largest |w|. Checks that all are finite. */
function largest(name: string, W: Float32Array, from: number, to: number): number {
  let max = 0;
  for (let i = from; i < to; i++) {
    const size = Math.abs(W[i]!);
    if (size > max) max = size;
    else if (Number.isNaN(size)) throw unfit(name, size, 'finite weights', 'fix the checkpoint');
  }
  if (max === Number.POSITIVE_INFINITY) throw unfit(name, max, 'finite weights', 'fix the checkpoint');
  return max;
}

function unfit(name: string, got: number, expected: string, next: string): NumericError {
  const message = `${name}: expected ${expected}, got ${got}; ${next}.`;
  return new NumericError('E_NUMERIC_WEIGHT', message, { tensor: name, expected, got: String(got) });
}

/** @throws NumericError E_NUMERIC_WEIGHT where a value is not finite */
export function requireFinite(name: string, W: Float32Array): void {
  largest(name, W, 0, W.length);
}
