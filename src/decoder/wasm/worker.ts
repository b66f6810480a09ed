// The worker file of a decoder's pool. Each thread binds the program to the memory once, then takes part in passes.

import { joinThreads, type ThreadView } from '../../threads/index.js';
import type { Program } from '../program.js';
import { createMachine, type Machine } from './machine.js';
import type { Placement, Step } from './placement.js';

let machine: Machine | undefined;
/** The leader's, where it runs a pass alone. */
let lone: Machine | undefined;

joinThreads({
  tasks: {
    prepare: (thread: ThreadView, { program, placement }: { program: Program; placement: Placement }) => {
      const { memory, kernels, index, count } = thread;
      machine = createMachine(program, placement, kernels, thread);
      if (index === 0 && count > 1) {
        lone = createMachine(program, placement, kernels, { memory, index: 0, count: 1, barrier: () => {} });
      }
      return { value: undefined };
    },
    /** Reads the weights once. Returns the time of the whole pool in milliseconds. */
    read: ({ kernels, barrier, share }: ThreadView, { address, bytes }: { address: number; bytes: number }) => {
      const { from, to } = share(Math.floor(bytes / 64));
      barrier();
      const started = performance.now();
      kernels.read({ from: address + 64 * from, to: address + 64 * to });
      barrier();
      return { value: performance.now() - started };
    },
    pass: (_: ThreadView, step: Step) => {
      machine!.run(step);
      return { value: undefined };
    },
    passAlone: (_: ThreadView, step: Step) => {
      lone!.run(step);
      return { value: undefined };
    },
  },
});
