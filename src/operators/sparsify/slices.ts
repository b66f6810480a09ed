// Keeps some slices of a linear's columns and takes the others out for good (greedy OBS: ZipLM, arXiv 2302.04089; SlimGPT,
// arXiv 2412.18110). W [rows, columns] reads X with H = XXᵀ + μI. Slices go one after another. The cost of slice U is what W·X
// changes when the columns that are left make good for it as far as they can:
//   cost(U) = tr W_U·([H⁻¹]_UU)⁻¹·W_Uᵀ;   W ← W − W_U·([H⁻¹]_UU)⁻¹·[H⁻¹]_U,:;   H⁻¹ ← H⁻¹ − [H⁻¹]_:,U·([H⁻¹]_UU)⁻¹·[H⁻¹]_U,:
// What is left of W is then its least squares on the columns that stay. Ties take the lower slice. It takes as many steps as
// slices go, each of rows·columns + columns² operations.

import { InternalError } from '../../base/index.js';
import type { Matrix } from '../operator.js';

export type KeptSlices = {
  /** Ascending. */
  readonly slices: readonly number[];
  /** Their columns alone, [rows, slices · width], in their order. */
  readonly weights: Float32Array;
};

/** Keeps `keep` slices of `width` columns each. `inverse` is H⁻¹ [columns, columns]. */
export function keepSlices(W: Matrix, inverse: Float32Array, width: number, keep: number): KeptSlices {
  const { rows, columns } = W;
  const count = columns / width;
  if (!Number.isInteger(count) || keep < 1 || keep > count || inverse.length !== columns ** 2) {
    throw new InternalError('E_INTERNAL_SLICES', `Cannot keep ${keep} slices of ${width} of ${columns} columns.`);
  }
  const w = Float64Array.from(W.data);
  const P = Float64Array.from(inverse);
  let left = Array.from({ length: count }, (_, slice) => slice);
  while (left.length > keep) {
    let best: { slice: number; cost: number; B: Float64Array } | undefined;
    for (const slice of left) {
      const B = invert(square(P, columns, slice * width, width), width);
      const cost = costOf(w, rows, columns, slice * width, B, width);
      if (best === undefined || cost < best.cost) best = { slice, cost, B };
    }
    const { slice, B } = best!;
    left = left.filter((one) => one !== slice);
    const places = left.flatMap((one) => Array.from({ length: width }, (_, j) => one * width + j));
    takeOut(w, P, { rows, columns, from: slice * width, width, places, B });
  }
  const kept = keep * width;
  const weights = new Float32Array(rows * kept);
  for (let row = 0; row < rows; row++) {
    for (const [i, slice] of left.entries()) {
      for (let j = 0; j < width; j++) weights[row * kept + i * width + j] = w[row * columns + slice * width + j]!;
    }
  }
  return { slices: left, weights };
}

function square(P: Float64Array, columns: number, from: number, width: number): Float64Array {
  const part = new Float64Array(width * width);
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) part[i * width + j] = P[(from + i) * columns + from + j]!;
  }
  return part;
}

/** tr W_U·B·W_Uᵀ */
function costOf(w: Float64Array, rows: number, columns: number, from: number, B: Float64Array, width: number): number {
  let cost = 0;
  for (let row = 0; row < rows; row++) {
    const at = row * columns + from;
    for (let i = 0; i < width; i++) {
      let sum = 0;
      for (let j = 0; j < width; j++) sum += B[i * width + j]! * w[at + j]!;
      cost += w[at + i]! * sum;
    }
  }
  return cost;
}

type Taking = {
  readonly rows: number;
  readonly columns: number;
  readonly from: number;
  readonly width: number;
  /** The columns that are left. */
  readonly places: readonly number[];
  readonly B: Float64Array;
};

/** Removes a slice from W and from H⁻¹; what stands in its own columns then no longer counts. */
function takeOut(w: Float64Array, P: Float64Array, { rows, columns, from, width, places, B }: Taking): void {
  // B·[H⁻¹]_U,: of the columns that are left
  const R = new Float64Array(width * columns);
  for (let i = 0; i < width; i++) {
    for (const j of places) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += B[i * width + k]! * P[(from + k) * columns + j]!;
      R[i * columns + j] = sum;
    }
  }
  const subtract = (values: Float64Array, row: number): void => {
    for (let i = 0; i < width; i++) {
      const factor = values[row * columns + from + i]!;
      if (factor === 0) continue;
      for (const j of places) values[row * columns + j]! -= factor * R[i * columns + j]!;
    }
  };
  for (let row = 0; row < rows; row++) subtract(w, row);
  for (const row of places) subtract(P, row);
}

/** The inverse of a symmetric positive definite matrix, by Gauss and Jordan without pivots. */
function invert(A: Float64Array, n: number): Float64Array {
  const made = A.slice();
  for (let k = 0; k < n; k++) {
    const pivot = made[k * n + k]!;
    for (let j = 0; j < n; j++) made[k * n + j] = j === k ? 1 / pivot : made[k * n + j]! / pivot;
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = made[i * n + k]!;
      for (let j = 0; j < n; j++) {
        made[i * n + j] = j === k ? -factor / pivot : made[i * n + j]! - factor * made[k * n + j]!;
      }
    }
  }
  return made;
}
