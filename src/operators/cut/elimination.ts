// Takes columns out of a linear whose output should change least, and moves the others to make good for them (Optimal Brain
// Surgeon; in this form ZipLM, arXiv 2302.04089, and SlimGPT, arXiv 2412.18110). W is [rows, n], M = G⁻¹ [n, n] the inverse of
// the input's Gram matrix, ridge and all. Column c costs ‖W_c‖²/M_cc, and leaves
//   W ← W − W_c·M_c,: / M_cc,   M ← M − M_:,c·M_c,: / M_cc.
// A slice of several columns costs tr(W_U·(M_UU)⁻¹·W_Uᵀ); its columns leave one after another, which comes to the same. The costs
// add up to ‖ΔW‖²_G, and W ends at the least squares on the columns that are kept, whatever the order was.
// What the others lose is subtracted when it is read: a removal costs one product with W, and one with the columns gone before,
// in place of new W and M. In double precision: a thousand downdates add up.

import { InternalError, NumericError } from '../../base/index.js';
import type { Gemm } from '../../linalg/index.js';
import { transpose } from '../../tensor/index.js';
import type { Matrix } from '../operator.js';
import type { GramFactor } from '../sparsify/gram-factor.js';

export type Elimination = Pick<EliminationInput, 'rows' | 'columns' | 'width'> & {
  /** What it costs to take a slice out now: ‖ΔW‖²_G. */
  cost(slice: number): number;
  /** Takes a slice out. */
  remove(slice: number): void;
  /** [rows, n], as they are now; the columns that are gone are 0. */
  weights(): Float64Array;
};

export type EliminationInput = {
  readonly rows: number;
  readonly columns: number;
  /** Row-major [rows, columns]; not changed. */
  readonly W: Float32Array | Float64Array;
  /** G⁻¹, row-major [columns, columns]; overwritten. */
  readonly inverse: Float64Array;
  /** Columns of a slice. */
  readonly width: number;
  /** [rows]: a row's error counts with the square of its factor. Defaults to 1. It changes costs, and no weights. */
  readonly factors?: Float32Array | undefined;
};

export function createElimination({
  rows,
  columns: n,
  W: given,
  inverse: M,
  width,
  factors,
}: EliminationInput): Elimination {
  if (M.length !== n ** 2) {
    throw new InternalError(
      'E_INTERNAL_SLICES',
      `W has ${n} columns, and the inverse of its Gram matrix ${M.length} numbers.`,
    );
  }
  const W = Float64Array.from(given);
  const counts = Float64Array.from({ length: rows }, (_, row) => (factors ? factors[row]! ** 2 : 1));
  const rowOf = (matrix: Float64Array, i: number): Float64Array => matrix.subarray(i * n, (i + 1) * n);
  const allRows = Array.from({ length: rows }, (_, i) => rowOf(W, i));
  const diagonal = Float64Array.from({ length: n }, (_, j) => M[j * (n + 1)]!);
  /** ‖W_j‖², rows as often as they count; undefined as long as nobody asks what a column costs. */
  let squares: Float64Array | undefined;
  /** Columns that are gone. */
  const gone: number[] = [];
  /** Of those that W and M have not lost yet: W_c, M_c,:/M_cc and M_cc when they went. */
  let columns: Float64Array[] = [];
  let shares: Float64Array[] = [];
  let pivots: number[] = [];

  const removeColumn = (c: number): void => {
    const row = M.slice(c * n, (c + 1) * n);
    const column = Float64Array.from({ length: rows }, (_, i) => W[i * n + c]!);
    const own = shares.map((share) => share[c]!);
    subtractAll(
      row,
      own.map((value, s) => value * pivots[s]!),
      shares,
    );
    subtractAll(column, own, columns);
    for (const j of gone) row[j] = 0;
    const pivot = row[c]!;
    const share = row.map((value) => value / pivot);
    if (squares) {
      const counted = column.map((value, i) => value * counts[i]!);
      const products = new Float64Array(n);
      subtractAll(
        products,
        Array.from(counted, (value) => -value),
        allRows,
      );
      subtractAll(
        products,
        columns.map((other) => dot(other, counted)),
        shares,
      );
      const square = dot(column, counted);
      // ‖W_j − W_c·share_j‖², which rounding must not take below 0.
      for (const [j, part] of share.entries()) {
        squares[j] = Math.max(0, squares[j]! - (2 * products[j]! - square * part) * part);
      }
      squares[c] = 0;
    }
    for (const [j, part] of share.entries()) diagonal[j]! -= row[j]! * part;
    diagonal[c] = 0;
    gone.push(c);
    columns.push(column);
    shares.push(share);
    pivots.push(pivot);
  };
  const weights = (): Float64Array => {
    const made = W.slice();
    for (let i = 0; i < rows; i++) {
      const own = rowOf(made, i);
      subtractAll(
        own,
        columns.map((column) => column[i]!),
        shares,
      );
      for (const j of gone) own[j] = 0;
    }
    return made;
  };
  /** Lets W and M lose what they have not lost yet. */
  const settle = (): void => {
    W.set(weights());
    for (let i = 0; i < n; i++) {
      const own = rowOf(M, i);
      subtractAll(
        own,
        shares.map((share, s) => share[i]! * pivots[s]!),
        shares,
      );
      for (const j of gone) own[j] = 0;
    }
    for (const j of gone) rowOf(M, j).fill(0);
    columns = [];
    shares = [];
    pivots = [];
  };
  return {
    ...{ rows, columns: n, width, weights },
    cost: (slice) => {
      if (width > 1) return costOfSlice(W, M, { counts, n, width, from: slice * width });
      squares ??= columnSquares(weights(), n, counts);
      return squares[slice]! / diagonal[slice]!;
    },
    remove: (slice) => {
      for (let c = slice * width; c < (slice + 1) * width; c++) removeColumn(c);
      // The cost of a slice reads blocks of M, and all of W's columns.
      if (width > 1) settle();
    },
  };
}

