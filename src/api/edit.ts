// The common part of prune and quantise, from checked settings to the finished directory: texts, the choice of a plan, scores,
// the edited checkpoint with its layerwise.json and report.html. The stages are in the order of the data flow; each is one
// function elsewhere.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readDocument, settleAll, writeFileAtomic } from '../base/index.js';
import { type ScalesFile, writeCheckpoint } from '../checkpoint/index.js';
import { encodePng, resize } from '../images/index.js';
import { blameWeights, blockTensorNames, type Model, openModel, weightName } from '../model/index.js';
import { blockPath, isDropped, openBlockFile, readBlockScales, readNotes } from '../pipeline/index.js';
import { type Manifest, parseManifest } from '../records/index.js';
import {
  buildManifest,
  type ChoosePlan,
  carryScales,
  checkAgainstModel,
  checkOut,
  checkOutside,
  checkSpace,
  countBits,
  countZeros,
  describeCandidate,
  describeUnseen,
  type Entry,
  fidelityOf,
  gainsOf,
  isOnlyToBeCleared,
  nameClasses,
  openGrids,
  openRun,
  openSource,
  type PruneSettings,
  prepareSamples,
  prepareTasks,
  type Run,
  runToChoice,
  scoreFinal,
  spaceForLevels,
  type TimedTrial,
  UNSCORED,
  type Workspace,
  withSampleCount,
} from '../runs/index.js';
import type { Content } from '../stream/index.js';
import { removeBlocks } from './remove-blocks.js';
import { drawReport } from './report.js';
import { writeWorkers } from './workers-file.js';
import { renew } from './write-mended.js';

export type EditResult = {
  readonly out: string;
  readonly manifest: Manifest;
  /** The manifest's trials with their seconds (0 if only the workspace of an earlier attempt was removed). */
  readonly trials: readonly TimedTrial[];
  readonly seconds: number;
  readonly peakMemoryBytes: number;
};

/** What a command does between opening the model and reading its weights. */
export type Preparation = {
  /** Checks that need no model. */
  readonly checkBefore?: (() => Promise<void>) | undefined;
  /** Settings that depend on the model. */
  readonly complete?: ((settings: PruneSettings, model: Model) => PruneSettings) | undefined;
  readonly check?: ((model: Model) => Promise<void>) | undefined;
  /** Chooses the plan. Defaults to the search of prune. */
  readonly choose?: ChoosePlan | undefined;
  /** Writes more files into the finished directory. */
  readonly beside?: ((final: string) => Promise<void>) | undefined;
};

/**
 * Makes the edited checkpoint. Everything is checked before a weight is read. The output directory appears whole or not at
 * all; `resume` continues an interrupted run.
 */
export async function editCheckpoint(given: PruneSettings, prepare: Preparation = {}): Promise<EditResult> {
  const { out, resume, onProgress } = given;
  const done = resume && (await isOnlyToBeCleared(out));
  if (!done) await checkOut(out, resume);
  await prepare.checkBefore?.();
  const opened = await openSource(given.checkpoint, onProgress, { images: true, trunk: given.scope });
  const settings = withSampleCount(prepare.complete?.(given, opened) ?? given, opened);
  checkAgainstModel(settings, opened);
  if (!done) await checkOutside(out, opened.checkpoint.dir);
  const model = await nameClasses(opened, settings);
  await prepare.check?.(model);
  return await editModel(settings, model, done, prepare).catch((error) => blameWeights(model, error));
}

