// A runner that is the calling thread alone, over its own memory, which is not shared.

import { InternalError } from '../../base/portable.js';
import { createRuntimeKernels, fetchRuntimeModule, type KernelSource, reserveMemory } from '../../kernels/portable.js';
import { createMachine, type Machine } from './machine.js';
import type { Runner } from './runner.js';

/** Initial pages of memory; it grows to what the model needs. */
const PAGES = 16;

export async function startSingle(source: KernelSource | undefined): Promise<Runner> {
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
