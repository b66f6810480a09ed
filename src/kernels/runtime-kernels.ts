// The runtime kernels' parameters by name, and linears bound to the addresses of their parts. Addresses and strides are
// bytes in the shared memory; counts are numbers. Kernels check nothing: checkLinear checks parts before they are
// placed, and the code that lays out the memory is responsible for the rest. `from` and `to` are a range of what
// threads share. One thread computes each element of the output, in an order that does not depend on the range, so
// results are the same for any number of threads. No kernel waits for another: callers put a barrier where one needs
// what another thread wrote (threads/pool.ts). BEYOND bytes of memory must follow the last piece: kernels read ahead,
// and ignore those bytes.

import type { LinearLayout } from '../layouts/portable.js';
import {
  activationBytes,
  denseRowBytes,
  rowGroups,
  scaleGroups,
  TILE_COLUMNS,
  tilesPerRow,
} from '../layouts/portable.js';
import { instantiateRuntime, type RuntimeExports, type RuntimeMemory, type RuntimeModule } from './runtime-module.js';

/** Rows of float32 numbers, `stride` bytes from one to the next. */
export type Rows = { readonly address: number; readonly stride: number };
/** Rows of int8 numbers, each padded with zeros to activationBytes(count); `scales` has a float32 scale for each row. */
export type QuantisedRows = Rows & { readonly scales: number };
export type Range = { readonly from: number; readonly to: number };
/** Either kind of rows. A linear's `quantised` says which kind it takes. */
export type LinearInput = Rows & { readonly scales?: number };

/** Scratch bytes of one thread for the sums and masks of every multiplication. */
export const SUMS_BYTES = 192;
/**
 * Scratch bytes of one thread for a multiplication of up to `tokens` tokens, of up to `columns` columns. The contents
 * are described in runtime/bytes.as.ts with relaxed SIMD, and in runtime/many.as.ts without it, from 24 tokens on.
 */
export function sumsBytes(columns: number, tokens: number): number {
  // Tiles with masks are expanded before all else (runtime/masks-int4.as.ts).
  return 64 * tilesPerRow({ rows: 1, columns }) + otherBytes(columns, tokens);
}

function otherBytes(columns: number, tokens: number): number {
  // Combined activations of up to three tokens (runtime/dense-few.as.ts).
  const few = SUMS_BYTES + 336 * scaleGroups({ rows: 1, columns }) * Math.min(tokens, 3);
  if (tokens < 4) return few;
  const tiles = activationBytes(columns) / TILE_COLUMNS;
  const bytes = Math.max(few, 10816 + 128 * tiles * Math.ceil(Math.min(tokens, 128) / 8));
  if (tokens < 24) return bytes;
  const block = 1024 * tiles;
  return Math.max(bytes, 14336 + Math.max(block, Math.min(Math.ceil(tokens / 32) * block, 2 ** 18)));
}
/** Scratch bytes of one thread for attention to up to `positions` positions. */
export const scoresBytes = (positions: number): number => 16 * (positions + 4);

export type BoundLinear = {
  readonly rows: number;
  readonly columns: number;
  /** Row groups, the units that threads share. */
  readonly groups: number;
  /** Whether x is quantised (by `quantise`) or float32. */
  readonly quantised: boolean;
  /**
   * y [tokens, rows] = W·x + bias for row groups [from, to). `sums` is scratch of sumsBytes(columns, tokens). For
   * several tokens at once, a weight is read from memory once, or once per 128 of them. A token's result has the same
   * bits for any number of other tokens.
   */
  multiply(
    call: { readonly x: LinearInput; readonly y: Rows; readonly tokens: number; readonly sums: number } & Range,
  ): void;
};

/** The kernels' numbers for activations. */
const ACTIVATIONS = { silu: 0, gelu: 1, gelu_tanh: 2, relu: 3 } as const;

