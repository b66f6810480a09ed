// Scores the finished model once, on the test text and on the tasks; neither influences any choice. Each score is its own
// step, so an interrupted run does not repeat it.

import { type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { summarise } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { scoreBlockFiles } from '../pipeline/index.js';
import type { Evaluation, TaskScores } from '../records/index.js';
import { embedText } from '../stream/index.js';
import { scoresOf } from '../zeroshot/index.js';
import type { RunSettings } from './settings.js';
import { type PreparedTasks, scoreTasks } from './tasks.js';
import type { PreparedText } from './texts.js';
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
