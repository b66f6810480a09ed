// Removal of experts: writes a checkpoint whose blocks keep the experts that a method scored highest, and layerwise.json. The
// stages are in the order of the data flow. Scores are of the written checkpoint. An interrupted run continues after the last
// finished stage.

import { rm } from 'node:fs/promises';
import { digestOf, InternalError, VERSION, withResources } from '../base/index.js';
import type { ScalesFile, TensorEdit } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { createGemm } from '../linalg/index.js';
import { blameWeights, type KeptExperts, type Model, openModel } from '../model/index.js';
import { alignExperts, mergedTensors } from '../pipeline/index.js';
import {
  countByRates,
  countByThreshold,
  type ExpertSums,
  expertFacts,
  findPolicy,
  keepLargest,
  type Merge,
  mergeExperts,
  scoreExperts,
  searchSpace,
  spareTarget,
} from '../plan/index.js';
import { measureExperts } from '../profile/index.js';
import { type ExpertsRecord, parseExpertsRecord } from '../records/index.js';
import {
  describeModel,
  describeUnseen,
  fidelityOf,
  openEngine,
  openGrids,
  openReference,
  openRun,
  type PreparedTexts,
  prepareTexts,
  recordsOf,
  scoreText,
  startCommand,
  type Workspace,
} from '../runs/index.js';
import { createSearcher, walkInterval } from '../search/index.js';
import { embedSamples } from '../stream/index.js';
import type { Windows } from '../text/index.js';
import { scoreDepth } from './depth-scores.js';
import {
  budgetExperts,
  type ExpertBudget,
  type ExpertsOptions,
  type ExpertsSettings,
  normaliseExperts,
} from './experts-settings.js';
import { checkRoom, finishMaking, openMaking, readFinished } from './making.js';
import { removeExperts } from './remove-experts.js';
import { drawExperts } from './report.js';

export type ExpertsResult = { readonly out: string; readonly record: ExpertsRecord; readonly seconds: number };

/**
 * Removes experts from a mixture. Everything is checked before a weight is read; the output directory appears whole or not at
 * all; an interrupted run continues with `resume`.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function experts(options: ExpertsOptions): Promise<ExpertsResult> {
  const started = performance.now();
  const settings = normaliseExperts(options);
  const { out } = settings;
  const opened = await openMaking(settings);
  const { model, done } = opened;
  const budget = budgetExperts(settings, model);
  await checkRoom(settings, opened, model.bytes);
  const texts = await prepareTexts(settings, model);
  const record = done
    ? await readFinished((await openRun('experts', settings, model, texts)).workspace, out, parseExpertsRecord)
    : await run(settings, model, budget, texts).catch((error) => blameWeights(model, error));
  return { out, record, seconds: (performance.now() - started) / 1000 };
}

/** What the stages of a run share. */
type Context = {
  readonly settings: ExpertsSettings;
  readonly model: Model;
  readonly budget: ExpertBudget;
  readonly texts: PreparedTexts<Windows>;
  readonly engine: Engine;
  readonly workspace: Workspace;
  readonly grids: ScalesFile | undefined;
  /** Of the blocks of the budget, in their order. */
  readonly sums: readonly ExpertSums[];
  readonly scores: readonly (readonly number[])[];
};

