// Opens a packed model for decoding in the calling thread alone, with its own memory. Any web page can do this,
// cross-origin isolated or not. A step blocks the thread, so a page that must stay responsive runs this in a worker.

import type { KernelSource } from '../kernels/portable.js';
import type { PackedModel } from '../packed/portable.js';
import { buildDecoder, type OpenDecoder, type SequenceOptions } from './build.js';
import { createWasmBackend } from './wasm/backend.js';
import { startSingle } from './wasm/single.js';

export type AloneOptions = SequenceOptions & {
  /**
   * The kernels, or where they are. Defaults to the package's own: `dist/kernels/runtime-single-relaxed.wasm` where
   * engine and processor have dot products of bytes, `runtime-single.wasm` otherwise.
   */
  readonly kernels?: KernelSource | undefined;
};

/**
 * Reads a packed model's weights into memory. The model may be closed afterwards.
 * @throws OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY, E_RESOURCE_KERNELS; CheckpointError, UnsupportedError
 */
export const openDecoderAlone = (packed: PackedModel, options: AloneOptions = {}): Promise<OpenDecoder> =>
  buildDecoder(
    packed,
    options,
    createWasmBackend(() => startSingle(options.kernels), options.ahead),
  );
