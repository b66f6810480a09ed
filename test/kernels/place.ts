// The runtime's kernels over a memory of their own, and arrays placed in it.

import {
  createArena,
  createRuntimeKernels,
  createRuntimeMemory,
  hasByteDots,
  type RuntimeModule,
  readRuntimeModule,
} from '../../src/kernels/index.js';

/** The builds that this engine can run. */
export const BUILDS: readonly (readonly [name: string, module: RuntimeModule])[] = [
  ['without relaxed SIMD', readRuntimeModule(false)],
  ...(hasByteDots() ? [['with relaxed SIMD', readRuntimeModule(true)] as const] : []),
];
if (!hasByteDots()) console.warn('skipped: kernels with relaxed SIMD, which this Node has not (page.test.ts has them)');

/** Kernels and a memory that is thrown away afterwards; every piece is followed by bytes that must not change. */
export function createPlace(module = BUILDS[0]![1]) {
  const memory = createRuntimeMemory(1, true);
  const kernels = createRuntimeKernels(module, memory);
  const arena = createArena(memory);
  const guards: number[] = [];
  const GUARD = 192;
  const take = (bytes: number): number => {
    const address = arena.take(bytes + GUARD, 'a test');
    const from = address + bytes;
    new Uint8Array(memory.buffer, from, arena.used - from).fill(0xa5);
    guards.push(from, arena.used);
    return address;
  };
  return {
    kernels,
    memory,
    take,
    put: (data: ArrayBufferView): number => {
      const address = take(data.byteLength);
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      new Uint8Array(memory.buffer, address, data.byteLength).set(bytes);
      return address;
    },
    floats: (address: number, length: number): Float32Array => new Float32Array(memory.buffer, address, length).slice(),
    bytes: (address: number, length: number): Int8Array => new Int8Array(memory.buffer, address, length).slice(),
    /** Whether what lies between the pieces is as it was. */
    intact: (): boolean => {
      for (let i = 0; i < guards.length; i += 2) {
        if (new Uint8Array(memory.buffer, guards[i]!, guards[i + 1]! - guards[i]!).some((b) => b !== 0xa5))
          return false;
      }
      return true;
    },
  };
}
