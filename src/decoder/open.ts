// Opens a packed model for decoding by a pool of threads over one shared memory.

import { createRequire } from 'node:module';
import type { PackedModel } from '../packed/index.js';
import { startThreads } from '../threads/index.js';
import { buildDecoder, type OpenDecoder, type SequenceOptions } from './build.js';
import type { Runner } from './runner.js';

export type DecoderOptions = SequenceOptions & { readonly threads: number };

/** Resolved through package.json, from src/ and from dist/. */
const WORKER = '#decoder-worker';

/**
 * Reads a packed model's weights into memory and starts its threads. The model may be closed afterwards.
 * @throws OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY; CheckpointError, UnsupportedError
 */
export const openDecoder = (packed: PackedModel, options: DecoderOptions): Promise<OpenDecoder> =>
  buildDecoder(packed, options, () => startRunner(options.threads));

/** The tasks are defined in worker.ts. */
function startRunner(threads: number): Runner {
  const pool = startThreads(createRequire(import.meta.url).resolve(WORKER), { threads });
  return {
    threads,
    memory: pool.memory,
    prepare: (program, placement) => pool.run('prepare', { program, placement }),
    read: (piece) => pool.run('read', piece),
    pass: (step) => pool.run('pass', step),
    close: () => pool.close(),
  };
}
