// An operator carries a treatment out on the weights of a linear: prepare once for what linears read, then apply to each
// linear that reads it. It knows matrices and what was measured of their input; it knows no model, no files, no allocation.
// Dtypes, the order of storage and −0 are the pipeline's, which makes tensors of what an operator returns.

import type { Gemm } from '../linalg/index.js';
import type { Unit } from '../plan/index.js';
import type { Treatment } from '../records/index.js';
import type { PatternKind } from './sparsify/pattern.js';

/** Row-major [rows, columns]. */
export type Matrix = { readonly rows: number; readonly columns: number; readonly data: Float32Array };

/** 1 where a weight goes, 0 where it stays; row-major like the matrix. */
export type Mask = Uint8Array;

/** What can be measured of an input; each is a pass over the calibration text. */
export type EvidenceName = 'squareSums' | 'columnSums' | 'gram';

/** What calibration says of one input of a block; X [tokens, columns]. The names an operator needs are there. */
export type Evidence = {
  /** ‖X_j‖₂² of each column j over all calibration tokens: [columns]. */
  readonly squareSums?: Float64Array | undefined;
  /** Σ x_j: [columns]. */
  readonly columnSums?: Float64Array | undefined;
  /** Σ xᵀx [columns, columns]; the operator may overwrite it. */
  readonly gram?: Float32Array | undefined;
  /** Calibration sequences, and tokens that this input saw. */
  readonly sequences: number;
  readonly tokens?: number | undefined;
};

export type Environment = {
  /** Dense products; there where the operator needs `gram`. */
  readonly gemm: Gemm | undefined;
};

/** What an operator makes of W. Where `weights` is absent, the weights that stay keep their bits. */
export type MatrixEdit = { readonly zeroed: Mask; readonly weights?: Float32Array };

export interface Prepared {
  /** The share of the mean diagonal that was added to the Gram matrix, for the record. */
  readonly damping?: number;
  /** Carries `treatment` out on W, which stays as it is. @throws NumericError */
  apply(unit: Unit, W: Matrix, treatment: Treatment): Promise<MatrixEdit>;
}

export interface Operator {
  readonly name: string;
  /** One line for help texts and tables. */
  readonly summary: string;
  /** The part of a treatment that it carries out. */
  readonly makes: keyof Treatment;
  readonly needs: readonly EvidenceName[];
  /** Where weights may compete; the first is the default, and stands for itself (it is not `n:m`). */
  readonly patterns: readonly PatternKind[];
  /** Whether `n:m` needs columns that M divides. */
  readonly evenGroups?: true;
  /** Stands in where many plans are to be ordered cheaply: it needs square sums at most. It never decides. */
  readonly standIn?: Operator;
  /**
   * Makes ready for linears that read one input, which `site` names for messages.
   * @throws NumericError E_NUMERIC_GRAM, E_NUMERIC_CHOLESKY
   */
  prepare(site: string, evidence: Evidence, environment: Environment): Promise<Prepared>;
}

/** The operator itself, or what stands in for it. */
export const standInOf = (operator: Operator): Operator => operator.standIn ?? operator;
