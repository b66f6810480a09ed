// The asymmetric grid of b bits (Q-VLM, arXiv 2410.08119): levels at equal steps over a range [low, high].
//   scale = (2^b − 1) / max(high − low, 1e-5)      z = round(scale·low) + 2^(b−1)
//   q = clip(round(scale·x − z), −2^(b−1), 2^(b−1) − 1)      x̂ = (q + z) / scale
// round is half to even, as ONNX's Round. Of activations a clip p shrinks the range: low = p·min(min x, 0), high = p·max(max x, 0).
// The range of a row of weights is [min, max]. 0 is a level of every range that contains it, so a weight that is zero stays so.
// Everything is in double precision: it is the judge of the graph's nodes (model/fake-quantise.ts).

import type { Matrix } from '../operator.js';
import { wholeIn } from '../quantise/grid.js';

/** The widths that activations and weights of such a grid can have. */
export const CLIP_BITS = [2, 3, 4, 6, 8] as const;

/** The least width of a range, so that a constant has a scale. */
const LEAST_WIDTH = 1e-5;

export type AsymmetricGrid = { readonly bits: number; readonly scale: number; readonly zero: number };

const WIDE = 2 ** 52;

/** The grid over [low, high]. */
export function asymmetricGrid(bits: number, low: number, high: number): AsymmetricGrid {
  const scale = (2 ** bits - 1) / Math.max(high - low, LEAST_WIDTH);
  return { bits, scale, zero: wholeIn(scale * low, -WIDE, WIDE) + 2 ** (bits - 1) };
}

/** The range of activations under the clip p, [low, high]. */
export function clippedRange(values: Iterable<number>, clip = 1): readonly [low: number, high: number] {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (value < low) low = value;
    else if (value > high) high = value;
  }
  return [clip * low, clip * high];
}

/** The level that x is put on. */
export function roundAsymmetric({ bits, scale, zero }: AsymmetricGrid, x: number): number {
  const half = 2 ** (bits - 1);
  return (wholeIn(scale * x - zero, -half, half - 1) + zero) / scale;
}

/** All levels, ascending; neighbours are 1 / scale apart. */
export function levelsOf({ bits, scale, zero }: AsymmetricGrid): number[] {
  return Array.from({ length: 2 ** bits }, (_, m) => (m - 2 ** (bits - 1) + zero) / scale);
}

/** From the smallest to the largest value. */
export const fullRange = (values: Iterable<number>): readonly [low: number, high: number] => {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
};

/** Every row of W on a grid of its own, from its smallest to its largest weight. Never −0. */
export function quantiseRows({ rows, columns, data }: Matrix, bits: number): Float32Array {
  const made = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const own = data.subarray(row * columns, (row + 1) * columns);
    const grid = asymmetricGrid(bits, ...fullRange(own));
    for (let j = 0; j < columns; j++) made[row * columns + j] = roundAsymmetric(grid, own[j]!) + 0;
  }
  return made;
}