/** a ← a − Σ factors[s]·vectors[s]; four at a time, so that a is read and written a quarter as often. */
function subtractAll(a: Float64Array, factors: readonly number[], vectors: readonly Float64Array[]): void {
  let s = 0;
  for (; s + 4 <= factors.length; s += 4) {
    const [f, g, h, k] = [factors[s]!, factors[s + 1]!, factors[s + 2]!, factors[s + 3]!];
    const [u, v, w, x] = [vectors[s]!, vectors[s + 1]!, vectors[s + 2]!, vectors[s + 3]!];
    for (let i = 0; i < a.length; i++) a[i]! -= f * u[i]! + g * v[i]! + (h * w[i]! + k * x[i]!);
  }
  for (; s < factors.length; s++) {
    const [f, u] = [factors[s]!, vectors[s]!];
    for (let i = 0; i < a.length; i++) a[i]! -= f * u[i]!;
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function columnSquares(W: Float64Array, n: number, counts: Float64Array): Float64Array {
  const squares = new Float64Array(n);
  for (const [row, count] of counts.entries())
    for (let j = 0, i = row * n; j < n; j++, i++) squares[j]! += count * W[i]! * W[i]!;
  return squares;
}

/** The elimination of slices of `width` columns of W by the factor of its input's Gram matrix. Dead columns are gone already. */
export async function eliminationOf(
  W: Matrix,
  { width, factors }: Pick<EliminationInput, 'width' | 'factors'>,
  factor: GramFactor,
  gemm: Gemm,
): Promise<Elimination> {
  const { rows, columns } = W;
  const inverse = await invert(factor, gemm);
  return createElimination({ rows, columns, W: withoutDead(W, factor), inverse, width, factors });
}

/** Columns that are always 0 cost nothing: their weights are taken out first. */
function withoutDead({ columns, data }: Matrix, { dead }: GramFactor): Float32Array {
  if (dead.length === 0) return data;
  const made = data.slice();
  for (const j of dead) for (let i = j; i < made.length; i += columns) made[i] = 0;
  return made;
}

/** (G + μI)⁻¹ = UᵀU, in the units of Σ xᵀx. */
async function invert({ U, columns, scale }: GramFactor, gemm: Gemm): Promise<Float64Array> {
  const turned = (): Matrix => ({ rows: columns, columns, data: transpose(U, columns, columns) });
  return Float64Array.from(await gemm.multiply(turned(), turned(), 'B'), (value) => value * scale);
}

/** tr(W_U·(M_UU)⁻¹·W_Uᵀ) by M_UU = L·Lᵀ: the squares of L⁻¹·W_Uᵀ, each row's as often as it counts. */
function costOfSlice(
  W: Float64Array,
  M: Float64Array,
  {
    counts,
    n,
    width,
    from,
  }: { readonly counts: Float64Array; readonly n: number; readonly width: number; readonly from: number },
): number {
  const L = new Float64Array(width * width);
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = M[(from + i) * n + from + j]!;
      for (let k = 0; k < j; k++) sum -= L[i * width + k]! * L[j * width + k]!;
      L[i * width + j] = i === j ? Math.sqrt(sum) : sum / L[j * (width + 1)]!;
    }
  }
  const y = new Float64Array(width);
  let cost = 0;
  for (let row = 0; row < counts.length; row++) {
    for (let i = 0; i < width; i++) {
      let sum = W[row * n + from + i]!;
      for (let k = 0; k < i; k++) sum -= L[i * width + k]! * y[k]!;
      y[i] = sum / L[i * (width + 1)]!;
      cost += counts[row]! * y[i]! * y[i]!;
    }
  }
  return cost;
}