async function editModel(
  settings: PruneSettings,
  model: Model,
  done: boolean,
  { choose, beside }: Preparation,
): Promise<EditResult> {
  const started = performance.now();
  // Space for uniform, the best trial, the running trial, and the output; and for linears at all levels.
  const levels = spaceForLevels(settings, model);
  if (!settings.resume) await checkSpace(settings.out, 4 * model.bytes + levels);
  const texts = await prepareSamples(settings, model);
  const tasks = await prepareTasks(settings, model);
  if (done) {
    const { workspace } = await openRun(settings.command, settings, model, texts, tasks?.setup);
    await workspace.clear();
    return await readResult(settings.out, join(settings.out, 'layerwise.json'), started);
  }

  const grids = await openGrids(model);
  const finish = async (run: Run): Promise<EditResult> => {
    const { workspace, engine, executor, choice } = run;
    const { blocks } = executor;
    const dirOf = ({ digest }: Entry): string => blocks.dirOf(digest);
    const score = (name: string, dir: string | undefined): ReturnType<typeof scoreFinal> =>
      scoreFinal(run, tasks, settings, name, dir);
    const gains = await gainsOf(executor, choice, texts, settings.onProgress);
    const dense = await score('dense', undefined);
    if ((run.reference || tasks) && choice.uniform) await blocks.restore(choice.uniform.request, 'uniform');
    await blocks.restore(choice.request, describeCandidate(choice.candidate));
    const uniform = choice.uniform ? await score('uniform', dirOf(choice.uniform)) : UNSCORED;
    const chosen = choice.uniform && choice.isUniform ? uniform : await score('chosen', dirOf(choice));

    const alone = await executor.errorsAlone(choice.request);
    const notes = await settleAll(model.linears.map((_, block) => readNotes(blockPath(dirOf(choice), block))));
    const unseen = describeUnseen(notes.map(({ unseen }) => unseen));
    if (unseen !== undefined) settings.onProgress({ kind: 'note', text: unseen });
    settings.onProgress({ kind: 'stage', stage: 'writing' });
    const dropped = [...model.linears.keys()].filter((block) => isDropped(model, choice.candidate.plan, block));
    const final = await assemble(model, grids, workspace, dirOf(choice), dropped, settings);
    const edited = await openModel(final, undefined, model.trunk);
    const { compared: _, ...uniformScores } = uniform;
    const { compared, ...chosenScores } = chosen;
    const manifest = buildManifest({
      settings,
      model,
      engine,
      hashes: run.hashes,
      texts,
      target: run.target,
      choice,
      dropped,
      zeros: await countZeros(edited),
      // Of prune they are the source's, where masks left it on its grids.
      bits: settings.command === 'prune' ? undefined : await countBits(edited),
      notes,
      denseValidation: run.denseValidation,
      tasks,
      finals: {
        dense,
        uniform: { ...uniformScores, ...(await fidelityOf(run, uniform.compared)) },
        chosen: { ...chosenScores, ...(await fidelityOf(run, compared, { model: edited, settings })) },
      },
      gains,
      alone,
    });
    await writeFileAtomic(`${final}/layerwise.json`, `${JSON.stringify(manifest, null, 2)}\n`);
    const workers = run.workers && (await writeWorkers(final, run.workers));
    await writeFileAtomic(
      `${final}/report.html`,
      await drawReport(manifest, thumbnailsOf(manifest, texts.test?.content), workers),
    );
    await beside?.(final);
    await workspace.finish();
    return resultOf(
      settings.out,
      manifest,
      choice.entries.map(({ trial }) => trial),
      started,
    );
  };
  return await runToChoice(settings, model, texts, tasks, finish, choose);
}

/** The longest side of an image in a report. */
const THUMBNAIL = 96;

/** The images that a record names, as small PNG files. */
function thumbnailsOf({ images }: Manifest, content: Content | undefined): ReadonlyMap<number, Uint8Array> | undefined {
  if (!images || !content || !('pixels' in content)) return undefined;
  const { width, height } = content;
  const scale = Math.min(1, THUMBNAIL / Math.max(width, height));
  const size = { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
  return new Map(
    images.lost.map(({ place }) => {
      const pixels = content.pixels[place] as Uint8Array;
      return [place, encodePng(resize({ width, height, pixels }, { ...size, filter: 'bilinear' }))] as const;
    }),
  );
}

/** The result of a run that is finished, from its record. */
export async function readResult(out: string, record: string, started: number): Promise<EditResult> {
  const manifest = parseManifest(await readDocument(record), record);
  return resultOf(
    out,
    manifest,
    manifest.trials.map((trial) => ({ ...trial, seconds: 0 })),
    started,
  );
}

function resultOf(out: string, manifest: Manifest, trials: readonly TimedTrial[], started: number): EditResult {
  const seconds = (performance.now() - started) / 1000;
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  return { out, manifest, trials, seconds, peakMemoryBytes };
}

/** Writes the chosen blocks over a copy of the checkpoint, in the workspace. */
async function assemble(
  model: Model,
  grids: ScalesFile | undefined,
  workspace: Workspace,
  dir: string,
  dropped: readonly number[],
  { onProgress }: Pick<PruneSettings, 'onProgress'>,
): Promise<string> {
  const whole = workspace.at(dropped.length > 0 ? 'whole' : 'final');
  await renew(whole);
  const paths = model.linears.map((_, block) => blockPath(dir, block));
  const files = await settleAll(paths.map((path) => openBlockFile(model, path)));
  // Every tensor of a block, not only its linears: a block file holds edits of biases and norms too.
  const editOf = new Map(files.flatMap((file, block) => blockTensorNames(model, block).map((name) => [name, file])));
  await writeCheckpoint(model.checkpoint, whole, (name) => editOf.get(name)?.(name));
  const scales = (await settleAll(paths.map((path) => readBlockScales(model, path)))).flat();
  if (grids || scales.length > 0) {
    const columns = new Map(model.linears.flat().map((linear) => [weightName(linear), linear.columns]));
    const made = scales.map((linear) => ({ ...linear, columns: columns.get(linear.name)! }));
    await carryScales({ grids, written: await openModel(whole, undefined, model.trunk), made, onProgress });
  }
  if (dropped.length === 0) return whole;
  const final = workspace.at('final');
  const written = await openModel(whole, undefined, model.trunk);
  await removeBlocks({ model: written, grids: await openGrids(written), onProgress }, final, new Set(dropped));
  await rm(whole, { recursive: true, force: true });
  return final;
}
