// The interface of the solver kernels. `loadKernels` has them in WebAssembly; `plainKernels` is the scalar twin in
// TypeScript. They compute the parts of dense algebra that are too small for the engine: diagonal blocks and panels of
// columns.

/** Rows of the largest diagonal block. */
export const LARGEST_BLOCK = 256;
/** Columns of the widest panel. */
export const WIDEST_PANEL = 128;

/** A panel of `width` columns, from column `from` on, of W [rows, columns]; all matrices row-major. */
export type SweepPanel = {
  readonly rows: number;
  /** Columns of W and E, rows and columns of U. */
  readonly columns: number;
  readonly from: number;
  readonly width: number;
  /** Changed in place: pruned weights become +0, others are rounded if asked; the weights after them in the panel are updated. */
  readonly W: Float32Array;
  /** Receives the errors e = (w_j − ŵ_j) / U_jj, ŵ_j the final value: 0 for a weight that is neither pruned nor rounded. */
  readonly E: Float32Array;
  /** Upper triangular with H⁻¹ = Uᵀ·U. */
  readonly U: Float32Array;
  /** [rows, width], 1 for a weight to prune. Read, or written where `choose` is set. */
  readonly mask: Uint8Array;
  /**
   * Chooses the mask instead of reading it: n of every m consecutive columns are pruned, those with the smallest w² /
   * U_jj², using the weights as updated so far. Ties go to the lower column.
   */
  readonly choose?: { readonly n: number; readonly m: number } | undefined;
  /** Rounds the weights that stay to scale·q, q whole in [low, high], with one scale per row [rows]. A scale of 0 gives +0. */
  readonly round?: { readonly scales: Float32Array; readonly low: number; readonly high: number } | undefined;
};

export interface Kernels {
  /**
   * A [n, n] → R in place, R upper triangular with A = R·Rᵀ. Reads and writes only the upper triangle. Returns −1, or
   * the column whose pivot is not positive and finite. n ≤ LARGEST_BLOCK.
   */
  factorUpper(A: Float32Array, n: number): number;
  /** R [n, n] → R⁻¹ in place, R upper triangular. Writes zeros below the diagonal. n ≤ LARGEST_BLOCK. */
  invertUpper(R: Float32Array, n: number): void;
  /** The inner loop of SparseGPT and GPTQ over one panel of columns. width ≤ WIDEST_PANEL. */
  sweepPanel(panel: SweepPanel): void;
}
