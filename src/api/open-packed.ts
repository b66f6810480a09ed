// The options that generate and serve have in common: the model, and how it is opened.

import { availableParallelism } from 'node:os';
import { type OnProgress, silent } from '../base/index.js';
import { DECODER_DEVICES, type DecoderDevice } from '../decoder/index.js';
import { type OpenedDecoder, openForText } from '../generation/index.js';
import { type StoredValues, VALUES } from '../packed/index.js';
import { oneOf, resolveSource, wholeNumber } from '../runs/index.js';

export type OpeningOptions = {
  /** A .lw file, a GGUF file, the directory of a Hugging Face checkpoint, or its name on the Hub. */
  readonly model: string;
  /** The type of a checkpoint's weights in memory: `f32`, `int8`, `int4`, `int3` or `int2`. Defaults to `f32`. */
  readonly values?: string;
  /** The most tokens of prompt and answer together. Defaults to the model's positions, at most 2048. */
  readonly positions?: number;
  /** What computes: `cpu`, or `webgpu` for this machine's GPU through the package webgpu. Defaults to `cpu`. */
  readonly device?: string;
  /** Threads to compute with. Defaults to the number of processors. */
  readonly threads?: number;
  /** Receives the progress of long work. Defaults to none. */
  readonly onProgress?: OnProgress;
};

export type OpeningSettings = {
  readonly values: StoredValues | undefined;
  readonly positions: number | undefined;
  readonly device: DecoderDevice;
  readonly threads: number;
  readonly onProgress: OnProgress;
};

/** @throws OptionError E_OPTION_VALUES, E_OPTION_POSITIONS, E_OPTION_DEVICE, E_OPTION_THREADS */
export const normaliseOpening = ({
  values,
  positions,
  device,
  threads,
  onProgress,
}: OpeningOptions): OpeningSettings => ({
  values: values === undefined ? undefined : oneOf('values', values, VALUES),
  positions: positions === undefined ? undefined : wholeNumber('positions', positions, 2, 1 << 24),
  device: oneOf('device', device ?? 'cpu', DECODER_DEVICES),
  threads: wholeNumber('threads', threads ?? availableParallelism(), 1, 1024),
  onProgress: onProgress ?? silent,
});

/** Opens the model. @throws as `resolveSource` and `openForText` */
export async function openModelForText(
  model: string,
  settings: OpeningSettings,
  sequences: number,
): Promise<OpenedDecoder> {
  const { path, origin } = await resolveSource(model, settings.onProgress);
  return await openForText(path, { ...settings, origin, sequences });
}
