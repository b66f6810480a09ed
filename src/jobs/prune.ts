// The main job: a checkpoint, a target and texts → a sparse checkpoint, its layerwise.json and report.html. The stages
// stand in the order in which data passes through them; each is one function elsewhere.

import { mkdir, rm } from 'node:fs/promises';
import { writeFileAtomic } from '../base/index.js';
import { hashCheckpoint, writeCheckpoint } from '../checkpoint/index.js';
import { summarise } from '../evaluate/index.js';
import { type Model, openModel } from '../model/index.js';
import { blockPath, readBlockTensor, runDense, scoreBlockFiles } from '../pipeline/index.js';
import type { Evaluation, Manifest } from '../records/index.js';
import { renderReport } from '../report/index.js';
import { loadTokenizer } from '../text/index.js';
import { choosePlan } from './choose.js';
import { countZeros } from './inspect.js';
import { buildManifest } from './manifest.js';
import { checkAgainstModel, normalisePrune, type PruneOptions, type PruneSettings, windowLength } from './settings.js';
import { embedText, openEngine, type PreparedText, prepareText } from './texts.js';
import { createTrials, type TimedTrial } from './trials.js';
import { checkOut, checkSpace, openWorkspace, type Workspace } from './workspace.js';

export type PruneResult = {
  readonly out: string;
  readonly manifest: Manifest;
  /** Every trial with its seconds; the manifest holds the same ones without. */
  readonly trials: readonly TimedTrial[];
  readonly seconds: number;
  readonly peakMemoryBytes: number;
};

/**
 * Prunes a checkpoint. Everything is checked before a weight is read; the output directory appears whole or not at all;
 * an interrupted run continues with `resume`.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function prune(options: PruneOptions): Promise<PruneResult> {
  const started = performance.now();
  const settings = normalisePrune(options);
  const model = await openModel(settings.checkpoint);
  checkAgainstModel(settings, model);
  await checkOut(settings.out, settings.resume);
  const bytes = [...model.checkpoint.tensors.values()].reduce((sum, tensor) => sum + tensor.length, 0);
  // Uniform, the best and the present trial, and the output.
  if (!settings.resume) await checkSpace(settings.out, 4 * bytes);
  const texts = await prepareTexts(settings, model);

  settings.onProgress({ kind: 'stage', stage: 'hashing the checkpoint' });
  const hashes = await hashCheckpoint(model.checkpoint);
  const workspace = await openWorkspace(settings.out, identity(settings, hashes, texts));
  const engine = await openEngine(model, settings);
  try {
    const calibration = texts.calibration && (await embedText(model, texts.calibration));
    const validation = texts.validation && (await embedText(model, texts.validation));
    const searches = !settings.plan && settings.policy.name !== 'uniform' && settings.beta === undefined;
    const dense =
      validation &&
      (await runDense(engine, model, validation, searches ? calibration : undefined, settings.onProgress));
    const trials = createTrials({ settings, engine, model, workspace, calibration, validation, dense });
    const target = settings.sparsity ?? planTarget(settings, model);
    const choice = await choosePlan(settings, model, trials, target, validation);

    const scoreTest = async (name: string, dir: string | undefined): Promise<Evaluation | null> => {
      if (!texts.test) return null;
      return await workspace.step(`test-${name}`, async () => {
        settings.onProgress({ kind: 'stage', stage: `test: ${name}`, total: model.config.blocks });
        const nll = await scoreBlockFiles(engine, model, dir, await embedText(model, texts.test!), settings.onProgress);
        return summarise(nll, texts.test!.windows.length);
      });
    };
    const denseTest = await scoreTest('dense', undefined);
    const uniformTest = choice.uniform ? await scoreTest('uniform', trials.dirOf(choice.uniform.key)) : null;
    const isUniform = choice.candidate.key === choice.uniform?.key;
    const chosenTest = isUniform ? uniformTest : await scoreTest('chosen', trials.dirOf(choice.candidate.key));

    settings.onProgress({ kind: 'stage', stage: 'writing' });
    const final = await assemble(model, workspace, trials.dirOf(choice.candidate.key));
    const manifest = buildManifest({
      settings,
      model,
      engine,
      hashes,
      texts,
      target,
      choice,
      zeros: await countZeros(await openModel(final)),
      denseValidation: dense ? summarise(dense.nll, validation!.windows.length) : null,
      tests: { dense: denseTest, uniform: uniformTest, chosen: chosenTest },
    });
    await writeFileAtomic(`${final}/layerwise.json`, `${JSON.stringify(manifest, null, 2)}\n`);
    await writeFileAtomic(`${final}/report.html`, renderReport(manifest));
    await workspace.finish();
    return {
      out: settings.out,
      manifest,
      trials: choice.trials,
      seconds: (performance.now() - started) / 1000,
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    };
  } finally {
    await engine.close();
  }
}

export type PreparedTexts = {
  readonly calibration: PreparedText | undefined;
  readonly validation: PreparedText | undefined;
  readonly test: PreparedText | undefined;
};

async function prepareTexts(settings: PruneSettings, model: Model): Promise<PreparedTexts> {
  const { calibration, validation, test, seed } = settings;
  if (!calibration && !validation && !test) return { calibration: undefined, validation: undefined, test: undefined };
  settings.onProgress({ kind: 'stage', stage: 'reading texts' });
  const length = windowLength(model, settings.sequenceLength);
  const tokenizer = await loadTokenizer(model.checkpoint.dir);
  const whole = (path: string | undefined) =>
    path === undefined ? undefined : prepareText(model, tokenizer, { path, length, order: 'all', seed });
  return {
    calibration:
      calibration === undefined
        ? undefined
        : await prepareText(model, tokenizer, {
            path: calibration,
            length,
            order: settings.calibrationOrder,
            count: settings.calibrationSamples,
            seed,
          }),
    validation: await whole(validation),
    test: await whole(test),
  };
}

/** Everything the result depends on: a run may only be continued by one that would come to the same bytes. */
function identity(settings: PruneSettings, hashes: Readonly<Record<string, string>>, texts: PreparedTexts) {
  const { sparsity, policy, beta, budget, plan, criterion, pattern, seed, maxTrials, device } = settings;
  return {
    version: 1,
    hashes,
    texts: [texts.calibration?.record, texts.validation?.record, texts.test?.record],
    options: [sparsity, policy.name, beta, budget, plan, criterion.name, pattern, seed, maxTrials, device],
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

/** Writes the chosen blocks over a copy of the checkpoint, in the workspace. */
async function assemble(model: Model, workspace: Workspace, dir: string): Promise<string> {
  const final = workspace.at('final');
  await rm(final, { recursive: true, force: true });
  await mkdir(final);
  const pruned = new Map(model.linears.flat().map((linear) => [`${linear.name}.weight`, linear.block]));
  await writeCheckpoint(model.checkpoint, final, (name) => {
    const block = pruned.get(name);
    return block === undefined ? undefined : readBlockTensor(model, blockPath(dir, block), name);
  });
  return final;
}
