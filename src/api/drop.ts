// Layer removal: writes a checkpoint without the blocks that a method chose, renumbers the others, and writes layerwise.json.
// With `repair`, the blocks before the gaps are fitted to what the removed ones did (src/pipeline/seams.ts). The scores are of
// the written checkpoint. The stages are in the order of the data flow. An interrupted run continues after
// the last finished stage.

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type OnProgress, OptionError, VERSION, withResources, writeFileAtomic } from '../base/index.js';
import type { ScalesFile, TensorEdit } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { summarise } from '../evaluate/index.js';
import { blameWeights, type Model, openModel, renumberTensor } from '../model/index.js';
import { blockPath, openBlockFile, repairSeams, requireRepairable, tensorsOfSeam } from '../pipeline/index.js';
import { type DropMethod, dropDeepest, dropLeast, dropRun, findDropMethod, seamsOf } from '../plan/index.js';
import { scoreRemovals, startAngles, startInfluence, visitResiduals } from '../profile/index.js';
import { type DropRecord, parseDropRecord } from '../records/index.js';
import {
  checkOut,
  checkOutside,
  checkSpace,
  fidelityOf,
  isOnlyToBeCleared,
  nameSource,
  normaliseGreedy,
  normaliseRun,
  normaliseWindowing,
  oneOf,
  openEngine,
  openGrids,
  openReference,
  openRun,
  openSource,
  type PreparedTexts,
  prepareTexts,
  type RunOptions,
  type RunSettings,
  type TextSettings,
  type WindowingOptions,
  type Workspace,
} from '../runs/index.js';
import { removeGreedily } from '../search/index.js';
import { embedSamples, scoringOf, type VisitResidual } from '../stream/index.js';
import type { Windows } from '../text/index.js';
import { perplexitiesOf, scoreDepth } from './depth-scores.js';
import { readFinished } from './finished.js';
import { removeBlocks } from './remove-blocks.js';

export type DropOptions = RunOptions &
  WindowingOptions & {
    /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub. */
    readonly checkpoint: string;
    /** Directory to write; must not exist. */
    readonly out: string;
    /** Number of blocks to remove: at least 1, and fewer than the model has. */
    readonly blocks: number;
    /** `shortgpt`, `angular`, `deepest` or `perplexity`. */
    readonly method: string;
    /**
     * `linear`: fits the blocks before the gaps to what the removed ones did, in closed form, on the calibration text. Defaults
     * to no repair.
     */
    readonly repair?: string;
    /** Text files (.txt, .jsonl, .jsonl.gz, .parquet), or `c4`, `wikitext2`, `ptb`. `shortgpt`, `angular` and `repair` measure on the first, `perplexity` chooses by the second. */
    readonly calibration?: string;
    readonly validation?: string;
    /** Scored once, with the dense and the smaller model. It does not influence the choice. */
    readonly test?: string;
    /** Tokens of each greedy text whose first divergence from the dense model's is measured; 0 measures none. Defaults to 64. */
    readonly greedyTokens?: number;
    /** Continue a run that was interrupted. Defaults to false. */
    readonly resume?: boolean;
  };

export type DropResult = { readonly out: string; readonly record: DropRecord; readonly seconds: number };

type DropSettings = RunSettings &
  TextSettings & {
    readonly checkpoint: string;
    readonly out: string;
    readonly blocks: number;
    readonly method: DropMethod;
    readonly repair: 'linear' | undefined;
    readonly greedyTokens: number;
    readonly resume: boolean;
  };

type Choice = Pick<DropRecord, 'removed' | 'scores'>;

