// Opens a packed model for decoding by a pool of threads over one shared memory.

import type { PackedModel } from '../packed/index.js';
import { buildDecoder, type OpenDecoder, type SequenceOptions } from './build.js';
import { createWasmBackend } from './wasm/backend.js';
import { startPool } from './wasm/pool.js';

export type DecoderOptions = SequenceOptions & { readonly threads: number };

/**
 * Reads a packed model's weights into memory and starts its threads. The model may be closed afterwards.
 * @throws OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY; CheckpointError, UnsupportedError
 */
export const openDecoder = (packed: PackedModel, options: DecoderOptions): Promise<OpenDecoder> =>
  buildDecoder(
    packed,
    options,
    createWasmBackend(() => startPool(options.threads), options.ahead),
  );
