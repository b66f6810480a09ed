// Compresses a checkpoint under one budget: bits for every linear, chosen from a table of sensitivities, rounded by GPTQ that
// follows the dense stream. The result is a checkpoint with its scales, layerwise.json, sensitivities.json and report.html, or
// a .lw file with the same three beside it.

import { copyFile, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, writeFileAtomic } from '../base/index.js';
import {
  type CompressOptions,
  chooseMixed,
  costing,
  type Forecast,
  forecast,
  normaliseCompress,
  requireRoom,
} from '../compress/index.js';
import { linearUnits, type Model, openModel } from '../model/index.js';
import type { SensitivityTable } from '../records/index.js';
import { type ChoosePlan, checkOutPath, checkOutside, openSource, prepareTexts } from '../runs/index.js';
import { type EditResult, editCheckpoint } from './edit.js';
import { normalisePacking, type PackResult, packModel } from './pack.js';

export type CompressResult = EditResult & {
  /** The packed file; null where the output is a directory. */
  readonly packed: PackResult | null;
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
  const packs = options.out.endsWith('.lw');
  const given = normaliseCompress(options);
  const settings = packs ? { ...given, out: `${options.out}.run` } : given;
  const { head } = settings.compress;
  const { onProgress, threads } = settings;
  const packing = packs ? normalisePacking({ out: options.out, values: 'int8', head }) : undefined;
  const costsOf =
    (model: Model, fileBytes: number): Parameters<typeof chooseMixed>[1] =>
    (units) =>
      costing(model, units, settings.compress, { head, threads, fileBytes });
  // Refuses a budget that cannot be met before any work.
  const checkBudget = (model: Model, fileBytes: number): void => {
    const units = linearUnits(model);
    requireRoom(units, settings.treatments, costsOf(model, fileBytes)(units));
  };
  if (options.dryRun) {
    const model = await openSource(settings.checkpoint, onProgress);
    checkBudget(model, await textBytes(model));
    const texts = await prepareTexts(settings, model);
    return { ...(await forecast(settings, model, texts)), out: options.out };
  }
  let table: SensitivityTable | undefined;
  let fileBytes = 0;
  const choose: ChoosePlan = async (_, model, context, measuring) => {
    const choice = await chooseMixed(settings, costsOf(model, fileBytes), model, context, measuring);
    table = choice.table;
    return choice;
  };
  const result = await editCheckpoint(settings, {
    ...(packing ? { checkBefore: () => checkOutPath(packing.out) } : {}),
    check: async (model) => {
      if (packing) await checkOutside(packing.out, model.checkpoint.dir);
      fileBytes = await textBytes(model);
      checkBudget(model, fileBytes);
    },
    choose,
    beside: async (final) => {
      if (table) await writeFileAtomic(join(final, 'sensitivities.json'), `${JSON.stringify(table, null, 1)}\n`);
    },
  });
  if (!packing) return { ...result, packed: null };
  const packed = await packModel(await openModel(settings.out), packing, onProgress);
  for (const [name, ending] of BESIDE) {
    await copyFile(join(settings.out, name), `${packing.out}${ending}`).catch((error) => {
      throw fileError(error, `${packing.out}${ending}`);
    });
  }
  await rm(settings.out, { recursive: true, force: true });
  return { ...result, out: packing.out, packed };
}

const BESIDE = [
  ['layerwise.json', '.json'],
  ['report.html', '.html'],
  ['sensitivities.json', '.sensitivities.json'],
] as const;

/** Bytes of the texts that a packed file carries: the tokenizer and the configuration. */
async function textBytes({ checkpoint }: Model): Promise<number> {
  const names = (await readdir(checkpoint.dir)).filter((name) => /\.(json|model|txt|jinja)$/.test(name));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(checkpoint.dir, name))).size));
  return sizes.reduce((a, b) => a + b, 0);
}
