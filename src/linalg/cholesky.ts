// The upper triangular U with H⁻¹ = Uᵀ·U, for H [n, n] symmetric positive definite: SparseGPT and GPTQ sweep with it.
// The published code factorises, inverts and factorises again (4/3·n³ multiply-adds). Here H = R·Rᵀ is factorised once,
// with R upper triangular, from the last column to the first. Then H⁻¹ = R⁻ᵀ·R⁻¹ = (R⁻¹)ᵀ·(R⁻¹). R⁻¹ is upper
// triangular with a positive diagonal, and such a factor is unique, so U = R⁻¹. This is half the work, and it never
// forms the inverse of H, whose rounding error grows with the whole condition number of H.
// The algorithm is blocked: the engine multiplies, kernels do the diagonal blocks. It works in place, with at most n²/2
// floats beside H at a time.

import { type Kernels, LARGEST_BLOCK, loadKernels } from '../solver-kernels/index.js';
import type { Gemm } from './gemm.js';
import { type Block, copyBlock, type Matrix, subtractBlock, writeBlock } from './matrix.js';

/** Rows of U in one product. Whole rows would multiply with the zeros of the triangle. */
const ROWS_PER_PRODUCT = 512;

export type FactorOptions = {
  /** Defaults to the compiled ones. */
  readonly kernels?: Kernels;
  /** Rows of a diagonal block. Defaults to the kernels' largest. */
  readonly block?: number;
};

/**
 * H [n, n] → U in place, zeros below the diagonal.
 * @returns −1, or the column at which H proved not positive definite; H is then unchanged.
 */
export async function choleskyOfInverse(H: Matrix, gemm: Gemm, options: FactorOptions = {}): Promise<number> {
  const { kernels = loadKernels(), block = LARGEST_BLOCK } = options;
  const n = H.rows;
  const starts = Array.from({ length: Math.ceil(n / block) }, (_, index) => index * block);
  const diagonal = Float32Array.from({ length: n }, (_, j) => H.data[j * n + j]!);
  for (const left of starts.toReversed()) {
    const failed = await factorColumns(H, left, Math.min(left + block, n), gemm, kernels);
    if (failed >= 0) {
      restoreUpper(H, diagonal);
      return failed;
    }
  }
  for (const left of starts.slice(1)) await invertColumns(H, left, Math.min(left + block, n), gemm);
  for (let row = 1; row < n; row++) H.data.fill(0, row * n, row * n + row);
  return -1;
}

/**
 * Replaces columns [left, right) of H by those of R, when all columns to the right are done:
 * R_·k = (H_·k − R_·m·R_kmᵀ)·R_kk⁻ᵀ, where m are the columns right of k. Stores R_kk⁻¹ as the diagonal block, because
 * R_kk is not needed again. Does not touch H below the diagonal.
 */
async function factorColumns(H: Matrix, left: number, right: number, gemm: Gemm, kernels: Kernels): Promise<number> {
  const n = H.rows;
  const width = right - left;
  const above: Block = { top: 0, bottom: left, left, right };
  if (right < n) {
    const done = copyBlock(H, { top: 0, bottom: right, left: right, right: n });
    const own = copyBlock(H, { top: left, bottom: right, left: right, right: n });
    const product = await gemm.multiply(done, own, 'B');
    subtractBlock(H, above, product);
    forUpper(left, width, (row, at) => {
      H.data[row * n + at]! -= product[row * width + at - left]!;
    });
  }
  const corner = copyBlock(H, { top: left, bottom: right, left, right });
  const failed = kernels.factorUpper(corner.data, width);
  if (failed >= 0) return left + failed;
  kernels.invertUpper(corner.data, width);
  forUpper(left, width, (row, at) => {
    H.data[row * n + at] = corner.data[(row - left) * width + at - left]!;
  });
  if (left > 0) writeBlock(H, above, await gemm.multiply(copyBlock(H, above), corner, 'B'));
  return -1;
}

/**
 * Replaces columns [left, right) of R by those of U, when all columns to the left are done: U_·k = −U_·m·R_mk·U_kk,
 * where m are the columns left of k.
 */
async function invertColumns(U: Matrix, left: number, right: number, gemm: Gemm): Promise<void> {
  const above: Block = { top: 0, bottom: left, left, right };
  const width = right - left;
  const corner = copyBlock(U, { top: left, bottom: right, left, right });
  forLower(width, (at) => {
    corner.data[at] = 0;
  });
  const scaled = await gemm.multiply(copyBlock(U, above), corner);
  for (let top = 0; top < left; top += ROWS_PER_PRODUCT) {
    const bottom = Math.min(top + ROWS_PER_PRODUCT, left);
    const rows = copyBlock(U, { top, bottom, left: top, right: left });
    for (let row = 1; row < rows.rows; row++) rows.data.fill(0, row * rows.columns, row * rows.columns + row);
    const rest = { rows: left - top, columns: width, data: scaled.slice(top * width) };
    const product = await gemm.multiply(rows, rest);
    for (let i = 0; i < product.length; i++) product[i] = -product[i]!;
    writeBlock(U, { top, bottom, left, right }, product);
  }
}

/** Calls `visit(row, column)` for the upper triangle of the diagonal block at `left`. */
function forUpper(left: number, width: number, visit: (row: number, column: number) => void): void {
  for (let row = left; row < left + width; row++) {
    for (let column = row; column < left + width; column++) visit(row, column);
  }
}

/** Calls `visit` with the index of every element below the diagonal of a [width, width] block. */
function forLower(width: number, visit: (at: number) => void): void {
  for (let row = 1; row < width; row++) for (let column = 0; column < row; column++) visit(row * width + column);
}

/** Restores the upper triangle of a symmetric matrix from its lower one. */
function restoreUpper(H: Matrix, diagonal: Float32Array): void {
  const n = H.rows;
  for (let row = 0; row < n; row++) {
    H.data[row * n + row] = diagonal[row]!;
    for (let column = row + 1; column < n; column++) H.data[row * n + column] = H.data[column * n + row]!;
  }
}
