// Compresses a checkpoint under one budget: bits for every linear, chosen from a table of sensitivities, rounded by GPTQ that
// follows the dense stream. The result is a checkpoint with its scales, layerwise.json, sensitivities.json and report.html, or
// a .lw or .gguf file with the same three beside it.

import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { digestOf, type OnProgress, OptionError, writeFileAtomic } from '../base/index.js';
import { hashCheckpoint, statIfThere } from '../checkpoint/index.js';
import {
  type CompressOptions,
  checkZeros,
  chooseMixed,
  costing,
  type Forecast,
  forecast,
  normaliseCompress,
  readDamages,
} from '../compress/index.js';
import { planGguf } from '../formats/index.js';
import { linearUnits, type Model, openModel } from '../model/index.js';
import type { HeadValues } from '../packed/index.js';
import type { SensitivityTable } from '../records/index.js';
import {
  type ChoosePlan,
  checkOut,
  checkOutPath,
  checkOutside,
  commandOf,
  isOnlyToBeCleared,
  nameSource,
  openSource,
  type PruneSettings,
  prepareTexts,
} from '../runs/index.js';
import { type EditResult, editCheckpoint, readResult } from './edit.js';
import { type ExportedOwn, exportOwn } from './export.js';
import { inspectPacked } from './inspect-packed.js';
import { checkPacking, normalisePacking, type PackingSettings, type PackResult, packModel } from './pack.js';

export type CompressResult = EditResult & {
  /** The packed file; null where the output is another. */
  readonly packed: PackResult | null;
  /** The GGUF file; null where the output is another. */
  readonly exported: ExportedOwn | null;
};

/** What `dryRun` returns. */
export type CompressForecast = Forecast & { readonly out: string };

/**
 * Compresses a checkpoint. Everything is checked before a weight is read. The output appears whole or not at all; `resume`
 * continues an interrupted run.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function compress(options: CompressOptions & { readonly dryRun: true }): Promise<CompressForecast>;
export async function compress(options: CompressOptions): Promise<CompressResult>;
export async function compress(options: CompressOptions): Promise<CompressResult | CompressForecast> {
  const started = performance.now();
  const given = normaliseCompress(options);
  const file = /\.(lw|gguf)$/.test(options.out) ? options.out : undefined;
  const settings = file === undefined ? given : { ...given, out: `${file}.run` };
  const { compress: budget, items, drops, sensitivities, onProgress } = settings;
  // Zeros are stored as masks where that is smaller, and dense where it is faster.
  const layout = budget.allow.includes('zeros') && budget.kind !== 'tokens-per-second' ? 'smallest' : 'auto';
  const packing =
    file === undefined || budget.gguf
      ? undefined
      : normalisePacking({ out: file, values: 'int8', head: budget.head, layout });
  const checkBefore = async (): Promise<void> => {
    if (file !== undefined) await checkPacked(file, settings);
  };
  /** Refuses a budget that cannot be met, and a table of another checkpoint, before any work. */
  const readCosts = async (model: Model): Promise<Parameters<typeof chooseMixed>[1]> => {
    if (packing) await checkPacking(model, packing);
    const gguf = budget.gguf ? { fixedBytes: await checkGguf(model, budget.head) } : undefined;
    const facts = { items, head: budget.head, fileBytes: await textBytes(model), gguf, drops };
    const cost = costing(model, linearUnits(model), budget, facts);
    checkZeros(settings, model, cost);
    if (sensitivities === undefined) return { cost, read: undefined };
    return { cost, read: await readDamages(sensitivities, model, await hashCheckpoint(model.checkpoint), settings) };
  };
  if (options.dryRun) {
    await checkBefore();
    await checkOut(settings.out, settings.resume);
    const model = await openSource(settings.checkpoint, onProgress);
    await checkOutside(settings.out, model.checkpoint.dir);
    await readCosts(model);
    const texts = await prepareTexts(settings, model);
    return { ...(await forecast(settings, model, texts)), out: options.out };
  }
  const finished = file === undefined ? undefined : await readFinished(file, settings, started);
  let table: SensitivityTable | undefined;
  let costs: Parameters<typeof chooseMixed>[1] | undefined;
  const choose: ChoosePlan = async (_, model, context, measuring) => {
    const choice = await chooseMixed(settings, costs!, model, context, measuring);
    table = choice.table;
    return choice;
  };
  if (!finished) await checkBefore();
  const result =
    finished ??
    (await editCheckpoint(settings, {
      check: async (model) => {
        costs = await readCosts(model);
      },
      choose,
      beside: async (final) => {
        if (table) await writeFileAtomic(join(final, 'sensitivities.json'), `${JSON.stringify(table, null, 1)}\n`);
      },
    }));
  if (file === undefined) return { ...result, packed: null, exported: null };
  if (!packing)
    return {
      ...result,
      out: file,
      packed: null,
      exported: await exportRun(settings.out, file, budget.head, onProgress),
    };
  return { ...result, out: file, packed: await packRun(settings.out, packing, started, onProgress), exported: null };
}

/**
 * The bytes of a GGUF file but for its blocks' linears, where it can hold this model.
 * @throws UnsupportedError E_UNSUPPORTED_EXPORT; OptionError E_OPTION_OUT
 */
