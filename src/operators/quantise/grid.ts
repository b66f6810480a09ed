// The grid of integer weights: weight = scale·q. With b ≤ 4 bits q is whole in [−2^(b−1), 2^(b−1) − 1] and the scale a signed
// float16 number: where the largest weight of a group is positive, a negative scale gives it the level that has no opposite.
// Zero is always on the grid. With 8 bits q is in [−127, 127] and the scale of a row is its largest |w| / 127, a float32.
// The scale of a group is searched: max|w| / 2^(b−1) times each of FACTORS, with both signs, then refined from the best of
// these; of equal losses the first wins. A smaller scale clips the largest weights and represents the others more finely.
// Losses are sums in double precision in the order of the columns. A pruned weight is 0 whatever the scale and is left out.

import { NumericError } from '../../base/index.js';
import { nearestCode } from '../../solver-kernels/index.js';
import { nearestHalf } from '../../tensor/index.js';
import type { Mask, Matrix, MatrixGrid } from '../operator.js';
import type { Panel } from '../sparsify/panels.js';

/** The bits that a weight can have. */
export const GRID_BITS = [2, 3, 4, 8] as const;
/** Columns that can share a scale, besides a whole row. 8 bits always have a scale per row. */
export const GRID_GROUPS = [32, 64, 128] as const;
/** Up to this many bits scales are float16 and searched. */
const SEARCHED_BITS = 4;

/** The smallest and the largest q. */
export const limitsOf = (bits: number): { readonly low: number; readonly high: number } => {
  const high = 2 ** (bits - 1) - 1;
  return { low: bits <= SEARCHED_BITS ? -high - 1 : -high, high };
};

/** Columns that share a scale in a matrix of `columns`. */
export const groupOf = (bits: number, group: number, columns: number): number =>
  bits > SEARCHED_BITS ? columns : Math.min(group, columns);

/** The scales of a row of `columns`, and whether they are float16 numbers. */
export const gridShape = (bits: number, group: number, columns: number) => ({
  groups: Math.ceil(columns / groupOf(bits, group, columns)),
  halves: bits <= SEARCHED_BITS,
});

/** The weights of a group, and how much an error of each counts. Only the first `count` of both are the group's. */
export type Group = { readonly weights: Float64Array; readonly importance: Float64Array; readonly count: number };

/** How the scales of at most 4 bits are searched. */
export type ScaleSearch = {
  /** The loss of a group under a scale. */
  readonly loss: (group: Group, scale: number, low: number, high: number) => number;
  /** A better scale near `scale`, which is tried if it is another; called up to `turns` times. */
  readonly refine: (group: Group, scale: number, low: number, high: number, turn: number) => number;
  readonly turns: number;
};

/** Shares of max|w| / 2^(b−1), besides the largest, 2^(b−1) / (2^(b−1) − 1), with which both signs of max|w| have a level. */
const STEPS = 15;
/** The smallest share, by bits: fewer levels clip more. */
const SMALLEST_FACTOR: Readonly<Record<number, number>> = { 2: 0.4, 3: 0.55, 4: 0.65 };

/** 1.5·2⁵²: a double below 2⁵¹ that is added to it loses its fraction, half to even. */
const WHOLE = 6755399441055744;

/** The whole number in [low, high] nearest to x, in double precision. */
export const wholeIn = (x: number, low: number, high: number): number =>
  x <= low ? low : x >= high ? high : x + WHOLE - WHOLE;

/** The least (weighted) squared error, then least-squares scales of the codes. */
export const LEAST_SQUARES: ScaleSearch = {
  loss: ({ weights, importance, count }, scale, low, high) => {
    const inverse = 1 / scale;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const w = weights[i]!;
      const rest = w - scale * wholeIn(w * inverse, low, high);
      sum += importance[i]! * rest * rest;
    }
    return sum;
  },
  refine: ({ weights, importance, count }, scale, low, high) => {
    const inverse = 1 / scale;
    let [products, squares] = [0, 0];
    for (let i = 0; i < count; i++) {
      const w = weights[i]!;
      const q = wholeIn(w * inverse, low, high);
      products += importance[i]! * w * q;
      squares += importance[i]! * q * q;
    }
    return squares > 0 ? products / squares : scale;
  },
  turns: 3,
};

