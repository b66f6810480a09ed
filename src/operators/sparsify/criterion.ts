// A criterion says which weights of one linear go and, where it is a solver, how those that stay make up for it. It knows
// a matrix and what was measured of its input; it knows no model, no files, no allocation.

import type { Gemm } from '../../linalg/index.js';
import type { Mask, Matrix } from './mask.js';
import type { Pattern, PatternKind } from './pattern.js';

/** What a criterion that gives a mask may need to know of a linear's input. */
export type LinearStatistics = {
  /** ‖X_j‖₂² of each input column j over all calibration tokens: [columns]. */
  readonly squareSums: Float64Array;
  /** Number of calibration sequences. */
  readonly sequences: number;
  /** Σ x_j over all calibration tokens, and how many tokens those are: where `needsColumnSums`. */
  readonly columnSums?: Float64Array | undefined;
  readonly tokens?: number | undefined;
};

type Common = {
  readonly name: string;
  readonly summary: string;
  /** Whether it needs calibration text. */
  readonly needsActivations: boolean;
  /** Where weights may compete; the first is the default, and stands for itself (it is not `n:m`). */
  readonly patterns: readonly PatternKind[];
  /** Whether it needs the sums of the inputs too, which takes a further pass over the calibration text. */
  readonly needsColumnSums?: true;
};

/** Scores weights and leaves those that stay as they are. */
export interface MaskCriterion extends Common {
  readonly kind: 'mask';
  /** Stands in, where it needs more than dense statistics, as a solver's does. */
  readonly surrogate?: MaskCriterion;
  /** The mask of exactly `count` weights of W. `statistics` is there where `needsActivations` is true. */
  mask(W: Matrix, count: number, pattern: Pattern, statistics: LinearStatistics | undefined): Mask;
}

/**
 * Prunes by the Gram matrix of the linear's input: it changes the weights that stay, so that the output on the calibration
 * text is kept as well as it can be, or (`dsnot-sparsegpt`) finds which stay as they are.
 */
export interface SolverCriterion extends Common {
  readonly kind: 'solver';
  /** Stands in where many plans are to be ordered cheaply: it needs no Gram matrices. It never decides. */
  readonly surrogate: MaskCriterion;
  /** Whether `n:m` needs columns that M divides. */
  readonly evenGroups?: true;
  /**
   * Makes ready to prune linears whose input has the Gram matrix Σ xᵀx [columns, columns]; linears that read the same
   * input share it. `gram` is given away.
   * @throws NumericError E_NUMERIC_GRAM, E_NUMERIC_CHOLESKY
   */
  prepare(gram: Float32Array, columns: number, options: PrepareOptions): Promise<PreparedSolver>;
}

export type PrepareOptions = {
  readonly gemm: Gemm;
  /** Calibration sequences. */
  readonly sequences: number;
  /** What the Gram matrix is of, for the message of an error. */
  readonly name: string;
  /** Where `needsColumnSums`. */
  readonly statistics?: LinearStatistics | undefined;
};

export type PreparedSolver = {
  /** The share of the mean diagonal that was added to it. */
  readonly damping: number;
  /** Prunes exactly `count` weights of W, which stays as it is. */
  solve(W: Matrix, count: number, pattern: Pattern): Promise<{ readonly weights: Float32Array; readonly mask: Mask }>;
};

export type Criterion = MaskCriterion | SolverCriterion;

/** The criterion itself, or what stands in for it where only masks can be had. */
export const maskOf = (criterion: Criterion): MaskCriterion =>
  criterion.kind === 'mask' ? (criterion.surrogate ?? criterion) : criterion.surrogate;