export interface RuntimeKernels {
  /** Whether kernels touch weights before they are needed (runtime/ahead.as.ts). They do at first. Only speed changes. */
  askAhead(on: boolean): void;
  /** Binds a linear whose parts are at `parts`, in the order of its layout. `bias` is float32 [rows], 0 for none. */
  bindLinear(layout: LinearLayout, parts: readonly number[], bias?: number): BoundLinear;
  /** y = x / √(mean x² + epsilon) · weight, for rows [from, to); x and y may be the same. */
  normalise(
    call: {
      readonly x: Rows;
      readonly weight: number;
      readonly epsilon: number;
      readonly y: Rows;
      readonly count: number;
    } & Range,
  ): void;
  /** y = (x − mean x) / √(variance + epsilon) · weight + bias, for rows [from, to); `bias` is 0 for none. */
  normaliseLayer(
    call: {
      readonly x: Rows;
      readonly weight: number;
      readonly bias: number;
      readonly epsilon: number;
      readonly y: Rows;
      readonly count: number;
    } & Range,
  ): void;
  /** Quantises rows [from, to) to int8 with one scale per row, as plainQuantise does. */
  quantise(call: { readonly x: Rows; readonly y: QuantisedRows; readonly count: number } & Range): void;
  /**
   * Rotary positions for `heads` heads of `size` numbers in each of rows [from, to). The first `rotary` numbers of a
   * head rotate, halves against each other, by cosines and sines float32 [positions, rotary / 2]; the others are
   * copied. `positions` is i32, one per row. x and y may be the same.
   */
  rotate(
    call: {
      readonly x: Rows;
      readonly y: Rows;
      readonly heads: number;
      readonly size: number;
      readonly rotary: number;
      readonly cosines: number;
      readonly sines: number;
      readonly positions: number;
    } & Range,
  ): void;
  /** y = activation(x), times `up` unless that is 0, numbers [from, to); y may be one of them. */
  activate(
    call: {
      readonly activation: keyof typeof ACTIVATIONS;
      readonly x: number;
      readonly up: number;
      readonly y: number;
    } & Range,
  ): void;
  /** y += x, numbers [from, to). */
  add(call: { readonly y: number; readonly x: number } & Range): void;
  /**
   * y = the rows of a table that `tokens` (i32) name, for rows [from, to). int8 and int4 take the two parts of a dense
   * linear.
   * Tokens must be valid rows of the table.
   */
  look(
    call: {
      readonly values: 'f32' | 'f16' | 'int8' | 'int4';
      readonly table: number;
      readonly scales?: number;
      readonly tokens: number;
      readonly y: Rows;
      readonly count: number;
    } & Range,
  ): void;
  /** Only reads bytes [from, to), multiples of 64, to measure how fast memory can be read. */
  read(call: Range): void;
  /**
   * Causal attention of one sequence over its cache, for query heads [from, to). Query t of `tokens` is at position
   * start + t, whose key and value must already be in the cache. It sees the last `window` positions including its own,
   * or all where `window` is 0. Key-value head h, at keys + h · headStride + position · positionStride, serves `shared`
   * query heads from h · shared on; `size` numbers each. y may be q. `scores` is scratch of scoresBytes(start +
   * tokens).
   */
  attend(
    call: {
      readonly q: Rows;
      readonly keys: number;
      readonly values: number;
      readonly positionStride: number;
      readonly headStride: number;
      readonly y: Rows;
      readonly size: number;
      readonly shared: number;
      readonly start: number;
      readonly tokens: number;
      readonly window: number;
      readonly scale: number;
      /** Scores become cap · tanh(score / cap), unless `cap` is 0. */
      readonly cap: number;
      readonly scores: number;
    } & Range,
  ): void;
}