/** The scale for a group whose largest weight is ±`max`. */
function findScale(group: Group, max: number, bits: number, search: ScaleSearch): number {
  const { low, high } = limitsOf(bits);
  if (bits > SEARCHED_BITS) return Math.fround(max / high);
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  const consider = (scale: number): boolean => {
    if (scale === 0 || !Number.isFinite(scale)) return false;
    const loss = search.loss(group, scale, low, high);
    if (!(loss < least)) return false;
    [best, least] = [scale, loss];
    return true;
  };
  const largest = -low / high;
  const smallest = SMALLEST_FACTOR[bits]!;
  for (let step = 0; step <= STEPS; step++) {
    const size = nearestHalf(((largest + ((smallest - largest) * step) / STEPS) * max) / -low);
    consider(size);
    consider(-size);
  }
  for (let turn = 0, scale = best; best !== 0 && turn < search.turns; turn++) {
    const next = nearestHalf(search.refine(group, scale, low, high, turn));
    if (next === scale) break;
    consider(next);
    scale = next;
  }
  return best;
}

/**
 * The scale of each row of W for the columns of `panel`. Weights that are 1 in `mask` [rows, width] do not count; the error of
 * one in column j counts `columnImportance[j]` times, once by default.
 * @throws NumericError E_NUMERIC_WEIGHT for a weight that is not finite, or too large for a float16 scale
 */
export function scalesOfPanel(
  W: Matrix,
  { left, right }: Panel,
  bits: number,
  search: ScaleSearch,
  mask?: Mask,
  columnImportance?: Float64Array,
): Float32Array {
  const { rows, columns, data } = W;
  const width = right - left;
  const gathered = new Float64Array(width);
  const importance = new Float64Array(width).fill(1);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let [count, max] = [0, 0];
    for (let j = 0, at = row * columns + left; j < width; j++, at++) {
      const w = data[at]!;
      if (w === 0 || mask?.[row * width + j] === 1) continue;
      if (columnImportance) importance[count] = columnImportance[j]!;
      gathered[count++] = w;
      const size = Math.abs(w);
      if (!(size <= max)) max = Number.isNaN(size) ? Number.POSITIVE_INFINITY : size; // refused below
    }
    requireScale(max, bits, row, left);
    if (count > 0) scales[row] = findScale({ weights: gathered, importance, count }, max, bits, search);
  }
  return scales;
}

/** The largest float16 number. */
const LARGEST_SCALE = 65504;

function requireScale(max: number, bits: number, row: number, column: number): void {
  const limit = bits > SEARCHED_BITS ? Number.MAX_VALUE : LARGEST_SCALE * -limitsOf(bits).low;
  if (max <= limit) return;
  const expected = Number.isFinite(max)
    ? `weights up to ${limit}, the largest that ${bits} bits have a scale for`
    : 'finite weights';
  throw new NumericError(
    'E_NUMERIC_WEIGHT',
    `Row ${row}, columns from ${column} on: expected ${expected}, got ${max}. Check the checkpoint, or use 8 bits.`,
    { row, column, got: max, bits },
  );
}

/** The integers of weights that are on the grid, or the nearest ones. */
export function codesOf(W: Matrix, bits: number, group: number, scales: Float32Array): MatrixGrid {
  const { rows, columns, data } = W;
  const { low, high } = limitsOf(bits);
  const groups = Math.ceil(columns / group);
  const q = new Int8Array(rows * columns);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      q[at] = nearestCode(data[at]!, scales[row * groups + Math.floor(column / group)]!, low, high);
    }
  }
  return { bits, group, q, scales };
}

/** The weights of a grid: scale·q in float32, never −0. */
export function weightsOf({ group, q, scales }: MatrixGrid, rows: number, columns: number): Float32Array {
  const groups = Math.ceil(columns / group);
  const weights = new Float32Array(rows * columns);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      weights[at] = q[at]! * scales[row * groups + Math.floor(column / group)]! + 0;
    }
  }
  return weights;
}

/** Every weight of W by itself: the scale of its group, then the nearest integer. */
export function roundMatrix(W: Matrix, bits: number, asked: number, search: ScaleSearch): MatrixGrid {
  const { rows, columns } = W;
  const group = groupOf(bits, asked, columns);
  const groups = Math.ceil(columns / group);
  const scales = new Float32Array(rows * groups);
  for (let index = 0; index < groups; index++) {
    const panel = { left: index * group, right: Math.min((index + 1) * group, columns) };
    const own = scalesOfPanel(W, panel, bits, search);
    for (let row = 0; row < rows; row++) scales[row * groups + index] = own[row]!;
  }
  return codesOf(W, bits, group, scales);
}
