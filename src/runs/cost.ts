// The cost of a search, in trials. A trial runs every block twice over the calibration windows (for statistics, then for the
// pruned block's output) and once over the validation windows. Everything else is counted in the same unit: one block run
// over one window. The published grid costs nine trials.

import type { Model } from '../model/index.js';
import type { Operator } from '../operators/index.js';
import { GRADIENT_DRAWS } from '../profile/index.js';
import type { MeasureName } from '../records/index.js';
import { countOf } from '../stream/index.js';
import type { GradientKind } from './defaults.js';
import { ALIGNMENT_WINDOWS, SENSITIVITY_WINDOWS } from './samples.js';
import type { PruneSettings } from './settings.js';
import type { PreparedTexts } from './texts.js';
import type { Entry } from './trial-ledger.js';

/** Block runs per window of a misalignment: taps of the dense block, taps of the pruned block, and its output. */
const ALIGNMENT_RUNS = 3;

/** A pass forward and back: the block forward, forward again, and back, which is twice as much work. */
const BACKWARD_RUNS = 4;

/** What a search ran. */
type Searched = {
  readonly isUniform: boolean;
  readonly entries: readonly Pick<Entry, 'trial'>[];
  readonly judged: readonly unknown[];
};

/** Trials besides uniform. Surrogates, misalignments, sensitivities and gradients count as fractions of a trial. */
export function trialEquivalents(
  model: Model,
  texts: PreparedTexts,
  { entries, judged, isUniform }: Searched,
  { policy, criterion, gradient }: Pick<PruneSettings, 'policy' | 'criterion' | 'gradient'>,
): number {
  const { blocks } = model.config;
  // A database of levels takes the dense pass's squares, or a pass over the calibration windows of its own.
  const passes = policy.levels && (criterion.needs.includes('gram') || criterion.needs.includes('columnSums'));
  const filling = passes ? 2 * blocks * windowsOf(texts.calibration) : 0;
  // Without a search there is one trial, or none for uniform.
  const single = isUniform ? 0 : 1;
  const exact = entries.length > 0 ? entries.filter(({ trial }) => trial.exact).length - 1 : single;
  const surrogates = entries.filter(({ trial }) => !trial.exact);
  // Where calibration text judges too, each exact trial also runs its blocks over a sample of that.
  const judging = entries.slice(1).reduce((sum, { trial }) => sum + blocks * (trial.calibration?.windows ?? 0), 0);
  const surrogate = surrogates.reduce((sum, { trial }) => sum + blocks * trial.validation.windows, 0);
  const alignment = judged.length * ALIGNMENT_RUNS * ALIGNMENT_WINDOWS * blocks;
  return (
    exact +
    (surrogate + judging + alignment + filling + measuresCost(model, texts, policy.needs, criterion, gradient)) /
      trialCost(model, texts)
  );
}

const windowsOf = (text: PreparedTexts['validation']): number => (text ? countOf(text.content) : 0);

/** Block runs of one trial. */
const trialCost = ({ config: { blocks } }: Model, { calibration, validation }: PreparedTexts): number =>
  blocks * (2 * windowsOf(calibration) + windowsOf(validation));

/** Block runs of the procedure measures: for each linear the blocks from its own on, and once the blocks before. */
function measuresCost(
  model: Model,
  { calibration }: PreparedTexts,
  needs: readonly MeasureName[],
  operator: Operator,
  kind: GradientKind,
): number {
  const { blocks } = model.config;
  const suffixes = model.linears.flat().reduce((sum, { block }) => sum + blocks - block, 0);
  // Gram matrices and the dense output after them also run over the calibration windows.
  const walk = operator.needs.includes('gram') ? 2 * blocks * windowsOf(calibration) : 0;
  const sensitivity = needs.includes('sensitivity') ? (suffixes + blocks) * SENSITIVITY_WINDOWS + walk : 0;
  const passes = kind === 'exact' ? BACKWARD_RUNS * blocks : 2 * suffixes + blocks;
  const gradient = needs.includes('gradient') ? passes * GRADIENT_DRAWS : 0;
  return sensitivity + gradient;
}
