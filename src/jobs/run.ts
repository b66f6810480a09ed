// What prune and plan have in common: from checked settings to the chosen plan. Everything that does not depend on the
// rates (texts, embeddings, the dense pass) is prepared once; the engine lives as long as `use` does.

import { VERSION } from '../base/index.js';
import { hashCheckpoint } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { summarise } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { runDense } from '../pipeline/index.js';
import type { Evaluation } from '../records/index.js';
import { type Choice, choosePlan } from './choose.js';
import type { PruneSettings } from './settings.js';
import { embedText, openEngine, type PreparedTexts } from './texts.js';
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
  use: (run: Run) => Promise<T>,
): Promise<T> {
  settings.onProgress({ kind: 'stage', stage: 'hashing the checkpoint' });
  const hashes = await hashCheckpoint(model.checkpoint);
  const workspace = await openWorkspace(settings.out, identity(settings, hashes, texts));
  const engine = await openEngine(model, settings);
  try {
    const calibration = texts.calibration && (await embedText(model, texts.calibration));
    const validation = texts.validation && (await embedText(model, texts.validation));
    const dense =
      validation &&
      (await runDense(engine, model, validation, settings.searches ? calibration : undefined, settings.onProgress));
    const trials = createTrials({ settings, engine, model, workspace, calibration, validation, dense });
    const target = settings.sparsity ?? planTarget(settings, model);
    const choice = await choosePlan(settings, model, trials, target, validation);
    const denseValidation = dense ? summarise(dense.nll, validation!.windows.length) : null;
    return await use({ hashes, workspace, engine, trials, target, choice, denseValidation });
  } finally {
    await engine.close();
  }
}

/** Everything the result depends on: a run may only be continued by one that would come to the same bytes. */
function identity(settings: PruneSettings, hashes: Readonly<Record<string, string>>, texts: PreparedTexts) {
  const { sparsity, policy, values, budget, plan, criterion, pattern, seed, maxTrials, device } = settings;
  return {
    version: VERSION,
    hashes,
    texts: [texts.calibration?.record, texts.validation?.record, texts.test?.record],
    options: [sparsity, policy.name, values, budget, plan, criterion.name, pattern, seed, maxTrials, device],
  };
}

/** The parameter-weighted mean of a given plan's rates: what uniform is compared at. */
function planTarget(settings: PruneSettings, model: Model): number {
  const plan = settings.plan!;
  let sum = 0;
  for (const { name, block, rows, columns } of model.linears.flat()) {
    sum += rows * columns * (plan.blocks ? plan.blocks[block]! : (plan.linears![name] ?? 0));
  }
  return sum / model.prunable;
}