async function run(
  settings: ExpertsSettings,
  model: Model,
  budget: ExpertBudget,
  texts: PreparedTexts<Windows>,
): Promise<ExpertsRecord> {
  const grids = await openGrids(model);
  return await withResources(async (own) => {
    // Create the engine first, so that a missing device leaves no workspace behind.
    const engine = await own(openEngine(model, settings));
    const { hashes, workspace } = await openRun('experts', settings, model, texts);
    await own(workspace);
    const { onProgress, method } = settings;
    const reference = openReference(own, { ...settings, engine, model, workspace }, texts);
    const scoring = { engine, model, workspace, reference };
    const { perplexities: dense } = await scoreDepth(scoring, texts, 'dense', undefined, onProgress);
    const all = await workspace.step('experts', () => measure(settings, model, texts, engine));
    const sums = budget.blocks.map(({ block }) => all[block]!);
    const scores = sums.map((own) => scoreExperts(method.name, own));
    const context: Context = { settings, model, budget, texts, engine, workspace, grids, sums, scores };
    const { counts, ...chosen } = await choose(context);
    onProgress({ kind: 'stage', stage: 'writing' });
    const made = await assemble(context, counts, 'final');
    const smaller = await openModel(made.dir);
    const { perplexities: pruned, compared } = await scoreDepth(scoring, texts, 'pruned', smaller, onProgress);
    const record: ExpertsRecord = {
      format: 'layerwise-experts',
      version: 1,
      tool: { version: VERSION, device: settings.device },
      command: commandOf(settings),
      source: describeModel(model, hashes),
      seed: settings.seed,
      texts: recordsOf(texts),
      method: method.name,
      ...(settings.align ? { align: settings.align } : {}),
      keep: settings.keep,
      perLayer: settings.perLayer,
      ...chosen,
      blocks: budget.blocks.map(({ block }, i) => ({
        block,
        kept: [...made.kept[block]!],
        scores: [...scores[i]!],
        tokens: [...sums[i]!.tokens],
        ...(made.merges ? { merged: [...made.merges[i]!] } : {}),
      })),
      experts: { before: budget.blocks.reduce((sum, one) => sum + one.experts, 0), after: budget.total },
      parameters: { before: model.parameters, after: smaller.parameters },
      dense,
      pruned,
      ...(await fidelityOf(scoring, compared, { model: smaller, settings })),
    };
    return await finishMaking(workspace, record, drawExperts);
  });
}

/** The sums of each block's experts on the calibration text, null where a block has none. */
async function measure(
  { onProgress }: ExpertsSettings,
  model: Model,
  texts: PreparedTexts<Windows>,
  engine: Engine,
): Promise<(ExpertSums | null)[]> {
  onProgress({ kind: 'stage', stage: 'measuring experts', total: model.config.blocks });
  const sums = await withResources(async (own) => {
    const text = await embedSamples(own, engine, model, texts.calibration!.content);
    return await measureExperts(engine, model, text, onProgress);
  });
  const idle = sums.map((one) => (one?.tokens ?? []).flatMap((tokens, expert) => (tokens === 0 ? [expert] : [])));
  const unseen = describeUnseen(idle, ['it scores 0 and goes first', 'they score 0 and go first']);
  if (unseen !== undefined) onProgress({ kind: 'note', text: unseen });
  return sums;
}

type Chosen = { readonly counts: readonly number[] } & Pick<ExpertsRecord, 'allocation' | 'trials'>;

/** How many experts each block of the budget keeps. */
async function choose(context: Context): Promise<Chosen> {
  const { settings, budget, scores } = context;
  const { blocks, equal, total } = budget;
  if (equal) return { counts: equal };
  switch (settings.allocation) {
    case 'uniform':
      return {
        counts: countByRates(blocks, total, findPolicy('uniform'), {}),
        allocation: { policy: 'uniform', values: {} },
      };
    case 'global':
      return { counts: countByThreshold(blocks, total, scores), allocation: { policy: 'global', values: {} } };
    case 'atp':
      return await chooseLine(context);
    default:
      throw new InternalError('E_INTERNAL_EXPERTS', 'No allocation for free numbers of experts; please report this.');
  }
}

/** ATP's line: the given β, or the best on validation text. */
async function chooseLine(context: Context): Promise<Chosen> {
  const { settings, budget } = context;
  const { blocks, total } = budget;
  const policy = findPolicy('atp');
  const countsOf = (beta: number): number[] => countByRates(blocks, total, policy, { beta });
  const chosen = (beta: number) => ({
    counts: countsOf(beta),
    allocation: { policy: 'atp', values: { beta } } as const,
  });
  if (settings.beta !== undefined) return chosen(settings.beta);
  const target = spareTarget(blocks, total);
  const space = target === 1 ? undefined : searchSpace(policy, {}, target, expertFacts(blocks), true);
  if (space?.kind !== 'interval') return chosen(0);
  const { name, low, high, mirrored = false } = space;
  const { maxTrials } = settings;
  const searcher = createSearcher(() =>
    walkInterval({ name, low, high, mirrored, startsUniform: true, maxTrials, surrogate: false }),
  );
  const trials: { beta: number; experts: number[]; perplexity: number }[] = [];
  for (;;) {
    const [ask] = searcher.ask(1);
    if (!ask) break;
    const beta = ask.values.beta!;
    const counts = countsOf(beta);
    const perplexity = await tryCounts(context, counts, `β ${beta.toPrecision(3)}`);
    trials.push({ beta, experts: counts, perplexity });
    searcher.tell(ask, Math.log(perplexity));
  }
  return { ...chosen(searcher.best()!.beta!), trials };
}

