// The common part of prune and plan: from checked settings to the chosen plan. Texts, embeddings and the dense pass do not
// depend on the rates; they are prepared once. The engine lives as long as `use` runs.

import { type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { summarise } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import type { DensePass } from '../pipeline/index.js';
import { meanRate } from '../plan/index.js';
import { collectable, needCalibration, requireCalibration } from '../profile/index.js';
import type { Evaluation } from '../records/index.js';
import { type Samples, scoringOf } from '../stream/index.js';
import { createRequests } from './candidate.js';
import { type Choice, type ChoosingContext, choosePlan } from './choose.js';
import { openEngine } from './engine.js';
import type { LocalExecutor } from './executor.js';
import { factsOf } from './facts.js';
import { type DenseReference, openReference } from './final-scores.js';
import { openTrials } from './hand-out.js';
import { openRun } from './identity.js';
import type { Tally } from './post.js';
import { measureAt, measureOnce } from './procedure-measures.js';
import type { PruneSettings } from './settings.js';
import type { PreparedTasks } from './tasks.js';
import type { PreparedTexts } from './texts.js';
import type { Workspace } from './workspace.js';

/** What a choice may measure with, besides the executor. */
export type Measuring = {
  readonly engine: Engine;
  readonly workspace: Workspace;
  readonly calibration: Samples | undefined;
  readonly validation: Samples | undefined;
  readonly dense: DensePass | undefined;
  readonly hashes: Readonly<Record<string, string>>;
  readonly onProgress: OnProgress;
};

export type ChoosePlan = (
  settings: PruneSettings,
  model: Model,
  context: ChoosingContext,
  measuring: Measuring,
) => Promise<Choice>;

export type Run = {
  readonly hashes: Readonly<Record<string, string>>;
  readonly workspace: Workspace;
  readonly engine: Engine;
  readonly model: Model;
  /** What the finished models are compared with; undefined without test and validation text. */
  readonly reference: DenseReference | undefined;
  readonly executor: LocalExecutor;
  readonly target: number;
  readonly choice: Choice;
  readonly denseValidation: Evaluation | null;
  /** Who did the trials, where they were handed out. */
  readonly workers: Tally | undefined;
};

/** Chooses the plan and calls `use` with the run. @throws as `prune` */
export async function runToChoice<T>(
  settings: PruneSettings,
  model: Model,
  texts: PreparedTexts,
  tasks: PreparedTasks | undefined,
  use: (run: Run) => Promise<T>,
  choose: ChoosePlan = choosePlan,
): Promise<T> {
  if (!settings.plan) requireCalibration(settings.policy, texts.calibration !== undefined);
  return await withResources(async (own) => {
    // Create the engine first, so that a missing device leaves no workspace behind.
    const engine = await own(openEngine(model, settings));
    const { hashes, workspace } = await openRun(settings.command, settings, model, texts, tasks?.setup);
    await own(workspace);
    const { hessian, onProgress } = settings;
    const measures = settings.plan ? [] : collectable(settings.policy.needs);
    const wantsSensitivity = !settings.plan && settings.policy.needs.includes('sensitivity');
    const statistics = settings.searches || wantsSensitivity || needCalibration(measures).length > 0;
    const at = { engine, model, workspace, hashes, onProgress };
    const { searches } = settings;
    const input = { ...at, hessian, texts, statistics, measures, operator: settings.criterion, searches };
    const { calibration, validation, dense, executor, post } = await openTrials(own, settings.queue, input);
    const where = { ...at, calibration, validation, dense };
    const target = settings.plan ? meanRate(settings.plan, factsOf(model)) : (settings.sparsity ?? 0);
    const measured = {
      ...dense?.measured,
      ...(settings.plan ? {} : await measureOnce(settings.policy.needs, settings, where)),
      ...(settings.plan ? {} : await measureAt(settings, target, where)),
    };
    const requestOf = createRequests(settings, model, hashes, texts);
    const scoring = validation && scoringOf(validation.content);
    const choice = await choose(settings, model, { executor, requestOf, target, measured, scoring }, where);
    const denseValidation = dense && scoring ? summarise(dense.nll, scoring) : null;
    const reference = openReference(own, { ...settings, engine, model, workspace }, texts);
    const workers = await post?.tally();
    return await use({
      hashes,
      workspace,
      engine,
      model,
      reference,
      executor,
      target,
      choice,
      denseValidation,
      workers,
    });
  });
}
