// The main job: from a checkpoint, a target and texts to a sparse checkpoint with its layerwise.json and report.html. The
// stages are in the order of the data flow; each is one function elsewhere.

import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileError, OptionError, readDocument, settleAll, writeFileAtomic } from '../base/index.js';
import { writeCheckpoint } from '../checkpoint/index.js';
import { checkPush, type PushResult } from '../hub/index.js';
import { blameWeights, blockTensorNames, type Model, openModel } from '../model/index.js';
import { blockPath, openBlockFile, readNotes } from '../pipeline/index.js';
import { type Manifest, parseManifest } from '../records/index.js';
import {
  buildManifest,
  checkAgainstModel,
  checkOut,
  checkOutPath,
  checkOutside,
  checkSpace,
  countZeros,
  describeCandidate,
  describeUnseen,
  type Entry,
  type FinalScores,
  gainsOf,
  isOnlyToBeCleared,
  normalisePrune,
  openRun,
  openSource,
  type PruneOptions,
  type PruneSettings,
  prepareTasks,
  prepareTexts,
  runToChoice,
  scoreFinal,
  type TimedTrial,
  UNSCORED,
  type Workspace,
} from '../runs/index.js';
import { checkPacking, normalisePacking, type PackingSettings, type PackResult, packModel } from './pack.js';
import { pushFinished } from './push.js';
import { drawReport } from './report.js';

export type PruneResult = {
  readonly out: string;
  readonly manifest: Manifest;
  /** The manifest's trials with their seconds (0 if only the workspace of an earlier attempt was removed). */
  readonly trials: readonly TimedTrial[];
  /** The packed file; null without `pack`. */
  readonly packed: PackResult | null;
  readonly seconds: number;
  readonly peakMemoryBytes: number;
  /** The upload; null without `push`. */
  readonly pushed: PushResult | null;
};

/**
 * Prunes a checkpoint and, with `pack`, packs the result. Everything is checked before a weight is read. The output
 * directory appears whole or not at all, and the packed file after it. `resume` continues an interrupted run. The upload
 * comes last; if it fails, the output stays.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, RemoteError, each with a stable `code`
 */
export async function prune(options: PruneOptions): Promise<PruneResult> {
  const settings = normalisePrune(options);
  const packing = options.pack && normalisePacking(options.pack);
  const { push, out, onProgress } = settings;
  if (push) await checkPush(push);
  const result = await pruneAndPack(settings, packing);
  return push ? { ...result, pushed: await pushFinished({ ...push, run: out, onProgress }) } : result;
}

async function pruneAndPack(settings: PruneSettings, packing: PackingSettings | undefined): Promise<PruneResult> {
  const done = settings.resume && (await isOnlyToBeCleared(settings.out));
  if (!done) await checkOut(settings.out, settings.resume);
  if (packing) {
    refuseSamePlace(packing.out, settings.out);
    await checkOutPath(packing.out, 'pack');
  }
  const model = await openSource(settings.checkpoint, settings.onProgress);
  checkAgainstModel(settings, model);
  if (!done) await checkOutside(settings.out, model.checkpoint.dir);
  if (packing) await checkPacking(model, packing, 'pack');
  const result = await pruneModel(settings, model, done).catch((error) => blameWeights(model, error));
  if (!packing) return result;
  settings.onProgress({ kind: 'note', text: `The checkpoint is complete in ${settings.out}.` });
  return { ...result, packed: await packModel(await openModel(settings.out), packing, settings.onProgress) };
}

function refuseSamePlace(pack: string, out: string): void {
  if (![resolve(out), `${resolve(out)}.partial`].includes(resolve(pack))) return;
  const message = `--pack: ${pack} is where --out writes; choose another path, such as ${out}.lw.`;
  throw new OptionError('E_OPTION_PACK', message, { option: 'pack', got: pack });
}

async function pruneModel(settings: PruneSettings, model: Model, done: boolean): Promise<PruneResult> {
  const started = performance.now();
  // Space for uniform, the best trial, the running trial, and the output.
  if (!settings.resume) await checkSpace(settings.out, 4 * model.bytes);
  const texts = await prepareTexts(settings, model);
  const tasks = await prepareTasks(settings, model);
  if (done) {
    const { workspace } = await openRun('prune', settings, model, texts, tasks?.setup);
    await workspace.clear();
    const source = join(settings.out, 'layerwise.json');
    const manifest = parseManifest(await readDocument(source), source);
    return resultOf(
      settings,
      manifest,
      manifest.trials.map((trial) => ({ ...trial, seconds: 0 })),
      started,
    );
  }

  return await runToChoice(settings, model, texts, tasks, async (run) => {
    const { workspace, engine, executor, choice } = run;
    const { blocks } = executor;
    const dirOf = ({ digest }: Entry): string => blocks.dirOf(digest);
    const score = (name: string, dir: string | undefined): Promise<FinalScores> =>
      scoreFinal(run, model, texts.test, tasks, settings, name, dir);
    const dense = await score('dense', undefined);
    if ((texts.test || tasks) && choice.uniform) await blocks.restore(choice.uniform.request, 'uniform');
    await blocks.restore(choice.request, describeCandidate(choice.candidate));
    const uniform = choice.uniform ? await score('uniform', dirOf(choice.uniform)) : UNSCORED;
    const chosen = choice.uniform && choice.isUniform ? uniform : await score('chosen', dirOf(choice));

    const gains = await gainsOf(executor, choice, texts, settings.onProgress);

    const notes = await settleAll(model.linears.map((_, block) => readNotes(blockPath(dirOf(choice), block))));
    const unseen = describeUnseen(notes.map(({ unseen }) => unseen));
    if (unseen !== undefined) settings.onProgress({ kind: 'note', text: unseen });
    settings.onProgress({ kind: 'stage', stage: 'writing' });
    const final = await assemble(model, workspace, dirOf(choice));
    const manifest = buildManifest({
      settings,
      model,
      engine,
      hashes: run.hashes,
      texts,
      target: run.target,
      choice,
      zeros: await countZeros(await openModel(final)),
      notes,
      denseValidation: run.denseValidation,
      gains,
      tasks,
      finals: { dense, uniform, chosen },
    });
    await writeFileAtomic(`${final}/layerwise.json`, `${JSON.stringify(manifest, null, 2)}\n`);
    await writeFileAtomic(`${final}/report.html`, await drawReport(manifest));
    await workspace.finish();
    return resultOf(
      settings,
      manifest,
      choice.entries.map(({ trial }) => trial),
      started,
    );
  });
}

function resultOf(
  { out }: PruneSettings,
  manifest: Manifest,
  trials: readonly TimedTrial[],
  started: number,
): PruneResult {
  const seconds = (performance.now() - started) / 1000;
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  return { out, manifest, trials, packed: null, seconds, peakMemoryBytes, pushed: null };
}

/** Writes the chosen blocks over a copy of the checkpoint, in the workspace. */
async function assemble(model: Model, workspace: Workspace, dir: string): Promise<string> {
  const final = workspace.at('final');
  await rm(final, { recursive: true, force: true });
  await mkdir(final).catch((error) => {
    throw fileError(error, final);
  });
  const files = await settleAll(model.linears.map((_, block) => openBlockFile(model, blockPath(dir, block))));
  // Every tensor of a block, not only its linears: a block file holds edits of biases and norms too.
  const editOf = new Map(files.flatMap((file, block) => blockTensorNames(model, block).map((name) => [name, file])));
  await writeCheckpoint(model.checkpoint, final, (name) => editOf.get(name)?.(name));
  return final;
}