/**
 * Removes blocks from a checkpoint. Everything is checked before a weight is read; the output directory appears whole or not
 * at all; an interrupted run continues with `resume`.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function drop(options: DropOptions): Promise<DropResult> {
  const started = performance.now();
  const settings = normaliseDrop(options);
  const { out, resume } = settings;
  const done = resume && (await isOnlyToBeCleared(out));
  if (!done) await checkOut(out, resume);
  const model = await openSource(settings.checkpoint, settings.onProgress);
  if (settings.blocks >= model.config.blocks) refuseBlocks(settings.blocks, model.config.blocks);
  if (settings.repair) requireRepairable(model);
  if (!done) await checkOutside(out, model.checkpoint.dir);
  if (!resume) await checkSpace(out, model.bytes);
  const texts = await prepareTexts(settings, model);
  const record = done
    ? await readFinished((await openRun('drop', settings, model, texts)).workspace, out, parseDropRecord)
    : await run(settings, model, texts).catch((error) => blameWeights(model, error));
  return { out, record, seconds: (performance.now() - started) / 1000 };
}

function normaliseDrop(options: DropOptions): DropSettings {
  const { blocks } = options;
  if (!Number.isInteger(blocks) || blocks < 1) refuseBlocks(blocks);
  const method = findDropMethod(options.method);
  if (method.needs !== undefined && options[method.needs] === undefined) {
    throw new OptionError(
      `E_OPTION_${method.needs.toUpperCase()}`,
      `--${method.needs}: expected a text file; --method ${method.name} chooses blocks by it. Pass one, or use --method deepest.`,
      { option: method.needs },
    );
  }
  const repair = normaliseRepair(options);
  return {
    ...normaliseRun(options),
    checkpoint: options.checkpoint,
    out: options.out,
    blocks,
    method,
    repair,
    calibration: method.needs === 'calibration' || repair ? options.calibration : undefined,
    validation: options.validation,
    test: options.test,
    ...normaliseWindowing(options),
    greedyTokens: normaliseGreedy(options.greedyTokens),
    resume: options.resume ?? false,
  };
}

function normaliseRepair({ repair, calibration }: DropOptions): DropSettings['repair'] {
  if (repair === undefined) return undefined;
  const method = oneOf('repair', repair, ['linear']);
  if (calibration !== undefined) return method;
  const message = '--calibration: expected a text file; --repair linear fits weights on it. Pass one, or leave it out.';
  throw new OptionError('E_OPTION_CALIBRATION', message, { option: 'calibration' });
}

function refuseBlocks(got: number, blocks?: number): never {
  const most = blocks === undefined ? 'and fewer than the model has' : `and fewer than the model's ${blocks}`;
  throw new OptionError('E_OPTION_BLOCKS', `--blocks: expected a whole number, at least 1 ${most}, got ${got}.`, {
    option: 'blocks',
    got,
    ...(blocks === undefined ? {} : { blocks }),
  });
}

async function run(settings: DropSettings, model: Model, texts: PreparedTexts<Windows>): Promise<DropRecord> {
  const grids = await openGrids(model);
  return await withResources(async (own) => {
    // Create the engine first, so that a missing device leaves no workspace behind.
    const engine = await own(openEngine(model, settings));
    const { hashes, workspace } = await openRun('drop', settings, model, texts);
    await own(workspace);
    const { onProgress } = settings;
    const reference = openReference(own, { ...settings, engine, model, workspace }, texts);
    const context = { engine, model, workspace, reference };
    const scoresOf = (name: string, smaller: Model | undefined) =>
      scoreDepth(context, texts, name, smaller, onProgress);
    const { perplexities: dense } = await scoresOf('dense', undefined);
    const choice = await choose(settings, model, texts, engine, workspace);
    const removed = new Set(choice.removed);
    const writing = { model, grids, workspace, onProgress };
    const repair = settings.repair && (await repairRemoval(writing, texts, engine, removed));
    onProgress({ kind: 'stage', stage: 'writing' });
    const final = await assemble(writing, removed, repair?.edits);
    const smaller = await openModel(final);
    const { perplexities: dropped, compared } = await scoresOf('dropped', smaller);
    const record: DropRecord = {
      format: 'layerwise-drop',
      version: 1,
      tool: { version: VERSION, device: settings.device },
      source: { ...nameSource(model), hashes },
      seed: settings.seed,
      texts: {
        calibration: texts.calibration?.record ?? null,
        validation: texts.validation?.record ?? null,
        test: texts.test?.record ?? null,
      },
      method: settings.method.name,
      ...choice,
      blocks: { before: model.config.blocks, after: smaller.config.blocks },
      parameters: { before: model.parameters, after: smaller.parameters },
      dense,
      dropped,
      ...(repair ? { repair: repair.record } : {}),
      ...(await fidelityOf(context, compared, { model: smaller, settings })),
    };
    await writeFileAtomic(join(final, 'layerwise.json'), `${JSON.stringify(record, null, 2)}\n`);
    await workspace.finish();
    return record;
  });
}

/** The removed blocks, and the score of each block. */
async function choose(
  settings: DropSettings,
  model: Model,
  texts: PreparedTexts<Windows>,
  engine: Engine,
  workspace: Workspace,
): Promise<Choice> {
  const { method, blocks: n, onProgress } = settings;
  const { blocks: L, hidden } = model.config;
  const none = (count: number): null[] => Array.from({ length: count }, () => null);
  const visitCalibration = (stage: string, visit: VisitResidual): Promise<void> =>
    withResources(async (own) => {
      onProgress({ kind: 'stage', stage, total: L });
      const text = await embedSamples(own, engine, model, texts.calibration!.content);
      await visitResiduals(engine, model, text, visit, onProgress);
    });
  switch (method.name) {
    case 'deepest':
      return { removed: dropDeepest(L, n), scores: none(L) };
    case 'shortgpt': {
      const influence = await workspace.step('influence', async () => {
        const sums = startInfluence(L, hidden);
        await visitCalibration('measuring influence', sums.add);
        return sums.result();
      });
      return { removed: dropLeast(influence, n), scores: influence };
    }
    case 'angular': {
      const distances = await workspace.step('distances', async () => {
        const angles = startAngles(L, hidden, texts.calibration!.content);
        await visitCalibration('measuring angles', angles.add);
        return angles.across(n);
      });
      return { removed: dropRun(distances, n), scores: [...distances, ...none(n - 1)] };
    }
    case 'perplexity': {
      const { order, scores } = await removeGreedily(L, n, (left, round) =>
        workspace.step(`round-${round}`, () =>
          withResources(async (own) => {
            onProgress({ kind: 'stage', stage: `choosing block ${round + 1} of ${n}`, total: left.length });
            const text = await embedSamples(own, engine, model, texts.validation!.content);
            const nll = await scoreRemovals(engine, model, left, text, onProgress);
            return nll.map((windows) => summarise(windows, scoringOf(text.content)).perplexity);
          }),
        ),
      );
      return { removed: [...order].sort((a, b) => a - b), scores: [...scores] };
    }
    default:
      return method.name satisfies never;
  }
}

