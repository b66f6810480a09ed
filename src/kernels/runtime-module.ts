// Loads the runtime's WebAssembly module from its bytes. It is compiled once, and each thread instantiates it over the
// same memory. Nothing here needs Node, so a page can load it too: runtime.wasm where the page is isolated
// (`crossOriginIsolated`) and can share memory, runtime-single.wasm otherwise. Both also have a -relaxed.wasm build for
// engines and processors that multiply bytes and add the products in one instruction: faster, with the same bits.
// runtime-kernels.ts describes the parameters of the exports.

import { ResourceError } from '../base/portable.js';

/** The parts of the global that we use. TypeScript's ES libraries do not declare it. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports?: object) => { readonly exports: unknown };
  readonly Memory: new (limits: { initial: number; maximum: number; shared: boolean }) => RuntimeMemory;
};

/** A compiled module, which can be sent to another thread. */
export type RuntimeModule = object & { readonly runtimeModule?: never };
/** `grow` replaces `buffer`, in other threads too, so views must be created again. */
export type RuntimeMemory = { readonly buffer: ArrayBufferLike; grow(pages: number): number };

export type RuntimeExport =
  | 'activate'
  | 'add'
  | 'askAhead'
  | 'attend'
  | 'lookFloat'
  | 'lookHalf'
  | 'lookInt4'
  | 'lookInt8'
  | 'multiplyDenseFloat'
  | 'multiplyDenseInt2'
  | 'multiplyDenseInt3'
  | 'multiplyDenseInt4'
  | 'multiplyDenseInt8'
  | 'multiplyFixedInt4'
  | 'multiplyFixedInt8'
  | 'multiplyMasksInt4'
  | 'multiplyRows'
  | 'multiplySortedInt4'
  | 'multiplySortedInt8'
  | 'normalise'
  | 'normaliseLayer'
  | 'quantise'
  | 'read'
  | 'rotate';
export type RuntimeExports = Readonly<Record<RuntimeExport, (...numbers: number[]) => void>>;

export const PAGE = 65536;
/** 4 GiB, the limit of 32-bit addresses. */
export const MOST_PAGES = 65536;

/** How far the kernels read beyond their input, so that memory arrives in time (runtime/ahead.as.ts). */
export const BEYOND = 32768;

/**
 * A function of two bytes, a and b, that returns 4 · a · b, computed by the relaxed dot product of sixteen copies of
 * each.
 */
const PROBE = [
  ...[0, 97, 115, 109, 1, 0, 0, 0],
  ...[1, 7, 1, 96, 2, 127, 127, 1, 127], // type: (i32, i32) → i32
  ...[3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0], // one function, exported as f
  ...[10, 22, 1, 20, 0], // its code
  ...[32, 0, 253, 15], // i8x16.splat(a)
  ...[32, 1, 253, 15], // i8x16.splat(b)
  ...[65, 0, 253, 17], // i32x4.splat(0)
  ...[253, 147, 2], // i32x4.relaxed_dot_i8x16_i7x16_add_s
  ...[253, 27, 0, 11], // i32x4.extract_lane 0
];

/**
 * Whether the relaxed builds can use this sum of four products of bytes: added without saturation, with the second
 * factor either signed or, as its unsigned value 255, unsigned (runtime/bytes.as.ts).
 */
const fits = (fourProducts: (a: number, b: number) => number): boolean =>
  fourProducts(-1, 127) === 4 * -127 && [4 * -127, 4 * 127 * 255].includes(fourProducts(127, -1));

/**
 * Whether the relaxed builds are correct and faster here: where a dot product of bytes is one instruction. Elsewhere
 * (x86 before AVX-VNNI, and any x86 in Node 22) engines first add pairs of products in 16 bits, up to 32767, which is
 * slower than the builds without relaxed SIMD. In Node 20, where relaxed SIMD is an experiment behind a flag, the
 * result is twice the correct one.
 */
export function hasByteDots(): boolean {
  const bytes = Uint8Array.from(PROBE);
  if (!WebAssembly.validate(bytes)) return false;
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as { f(a: number, b: number): number };
  return fits(f);
}

export const compileRuntime = (bytes: Uint8Array): RuntimeModule => new WebAssembly.Module(bytes);

/** A memory of `pages` pages of 64 KiB that can grow to 4 GiB. Throws a RangeError where there is not enough memory. */
export const createRuntimeMemory = (pages: number, shared: boolean): RuntimeMemory =>
  new WebAssembly.Memory({ initial: pages, maximum: MOST_PAGES, shared });

/** @throws ResourceError E_RESOURCE_KERNELS where the module uses relaxed SIMD and would give wrong results here */
export function instantiateRuntime(module: RuntimeModule, memory: RuntimeMemory): RuntimeExports {
  const { fourProducts, ...kernels } = new WebAssembly.Instance(module, { env: { memory } })
    .exports as RuntimeExports & {
    fourProducts(a: number, b: number): number;
  };
  if (fits(fourProducts)) return kernels;
  throw new ResourceError(
    'E_RESOURCE_KERNELS',
    'These kernels need an engine and a processor that multiply bytes and add the products in one instruction; here they would give wrong results. Load runtime-single.wasm instead, or let the package choose.',
    { product: fourProducts(127, -1) },
  );
}
