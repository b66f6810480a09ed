// A runner executes a program on memory of its own: a pool of threads over shared memory (pool.ts), or the calling
// thread alone (single.ts).

import type { RuntimeMemory } from '../../kernels/portable.js';
import type { Program } from '../program.js';
import type { Placement, Step } from './placement.js';

export interface Runner {
  readonly threads: number;
  readonly memory: RuntimeMemory;
  /** Binds the program to the memory, which must not grow afterwards. */
  prepare(program: Program, placement: Placement): Promise<void>;
  /** Reads a piece of the memory once, a multiple of 64 bytes. Returns the time in milliseconds. */
  read(piece: { readonly address: number; readonly bytes: number }): Promise<number>;
  /** Runs one pass, which leaves its logits in their buffer. */
  pass(step: Step): Promise<void>;
  close(): Promise<void>;
}
