// An operator carries out a treatment on the weights of a linear. `prepare` runs once for all linears that read the same
// input; `apply` runs for each of them. An operator knows matrices and what was measured of their input. It knows no model,
// no files and no allocation. The pipeline turns its results into tensors: dtype, order of storage, −0.

import type { Gemm } from '../linalg/index.js';
import type { Unit } from '../plan/index.js';
import type { Treatment } from '../records/index.js';
import type { PatternKind } from './sparsify/pattern.js';

/** Row-major [rows, columns]. */
export type Matrix = { readonly rows: number; readonly columns: number; readonly data: Float32Array };

/** 1 for a pruned weight, 0 for a kept one; row-major like the matrix. */
export type Mask = Uint8Array;

/** The measures of an input. Each takes a pass over the calibration text. */
export type EvidenceName = 'squareSums' | 'columnSums' | 'gram';

/** The measures of one input X [tokens, columns] of a block. Those that the operator needs are present. */
export type Evidence = {
  /** ‖X_j‖₂² of each column j over all calibration tokens: [columns]. */
  readonly squareSums?: Float64Array | undefined;
  /** Σ x_j: [columns]. */
  readonly columnSums?: Float64Array | undefined;
  /** Σ xᵀx [columns, columns]; the operator may overwrite it. */
  readonly gram?: Float32Array | undefined;
  /** Number of calibration sequences, and of tokens that reached this input. */
  readonly sequences: number;
  readonly tokens?: number | undefined;
};

export type Environment = {
  /** Dense matrix products; present if the operator needs `gram`. */
  readonly gemm: Gemm | undefined;
};

/** Weights on a grid: weight = scale·q, one scale for each `group` consecutive columns of a row. */
export type MatrixGrid = {
  readonly bits: number;
  readonly group: number;
  /** Row-major like the matrix; 0 for every zeroed weight. */
  readonly q: Int8Array;
  /** [rows, ⌈columns / group⌉]; float16 numbers up to 4 bits. */
  readonly scales: Float32Array;
};

/**
 * The result for W. Without `weights`, the kept weights keep their bits. With `grid`, each of `weights` is scale·q. `bias` [rows]
 * is added to the linear's bias.
 */
export type MatrixEdit = {
  readonly zeroed: Mask;
  readonly weights?: Float32Array;
  readonly grid?: MatrixGrid;
  readonly bias?: Float32Array;
};

export interface Prepared {
  /** The share of the mean diagonal that was added to the Gram matrix; for the record. */
  readonly damping?: number;
  /** Whether the edit of a linear has a `bias`, if anything is taken out of it. Defaults to no. */
  movesBias?(unit: Unit): boolean;
  /**
   * Carries out `treatment` on W without changing W itself. `pull` [rows, columns] is (T − W·X̃)·X̃ᵀ where the linear should
   * give T instead of W·X̃, in the units of the Gram matrix; an operator that needs `gram` then works on
   * W* = W + pull·(H + λI)⁻¹. Others get none.
   * @throws NumericError
   */
  apply(unit: Unit, W: Matrix, treatment: Treatment, pull?: Float32Array): Promise<MatrixEdit>;
}

export interface Operator {
  readonly name: string;
  /** One line for help texts and tables. */
  readonly summary: string;
  /** The parts of a treatment that it carries out, the main one first. */
  readonly makes: readonly (keyof Treatment)[];
  readonly needs: readonly EvidenceName[];
  /** Where weights may compete. The first is the default and is never `n:m`. Empty for one that makes no zeros. */
  readonly patterns: readonly PatternKind[];
  /** Whether `n:m` requires that M divides the number of columns. */
  readonly evenGroups?: true;
  /** A cheaper operator that needs at most square sums. It orders many plans; it never decides between them. */
  readonly standIn?: Operator;
  /**
   * Prepares for all linears that read one input. `site` names the input in messages.
   * @throws NumericError E_NUMERIC_GRAM, E_NUMERIC_CHOLESKY
   */
  prepare(site: string, evidence: Evidence, environment: Environment): Promise<Prepared>;
}

/** The operator's stand-in, or the operator itself if it has none. */
export const standInOf = (operator: Operator): Operator => operator.standIn ?? operator;