/**
 * Takes out `count` slices, each time the cheapest (of equals the first). Their order, and what each cost. `name` is that of the
 * Gram matrix in messages.
 * @throws NumericError E_NUMERIC_CHOLESKY where a cost is not a number of at least 0
 */
export function eliminateGreedily(
  elimination: Elimination,
  count: number,
  name: string,
): { readonly order: readonly number[]; readonly costs: readonly number[] } {
  const left = Array.from({ length: elimination.columns / elimination.width }, (_, slice) => slice);
  const order: number[] = [];
  const costs: number[] = [];
  for (let round = 0; round < count; round++) {
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const [at, slice] of left.entries()) {
      const cost = elimination.cost(slice);
      if (cost < least) [best, least] = [at, cost];
    }
    // An inverse that is no longer positive definite gives costs below 0, or none.
    if (!(least >= 0 && least < Number.POSITIVE_INFINITY)) {
      throw new NumericError(
        'E_NUMERIC_CHOLESKY',
        `After ${round} of ${count} slices the least cost is ${least}: the Gram matrix of ${name} is not positive definite. Use more calibration text.`,
        { name, round, cost: least },
      );
    }
    const [slice] = left.splice(best, 1);
    elimination.remove(slice!);
    order.push(slice!);
    costs.push(least);
  }
  return { order, costs };
}

export type KeptSlices = {
  /** Ascending. */
  readonly slices: readonly number[];
  /** Their columns alone, [rows, slices · width], in their order. */
  readonly weights: Float32Array;
};

/** Keeps `keep` slices, fitted. @throws as `eliminateGreedily` */
export function keepSlices(elimination: Elimination, keep: number, name: string): KeptSlices {
  const { rows, columns, width } = elimination;
  const count = columns / width;
  if (!Number.isInteger(count) || keep < 1 || keep > count) {
    throw new InternalError('E_INTERNAL_SLICES', `Cannot keep ${keep} slices of ${width} of ${columns} columns.`);
  }
  const gone = new Set(eliminateGreedily(elimination, count - keep, name).order);
  const fitted = elimination.weights();
  const slices = Array.from({ length: count }, (_, slice) => slice).filter((slice) => !gone.has(slice));
  const kept = keep * width;
  const weights = new Float32Array(rows * kept);
  for (let row = 0; row < rows; row++) {
    for (const [i, slice] of slices.entries()) {
      const from = row * columns + slice * width;
      weights.set(fitted.subarray(from, from + width), row * kept + i * width);
    }
  }
  return { slices, weights };
}
