// Opens a packed model for decoding: by a pool of threads over one shared memory, or on the GPU of this machine.

import { openGpuInNode } from '../gpu/index.js';
import type { PackedModel } from '../packed/index.js';
import type { DecoderDevice } from './backend.js';
import { buildDecoder, type OpenDecoder, type SequenceOptions } from './build.js';
import { createWasmBackend } from './wasm/backend.js';
import { startPool } from './wasm/pool.js';
import { createWebgpuBackend } from './webgpu/backend.js';

export type DecoderOptions = SequenceOptions & {
  /** Threads of the processor; a GPU needs none of them. */
  readonly threads: number;
  /** What computes. Defaults to `cpu`. */
  readonly device?: DecoderDevice | undefined;
};

/**
 * Reads a packed model's weights into memory and starts its threads, or reads them to the GPU. The model may be closed
 * afterwards.
 * @throws OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY, E_RESOURCE_DEVICE; CheckpointError, UnsupportedError
 */
export const openDecoder = (packed: PackedModel, options: DecoderOptions): Promise<OpenDecoder> =>
  buildDecoder(
    packed,
    options,
    options.device === 'webgpu'
      ? createWebgpuBackend(() => openGpuInNode())
      : createWasmBackend(() => startPool(options.threads), options.ahead),
  );
