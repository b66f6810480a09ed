// The numbers of windows that a run's cheap estimates use.

import { spreadEvenly } from '../stream/index.js';

/** Windows of a surrogate. */
export const SURROGATE_WINDOWS = 32;

/** Windows of the estimates of a generation, for searches that evolve. */
export const GENERATION_WINDOWS: readonly number[] = [2, 8, SURROGATE_WINDOWS];

/** Windows of a sensitivity measurement. */
export const SENSITIVITY_WINDOWS = 8;

/** Windows of a misalignment of NeuronAl. */
export const ALIGNMENT_WINDOWS = 8;

/** Calibration windows on which plans are judged too. */
export const JUDGED_CALIBRATION_WINDOWS = 32;

/** The indices of a surrogate's windows among all windows. */
export const surrogateSample = (windows: number, count = SURROGATE_WINDOWS): readonly number[] =>
  spreadEvenly(count, windows);