type Edits = ReadonlyMap<string, TensorEdit>;

/** What is written from, and where. */
type Writing = {
  readonly model: Model;
  readonly grids: ScalesFile | undefined;
  readonly workspace: Workspace;
  readonly onProgress: OnProgress;
};

type Repair = { readonly edits: Edits; readonly record: NonNullable<DropRecord['repair']> };

/** Scores the removal as it is, and fits the blocks before the gaps. */
async function repairRemoval(
  writing: Writing,
  texts: PreparedTexts<Windows>,
  engine: Engine,
  removed: ReadonlySet<number>,
): Promise<Repair> {
  const { model, workspace, onProgress } = writing;
  const unrepaired = await workspace.step('unrepaired', async () => {
    onProgress({ kind: 'stage', stage: 'writing' });
    const bare = await openModel(await assemble({ ...writing, grids: undefined }, removed));
    return await perplexitiesOf({ engine, model: bare }, texts, 'unrepaired', onProgress);
  });
  const seams = seamsOf(model.config.blocks, removed);
  const dir = workspace.at('repaired');
  await mkdir(dir, { recursive: true });
  await withResources(async (own) => {
    onProgress({ kind: 'stage', stage: 'repairing', total: seams.at(-1)!.until });
    const text = await embedSamples(own, engine, model, texts.calibration!.content);
    await repairSeams({ engine, model, removed, seams, text, dir, onProgress });
  });
  const edits = new Map<string, TensorEdit>();
  const recorded: Repair['record']['seams'] = [];
  for (const { block, gap } of seams) {
    const changed = tensorsOfSeam(model, block);
    const editOf = await openBlockFile(model, blockPath(dir, block));
    for (const name of changed) edits.set(name, editOf(name));
    const tensors = changed.map((name) => renumberTensor(name, removed, model.tensorNames.blocks)!);
    recorded.push({ block, gap: [...gap], tensors });
  }
  return { edits, record: { method: 'linear', unrepaired, seams: recorded } };
}

/** Writes the smaller checkpoint, in the workspace, with `edits` by the source's names. */
async function assemble(
  { model, grids, workspace, onProgress }: Writing,
  removed: ReadonlySet<number>,
  edits: Edits = new Map(),
): Promise<string> {
  const final = workspace.at('final');
  await rm(final, { recursive: true, force: true });
  await removeBlocks({ model, grids, onProgress, edits }, final, removed);
  return final;
}
