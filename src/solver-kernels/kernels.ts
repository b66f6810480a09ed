// What the kernels do, whoever does it: `loadKernels` (WebAssembly, fast) or `plainKernels` (TypeScript, the judge). They
// are the parts of the dense algebra that are too small for the engine: diagonal blocks and panels of columns.

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
  /** Changed in place: pruned weights become +0, those after them in the panel move. */
  readonly W: Float32Array;
  /** Receives the errors e = w_j / U_jj of pruned weights, 0 for the others. */
  readonly E: Float32Array;
  /** Upper triangular with H⁻¹ = Uᵀ·U. */
  readonly U: Float32Array;
  /** [rows, width], 1 where a weight goes; read, or written where `choose` is given. */
  readonly mask: Uint8Array;
  /**
   * Instead of reading the mask: n of every m consecutive columns go, those of smallest w² / U_jj² as the weights are
   * when the walk comes to them; of equal scores the lower column.
   */
  readonly choose?: { readonly n: number; readonly m: number } | undefined;
};

export interface Kernels {
  /**
   * A [n, n] → R in place, R upper triangular with A = R·Rᵀ; only the upper triangle is read and written. Returns −1, or
   * the column whose pivot is not positive and finite. n ≤ LARGEST_BLOCK.
   */
  factorUpper(A: Float32Array, n: number): number;
  /** R [n, n] → R⁻¹ in place, R upper triangular; below the diagonal it writes zeros. n ≤ LARGEST_BLOCK. */
  invertUpper(R: Float32Array, n: number): void;
  /** SparseGPT's inner loop over one panel of columns. width ≤ WIDEST_PANEL. */
  sweepPanel(panel: SweepPanel): void;
}
