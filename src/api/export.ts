// Export: a checkpoint in a form that other programs load: GGUF, compressed-tensors, or a plain Hugging Face directory.
// Everything is checked before a weight is read. The output appears whole or not at all.

import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  type OnProgress,
  OptionError,
  readDocument,
  silent,
  UnsupportedError,
  VERSION,
  writeFileAtomic,
} from '../base/index.js';
import { keepTensor, readScales, type ScalesFile, writeCheckpoint, writeReplaced } from '../checkpoint/index.js';
import {
  CODE_FILE,
  customCode,
  GGUF_TYPES,
  type GgufType,
  type OwnTypes,
  planCompressed,
  planGguf,
  planPadded,
  writeCompressed,
  writeFolder,
  writeModel,
  type ZeroCounts,
} from '../formats/index.js';
import { blameWeights, type Model, unevenExperts, weightName } from '../model/index.js';
import {
  checkOutPath,
  checkOutside,
  checkSpace,
  conflict,
  nameSource,
  oneOf,
  openSource,
  refuseMissing,
  refuseValue,
  wholeNumber,
} from '../runs/index.js';

export const EXPORT_FORMATS = ['gguf', 'compressed-tensors', 'hf'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export type ExportOptions = {
  /** Directory of a Hugging Face checkpoint, the output of a run among them, or its name on the Hub. */
  readonly checkpoint: string;
  /** `gguf`, `compressed-tensors` or `hf`. */
  readonly to: string;
  /** File (gguf) or directory to write; must not exist. */
  readonly out: string;
  /** gguf: `f16`, `bf16`, `q8_0`, `q4_0`, `q6_k`, `q4_k`, `q3_k` or `q2_k`, the type of the linears. Defaults to `q8_0`. */
  readonly type?: string;
  /** compressed-tensors: 4 or 8 bits to round a dense checkpoint to. Not for one that has layerwise.scales. */
  readonly bits?: number;
  /** compressed-tensors: columns that share a scale, where `bits` is given. Defaults to 128. */
  readonly group?: number;
  /** hf, of a checkpoint with blocks of unequal width: with code for transformers. */
  readonly customCode?: boolean;
  /** hf, of such a checkpoint: every block as wide as the widest, with zeros. */
  readonly padded?: boolean;
  /** Receives the progress of long work. Defaults to none. */
  readonly onProgress?: OnProgress;
};

/** What was written, in words. */
export type ExportedType = { readonly type: string; readonly tensors: number };

export type ExportResult = {
  readonly out: string;
  readonly to: ExportFormat;
  /** How the linears of the blocks are stored, most tensors first. */
  readonly types: readonly ExportedType[];
  /** Zeros of the blocks' linears before and after, and how many of those before are still zeros. */
  readonly zeros: ZeroCounts | null;
  /** What another program will not load, or not exactly. */
  readonly notes: readonly string[];
  readonly seconds: number;
  readonly peakMemoryBytes: number;
};

type Written = Pick<ExportResult, 'types' | 'zeros' | 'notes'>;

/**
 * Exports a checkpoint.
 * @throws OptionError, CheckpointError, UnsupportedError, ResourceError, NumericError, each with a stable `code`
 */
export async function exportModel(options: ExportOptions): Promise<ExportResult> {
  const started = performance.now();
  const settings = normaliseExport(options);
  const { onProgress } = settings;
  await checkOutPath(settings.out);
  const model = await openSource(settings.checkpoint, onProgress);
  await checkOutside(settings.out, model.checkpoint.dir);
  refuseUnevenExperts(model);
  const linears = model.linears.flat().map((linear) => ({ ...linear, name: weightName(linear) }));
  const scales = await readScales(model.checkpoint, linears);
  refuseWidths(model, settings);
  const written = await write(model, scales, settings).catch((error) => blameWeights(model, error));
  return {
    out: settings.out,
    to: settings.to,
    ...written,
    seconds: (performance.now() - started) / 1000,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  };
}

type Settings = {
  readonly checkpoint: string;
  readonly to: ExportFormat;
  readonly out: string;
  readonly type: GgufType;
  readonly round: { readonly bits: number; readonly group: number } | undefined;
  readonly uneven: Uneven | undefined;
  readonly onProgress: OnProgress;
};

/** How a plain directory holds blocks of unequal width. */
type Uneven = 'custom-code' | 'padded';

function normaliseExport(options: ExportOptions): Settings {
  const { checkpoint, to, out, bits, group, type, onProgress = silent } = options;
  const format = oneOf('to', to, EXPORT_FORMATS);
  if (type !== undefined && format !== 'gguf') conflict('type', `to ${format}`, 'it is a type of GGUF');
  if (bits !== undefined && format !== 'compressed-tensors') conflict('bits', `to ${format}`, 'it holds other numbers');
  if (bits === undefined && group !== undefined) refuseMissing('bits', '4 or 8, because --group is given');
  if (bits !== undefined && bits !== 4 && bits !== 8) {
    throw new OptionError('E_OPTION_BITS', `--bits: expected 4 or 8, got ${bits}.`, { option: 'bits', got: bits });
  }
  const uneven = options.padded ? 'padded' : options.customCode ? 'custom-code' : undefined;
  if (options.padded && options.customCode) conflict('padded', 'custom-code', 'each is one way to write such a model');
  if (uneven && format !== 'hf') conflict(uneven, `to ${format}`, 'it is a way to write a Hugging Face directory');
  const round = bits === undefined ? undefined : { bits, group: wholeNumber('group', group ?? 128, 1, 2 ** 20) };
  return { checkpoint, to: format, out, type: oneOf('type', type ?? 'q8_0', GGUF_TYPES), round, uneven, onProgress };
}

/** @throws OptionError E_OPTION_CUSTOM_CODE, E_OPTION_PADDED; UnsupportedError E_UNSUPPORTED_EXPORT */
function refuseWidths({ config, checkpoint }: Model, { to, uneven }: Settings): void {
  if (!config.uneven) {
    if (uneven)
      refuseValue(uneven, 'a checkpoint with blocks of unequal width (layer_widths)', 'one with equal blocks');
    return;
  }
  const { dir } = checkpoint;
  if (to === 'compressed-tensors') {
    const message = `${dir}: its blocks have unequal widths (layer_widths), which no program loads as compressed-tensors. Pack it as a .lw file, or export it to hf or gguf.`;
    throw new UnsupportedError('E_UNSUPPORTED_EXPORT', message, { to });
  }
  if (to === 'hf' && !uneven) {
    refuseMissing('custom-code', `it or --padded, because others do not read layer_widths of ${dir}`);
  }
}

/**
 * No other program has blocks with different numbers of experts, and none can be padded: an expert that must never be chosen
 * needs a row whose logit is below the k-th largest for every token, and no linear function of the token is, for k of 2 or more
 * (docs/guide/experts.md).
 * @throws UnsupportedError E_UNSUPPORTED_EXPORT
 */
function refuseUnevenExperts({ config, checkpoint }: Model): void {
  if (!unevenExperts(config)) return;
  const counts = config.mixtures.flatMap((mixture) => mixture?.experts ?? []);
  throw new UnsupportedError(
    'E_UNSUPPORTED_EXPORT',
    `${checkpoint.dir}: its blocks have ${counts.join(', ')} experts (layer_experts), which no other program loads, and experts that no token is given to cannot be added exactly. Run it with Layerwise, or remove experts with --per-layer equal.`,
    { counts },
  );
}

async function write(model: Model, scales: ScalesFile | undefined, settings: Settings): Promise<Written> {
  switch (settings.to) {
    case 'compressed-tensors':
      return await exportCompressed(model, scales, settings);
    case 'gguf':
      return await exportGguf(model, scales, settings);
    case 'hf':
      return await exportPlain(model, settings);
    default:
      return settings.to satisfies never;
  }
}

async function exportCompressed(
  model: Model,
  scales: ScalesFile | undefined,
  { out, round, onProgress }: Settings,
): Promise<Written> {
  const quantised = scales !== undefined && scales.grids.size > 0;
  if (round && quantised) {
    const message = `--bits: ${model.checkpoint.dir} is quantised already (layerwise.scales), and its own bits are exact. Leave --bits out.`;
    throw new OptionError('E_OPTION_BITS', message, { option: 'bits', got: round.bits });
  }
  if (!round && !quantised) {
    refuseMissing('bits', '4 or 8, because this checkpoint is not quantised (it has no layerwise.scales)');
  }
  const plan = planCompressed(model, scales, round);
  await checkSpace(out, model.bytes, 'the checkpoint needs up to');
  for (const text of plan.notes) onProgress({ kind: 'note', text });
  const zeros = await writeFolder(resolve(out), async (dir) => {
    const counts = await writeCompressed(model, plan, dir, onProgress);
    await writeFile(join(dir, 'layerwise-export.json'), formatRecord(model, 'compressed-tensors', counts, plan.notes));
    return counts;
  });
  const dense = model.linears.flat().length - plan.modules.size;
  const types = [...plan.modules.values()].map(({ bits, group }) => `${bits} bits in groups of ${group}`);
  return { types: tally([...types, ...Array.from({ length: dense }, () => 'dense')]), zeros, notes: plan.notes };
}

async function exportGguf(
  model: Model,
  scales: ScalesFile | undefined,
  { out, type, onProgress }: Settings,
): Promise<Written> {
  const plan = await planGguf(model, nameSource(model).name, scales, type);
  await checkSpace(out, plan.bytes, 'the file needs up to');
  for (const text of plan.notes) onProgress({ kind: 'note', text });
  const { zeros } = await writeModel(resolve(out), model, plan, onProgress);
  const linears = plan.tensors.filter(({ kind }) => kind === 'linear');
  const types = linears.map((tensor) => (tensor.grid ? `${tensor.type}, exact` : tensor.type));
  return { types: tally(types), zeros, notes: plan.notes };
}

/**
 * A quantised checkpoint as GGUF, each linear in the type that holds its own integers.
 * @throws CheckpointError E_CHECKPOINT_SCALES; ResourceError E_RESOURCE_…
 */
export async function exportOwn(
  model: Model,
  out: string,
  types: OwnTypes,
  onProgress: OnProgress,
): Promise<ExportedOwn> {
  const linears = model.linears.flat().map((linear) => ({ ...linear, name: weightName(linear) }));
  const plan = await planGguf(model, nameSource(model).name, await readScales(model.checkpoint, linears), types);
  for (const text of plan.notes) onProgress({ kind: 'note', text });
  const { fileBytes } = await writeModel(resolve(out), model, plan, onProgress);
  return { fileBytes, types: tally(plan.tensors.filter(({ kind }) => kind === 'linear').map(({ type }) => type)) };
}

export type ExportedOwn = { readonly fileBytes: number; readonly types: readonly ExportedType[] };

/** A plain checkpoint: the same tensors, without what only Layerwise reads. */
async function exportPlain(model: Model, { out, uneven, onProgress }: Settings): Promise<Written> {
  const { checkpoint } = model;
  const padded = uneven === 'padded' ? await planPadded(model) : undefined;
  const coded = uneven === 'custom-code' ? await readCode(model) : undefined;
  await checkSpace(out, padded?.bytes ?? model.bytes, 'the checkpoint needs up to');
  onProgress({ kind: 'stage', stage: 'copying' });
  await writeFolder(resolve(out), async (dir) => {
    if (padded) await writeReplaced(checkpoint, dir, padded.become, { 'config.json': padded.config });
    else if (coded) {
      await writeReplaced(checkpoint, dir, (tensor) => [keepTensor(checkpoint, tensor)], {
        'config.json': coded.config,
      });
      await writeFileAtomic(join(dir, CODE_FILE), coded.code);
    } else await writeCheckpoint(checkpoint, dir, () => undefined);
  });
  const types = model.linears.flat().map((linear) => model.checkpoint.tensors.get(weightName(linear))!.dtype);
  return { types: tally(types), zeros: null, notes: [] };
}

const readCode = async ({ config, checkpoint }: Model) =>
  customCode(config, await readDocument(join(checkpoint.dir, 'config.json')));

function tally(types: readonly string[]): readonly ExportedType[] {
  const counts = new Map<string, number>();
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].map(([type, tensors]) => ({ type, tensors })).sort((a, b) => b.tensors - a.tensors);
}

/** What is put beside an exported checkpoint: which one it was, and what became of its zeros. */
function formatRecord(model: Model, to: ExportFormat, zeros: ZeroCounts, notes: readonly string[]): string {
  const source = nameSource(model);
  const record = { format: 'layerwise-export', version: 1, tool: { version: VERSION }, source, to, zeros, notes };
  return `${JSON.stringify(record, null, 2)}\n`;
}
