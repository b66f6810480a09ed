// A packed model from its bytes, run by the calling thread: the way in for a page.

import { type AloneOptions, type OpenDecoder, openDecoderAlone } from '../decoder/portable.js';
import { openPackedBytes, type PackedBytes, type PackedFile } from '../packed/portable.js';
import { createCodec } from '../text/portable.js';
import { readLanguage } from './language.js';
import type { OpenedDecoder } from './opened.js';

export type BytesOptions = AloneOptions & {
  /** What messages call the model. Defaults to the address or the name that comes with the bytes. */
  readonly name?: string | undefined;
};

/**
 * Opens a .lw file for token ids: they go in, logits come out.
 * @throws as `openPackedBytes`; OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY, E_RESOURCE_KERNELS;
 * CheckpointError, UnsupportedError
 */
export const openBytes = (bytes: PackedBytes, options: BytesOptions = {}): Promise<OpenDecoder> =>
  withPacked(bytes, options, (packed) => openDecoderAlone(packed, options));

/**
 * Opens a .lw file for text: `generateText` takes it. What is wrong with its tokenizer is told before a weight is read.
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
