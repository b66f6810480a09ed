// Packs a checkpoint into one .lw file for the sparse runtime: packed values, tokenizer and config. Everything is checked
// before a weight is read. The file appears whole or not at all.

import { resolve } from 'node:path';
import { type OnProgress, OptionError, silent } from '../base/index.js';
import { blameWeights, describeTensors, type Model, type ModelTensor } from '../model/index.js';
import { HEADS, headFor, isExact, LAYOUT_CHOICES, type PackSettings, VALUES, writePacked } from '../packed/index.js';
import type { PackingOptions } from '../runs/index.js';
import { checkOutPath, checkOutside, checkSpace, oneOf, openSource } from '../runs/index.js';
import { describePacked, type PackedReport } from './inspect-packed.js';

export type PackOptions = PackingOptions & {
  /** Directory of a Hugging Face checkpoint, a .gguf file, or its name on the Hub. */
  readonly checkpoint: string;
  /** Receives the progress of long work. Defaults to none. */
  readonly onProgress?: OnProgress;
};

export type PackResult = PackedReport & {
  readonly out: string;
  readonly seconds: number;
  readonly peakMemoryBytes: number;
};

export type PackingSettings = PackSettings & { readonly out: string };

/** @throws OptionError E_OPTION_VALUES, E_OPTION_LAYOUT, E_OPTION_HEAD */
export function normalisePacking(options: PackingOptions): PackingSettings {
  const values = oneOf('values', options.values ?? 'int8', VALUES);
  const layout = oneOf('layout', options.layout ?? 'auto', LAYOUT_CHOICES);
  const head = oneOf('head', options.head ?? headFor(values), HEADS);
  if (values !== 'int8' && values !== 'int4' && layout === 'tiles') {
    const expected = values === 'f32' ? 'auto (rows where they are quicker) or dense' : 'auto or dense';
    throw new OptionError(
      'E_OPTION_LAYOUT',
      `--layout: tiles hold int8 or int4 values, and --values is ${values}; expected ${expected}.`,
      { option: 'layout', got: layout, values },
    );
  }
  return { out: options.out, values, layout, head };
}

/**
 * Packs a checkpoint.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function pack(options: PackOptions): Promise<PackResult> {
  const settings = normalisePacking(options);
  const { onProgress = silent } = options;
  await checkOutPath(settings.out);
  const model = await openSource(options.checkpoint, onProgress);
  await checkPacking(model, settings);
  return await packModel(model, settings, onProgress);
}

/** Checks that the packed file can be written, before anything is read. @throws OptionError, ResourceError */
export async function checkPacking(model: Model, settings: PackingSettings, option = 'out'): Promise<void> {
  await checkOutPath(settings.out, option);
  await checkOutside(settings.out, model.checkpoint.dir, option);
  const bytes = describeTensors(model.config, model.tensorNames).reduce(
    (sum, tensor) => sum + largestBytes(tensor, settings),
    0,
  );
  await checkSpace(settings.out, bytes, 'the packed file needs up to', option);
}

/** The bytes of a tensor if its zeros save nothing. */
function largestBytes({ role, rows, columns }: ModelTensor, { values, head, layout }: PackSettings): number {
  const bytesOf = { f32: 4, int8: 1, int4: 0.5, int3: 0.375, int2: 0.25 } as const;
  if (isExact(role)) return 4 * rows * columns;
  if (role !== 'linear') return rows * (columns * bytesOf[head] + 4);
  // Rows of int3 and int2 are whole groups of 128 columns.
  const stored = rows * Math.ceil(columns / 128) * 128 * bytesOf[values];
  return stored * (layout === 'tiles' ? 2 : 1) + rows * Math.ceil(columns / 32);
}

/** Packs a model after `checkPacking`. */
export async function packModel(model: Model, settings: PackingSettings, onProgress: OnProgress): Promise<PackResult> {
  const started = performance.now();
  const source = { checkpoint: model.checkpoint, tensors: describeTensors(model.config, model.tensorNames) };
  const { directory, fileBytes } = await writePacked(resolve(settings.out), source, settings, onProgress).catch(
    (error) => blameWeights(model, error),
  );
  return {
    ...describePacked(settings.out, fileBytes, directory, { config: model.config, tensors: source.tensors }),
    out: settings.out,
    seconds: (performance.now() - started) / 1000,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  };
}
