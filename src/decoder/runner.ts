// Who runs a program: a pool of threads over a memory that they share (open.ts), or the calling thread over its own (alone.ts).

import type { RuntimeMemory } from '../kernels/portable.js';
import type { Placement, Step } from './placement.js';
import type { Program } from './program.js';

export interface Runner {
  readonly threads: number;
  readonly memory: RuntimeMemory;
  /** Binds the program to the memory, which does not grow afterwards. */
  prepare(program: Program, placement: Placement): Promise<void>;
  /** Reads a piece of the memory once, a multiple of 64 bytes, and answers how many milliseconds that took. */
  read(piece: { readonly address: number; readonly bytes: number }): Promise<number>;
  /** One pass, which leaves its logits in their buffer. */
  pass(step: Step): Promise<void>;
  close(): Promise<void>;
}
