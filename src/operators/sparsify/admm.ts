// ADMM (Boža, "Fast and Effective Weight Update for Pruned LLMs", arXiv 2401.02938, and the published procedure). Finds the
// mask and the best weights under it, without gradients. W [rows, columns]; X [tokens, columns] its input;
// D = diag(‖X_j‖₂ + 1e-8); in units of W·D, H = D⁻¹XᵀXD⁻¹ + λI with λ = damping · mean(diag). From Ŵ = W·D and U = 0, twenty
// turns of: (in the first 15) prune the smallest |Ŵ + U|;   Z = Ŵ + U with the pruned at 0;   U ← U + Ŵ − Z;
//   Ŵ = (W·D·H + ρ(Z − U))·(H + ρI)⁻¹,  ρ = 1.   The result is (Ŵ + U with the pruned at 0)·D⁻¹.
// The pruned share rises to S over the first 15 turns, as in the paper. We differ in the number of pruned weights, in n:m
// and in the damping: docs/lab/methods.md.

import { InternalError, NumericError } from '../../base/index.js';
import { choleskyOfInverse, type Gemm } from '../../linalg/index.js';
import type { Mask, Matrix } from '../operator.js';
import { type FactoriseOptions, type SolverOperator, solverOperator } from './criterion.js';
import { selectMask } from './mask.js';
import { groupCounts, type Pattern } from './pattern.js';
import { wanda } from './wanda.js';

const DAMPING = 0.1;
const RAISES = [1, 10, 100] as const;
const RHO = 1;
const TURNS = 20;
/** Turns in which the mask may still change. */
const CHOOSING_TURNS = 15;
const SMALLEST_NORM = 1e-8;

export type AdmmFactor = {
  readonly columns: number;
  /** The diagonal of D. */
  readonly norms: Float32Array;
  /** H and (H + ρI)⁻¹, [columns, columns]. */
  readonly H: Float32Array;
  readonly inverse: Float32Array;
  readonly damping: number;
};

/**
 * Turns Σ xᵀx [columns, columns] into H in place, and inverts H + ρI once for all turns.
 * @throws NumericError E_NUMERIC_GRAM if it holds NaN or infinity, E_NUMERIC_CHOLESKY if no allowed damping suffices
 */
async function factoriseAdmm(
  gram: Float32Array,
  columns: number,
  { gemm, name }: Pick<FactoriseOptions, 'gemm' | 'name'>,
): Promise<AdmmFactor> {
  const n = columns;
  const norms = Float32Array.from({ length: n }, (_, j) => Math.sqrt(gram[j * n + j]!) + SMALLEST_NORM);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) gram[i * n + j] = gram[i * n + j]! / norms[i]! / norms[j]!;
    sum += gram[i * n + i]!;
  }
  if (!Number.isFinite(sum)) {
    const column = norms.findIndex((norm) => !Number.isFinite(norm));
    throw new NumericError(
      'E_NUMERIC_GRAM',
      `The Gram matrix of ${name} contains NaN or infinity in column ${column}. Check the calibration text and the checkpoint.`,
      { name, column },
    );
  }
  const diagonal = Float64Array.from({ length: n }, (_, j) => gram[j * n + j]!);
  const tried: number[] = [];
  for (const raise of RAISES) {
    const damping = DAMPING * raise;
    tried.push(damping);
    const lambda = (damping * sum) / n;
    for (let j = 0; j < n; j++) gram[j * n + j] = diagonal[j]! + lambda;
    const data = gram.slice();
    for (let j = 0; j < n; j++) data[j * n + j]! += RHO;
    if ((await choleskyOfInverse({ rows: n, columns: n, data }, gemm)) >= 0) continue;
    // Uᵀ·U = (H + ρI)⁻¹.
    const Ut = { rows: n, columns: n, data: transpose(data, n) };
    const inverse = await gemm.multiply(Ut, { ...Ut, data: Ut.data.slice() }, 'B');
    return { columns: n, norms, H: gram, inverse, damping };
  }
  throw new NumericError(
    'E_NUMERIC_CHOLESKY',
    `The Gram matrix of ${name} is not positive definite, even with a damping of ${tried.at(-1)} (tried ${tried.join(', ')}). Use more calibration text, or another criterion.`,
    { name, tried },
  );
}

/** Prunes exactly `count` weights. Does not change W itself. */
async function pruneAdmm(
  W: Matrix,
  count: number,
  pattern: Pattern,
  factor: AdmmFactor,
  gemm: Gemm,
  pull: Float32Array | undefined,
): Promise<{ readonly weights: Float32Array; readonly mask: Mask }> {
  const { rows, columns } = W;
  const { norms } = factor;
  if (factor.columns !== columns) {
    throw new InternalError('E_INTERNAL_GRAM', `W has ${columns} columns, its Gram matrix ${factor.columns}.`);
  }
  const times = (data: Float32Array, by: Float32Array) =>
    gemm.multiply({ rows, columns, data }, { rows: columns, columns, data: by.slice() });
  let current: Float32Array = W.data.map((weight, i) => weight * norms[i % columns]!);
  const constant = await times(current.slice(), factor.H);
  // With T·X̃ᵀ in place of W·H: the wanted output takes the place of the linear's own.
  if (pull) for (let i = 0; i < pull.length; i++) constant[i]! += pull[i]! / norms[i % columns]!;
  const U = new Float32Array(W.data.length);
  const total = new Float32Array(W.data.length);
  const add = (): void => {
    for (let i = 0; i < total.length; i++) total[i] = current[i]! + U[i]!;
  };
  let mask: Mask = new Uint8Array(W.data.length);
  for (let turn = 1; turn <= TURNS; turn++) {
    add();
    if (turn <= CHOOSING_TURNS) {
      const share = 1 - (1 - turn / CHOOSING_TURNS) ** 3;
      mask = selectMask({ rows, columns, data: total.map(Math.abs) }, countAt(share, W, count, pattern), pattern);
    }
    const right = new Float32Array(total.length);
    for (let i = 0; i < total.length; i++) {
      const Z = mask[i] === 1 ? 0 : total[i]!;
      U[i] = total[i]! - Z;
      right[i] = constant[i]! + RHO * (Z - U[i]!);
    }
    current = await times(right, factor.inverse);
  }
  add();
  return { weights: total.map((value, i) => (mask[i] === 1 ? 0 : value / norms[i % columns]!)), mask };
}

/** `share` of `count`, rounded to a count that the pattern can have. */
function countAt(share: number, { rows, columns }: Matrix, count: number, pattern: Pattern): number {
  if (pattern.kind !== 'n:m') return Math.round(share * count);
  const { of } = pattern;
  const n = Math.round(share * groupCounts(rows, columns, count, of).whole);
  const groups = Math.floor(columns / of);
  return rows * (groups * n + Math.floor(((columns - groups * of) * n) / of));
}

function transpose(A: Float32Array, n: number): Float32Array {
  const turned = new Float32Array(A.length);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) turned[j * n + i] = A[i * n + j]!;
  return turned;
}

export const admm: SolverOperator = solverOperator({
  name: 'admm',
  summary: 'finds mask and weights together by ADMM, without gradients (arXiv 2401.02938)',
  needs: ['gram'],
  patterns: ['matrix', 'row', 'columns', 'n:m'],
  standIn: wanda,
  factorise: async (gram, columns, { gemm, name }) => {
    const factor = await factoriseAdmm(gram, columns, { gemm, name });
    return {
      damping: factor.damping,
      solve: (W, count, pattern, pull) => pruneAdmm(W, count, pattern, factor, gemm, pull),
    };
  },
});
