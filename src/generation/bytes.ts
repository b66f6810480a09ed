// Opens a packed model from its bytes and runs it on the calling thread or the GPU: the entry point for a page.

import { type AloneOptions, type OpenDecoder, openDecoderAlone } from '../decoder/portable.js';
import { openPackedBytes, type PackedBytes, type PackedFile } from '../packed/portable.js';
import { createCodec } from '../text/portable.js';
import { readLanguage } from './language.js';
import type { OpenedDecoder } from './opened.js';

export type BytesOptions = AloneOptions & {
  /** The model’s name in messages. Defaults to the address or name that comes with the bytes. */
  readonly name?: string | undefined;
};

/**
 * Opens a .lw file for token ids: ids in, logits out.
 * @throws as `openPackedBytes`; OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY, E_RESOURCE_KERNELS,
 * E_RESOURCE_DEVICE; CheckpointError, UnsupportedError
 */
export const openBytes = (bytes: PackedBytes, options: BytesOptions = {}): Promise<OpenDecoder> =>
  withPacked(bytes, options, (packed) => openDecoderAlone(packed, options));

/**
 * Opens a .lw file for text, for `generateText`. A problem with its tokenizer is reported before weights are read.
 * @throws as `openBytes`; CheckpointError E_TEXT_TOKENIZER, E_TEXT_CHAT_TEMPLATE
 */
export const openBytesForText = (bytes: PackedBytes, options: BytesOptions = {}): Promise<OpenedDecoder> =>
  withPacked(bytes, options, async (packed) => {
    const language = await readLanguage(packed, createCodec);
    return { ...(await openDecoderAlone(packed, options)), ...language };
  });

async function withPacked<T>(
  bytes: PackedBytes,
  { name }: BytesOptions,
  use: (packed: PackedFile) => Promise<T>,
): Promise<T> {
  const packed = await openPackedBytes(bytes, name);
  try {
    return await use(packed);
  } finally {
    await packed.close();
  }
}
