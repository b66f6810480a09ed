// What a search cost, in trials. One trial runs every block over the calibration windows twice (statistics, then the
// pruned block's output) and over the validation windows once; everything else is counted in the same unit, a block run
// over a window. The published grid is nine trials.

import type { Model } from '../model/index.js';
import type { Operator } from '../operators/index.js';
import { GRADIENT_DRAWS } from '../profile/index.js';
import type { MeasureName } from '../records/index.js';
import { ALIGNMENT_WINDOWS, SENSITIVITY_WINDOWS } from './samples.js';
import type { PruneSettings } from './settings.js';
import type { PreparedTexts } from './texts.js';
import type { Entry } from './trial-ledger.js';

/** Runs of a block over each window that a misalignment takes: taps of the dense block, of the pruned one, its output. */
const ALIGNMENT_RUNS = 3;

/** What was tried, and what it came to. */
type Searched = {
  readonly isUniform: boolean;
  readonly entries: readonly Pick<Entry, 'trial'>[];
  readonly judged: readonly unknown[];
};

/** Trials besides uniform, with surrogates, misalignments, sensitivities and gradients at their share of one. */
export function trialEquivalents(
  model: Model,
  texts: PreparedTexts,
  { entries, judged, isUniform }: Searched,
  { policy, criterion }: Pick<PruneSettings, 'policy' | 'criterion'>,
): number {
  const { blocks } = model.config;
  // Without a search there is one trial, unless it is uniform.
  const single = isUniform ? 0 : 1;
  const exact = entries.length > 0 ? entries.filter(({ trial }) => trial.exact).length - 1 : single;
  const surrogates = entries.filter(({ trial }) => !trial.exact);
  const surrogate = surrogates.reduce((sum, { trial }) => sum + blocks * trial.validation.windows, 0);
  const alignment = judged.length * ALIGNMENT_RUNS * ALIGNMENT_WINDOWS * blocks;
  return (
    exact + (surrogate + alignment + measuresCost(model, texts, policy.needs, criterion)) / trialCost(model, texts)
  );
}

const windowsOf = (text: PreparedTexts['validation']): number => text?.windows.windows.length ?? 0;

/** Runs of a block over a window that one trial takes. */
const trialCost = ({ config: { blocks } }: Model, { calibration, validation }: PreparedTexts): number =>
  blocks * (2 * windowsOf(calibration) + windowsOf(validation));

/** Those that the measures beyond the dense pass take: each linear's suffix from its block on, and the prefix they share. */
function measuresCost(
  model: Model,
  { calibration }: PreparedTexts,
  needs: readonly MeasureName[],
  operator: Operator,
): number {
  const { blocks } = model.config;
  const suffixes = model.linears.flat().reduce((sum, { block }) => sum + blocks - block, 0);
  // Gram matrices take the calibration windows too, and so does the dense block's output behind them.
  const walk = operator.needs.includes('gram') ? 2 * blocks * windowsOf(calibration) : 0;
  const sensitivity = needs.includes('sensitivity') ? (suffixes + blocks) * SENSITIVITY_WINDOWS + walk : 0;
  const gradient = needs.includes('gradient') ? (2 * suffixes + blocks) * GRADIENT_DRAWS : 0;
  return sensitivity + gradient;
}
