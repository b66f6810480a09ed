// Opens a packed model for decoding in the calling thread alone, with its own memory. Any web page can do this,
// cross-origin isolated or not. A step blocks the thread, so a page that must stay responsive runs this in a worker.

import { InternalError } from '../base/portable.js';
import { createRuntimeKernels, fetchRuntimeModule, type KernelSource, reserveMemory } from '../kernels/portable.js';
import type { PackedModel } from '../packed/portable.js';
import { buildDecoder, type OpenDecoder, type SequenceOptions } from './build.js';
import { createMachine, type Machine } from './machine.js';
import type { Runner } from './runner.js';

export type AloneOptions = SequenceOptions & {
  /**
   * The kernels, or where they are. Defaults to the package's own: `dist/kernels/runtime-single-relaxed.wasm` where
   * engine and processor have dot products of bytes, `runtime-single.wasm` otherwise.
   */
  readonly kernels?: KernelSource | undefined;
};

/** Initial pages of memory; it grows to what the model needs. */
const PAGES = 16;

/**
 * Reads a packed model's weights into memory. The model may be closed afterwards.
 * @throws OptionError E_OPTION_POSITIONS; ResourceError E_RESOURCE_MEMORY, E_RESOURCE_KERNELS; CheckpointError, UnsupportedError
 */
export const openDecoderAlone = (packed: PackedModel, options: AloneOptions = {}): Promise<OpenDecoder> =>
  buildDecoder(packed, options, () => startAlone(options.kernels));

async function startAlone(source: KernelSource | undefined): Promise<Runner> {
  const module = await fetchRuntimeModule(source);
  const memory = reserveMemory(PAGES, false);
  const kernels = createRuntimeKernels(module, memory);
  let machine: Machine | undefined;
  return {
    threads: 1,
    memory,
    prepare: async (program, placement) => {
      machine = createMachine(program, placement, kernels, { memory, index: 0, count: 1, barrier: () => {} });
    },
    read: async ({ address, bytes }) => {
      const started = performance.now();
      kernels.read({ from: address, to: address + bytes });
      return performance.now() - started;
    },
    pass: async (step) => {
      if (!machine) throw new InternalError('E_INTERNAL_CLOSED', 'The decoder was used after it was closed.');
      machine.run(step);
    },
    close: async () => {
      machine = undefined;
    },
  };
}
