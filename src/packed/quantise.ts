// W [rows, columns] float32 → small integers q and their scales, W ≈ scale·q. A zero stays zero. A weight too small for
// its scale becomes zero and is counted (`rounded`), because a sparse layout no longer stores it.
//   int8: q in [−127, 127], one float32 scale per row: the row's largest |w| / 127.
//   int4, int3, int2: q in [−L, L − 1] with L = 8, 4, 2, one F16 scale for each 128 columns of a row, of either sign: the
//   longer side of the grid may lie where the weights reach further. The candidates are max|w| / (L − 1), which clips
//   none, and f·max|w| / L for f in SHRINK, each with both signs, the positive one first; then the least-squares scale
//   Σ w·q / Σ q² of the best of these. The one with the smallest Σ (w − scale·q)² over the group's nonzeros wins, the
//   first of equals. A smaller scale clips the largest weights and represents the others more finely.
// Quotients and sums are in double precision, in the order of the columns; halves round away from zero.

import { NumericError } from '../base/index.js';
import { type IntegerValues, type QuantisedMatrix, RANGES, SCALE_GROUP } from '../layouts/index.js';
import { nearestHalf } from '../tensor/index.js';

/** The fewer bits, the more it pays to clip. */
const SHRINK: Readonly<Record<SmallValues, readonly number[]>> = {
  int4: [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7],
  int3: [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5],
  int2: [1, 0.9, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3],
};

/** Types with a scale for each group of columns. */
type SmallValues = Exclude<IntegerValues, 'int8'>;

export type Quantised = {
  readonly matrix: QuantisedMatrix;
  /** Nonzero weights of q; and nonzero weights of W that became zero. */
  readonly nonzeros: number;
  readonly rounded: number;
};

/** @throws NumericError E_NUMERIC_WEIGHT where a weight is not finite, or too large for the largest scale */
export function quantise(
  name: string,
  W: Float32Array,
  rows: number,
  columns: number,
  values: IntegerValues,
): Quantised {
  const width = values === 'int8' ? columns : SCALE_GROUP;
  const [low, high] = RANGES[values];
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
      const scale = values === 'int8' ? Math.fround(max / 127) : smallScale(name, W, from, to, max, gathered, values);
      scales[row * groups + group] = scale;
      for (let i = from; i < to; i++) {
        const w = W[i]!;
        if (w === 0) continue;
        const value = scale === 0 ? 0 : quotient(w, scale, low, high);
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
function smallScale(
  name: string,
  W: Float32Array,
  from: number,
  to: number,
  max: number,
  gathered: Float64Array,
  values: SmallValues,
): number {
  const [low, high] = RANGES[values];
  if (nearestHalf(max / high) === Number.POSITIVE_INFINITY) {
    const most = 65504 * high;
    throw unfit(name, max, `weights up to ${most}, the largest that ${values} has a scale for`, 'use --values int8');
  }
  let count = 0;
  for (let i = from; i < to; i++) if (W[i] !== 0) gathered[count++] = W[i]!;
  const sizes = [max / high, ...SHRINK[values].map((shrink) => (shrink * max) / -low)];
  return bestScale(gathered, count, sizes, low, high);
}

/** The scale with the least error for the first `count` weights, none of them 0. Returns 0 where no size is a float16. */
function bestScale(weights: Float64Array, count: number, sizes: readonly number[], low: number, high: number): number {
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  const consider = (scale: number): void => {
    if (scale === 0 || scale === Number.POSITIVE_INFINITY || scale === Number.NEGATIVE_INFINITY) return;
    const error = squaredError(weights, count, scale, low, high, least);
    if (error < least) [best, least] = [scale, error];
  };
  for (const size of sizes) {
    const scale = nearestHalf(size);
    consider(scale);
    consider(-scale);
  }
  if (best === 0) return 0;
  let [products, squares] = [0, 0];
  for (let i = 0; i < count; i++) {
    const value = quotient(weights[i]!, best, low, high);
    products += weights[i]! * value;
    squares += value * value;
  }
  if (squares > 0) consider(nearestHalf(products / squares));
  return best;
}

/** Σ (w − scale · q)², or where that reaches `enough`, a part of it that does. */
function squaredError(
  weights: Float64Array,
  count: number,
  scale: number,
  low: number,
  high: number,
  enough: number,
): number {
  let sum = 0;
  for (let i = 0; i < count && sum < enough; i++) {
    const rest = weights[i]! - scale * quotient(weights[i]!, scale, low, high);
    sum += rest * rest;
  }
  return sum;
}

/** w / scale, rounded and clipped. */
function quotient(w: number, scale: number, low: number, high: number): number {
  const ratio = w / scale;
  return ratio < 0 ? Math.max(low, -Math.floor(0.5 - ratio)) : Math.min(high, Math.floor(ratio + 0.5));
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