async function checkGguf(model: Model, head: HeadValues): Promise<number> {
  const { restBytes } = await planGguf(model, nameSource(model).name, undefined, { head });
  const odd = model.linears.flat().find(({ columns }) => columns % 32 !== 0);
  if (!odd) return restBytes;
  throw new OptionError(
    'E_OPTION_OUT',
    `--out: a .gguf file holds integers in blocks of 32, which do not divide the ${odd.columns} columns of ${odd.name}. Write a .lw file or a directory.`,
    { option: 'out', linear: odd.name, columns: odd.columns },
  );
}

const BESIDE = [
  ['layerwise.json', '.json'],
  ['report.html', '.html'],
  ['sensitivities.json', '.sensitivities.json'],
  ['workers.json', '.workers.json'],
] as const;

/** What the names of all files end with, after that of the packed one. */
const ENDINGS: readonly string[] = ['', ...BESIDE.map(([, ending]) => ending)];

/**
 * Checks the paths of a packed file and of what comes beside it.
 * @throws OptionError E_OPTION_OUT…, ResourceError
 */
async function checkPacked(out: string, { out: run, resume }: { readonly out: string; readonly resume: boolean }) {
  if (!resume && (await statIfThere(run))) {
    throw new OptionError(
      'E_OPTION_OUT_PARTIAL',
      `--out: ${run} holds a run that was not packed; add --resume to continue it, or remove the folder to start over.`,
      { option: 'out', got: out },
    );
  }
  // What lies beside may be there from an earlier attempt.
  for (const ending of resume ? [''] : ENDINGS) await checkOutPath(`${out}${ending}`);
}

/**
 * The result of a run that was interrupted after its checkpoint was finished: only the packed file is missing, or the
 * checkpoint is still there beside it. Undefined where there is more to do.
 * @throws OptionError E_OPTION_RESUME if the checkpoint is another run's
 */
async function readFinished(out: string, settings: PruneSettings, started: number): Promise<EditResult | undefined> {
  const { out: run, resume } = settings;
  if (!resume || !(await statIfThere(run)) || (await isOnlyToBeCleared(run))) return undefined;
  // Files beside the packed one are written before it, and the checkpoint is removed after it.
  const record = (await statIfThere(out)) ? `${out}.json` : join(run, 'layerwise.json');
  const result = await readResult(run, record, started);
  const { checkpoint } = await openSource(settings.checkpoint, settings.onProgress);
  const { command, source } = result.manifest;
  if (command === commandOf(settings) && digestOf(source.hashes) === digestOf(await hashCheckpoint(checkpoint))) {
    return result;
  }
  throw new OptionError(
    'E_OPTION_RESUME',
    `--resume: ${run} was made by another command or from another checkpoint. Repeat that command, or remove the folder to start over.`,
    { option: 'resume', path: run },
  );
}

/** Exports the checkpoint of a finished run, copies what comes beside, and removes the checkpoint. */
async function exportRun(run: string, out: string, head: HeadValues, onProgress: OnProgress): Promise<ExportedOwn> {
  await removeTemporaries(out);
  await copyBeside(run, out);
  // A file that an earlier attempt finished is made again, to the same bytes, for what the result says of it.
  await rm(out, { force: true });
  const exported = await exportOwn(await openModel(run), out, { head }, onProgress);
  await rm(run, { recursive: true, force: true });
  return exported;
}

async function copyBeside(run: string, out: string): Promise<void> {
  for (const [name, ending] of BESIDE) {
    // Only a run that was handed out says who did what.
    if (name === 'workers.json' && !(await statIfThere(join(run, name)))) continue;
    await writeFileAtomic(`${out}${ending}`, await readFile(join(run, name)));
  }
}

/** Packs the checkpoint of a finished run, copies what comes beside, and removes the checkpoint. The packed file comes last. */
async function packRun(
  run: string,
  packing: PackingSettings,
  started: number,
  onProgress: OnProgress,
): Promise<PackResult> {
  const { out } = packing;
  let packed: PackResult;
  if (await statIfThere(out)) {
    const seconds = (performance.now() - started) / 1000;
    packed = { ...(await inspectPacked(out)), out, seconds, peakMemoryBytes: process.resourceUsage().maxRSS * 1024 };
  } else {
    await removeTemporaries(out);
    await copyBeside(run, out);
    packed = await packModel(await openModel(run), packing, onProgress);
  }
  await rm(run, { recursive: true, force: true });
  return packed;
}

/** Removes what a killed process was still writing to `out` and beside it. */
async function removeTemporaries(out: string): Promise<void> {
  const [dir, name] = [dirname(resolve(out)), basename(out)];
  for (const found of await readdir(dir)) {
    const [, stem] = /^(.*)\.\d+\.tmp$/.exec(found) ?? [];
    if (ENDINGS.some((ending) => stem === `${name}${ending}`)) await rm(join(dir, found), { force: true });
  }
}

/** Bytes of the texts that a packed file carries: the tokenizer and the configuration. */
async function textBytes({ checkpoint }: Model): Promise<number> {
  const names = (await readdir(checkpoint.dir)).filter((name) => /\.(json|model|txt|jinja)$/.test(name));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(checkpoint.dir, name))).size));
  return sizes.reduce((a, b) => a + b, 0);
}
