// A criterion says which weights of one linear go. It knows a matrix and what was measured of its input; it knows no
// model, no files, no allocation.

import type { Mask, Matrix, Pattern } from './mask.js';

/** What a criterion may need to know of a linear's input. */
export type LinearStatistics = {
  /** ‖X_j‖₂² of each input column j over all calibration tokens: [columns]. */
  readonly squareSums: Float64Array;
  /** Number of calibration sequences. */
  readonly sequences: number;
};

export interface Criterion {
  readonly name: string;
  readonly summary: string;
  /** Whether it needs calibration text. */
  readonly needsActivations: boolean;
  /** The mask of exactly `count` weights of W. `statistics` is there where `needsActivations` is true. */
  mask(W: Matrix, count: number, pattern: Pattern, statistics: LinearStatistics | undefined): Mask;
}