/** The kernels of one thread over a memory. */
export function createRuntimeKernels(module: RuntimeModule, memory: RuntimeMemory): RuntimeKernels {
  const wasm = instantiateRuntime(module, memory);
  return {
    askAhead: (on) => wasm.askAhead(on ? 1 : 0),
    bindLinear: (layout, parts, bias = 0) => bindLinear(wasm, layout, parts, bias),
    normalise: ({ x, weight, epsilon, y, count, from, to }) =>
      wasm.normalise(x.address, x.stride, weight, epsilon, y.address, y.stride, count, from, to),
    normaliseLayer: ({ x, weight, bias, epsilon, y, count, from, to }) =>
      wasm.normaliseLayer(x.address, x.stride, weight, bias, epsilon, y.address, y.stride, count, from, to),
    quantise: ({ x, y, count, from, to }) =>
      wasm.quantise(x.address, x.stride, y.address, y.stride, y.scales, count, activationBytes(count), from, to),
    rotate: ({ x, y, heads, size, rotary, cosines, sines, positions, from, to }) =>
      wasm.rotate(x.address, x.stride, y.address, y.stride, heads, size, rotary, cosines, sines, positions, from, to),
    activate: ({ activation, x, up, y, from, to }) => wasm.activate(ACTIVATIONS[activation], x, up, y, from, to),
    add: ({ y, x, from, to }) => wasm.add(y, x, from, to),
    look: ({ values, table, scales = 0, tokens, y, count, from, to }) => {
      if (values === 'f32') wasm.lookFloat(table, tokens, y.address, y.stride, count, from, to);
      else if (values === 'f16') wasm.lookHalf(table, tokens, y.address, y.stride, count, from, to);
      else {
        const width = denseRowBytes(count, values);
        if (values === 'int8') wasm.lookInt8(table, width, scales, tokens, y.address, y.stride, count, from, to);
        else wasm.lookInt4(table, width / 16, scales, tokens, y.address, y.stride, count, from, to);
      }
    },
    read: ({ from, to }) => wasm.read(from, to),
    attend: (call) => {
      const { q, keys, values, positionStride, headStride, y, size, shared, start, tokens, window, scale, cap } = call;
      wasm.attend(
        q.address,
        q.stride,
        keys,
        values,
        positionStride,
        headStride,
        y.address,
        y.stride,
        size,
        shared,
        start,
        tokens,
        window,
        scale,
        cap,
        call.from,
        call.to,
        call.scores,
      );
    },
  };
}

function bindLinear(wasm: RuntimeExports, layout: LinearLayout, parts: readonly number[], bias: number): BoundLinear {
  const { rows, columns } = layout;
  const [kernel, first] = chooseKernel(wasm, layout);
  const quantised = layout.values !== 'f32';
  const own = [...first, ...parts, bias, rows];
  return {
    rows,
    columns,
    groups: rowGroups(layout),
    quantised,
    multiply: ({ x, y, tokens, from, to, sums }) => {
      const output = [y.address, y.stride, tokens, from, to];
      if (quantised) kernel(...own, x.address, x.stride, x.scales!, ...output, sums);
      else kernel(...own, x.address, x.stride, ...output);
    },
  };
}

/** The kernel for a layout, and the numbers it takes before the parts. */
function chooseKernel(
  wasm: RuntimeExports,
  layout: LinearLayout,
): readonly [(...numbers: number[]) => void, readonly number[]] {
  const { columns } = layout;
  if (layout.layout === 'rows') return [wasm.multiplyRows, []];
  if (layout.layout === 'dense') {
    if (layout.values === 'f32') return [wasm.multiplyDenseFloat, [columns]];
    const width = denseRowBytes(columns, layout.values);
    if (layout.values === 'int3') return [wasm.multiplyDenseInt3, [scaleGroups(layout)]];
    if (layout.values === 'int2') return [wasm.multiplyDenseInt2, [scaleGroups(layout)]];
    return layout.values === 'int8' ? [wasm.multiplyDenseInt8, [width]] : [wasm.multiplyDenseInt4, [width / 16]];
  }
  const perRow = tilesPerRow(layout);
  if (layout.form === 'fixed') {
    const before = [layout.slots, perRow];
    if (layout.index === 'mask') return [wasm.multiplyMasksInt4, before];
    return [layout.values === 'int8' ? wasm.multiplyFixedInt8 : wasm.multiplyFixedInt4, before];
  }
  return [layout.values === 'int8' ? wasm.multiplySortedInt8 : wasm.multiplySortedInt4, [perRow]];
}
