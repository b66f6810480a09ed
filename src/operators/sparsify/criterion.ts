// A criterion is an operator that makes zeros. There are two kinds. A mask criterion chooses a mask and leaves the kept
// weights unchanged. A solver works with the Gram matrix of the input and may change the kept weights.

import { InternalError } from '../../base/index.js';
import type { Gemm } from '../../linalg/index.js';
import { countOf } from '../../plan/index.js';
import type { Treatment } from '../../records/index.js';
import type { Evidence, Mask, Matrix, Operator } from '../operator.js';
import { type Pattern, type PatternKind, parsePattern } from './pattern.js';

/** The statistics of a linear's input that a mask criterion may use. */
export type LinearStatistics = Evidence & { readonly squareSums: Float64Array };

type Common = Pick<Operator, 'name' | 'summary' | 'needs' | 'evenGroups'> & {
  readonly patterns: readonly PatternKind[];
  readonly standIn?: Operator;
};

/** Chooses a mask; the kept weights do not change. */
export type MaskCriterion = Common & {
  /** The mask of exactly `count` weights of W. `statistics` is present if the criterion needs square sums. */
  mask(W: Matrix, count: number, pattern: Pattern, statistics: LinearStatistics | undefined): Mask;
};

export type FactoriseOptions = {
  readonly gemm: Gemm;
  /** Number of calibration sequences. */
  readonly sequences: number;
  /** The input of the Gram matrix, for error messages. */
  readonly name: string;
  /** Present if the criterion needs square sums. */
  readonly statistics?: LinearStatistics | undefined;
};

export type Solver = {
  /** The share of the mean diagonal that was added to the Gram matrix. */
  readonly damping: number;
  /** Prunes exactly `count` weights. Does not change W itself. `pull`: see Prepared.apply. */
  solve(
    W: Matrix,
    count: number,
    pattern: Pattern,
    pull?: Float32Array,
  ): Promise<{ readonly weights: Float32Array; readonly mask: Mask }>;
};

/** Prunes by the Gram matrix of the linear's input. */
export type SolverCriterion = Common & {
  /**
   * Prepares to prune all linears whose input has the Gram matrix Σ xᵀx [columns, columns]. It overwrites `gram`.
   * @throws NumericError E_NUMERIC_GRAM, E_NUMERIC_CHOLESKY
   */
  factorise(gram: Float32Array, columns: number, options: FactoriseOptions): Promise<Solver>;
};

export type MaskOperator = Operator & MaskCriterion;
export type SolverOperator = Operator & SolverCriterion;

const statisticsOf = (evidence: Evidence): LinearStatistics | undefined =>
  evidence.squareSums && { ...evidence, squareSums: evidence.squareSums };

/** The number of weights of W that a treatment zeroes, and the pattern. */
export function zerosOf({ zeros }: Treatment, { rows, columns }: Matrix): { count: number; pattern: Pattern } {
  if (!zeros?.pattern) throw new InternalError('E_INTERNAL_TREATMENT', 'A criterion got a treatment without zeros.');
  return { count: countOf(zeros.rate, rows * columns), pattern: parsePattern(zeros.pattern) };
}

/** A mask criterion as an operator. */
export const maskOperator = (criterion: MaskCriterion): MaskOperator => ({
  ...criterion,
  makes: ['zeros'],
  prepare: async (_site, evidence) => ({
    apply: async (_unit, W, treatment) => {
      const { count, pattern } = zerosOf(treatment, W);
      return { zeroed: criterion.mask(W, count, pattern, statisticsOf(evidence)) };
    },
  }),
});

/** A solver criterion as an operator. */
export const solverOperator = (criterion: SolverCriterion): SolverOperator => ({
  ...criterion,
  makes: ['zeros'],
  prepare: async (site, evidence, { gemm }) => {
    const { gram, sequences } = evidence;
    if (!gram || !gemm) throw new InternalError('E_INTERNAL_EVIDENCE', `${criterion.name} got no Gram matrix.`);
    const options = { gemm, sequences, name: site, statistics: statisticsOf(evidence) };
    const { damping, solve } = await criterion.factorise(gram, Math.sqrt(gram.length), options);
    return {
      damping,
      apply: async (_unit, W, treatment, pull) => {
        const { count, pattern } = zerosOf(treatment, W);
        const { weights, mask } = await solve(W, count, pattern, pull);
        return { zeroed: mask, weights };
      },
    };
  },
});
