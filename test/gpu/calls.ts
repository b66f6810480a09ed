// Calls of single kernels with data of a test: where linears and their activations lie in the arena, and the twin's result.

import { type Copies, quantiseKernel } from '../../src/gpu/kernels/elements.js';
import { linearGroups, linearKernel } from '../../src/gpu/kernels/linear.js';
import { readsOf } from '../../src/gpu/kernels/units.js';
import {
  plainMultiply,
  plainMultiplyQuantised,
  plainQuantise,
  type QuantisedVector,
} from '../../src/kernels/plain-linear.js';
import { activationBytes, type EncodedLinear } from '../../src/layouts/index.js';
import type { KernelCall } from './gpu.js';

const THREADS = 32;
const align = (n: number): number => Math.ceil(n / 64) * 64;

/** A linear's parts one after another at multiples of 64 bytes, and where they begin, in numbers of four bytes. */
function place({ parts }: EncodedLinear): { readonly bytes: Uint8Array; readonly at: readonly number[] } {
  let end = 0;
  const at = parts.map((part) => {
    const begin = end;
    end = align(begin + part.length);
    return begin / 4;
  });
  const bytes = new Uint8Array(end);
  for (const [i, part] of parts.entries()) bytes.set(part, 4 * at[i]!);
  return { bytes, at };
}

/** int8 of a token in the three orders of `quantiseKernel`, by its definition. */
export function copiesOf({ q }: QuantisedVector): { packed: Uint32Array; wide: Uint32Array; turned: Uint32Array } {
  const padded = activationBytes(q.length);
  const bytes = new Uint8Array(padded);
  bytes.set(new Uint8Array(q.buffer, q.byteOffset, q.length));
  const turned = new Uint8Array(padded);
  for (let i = 0; i < padded; i++) {
    const [word, j] = [(i % 32) >> 2, i & 3];
    const column = 2 * (word >> 1) + (j >> 1) + 8 * (2 * (j & 1) + (word & 1));
    turned[i] = bytes[i - (i % 32) + column]!;
  }
  return {
    packed: new Uint32Array(bytes.buffer),
    wide: Uint32Array.from(bytes),
    turned: new Uint32Array(turned.buffer),
  };
}

const floatBits = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length);

export type LinearCase = {
  readonly call: KernelCall;
  readonly expected: Float32Array;
  read(arena: Uint32Array): Float32Array;
};

/**
 * y = W·x + bias for the tokens `xs`, `tile` of them to a workgroup; with `target`, y is added to it. `first` rows before
 * them belong to another expert; undefined for no expert.
 */
export function linearCase(
  encoded: EncodedLinear,
  xs: readonly Float32Array[],
  tile: number,
  {
    bias,
    target,
    first,
  }: { readonly bias?: Float32Array; readonly target?: Float32Array; readonly first?: number } = {},
): LinearCase {
  const { layout } = encoded;
  const { rows, columns } = layout;
  const { bytes, at } = place(encoded);
  const room = (first ?? 0) + xs.length + 8;
  const reads = readsOf(layout);
  const padded = activationBytes(columns);
  const strides = { packedStride: padded / 4, wideStride: padded };
  const width = reads === undefined ? columns : reads === 'wide' ? padded : padded / 4;
  let end = 64;
  const take = (count: number): number => {
    const begin = end;
    end += align(count);
    return begin;
  };
  const [x, scales, y, b, a] = [take(width * room), take(room), take(rows * room), take(rows), take(rows * room)];
  const arena = new Uint32Array(end);
  arena.set([xs.length, 0, first ?? 0, (first ?? 0) + xs.length]);
  const vectors = xs.map((one) => plainQuantise(one));
  for (const [i, one] of xs.entries()) {
    const row = (first ?? 0) + i;
    arena.set(reads === undefined ? floatBits(one) : copiesOf(vectors[i]!)[reads], x! + row * width);
    arena.set(floatBits(Float32Array.of(vectors[i]!.scale)), scales! + row);
    if (target) arena.set(floatBits(target), a! + row * rows);
  }
  if (bias) arena.set(floatBits(bias), b!);
  const shape = { bias: bias !== undefined, adds: target !== undefined, expert: first !== undefined };
  const { code } = linearKernel({ layout, threads: THREADS, tokens: tile, ...shape });
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = at;
  const expected = xs.flatMap((one, i) => {
    const own =
      reads === undefined ? plainMultiply(encoded, one, bias) : plainMultiplyQuantised(encoded, vectors[i]!, bias);
    return [...(target ? own.map((value, row) => Math.fround(value + target[row]!)) : own)];
  });
  return {
    call: {
      code: code(),
      weights: bytes,
      arena,
      cache: new Float32Array(4),
      parameters: {
        ...{ w0, w1, w2, w3, s: at.at(-1)! },
        ...{ x: x!, xs: columns, packed: x!, turned: x!, wide: x!, ...strides, scales: scales! },
        ...{ y: y!, ys: rows, bias: b!, a: a!, as: rows, count: 0, expert: 2 },
      },
      x: linearGroups(layout),
      y: Math.ceil(xs.length / tile),
    },
    expected: Float32Array.from(expected),
    read: (after) => {
      const begin = (target ? a! : y!) + (first ?? 0) * rows;
      return new Float32Array(after.slice(begin, begin + xs.length * rows).buffer);
    },
  };
}

/** The three copies and the scales of rows of numbers. */
export function quantiseCase(rows: readonly Float32Array[]) {
  const width = rows[0]!.length;
  const padded = activationBytes(width);
  const all: Copies = { packed: true, wide: true, turned: true };
  const x = 0;
  const packed = align(width * rows.length);
  const turned = packed + (padded / 4) * rows.length;
  const wide = turned + (padded / 4) * rows.length;
  const scales = wide + padded * rows.length;
  const arena = new Uint32Array(scales + align(rows.length));
  for (const [i, row] of rows.entries()) arena.set(floatBits(row), i * width);
  const parameters = { x, xs: width, packed, turned, wide, packedStride: padded / 4, wideStride: padded, scales };
  const { code } = quantiseKernel(THREADS, width, all);
  const call: KernelCall = {
    code: code(),
    weights: new Uint8Array(16),
    arena,
    cache: new Float32Array(4),
    parameters,
    x: 1,
    y: rows.length,
  };
  const expected = arena.slice();
  for (const [i, row] of rows.entries()) {
    const vector = plainQuantise(row);
    const copies = copiesOf(vector);
    expected.set(copies.packed, packed + (padded / 4) * i);
    expected.set(copies.turned, turned + (padded / 4) * i);
    expected.set(copies.wide, wide + padded * i);
    expected.set(floatBits(Float32Array.of(vector.scale)), scales + i);
  }
  return { call, expected };
}