/** The validation perplexity with these numbers of experts. Lines with equal numbers are one step of the run. */
async function tryCounts(context: Context, counts: readonly number[], label: string): Promise<number> {
  const { engine, workspace, texts, settings } = context;
  return await workspace.step(`trial-${digestOf(counts).slice(0, 16)}`, async () => {
    const { dir } = await assemble(context, counts, 'trial');
    const tried = await openModel(dir);
    const stage = `validation: ${label}`;
    const { perplexity } = await scoreText(engine, tried, undefined, texts.validation!, stage, settings.onProgress);
    await rm(dir, { recursive: true, force: true });
    return perplexity;
  });
}

type Made = {
  readonly dir: string;
  readonly kept: KeptExperts;
  readonly merges: readonly (readonly Merge[])[] | undefined;
};

/** Writes the checkpoint with these numbers of experts, in the workspace. */
async function assemble(context: Context, counts: readonly number[], name: string): Promise<Made> {
  const { settings, model, budget, workspace, grids, sums, scores } = context;
  const dir = workspace.at(name);
  const own = counts.map((count, i) => keepLargest(scores[i]!, count));
  const kept = model.config.mixtures.map((_, block) => own[budget.blocks.findIndex((one) => one.block === block)]);
  const merges = settings.method.name === 'merge' ? own.map((stay, i) => mergeExperts(sums[i]!, stay)) : undefined;
  const edits = merges && (await mergeAll(context, merges));
  await removeExperts({ model, grids, onProgress: settings.onProgress, ...(edits ? { edits } : {}) }, dir, kept);
  return { dir, kept, merges };
}

/** The experts that others are merged into, by their tensors' names in the source. */
async function mergeAll(
  { settings, model, budget, workspace, engine, sums }: Context,
  merges: readonly (readonly Merge[])[],
): Promise<ReadonlyMap<string, TensorEdit>> {
  const { align, onProgress } = settings;
  const edits = new Map<string, TensorEdit>();
  await withResources(async (own) => {
    onProgress({ kind: 'stage', stage: 'aligning experts', total: budget.blocks.length });
    const gemm = align === 'neurons' ? await own(createGemm(engine)) : undefined;
    for (const [i, { block }] of budget.blocks.entries()) {
      const step = `aligned-${block}-${digestOf(merges[i]!).slice(0, 16)}`;
      const aligned = await workspace.step(step, () => alignExperts(model, block, merges[i]!, gemm));
      for (const edit of mergedTensors(model, block, aligned, sums[i]!.tokens)) edits.set(edit.name, edit);
      onProgress({ kind: 'advance', detail: `block ${block}` });
    }
  });
  return edits;
}

/** The command that repeats the run. */
function commandOf(settings: ExpertsSettings): string {
  const line = startCommand('experts', settings.checkpoint);
  const { add } = line;
  add('keep', settings.keep);
  add('method', settings.method.name);
  add('align', settings.align);
  add('per-layer', settings.perLayer);
  add('allocation', settings.allocation);
  add('beta', settings.beta);
  if (settings.allocation === 'atp' && settings.beta === undefined) add('max-trials', settings.maxTrials);
  for (const text of ['calibration', 'validation', 'test'] as const) add(text, settings[text]);
  add('calibration-samples', settings.calibrationSamples);
  add('calibration-order', settings.calibrationOrder);
  add('sequence-length', settings.sequenceLength);
  add('window-start', settings.windowStart);
  add('greedy-tokens', settings.greedyTokens);
  add('seed', settings.seed);
  add('device', settings.device);
  line.place('out', '<dir>');
  return line.text();
}
