// Factorises a Gram matrix for SparseGPT's sweep (arXiv 2301.00774, §3.3 and the published procedure). X [tokens, columns] is
// the input: H = (2 / sequences)·Σ xᵀx. A dead column (H_jj = 0) gets H_jj = 1, and its weights become 0. λ = damping ·
// mean(diag H) is added to the diagonal. U is upper triangular with (H + λI)⁻¹ = UᵀU.
// If H + λI is not positive definite in float32, the damping is raised tenfold, at most to a hundredfold; after that it is an
// error. The damping used is returned for the record. Linears that read the same input use the same factor.

import { NumericError } from '../../base/index.js';
import { choleskyOfInverse, diagonalOf, type Gemm, type Matrix } from '../../linalg/index.js';
import type { Kernels } from '../../solver-kernels/index.js';

/** λ = DAMPING · mean(diag H), as published. */
const DAMPING = 0.01;
const RAISES = [1, 10, 100] as const;

export type GramFactor = {
  readonly columns: number;
  /** [columns, columns], upper triangular. */
  readonly U: Float32Array;
  /** Columns that are 0 on every calibration token. */
  readonly dead: readonly number[];
  /** λ as a share of the mean of H's diagonal. */
  readonly damping: number;
  /** H = scale·Σ xᵀx. */
  readonly scale: number;
};

export type GramFactorOptions = {
  readonly gemm: Gemm;
  /** Number of calibration sequences. The scale of H matters only with dead columns, which count as 1 in its mean. */
  readonly sequences: number;
  /** Defaults to DAMPING. */
  readonly damping?: number;
  /** The input of the Gram matrix, for error messages. */
  readonly name?: string;
  /** Defaults to the compiled kernels. */
  readonly kernels?: Kernels;
};

/**
 * Factorises a Gram matrix Σ xᵀx [columns, columns]. It overwrites `gram` with U.
 * @throws NumericError E_NUMERIC_GRAM if it holds NaN or infinity, E_NUMERIC_CHOLESKY if no allowed damping suffices
 */
export async function factoriseGram(
  gram: Float32Array,
  columns: number,
  options: GramFactorOptions,
): Promise<GramFactor> {
  const { gemm, sequences, name = 'a linear', kernels } = options;
  const scale = 2 / sequences;
  for (let i = 0; i < gram.length; i++) gram[i]! *= scale;
  const dead: number[] = [];
  let sum = 0;
  for (let j = 0; j < columns; j++) {
    const at = j * columns + j;
    if (gram[at] === 0) {
      gram[at] = 1;
      dead.push(j);
    }
    sum += gram[at]!;
  }
  if (!Number.isFinite(sum)) {
    const column = diagonalOf(gram, columns).findIndex((sum) => !Number.isFinite(sum));
    throw new NumericError(
      'E_NUMERIC_GRAM',
      `The Gram matrix of ${name} contains NaN or infinity in column ${column}. Check the calibration text and the checkpoint.`,
      { name, column },
    );
  }
  const diagonal = diagonalOf(gram, columns);
  const tried: number[] = [];
  for (const raise of RAISES) {
    const damping = (options.damping ?? DAMPING) * raise;
    tried.push(damping);
    const lambda = (damping * sum) / columns;
    for (let j = 0; j < columns; j++) gram[j * columns + j] = diagonal[j]! + lambda;
    const H = { rows: columns, columns, data: gram };
    const failed = await choleskyOfInverse(H, gemm, kernels ? { kernels } : {});
    if (failed < 0) return { columns, U: gram, dead, damping, scale };
  }
  throw new NumericError(
    'E_NUMERIC_CHOLESKY',
    `The Gram matrix of ${name} is not positive definite, even with a damping of ${tried.at(-1)} (tried ${tried.join(', ')}). Use more calibration text, or another criterion.`,
    { name, tried },
  );
}

/**
 * W* = W + scale·pull·(H + λI)⁻¹, (H + λI)⁻¹ = UᵀU: the weights whose output on the input is nearest to the wanted one
 * (operator.ts). To prune or to round W* by H is to prune or to round W for that output. Returns W itself without a pull.
 */
export async function retarget(
  W: Matrix,
  pull: Float32Array | undefined,
  { U, scale }: Pick<GramFactor, 'U' | 'scale'>,
  gemm: Gemm,
): Promise<Matrix> {
  if (!pull) return W;
  const { rows, columns, data } = W;
  const factor = (): Matrix => ({ rows: columns, columns, data: U.slice() });
  const half = await gemm.multiply({ rows, columns, data: pull.map((value) => value * scale) }, factor(), 'B');
  const moved = await gemm.multiply({ rows, columns, data: half }, factor());
  return { rows, columns, data: moved.map((value, i) => data[i]! + value) };
}
