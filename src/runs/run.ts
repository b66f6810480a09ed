// What prune and plan have in common: from checked settings to the chosen plan. Everything that does not depend on the
// rates (texts, embeddings, the dense pass) is prepared once; the engine lives as long as `use` does.

import { VERSION, withResources } from '../base/index.js';
import { hashCheckpoint } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { summarise } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { runDense } from '../pipeline/index.js';
import { collectable, needCalibration, requireCalibration } from '../profile/index.js';
import type { Evaluation } from '../records/index.js';
import { embedText, type Text } from '../stream/index.js';
import { type Choice, choosePlan } from './choose.js';
import { measureAt, measureOnce } from './procedure-measures.js';
import { type PruneSettings, planTarget } from './settings.js';
import type { PreparedTasks } from './tasks.js';
import { openEngine, type PreparedText, type PreparedTexts } from './texts.js';
import { createTrials, type Trials } from './trials.js';
import { openWorkspace, type Workspace } from './workspace.js';

export type Run = {
  readonly hashes: Readonly<Record<string, string>>;
  readonly workspace: Workspace;
  readonly engine: Engine;
  readonly trials: Trials;
  readonly target: number;
  readonly choice: Choice;
  readonly denseValidation: Evaluation | null;
};

/** Chooses the plan and hands the run to `use`. @throws as `prune` */
export async function runToChoice<T>(
  settings: PruneSettings,
  model: Model,
  texts: PreparedTexts,
  tasks: PreparedTasks | undefined,
  use: (run: Run) => Promise<T>,
): Promise<T> {
  if (!settings.plan) requireCalibration(settings.policy, texts.calibration !== undefined);
  return await withResources(async (own) => {
    // The engine first: a device that is not there should leave nothing behind.
    const engine = await own(openEngine(model, settings));
    const { hashes, workspace } = await openRun(settings, model, texts, tasks);
    await own(workspace);
    const embed = async (text: PreparedText | undefined): Promise<Text | undefined> =>
      text && (await embedText(own, model, text));
    const calibration = await embed(texts.calibration);
    const validation = await embed(texts.validation);
    const measures = settings.plan ? [] : collectable(settings.policy.needs);
    const wantsSensitivity = !settings.plan && settings.policy.needs.includes('sensitivity');
    const dense =
      validation || measures.length > 0 || wantsSensitivity
        ? await runDense(
            engine,
            model,
            validation,
            settings.searches || wantsSensitivity || needCalibration(measures).length > 0 ? calibration : undefined,
            settings.onProgress,
            measures,
          )
        : undefined;
    if (dense?.trace) await own(dense.trace.store);
    const trials = createTrials({ settings, engine, model, workspace, calibration, validation, dense });
    const target = settings.sparsity ?? planTarget(settings.plan!, model);
    const where = { model, engine, workspace, calibration, validation, dense };
    const measured = {
      ...dense?.measured,
      ...(settings.plan ? {} : await measureOnce(settings.policy.needs, settings, where)),
      ...(await measureAt(settings, target, where)),
    };
    const choice = await choosePlan(settings, model, trials, target, where, measured);
    const denseValidation = dense && validation ? summarise(dense.nll, validation.windows.length) : null;
    return await use({ hashes, workspace, engine, trials, target, choice, denseValidation });
  });
}

/** The workspace of a run, its own or that of an earlier attempt. @throws OptionError E_OPTION_RESUME, ResourceError */
export async function openRun(
  settings: PruneSettings,
  model: Model,
  texts: PreparedTexts,
  tasks: PreparedTasks | undefined,
) {
  settings.onProgress({ kind: 'stage', stage: 'hashing the checkpoint' });
  const hashes = await hashCheckpoint(model.checkpoint);
  return { hashes, workspace: await openWorkspace(settings.out, identity(settings, hashes, texts, tasks)) };
}

/** Everything the result depends on: a run may only be continued by one that would come to the same bytes. */
function identity(
  settings: PruneSettings,
  hashes: Readonly<Record<string, string>>,
  texts: PreparedTexts,
  tasks: PreparedTasks | undefined,
) {
  const { sparsity, policy, values, budget, plan, criterion, pattern, seed, maxTrials, device } = settings;
  return {
    version: VERSION,
    hashes,
    texts: [texts.calibration?.record, texts.validation?.record, texts.test?.record],
    tasks: tasks?.setup,
    options: [sparsity, policy.name, values, budget, plan, criterion.name, pattern, seed, maxTrials, device],
  };
}
