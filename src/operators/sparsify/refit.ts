// Least squares after a mask criterion: the kept weights of each row are fitted again, on the mask that the criterion chose.
// With H = X̃X̃ᵀ the Gram matrix of the input, T the wanted output (the linear's own, or the dense model's: Prepared.apply) and
// μ = DAMPING·mean(diag H), row r with support S minimises ‖T_r − w·X̃‖² + μ‖w − W_r‖², so (H_SS + μI)·w_S = (T_r·X̃ᵀ + μW_r)_S.
// Conjugate gradients solve all rows at once, with the mask applied to residual and direction and the diagonal as
// preconditioner (docs/lab/methods.md). With a pull the mask is chosen on W*.

import { InternalError } from '../../base/index.js';
import { diagonalOf, type Gemm, type Matrix } from '../../linalg/index.js';
import type { Mask } from '../operator.js';
import { type MaskOperator, type SolverOperator, solverOperator } from './criterion.js';
import { factoriseGram, retarget } from './gram-factor.js';

/** What a refitted criterion's name ends with. */
export const REFIT = '+refit';
const DAMPING = 0.01;
const TURNS = 30;

/** `criterion` followed by least squares on its mask. */
export const refitted = (criterion: MaskOperator): SolverOperator =>
  solverOperator({
    name: criterion.name + REFIT,
    summary: `${criterion.summary}; then least squares on the mask`,
    needs: ['gram', ...criterion.needs],
    patterns: criterion.patterns,
    ...(criterion.evenGroups ? { evenGroups: criterion.evenGroups } : {}),
    standIn: criterion.standIn ?? criterion,
    factorise: async (gram, columns, options) => {
      const { gemm, statistics } = options;
      const H = gram.slice();
      const factor = await factoriseGram(gram, columns, { ...options, damping: DAMPING });
      return {
        damping: factor.damping,
        solve: async (W, count, pattern, pull) => {
          const mask = criterion.mask(await retarget(W, pull, factor, gemm), count, pattern, statistics);
          const damping = (factor.damping * trace(H, columns)) / columns;
          return { mask, weights: await refit(W, mask, { H, damping, pull }, gemm) };
        },
      };
    },
  });

type Fit = {
  /** Σ xᵀx [columns, columns]. */
  readonly H: Float32Array;
  /** μ, in the units of H. */
  readonly damping: number;
  readonly pull?: Float32Array | undefined;
};

/** W with the mask's weights 0 and the others fitted. `turns` of conjugate gradients; 2·n of them solve exactly. */
export async function refit(
  { rows, columns, data: W }: Matrix,
  mask: Mask,
  { H, damping, pull }: Fit,
  gemm: Gemm,
  turns = TURNS,
): Promise<Float32Array> {
  if (H.length !== columns ** 2 || mask.length !== W.length) {
    throw new InternalError('E_INTERNAL_GRAM', `W is ${rows} x ${columns}; its Gram matrix has ${H.length} numbers.`);
  }
  const diagonal = diagonalOf(H, columns).map((square) => square + damping || 1);
  /** A·(H + μI), with the mask's places 0. */
  const apply = async (A: Float32Array): Promise<Float32Array> => {
    const y = await gemm.multiply({ rows, columns, data: A.slice() }, { rows: columns, columns, data: H.slice() });
    return y.map((value, i) => (mask[i] === 1 ? 0 : value + damping * A[i]!));
  };
  const w = W.map((value, i) => (mask[i] === 1 ? 0 : value));
  const r = await apply(W.map((value, i) => value - w[i]!));
  if (pull) for (let i = 0; i < r.length; i++) if (mask[i] !== 1) r[i]! += pull[i]!;
  const p = r.map((value, i) => value / diagonal[i % columns]!);
  const energy = rowSums(rows, columns, (i) => r[i]! * (r[i]! / diagonal[i % columns]!));
  const first = energy.slice();
  for (let turn = 0; turn < turns; turn++) {
    const q = await apply(p);
    const curvature = rowSums(rows, columns, (i) => p[i]! * q[i]!);
    for (let row = 0, i = 0; row < rows; row++) {
      // A row that is solved, or that has no support, stays.
      const step = energy[row]! > 1e-12 * first[row]! && curvature[row]! > 0 ? energy[row]! / curvature[row]! : 0;
      let next = 0;
      for (let j = 0; j < columns; j++, i++) {
        w[i]! += step * p[i]!;
        r[i]! -= step * q[i]!;
        next += r[i]! * (r[i]! / diagonal[j]!);
      }
      const turned = step === 0 ? 0 : next / energy[row]!;
      for (let j = 0, k = row * columns; j < columns; j++, k++) p[k] = r[k]! / diagonal[j]! + turned * p[k]!;
      if (step !== 0) energy[row] = next;
    }
  }
  return w;
}

function rowSums(rows: number, columns: number, value: (i: number) => number): Float64Array {
  const sums = new Float64Array(rows);
  for (let row = 0, i = 0; row < rows; row++) for (let j = 0; j < columns; j++, i++) sums[row]! += value(i);
  return sums;
}

const trace = (H: Float32Array, n: number): number => diagonalOf(H, n).reduce((a, b) => a + b, 0);
