// Allocates the shared memory in pieces, one after the other. Pieces are never freed, because what a decoder needs is
// known when it is opened. The memory grows as pieces are taken, and BEYOND bytes after the last one stay readable for
// kernels. One thread allocates; the others receive addresses.

import { ResourceError } from '../base/portable.js';
import { columnsOfBytes } from '../layouts/portable.js';
import { BEYOND, createRuntimeMemory, MOST_PAGES, PAGE, type RuntimeMemory } from './runtime-module.js';

/** A cache line, so that two threads never write to the same one. */
const ALIGNMENT = 64;
/**
 * Where the columns of masks are, which kernels read (runtime/masks-int4.as.ts): of the first byte, and of the second with
 * six and with eight slots. AssemblyScript uses the bytes before them, and 0 means "none".
 */
const TABLES: readonly (readonly [address: number, slots?: number])[] = [[1024], [2048, 6], [3072, 8]];
/** The first byte after them. */
const BASE = 4096;

export type Arena = {
  /** Bytes taken so far. */
  readonly used: number;
  /**
   * The address of `bytes` bytes, a multiple of 64. Older views of the memory may then be too short.
   * @throws ResourceError E_RESOURCE_MEMORY where the memory cannot grow that far
   */
  take(bytes: number, what: string): number;
};

/**
 * A memory of `pages` pages that can grow.
 * @throws ResourceError E_RESOURCE_MEMORY where that much memory is not available
 */
export function reserveMemory(pages: number, shared: boolean): RuntimeMemory {
  try {
    return createRuntimeMemory(pages, shared);
  } catch (cause) {
    throw new ResourceError(
      'E_RESOURCE_MEMORY',
      `Not enough memory for the runtime: it needs ${pages * PAGE} bytes in 4 GiB of address space. Close other models, or pack this one smaller.`,
      { bytes: pages * PAGE },
      { cause },
    );
  }
}

export function createArena(memory: RuntimeMemory): Arena {
  let used = 0;
  const take = (bytes: number, what: string): number => {
    const address = used;
    const end = address + Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    const missing = Math.ceil((end + BEYOND) / PAGE) - memory.buffer.byteLength / PAGE;
    if (missing > 0) {
      const limit = MOST_PAGES * PAGE - BEYOND;
      const fail = (why: string, cause?: unknown): ResourceError =>
        new ResourceError(
          'E_RESOURCE_MEMORY',
          `Not enough memory for ${what}: needs ${bytes} bytes beside the ${used} in use, ${why}. Open fewer sequences or positions, or pack the model smaller.`,
          { what, bytes, used, limit },
          { cause },
        );
      if (end > limit) throw fail(`but the runtime's memory has at most ${limit}`);
      try {
        memory.grow(missing);
      } catch (cause) {
        throw fail('which this machine cannot provide', cause);
      }
    }
    used = end;
    return address;
  };
  take(BASE, 'tables');
  for (const [address, slots] of TABLES) new Uint32Array(memory.buffer, address, 256).set(columnsOfBytes(slots));
  return {
    get used() {
      return used;
    },
    take,
  };
}
