// Layer removal: writes a checkpoint without the blocks that a method chose, renumbers the others, and writes layerwise.json.
// With `repair`, the blocks before the gaps are fitted to what the removed ones did (src/pipeline/seams.ts). The scores are of
// the written checkpoint. The stages are in the order of the data flow. An interrupted run continues after
// the last finished stage.

import { mkdir } from 'node:fs/promises';
import { type OnProgress, VERSION, withResources } from '../base/index.js';
import type { ScalesFile, TensorEdit } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { blameWeights, type Model, openModel, renumberTensor } from '../model/index.js';
import {
  blockPath,
  changedTensors,
  fileShelf,
  openBlockFile,
  type RepairWay,
  repairSeams,
  requireMergeable,
  requireRepairable,
  sharesOf,
  stepsOf,
} from '../pipeline/index.js';
import { seamsOf } from '../plan/index.js';
import { type DropRecord, parseDropRecord } from '../records/index.js';
import {
  fidelityOf,
  nameSource,
  openEngine,
  openGrids,
  openReference,
  openRun,
  type PreparedTexts,
  prepareTexts,
  recordsOf,
  type Workspace,
} from '../runs/index.js';
import { embedSamples } from '../stream/index.js';
import type { Windows } from '../text/index.js';
import { perplexitiesWithout, scoreDepth } from './depth-scores.js';
import { chooseBlocks } from './drop-choice.js';
import { type DropOptions, type DropSettings, normaliseDrop, refuseBlocks } from './drop-settings.js';
import { checkRoom, finishMaking, openMaking, readFinished } from './making.js';
import { removeBlocks } from './remove-blocks.js';
import { drawRemoval } from './report.js';

export type DropResult = { readonly out: string; readonly record: DropRecord; readonly seconds: number };

/**
 * Removes blocks from a checkpoint. Everything is checked before a weight is read; the output directory appears whole or not
 * at all; an interrupted run continues with `resume`.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function drop(options: DropOptions): Promise<DropResult> {
  const started = performance.now();
  const settings = normaliseDrop(options);
  const { out } = settings;
  const opened = await openMaking(settings);
  const { model, done } = opened;
  if (settings.blocks >= model.config.blocks) refuseBlocks(settings.blocks, model.config.blocks);
  if (settings.way?.merge) requireMergeable(model);
  else if (settings.way) requireRepairable(model);
  await checkRoom(settings, opened, model.bytes);
  const texts = await prepareTexts(settings, model);
  const record = done
    ? await readFinished((await openRun('drop', settings, model, texts)).workspace, out, parseDropRecord)
    : await run(settings, model, texts).catch((error) => blameWeights(model, error));
  return { out, record, seconds: (performance.now() - started) / 1000 };
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
    const choice = await chooseBlocks(settings, model, texts, engine, workspace);
    const removed = new Set(choice.removed);
    const writing = { model, grids, workspace, onProgress };
    const repair = settings.way && (await repairRemoval(writing, settings.way, texts, engine, removed));
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
      texts: recordsOf(texts),
      method: settings.method.name,
      ...choice,
      blocks: { before: model.config.blocks, after: smaller.config.blocks },
      parameters: { before: model.parameters, after: smaller.parameters },
      dense,
      dropped,
      ...(repair ? { repair: repair.record } : {}),
      ...(await fidelityOf(context, compared, { model: smaller, settings })),
    };
    return await finishMaking(workspace, record, drawRemoval);
  });
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

/** Scores the removal as it is, in place, and makes the blocks that change. */
async function repairRemoval(
  { model, workspace, onProgress }: Writing,
  way: RepairWay,
  texts: PreparedTexts<Windows>,
  engine: Engine,
  removed: ReadonlySet<number>,
): Promise<Repair> {
  const unrepaired = await workspace.step('unrepaired', () =>
    perplexitiesWithout({ engine, model }, texts, removed, onProgress),
  );
  const seams = seamsOf(model.config.blocks, removed);
  const dir = workspace.at('repaired');
  await mkdir(dir, { recursive: true });
  await withResources(async (own) => {
    onProgress({ kind: 'stage', stage: 'repairing', total: stepsOf(model, seams, way) });
    const text = await embedSamples(own, engine, model, texts.calibration!.content);
    await repairSeams({ engine, model, seams, way, text, shelf: fileShelf(model, dir), onProgress });
  });
  const edits = new Map<string, TensorEdit>();
  const changed: NonNullable<DropRecord['repair']>['followed'] = [];
  for (const [block, names] of changedTensors(model, removed, seams, way)) {
    const editOf = await openBlockFile(model, blockPath(dir, block));
    for (const name of names) edits.set(name, editOf(name));
    const tensors = names.map((name) => renumberTensor(name, removed, model.tensorNames.blocks)!);
    changed.push({ block, tensors });
  }
  const gaps = new Map(seams.map(({ block, gap }) => [block, gap]));
  const followed = changed.filter(({ block }) => !gaps.has(block));
  return {
    edits,
    record: {
      method: way.follow ? 'stream' : way.fit ? 'linear' : 'own',
      ...(way.merge ? { merge: true } : {}),
      ...(way.follow ? { shares: sharesOf(way.follow) } : {}),
      unrepaired,
      seams: changed.flatMap(({ block, tensors }) => {
        const gap = gaps.get(block);
        return gap ? [{ block, gap: [...gap], tensors }] : [];
      }),
      ...(way.follow ? { followed } : {}),
    },
  };
}

/** Writes the smaller checkpoint, in the workspace, with `edits` by the source's names. */
async function assemble(
  { model, grids, workspace, onProgress }: Writing,
  removed: ReadonlySet<number>,
  edits: Edits = new Map(),
): Promise<string> {
  const final = workspace.at('final');
  await removeBlocks({ model, grids, onProgress, edits }, final, removed);
  return final;
}
