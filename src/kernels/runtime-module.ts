// The runtime's WebAssembly module from its bytes: compiled once, instantiated by each thread over the same memory. Nothing
// here is Node's alone, so a page loads it too: runtime.wasm where it is isolated (`crossOriginIsolated`) and memory can be
// shared, runtime-single.wasm otherwise. runtime-kernels.ts says what the exports take.

/** What is used of the global, which the ES libraries of TypeScript do not declare. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
  readonly Memory: new (limits: { initial: number; maximum: number; shared: boolean }) => RuntimeMemory;
};

/** A compiled module; it can be sent to another thread. */
export type RuntimeModule = object & { readonly runtimeModule?: never };
/** `buffer` is another object after `grow`, also in other threads: views are made anew. */
export type RuntimeMemory = { readonly buffer: ArrayBufferLike; grow(pages: number): number };

export type RuntimeExport =
  | 'activate'
  | 'add'
  | 'attend'
  | 'lookFloat'
  | 'lookHalf'
  | 'lookInt8'
  | 'multiplyDenseFloat'
  | 'multiplyDenseInt4'
  | 'multiplyDenseInt8'
  | 'multiplyFixedInt4'
  | 'multiplyFixedInt8'
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
/** 4 GiB, the most that 32-bit addresses reach. */
export const MOST_PAGES = 65536;

/** How far beyond what they are given the kernels read, to have memory fetched in time (runtime/ahead.as.ts). */
export const BEYOND = 32768;

export const compileRuntime = (bytes: Uint8Array): RuntimeModule => new WebAssembly.Module(bytes);

/** A memory of `pages` pages of 64 KiB, which can grow to 4 GiB. Throws a RangeError where there is no room. */
export const createRuntimeMemory = (pages: number, shared: boolean): RuntimeMemory =>
  new WebAssembly.Memory({ initial: pages, maximum: MOST_PAGES, shared });

export const instantiateRuntime = (module: RuntimeModule, memory: RuntimeMemory): RuntimeExports =>
  new WebAssembly.Instance(module, { env: { memory } }).exports as RuntimeExports;
