// What a search cost, in trials. One trial runs every block over the calibration windows twice (statistics, then the
// pruned block's output) and over the validation windows once; everything else is counted in the same unit, a block run
// over a window. The published grid is nine trials.

import type { Model } from '../model/index.js';
import type { Entry } from './book.js';
import type { PreparedTexts } from './texts.js';

/** Windows that each linear's sensitivity is measured on. */
export const SENSITIVITY_WINDOWS = 8;

/** Trials besides uniform, with surrogates and sensitivities at their share of one. */
export function trialEquivalents(
  model: Model,
  texts: PreparedTexts,
  entries: readonly Entry[],
  measuresSensitivity: boolean,
): number {
  const { blocks } = model.config;
  const windows = (text: PreparedTexts['validation']): number => text?.windows.windows.length ?? 0;
  const trial = blocks * (2 * windows(texts.calibration) + windows(texts.validation));
  const exact = entries.filter(({ trial }) => trial.exact).length - 1;
  const surrogates = entries.filter(({ trial }) => !trial.exact);
  const surrogate = surrogates.reduce((sum, { trial }) => sum + blocks * trial.validation.windows, 0);
  // Each linear's suffix from its block on, and the prefix they share.
  const suffixes = model.linears.flat().reduce((sum, { block }) => sum + blocks - block, blocks);
  const sensitivity = measuresSensitivity ? suffixes * SENSITIVITY_WINDOWS : 0;
  return exact + (surrogate + sensitivity) / trial;
}
