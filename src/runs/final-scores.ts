// Scores the finished model once, on the test text and on the tasks; neither influences any choice. And what the plan gains
// over uniform on validation text, which chose it, and on calibration text, which did not (or not alone): a plan that gains on
// one of them alone may fit that text's form, its line breaks, its case, its domain. Each score is its own step, so an
// interrupted run does not repeat it.

import { type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { summarise } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { scoreBlockFiles } from '../pipeline/index.js';
import { type Evaluation, type Gains, gainOf, havePartedGains, type TaskScores } from '../records/index.js';
import { embedText } from '../stream/index.js';
import { warnOfGains } from '../words/index.js';
import { scoresOf } from '../zeroshot/index.js';
import type { Choice } from './choose.js';
import type { LocalExecutor } from './executor.js';
import type { RunSettings } from './settings.js';
import { type PreparedTasks, scoreTasks } from './tasks.js';
import type { PreparedText, PreparedTexts } from './texts.js';
import type { Workspace } from './workspace.js';

export type FinalScores = { readonly test: Evaluation | null; readonly tasks?: TaskScores };

/** The scores of a model that was not scored. */
export const UNSCORED: FinalScores = { test: null };

/** The losses on a text with the block files in `dir`, or the checkpoint's blocks without. `stage` names the progress. */
export function scoreText(
  engine: Engine,
  model: Model,
  dir: string | undefined,
  prepared: PreparedText,
  stage: string,
  onProgress: OnProgress,
): Promise<Evaluation> {
  return withResources(async (own) => {
    onProgress({ kind: 'stage', stage, total: model.config.blocks });
    const text = await embedText(own, model, prepared);
    const nll = await scoreBlockFiles(engine, model, dir, text, onProgress);
    return summarise(nll, text.windows.length);
  });
}

/** Scores the block files in `dir`, or the checkpoint's blocks without. */
export async function scoreFinal(
  { engine, workspace }: { readonly engine: Engine; readonly workspace: Workspace },
  model: Model,
  test: PreparedText | undefined,
  tasks: PreparedTasks | undefined,
  { onProgress }: Pick<RunSettings, 'onProgress'>,
  name: string,
  dir: string | undefined,
): Promise<FinalScores> {
  const perplexity = (): Promise<Evaluation> => scoreText(engine, model, dir, test!, `test: ${name}`, onProgress);
  const accuracy = async (): Promise<TaskScores> =>
    scoresOf(await scoreTasks(engine, model, dir, tasks!, `tasks: ${name}`, onProgress), tasks!.settings.suite);
  return {
    test: test ? await workspace.step(`test-${name}`, perplexity) : null,
    ...(tasks ? { tasks: await workspace.step(`tasks-${name}`, accuracy) } : {}),
  };
}

/**
 * The gains of a choice; undefined without a validation or calibration text, without uniform, and for uniform itself. Runs the
 * dense, the uniform and the chosen model over a sample of the calibration windows. A note says where the gains have parted.
 */
export async function gainsOf(
  executor: LocalExecutor,
  choice: Choice,
  { calibration, validation }: Pick<PreparedTexts, 'calibration' | 'validation'>,
  onProgress: OnProgress,
): Promise<Gains | undefined> {
  const { uniform } = choice;
  if (!calibration || !validation || !uniform || choice.isUniform) return undefined;
  const dense = await executor.scoreCalibration(undefined, 'dense');
  // Where both texts judge, the trials have these losses already.
  const before = uniform.trial.calibration?.nll ?? (await executor.scoreCalibration(uniform.request, 'uniform'));
  const after = choice.trial.calibration?.nll ?? (await executor.scoreCalibration(choice.request, 'chosen'));
  const onValidation = gainOf(choice.trial.validation.nll, uniform.trial.validation.nll);
  const onCalibration = gainOf(after, before);
  const { length } = calibration.windows;
  const gains: Gains = {
    calibration: {
      dense: summarise(dense, length),
      uniform: summarise(before, length),
      chosen: summarise(after, length),
    },
    onValidation,
    onCalibration,
    parted: havePartedGains(onValidation, onCalibration),
  };
  if (gains.parted) onProgress({ kind: 'note', text: warnOfGains(gains) });
  return gains;
}
