// A criterion is an operator that makes zeros. There are two ways to one: a rule that gives a mask and leaves the other
// weights as they are, and a solver that works with the Gram matrix of the input and may change the weights that stay.

import { InternalError } from '../../base/index.js';
import type { Gemm } from '../../linalg/index.js';
import { countOf } from '../../plan/index.js';
import type { Treatment } from '../../records/index.js';
import type { Evidence, Mask, Matrix, Operator } from '../operator.js';
import { type Pattern, type PatternKind, parsePattern } from './pattern.js';

/** What a mask criterion may need to know of a linear's input. */
export type LinearStatistics = Evidence & { readonly squareSums: Float64Array };

type Common = Pick<Operator, 'name' | 'summary' | 'needs' | 'evenGroups'> & {
  readonly patterns: readonly PatternKind[];
  readonly standIn?: Operator;
};

/** Scores weights and leaves those that stay as they are. */
export type MaskCriterion = Common & {
  /** The mask of exactly `count` weights of W. `statistics` is there where square sums are needed. */
  mask(W: Matrix, count: number, pattern: Pattern, statistics: LinearStatistics | undefined): Mask;
};

export type FactoriseOptions = {
  readonly gemm: Gemm;
  /** Calibration sequences. */
  readonly sequences: number;
  /** What the Gram matrix is of, for the message of an error. */
  readonly name: string;
  /** Where square sums are needed. */
  readonly statistics?: LinearStatistics | undefined;
};

export type Solver = {
  /** The share of the mean diagonal that was added to it. */
  readonly damping: number;
  /** Prunes exactly `count` weights of W, which stays as it is. */
  solve(W: Matrix, count: number, pattern: Pattern): Promise<{ readonly weights: Float32Array; readonly mask: Mask }>;
};

/** Prunes by the Gram matrix of the linear's input. */
export type SolverCriterion = Common & {
  /**
   * Makes ready to prune linears whose input has the Gram matrix Σ xᵀx [columns, columns], which is given away.
   * @throws NumericError E_NUMERIC_GRAM, E_NUMERIC_CHOLESKY
   */
  factorise(gram: Float32Array, columns: number, options: FactoriseOptions): Promise<Solver>;
};

export type MaskOperator = Operator & MaskCriterion;
export type SolverOperator = Operator & SolverCriterion;

const statisticsOf = (evidence: Evidence): LinearStatistics | undefined =>
  evidence.squareSums && { ...evidence, squareSums: evidence.squareSums };

/** How many weights of W a treatment zeroes, and where they compete. */
function zerosOf({ zeros }: Treatment, { rows, columns }: Matrix): { count: number; pattern: Pattern } {
  if (!zeros?.pattern) throw new InternalError('E_INTERNAL_TREATMENT', 'A criterion was asked for no zeros.');
  return { count: countOf(zeros.rate, rows * columns), pattern: parsePattern(zeros.pattern) };
}

/** A mask criterion as an operator. */
export const maskOperator = (criterion: MaskCriterion): MaskOperator => ({
  ...criterion,
  makes: 'zeros',
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
  makes: 'zeros',
  prepare: async (site, evidence, { gemm }) => {
    const { gram, sequences } = evidence;
    if (!gram || !gemm) throw new InternalError('E_INTERNAL_EVIDENCE', `${criterion.name} was given no Gram matrix.`);
    const options = { gemm, sequences, name: site, statistics: statisticsOf(evidence) };
    const { damping, solve } = await criterion.factorise(gram, Math.sqrt(gram.length), options);
    return {
      damping,
      apply: async (_unit, W, treatment) => {
        const { count, pattern } = zerosOf(treatment, W);
        const { weights, mask } = await solve(W, count, pattern);
        return { zeroed: mask, weights };
      },
    };
  },
});
