// What all trials of a run share: embedded texts, how much tokens count, the dense pass. None of it depends on a plan.

import type { OnProgress, Own } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import { type DensePass, runDense } from '../pipeline/index.js';
import type { MeasureName } from '../records/index.js';
import { type Content, embedSamples, type Samples } from '../stream/index.js';
import type { HessianKind } from './defaults.js';
import { weighTokens } from './importance.js';
import type { Workspace } from './workspace.js';

type Sampled = { readonly content: Content };

export type TrialInput = {
  readonly engine: Engine;
  readonly model: Model;
  readonly workspace: Workspace;
  readonly hessian: HessianKind;
  readonly texts: { readonly calibration: Sampled | undefined; readonly validation: Sampled | undefined };
  /** Whether the dense pass takes statistics of the calibration text. */
  readonly statistics: boolean;
  /** Taken in the dense pass too. */
  readonly measures: readonly MeasureName[];
  readonly onProgress: OnProgress;
};

export type TrialParts = {
  readonly calibration: Samples | undefined;
  readonly validation: Samples | undefined;
  /** Undefined where there is nothing to take from it. */
  readonly dense: DensePass | undefined;
};

/** Prepares them; `own` closes them with its scope. */
export async function prepareTrials(own: Own, input: TrialInput): Promise<TrialParts> {
  const { engine, model, hessian, texts, statistics, measures, onProgress } = input;
  const embed = async (text: Sampled | undefined): Promise<Samples | undefined> =>
    text && (await embedSamples(own, engine, model, text.content));
  const calibration = await weighTokens(own, hessian, await embed(texts.calibration), input);
  const validation = await embed(texts.validation);
  if (!validation && !statistics && measures.length === 0) return { calibration, validation, dense: undefined };
  const dense = await runDense(engine, model, validation, statistics ? calibration : undefined, onProgress, measures);
  if (dense.trace) await own(dense.trace.store);
  return { calibration, validation, dense };
}
