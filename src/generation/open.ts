// A path → a model that is ready to use. A .lw file is read as it is; a checkpoint’s folder is packed in memory first,
// which briefly needs twice its packed size. Problems with the text files are reported before weights are read.

import { type OnProgress, OptionError } from '../base/index.js';
import { type Origin, refuseActivations } from '../checkpoint/index.js';
import { type DecoderDevice, openDecoder } from '../decoder/index.js';
import { blameWeights, describeTensors, openModel, refuseImages } from '../model/index.js';
import {
  headFor,
  isPackedPath,
  openPacked,
  type PackedModel,
  packInMemory,
  type StoredValues,
} from '../packed/index.js';
import type { HashedCodec } from '../text/index.js';
import { folderTexts, loadLanguage } from './folder.js';
import type { OpenedDecoder } from './opened.js';

export type OpenOptions = {
  readonly threads: number;
  /** What computes. Defaults to `cpu`. */
  readonly device?: DecoderDevice | undefined;
  /** Most sequences that may be open at once. */
  readonly sequences: number;
  /** Positions of a sequence. Defaults to the model's own, at most 2,048. */
  readonly positions?: number | undefined;
  /** How a checkpoint’s weights are packed; a .lw file has its own values. Defaults to f32. */
  readonly values?: StoredValues | undefined;
  /** The GGUF file that a checkpoint's folder was made from. */
  readonly origin?: Origin | undefined;
  readonly onProgress: OnProgress;
};

/** A decoder and its language, whose tokens of a corpus can be cached. */
export type OpenedForText = OpenedDecoder & { readonly tokenizer: HashedCodec };

/**
 * Opens a .lw file or a checkpoint's folder.
 * @throws OptionError E_OPTION_VALUES, E_OPTION_POSITIONS; CheckpointError, UnsupportedError, ResourceError
 */
export async function openForText(path: string, options: OpenOptions): Promise<OpenedForText> {
  const { threads, device, sequences, positions, values, origin, onProgress } = options;
  const isPacked = await isPackedPath(path);
  if (isPacked && values !== undefined) {
    throw new OptionError(
      'E_OPTION_VALUES',
      `--values: ${path} is already packed. Leave the option out, or pass the checkpoint.`,
      { option: 'values', got: values },
    );
  }
  onProgress({ kind: 'stage', stage: 'opening the model' });
  const { packed, language } = isPacked
    ? await openFile(path, onProgress)
    : await packFolder(path, origin, values ?? 'f32', onProgress);
  try {
    const decoder = await openDecoder(packed, { threads, device, sequences, positions });
    return { ...decoder, ...language };
  } finally {
    await packed.close();
  }
}

type Parts = { readonly packed: PackedModel; readonly language: Awaited<ReturnType<typeof loadLanguage>> };

async function openFile(path: string, onProgress: OnProgress): Promise<Parts> {
  const packed = await openPacked(path);
  try {
    return { packed, language: await loadLanguage(packed, onProgress) };
  } catch (error) {
    await packed.close();
    throw error;
  }
}

async function packFolder(
  path: string,
  origin: Origin | undefined,
  values: StoredValues,
  onProgress: OnProgress,
): Promise<Parts> {
  if (!origin) await refuseActivations(path);
  const model = await openModel(path, origin);
  refuseImages(model);
  for (const text of model.notes) onProgress({ kind: 'note', text });
  const { checkpoint, config, tensorNames } = model;
  const language = await loadLanguage(folderTexts(checkpoint.dir), onProgress);
  const source = { checkpoint, tensors: describeTensors(config, tensorNames) };
  const settings = { values, layout: 'auto', head: headFor(values) } as const;
  const packed = await packInMemory(source, settings, onProgress).catch((error) => blameWeights(model, error));
  return { packed, language };
}
