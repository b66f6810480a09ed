// Loads dist/kernels/*.wasm, lays out their memory, and copies a block or a panel in and out. Work is split into calls
// of a few rows. V8 compiles WebAssembly in two tiers, so a kernel is fast only after many calls; and a few rows and
// their panel of U stay in the core's cache.

import { readFileSync } from 'node:fs';
import { InternalError } from '../base/index.js';
import { type Kernels, LARGEST_BLOCK, type SweepPanel, WIDEST_PANEL } from './kernels.js';

/** Works from src/ and from dist/, which are siblings. */
const FOLDER = new URL('../../dist/kernels/', import.meta.url);
/** The first free address in a kernel's memory: AssemblyScript uses the bytes before it. */
const BASE = 1024;
/** Rows of W in one call of the sweep. */
const ROWS_PER_CALL = 64;

/** The parts of the global that we use. TypeScript's ES libraries do not declare it. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};
type Memory = { readonly buffer: ArrayBuffer };

type CholeskyExports = {
  readonly memory: Memory;
  factorUpper(a: number, n: number, stride: number): number;
  invertUpper(r: number, v: number, n: number, stride: number): void;
};
type SweepExports = {
  readonly memory: Memory;
  sweep(
    w: number,
    e: number,
    mask: number,
    u: number,
    rows: number,
    width: number,
    n: number,
    group: number,
    scales: number,
    low: number,
    high: number,
  ): void;
};

let loaded: Kernels | undefined;

/** The compiled kernels, loaded once. @throws InternalError E_INTERNAL_KERNEL where the package is not built */
export function loadKernels(): Kernels {
  loaded ??= {
    ...choleskyKernels(instantiate('cholesky') as CholeskyExports),
    ...sweepKernel(instantiate('sweep') as SweepExports),
  };
  return loaded;
}

function instantiate(name: string): unknown {
  const url = new URL(`${name}.wasm`, FOLDER);
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(readFileSync(url))).exports;
  } catch (cause) {
    throw new InternalError(
      'E_INTERNAL_KERNEL',
      `The kernel ${url.pathname} cannot be loaded. Reinstall the package, or run npm run build.`,
      { kernel: name },
      { cause },
    );
  }
}

/** `length` values from `at` on. A RangeError here means that the memory was created too small. */
const floats = ({ buffer }: Memory, at: number, length: number): Float32Array => new Float32Array(buffer, at, length);

const roundUp = (n: number): number => (n + 3) & ~3;

function choleskyKernels({ memory, factorUpper, invertUpper }: CholeskyExports) {
  const size = LARGEST_BLOCK * LARGEST_BLOCK;
  const first = BASE;
  const second = first + 4 * size;
  const a = floats(memory, first, size);
  const v = floats(memory, second, size);
  const put = (M: Float32Array, n: number, stride: number): void => {
    if (n > LARGEST_BLOCK) throw new InternalError('E_INTERNAL_KERNEL', `A block of ${n} rows is too large.`, { n });
    for (let i = 0; i < n; i++) {
      a.set(M.subarray(i * n, (i + 1) * n), i * stride);
      a.fill(0, i * stride + n, (i + 1) * stride);
    }
  };
  const take = (M: Float32Array, from: Float32Array, n: number, stride: number): void => {
    for (let i = 0; i < n; i++) M.set(from.subarray(i * stride, i * stride + n), i * n);
  };
  return {
    factorUpper: (A: Float32Array, n: number): number => {
      const stride = roundUp(n);
      put(A, n, stride);
      const failed = factorUpper(first, n, stride);
      if (failed < 0) take(A, a, n, stride);
      return failed;
    },
    invertUpper: (R: Float32Array, n: number): void => {
      const stride = roundUp(n);
      put(R, n, stride);
      invertUpper(first, second, n, stride);
      take(R, v, n, stride);
    },
  };
}

function sweepKernel({ memory, sweep }: SweepExports) {
  const panelSize = WIDEST_PANEL * WIDEST_PANEL;
  const rowsSize = ROWS_PER_CALL * WIDEST_PANEL;
  const atU = BASE;
  const atW = atU + 4 * panelSize;
  const atE = atW + 4 * rowsSize;
  const atMask = atE + 4 * rowsSize;
  const [u, w, e] = [floats(memory, atU, panelSize), floats(memory, atW, rowsSize), floats(memory, atE, rowsSize)];
  const gone = new Uint8Array(memory.buffer, atMask, rowsSize);
  const atScales = atMask + rowsSize;
  const scales = floats(memory, atScales, ROWS_PER_CALL);

  const sweepPanel = ({ rows, columns, from, width, W, E, U, mask, choose, round }: SweepPanel): void => {
    if (width > WIDEST_PANEL) throw new InternalError('E_INTERNAL_KERNEL', `A panel of ${width} columns is too wide.`);
    u.fill(0);
    for (let j = 0; j < width; j++) {
      const at = (from + j) * columns + from;
      u.set(U.subarray(at, at + width), j * WIDEST_PANEL);
    }
    for (let row = 0; row < rows; row += ROWS_PER_CALL) {
      const count = Math.min(ROWS_PER_CALL, rows - row);
      for (let r = 0; r < count; r++) {
        const at = (row + r) * columns + from;
        w.set(W.subarray(at, at + width), r * WIDEST_PANEL);
        if (!choose) gone.set(mask.subarray((row + r) * width, (row + r + 1) * width), r * WIDEST_PANEL);
      }
      if (round) scales.set(round.scales.subarray(row, row + count));
      const choice = [choose?.n ?? -1, choose?.m ?? Math.max(width, 1)] as const;
      sweep(atW, atE, atMask, atU, count, width, ...choice, round ? atScales : 0, round?.low ?? 0, round?.high ?? 0);
      for (let r = 0; r < count; r++) {
        const at = (row + r) * columns + from;
        const own = r * WIDEST_PANEL;
        W.set(w.subarray(own, own + width), at);
        E.set(e.subarray(own, own + width), at);
        if (choose) mask.set(gone.subarray(own, own + width), (row + r) * width);
      }
    }
  };
  return { sweepPanel };
}
