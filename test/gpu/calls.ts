// Calls of single kernels with data of a test: where linears and their activations lie in the arena, and the twin's result.

import { hasPrompt, type LinearShape, linearGroups, linearKernel } from '../../src/gpu/kernels/linear.js';
import { PROMPT_TOKENS, type PromptShape } from '../../src/gpu/kernels/prompt.js';
import { type Copies, quantiseKernel } from '../../src/gpu/kernels/rows.js';
import { nameOf, type PartParameter } from '../../src/gpu/kernels/shader.js';
import { readsOf } from '../../src/gpu/kernels/units.js';
import { plainActivate } from '../../src/kernels/plain-decoder.js';
import {
  plainMultiply,
  plainMultiplyQuantised,
  plainQuantise,
  type QuantisedVector,
} from '../../src/kernels/plain-linear.js';
import { activationBytes, type EncodedLinear, type LinearLayout } from '../../src/layouts/index.js';
import type { KernelCall } from './gpu.js';

const THREADS = 32;
const align = (n: number): number => Math.ceil(n / 64) * 64;

/** The parts of linears one after another at multiples of 64 bytes, and where each begins, in numbers of four bytes. */
function place(linears: readonly EncodedLinear[]): {
  readonly bytes: Uint8Array;
  readonly at: readonly (readonly number[])[];
} {
  let end = 0;
  const at = linears.map(({ parts }) =>
    parts.map((part) => {
      const begin = end;
      end = align(begin + part.length);
      return begin / 4;
    }),
  );
  const bytes = new Uint8Array(end);
  for (const [i, { parts }] of linears.entries()) {
    for (const [j, part] of parts.entries()) bytes.set(part, 4 * at[i]![j]!);
  }
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

type Beside = {
  /** Of the first row on, for every linear the same. */
  readonly bias?: Float32Array;
  readonly target?: Float32Array;
  readonly first?: number;
  readonly activated?: LinearShape['activated'];
  readonly threads?: number;
};
/** Tokens of a workgroup, or what a workgroup of prompts has; where a layout has no kernel for those, eight. */
export type DrawnTile = number | PromptShape;

/**
 * y = W·x + bias for the tokens `xs`, `tile` of them to a workgroup; with `target`, y is added to it. `first` rows before
 * them belong to another expert; undefined for no expert.
 */
export const linearCase = (
  encoded: EncodedLinear,
  xs: readonly Float32Array[],
  tile: DrawnTile,
  beside: Beside = {},
): LinearCase => linearsCase([encoded], xs, tile, beside);

/** The same of linears that share a dispatch: their y one after another, or with `activated` one y of all. */
export function linearsCase(
  linears: readonly [EncodedLinear, ...EncodedLinear[]],
  xs: readonly Float32Array[],
  tile: DrawnTile,
  { bias, target, first, activated, threads = THREADS }: Beside = {},
): LinearCase {
  const layouts = linears.map(({ layout }) => layout) as [LinearLayout, ...LinearLayout[]];
  const [{ columns }] = layouts;
  const { tokens, groups } =
    typeof tile === 'number'
      ? { tokens: tile, groups: undefined }
      : hasPrompt(layouts[0])
        ? tile
        : { tokens: 8, groups: undefined };
  const rows = Math.max(...layouts.map((layout) => layout.rows));
  const { bytes, at } = place(linears);
  const room = (first ?? 0) + xs.length + PROMPT_TOKENS;
  const reads = readsOf(layouts[0]);
  const padded = activationBytes(columns);
  const strides = { packedStride: padded / 4, wideStride: padded };
  const width = reads === undefined ? columns : reads === 'wide' ? padded : padded / 4;
  let end = 64;
  const take = (count: number): number => {
    const begin = end;
    end += align(count);
    return begin;
  };
  const [x, scales, b, a] = [take(width * room), take(room), take(rows), take(rows * room)];
  const ys = layouts.map((layout) => take(layout.rows * room));
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
  const shape = { bias: bias !== undefined, adds: target !== undefined, expert: first !== undefined, activated };
  const { code } = linearKernel({ layouts, threads, tokens, groups, ...shape });
  const parts = layouts.map((layout, part) => {
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = at[part]!;
    const own = { w0, w1, w2, w3, s: at[part]!.at(-1)!, y: ys[part]!, ys: layout.rows, bias: b! };
    return Object.entries(own).map(([name, value]) => [nameOf(name as PartParameter, part), value] as const);
  });
  const products = linears.map((encoded) =>
    xs.map((one, i) => {
      const own = bias?.subarray(0, encoded.layout.rows);
      return reads === undefined ? plainMultiply(encoded, one, own) : plainMultiplyQuantised(encoded, vectors[i]!, own);
    }),
  );
  const [gates, ups] = products;
  const expected = activated
    ? gates!.flatMap((gate, i) => [...plainActivate(activated.activation, gate, ups?.[i])])
    : products.flat().flatMap((own) => [...(target ? own.map((value, row) => value + target[row]!) : own)]);
  const results = target ? [a!] : activated ? ys.slice(0, 1) : ys;
  return {
    call: {
      code: code(),
      weights: bytes,
      arena,
      cache: new Float32Array(4),
      parameters: {
        ...Object.fromEntries(parts.flat()),
        ...{ x: x!, xs: columns, packed: x!, turned: x!, wide: x!, ...strides, scales: scales! },
        ...{ a: a!, as: rows, count: 0, expert: 2 },
      },
      x: (activated ? layouts.slice(0, 1) : layouts).reduce((sum, layout) => sum + linearGroups(layout, groups), 0),
      y: Math.ceil(xs.length / tokens),
    },
    expected: Float32Array.from(expected),
    read: (after) => {
      const found = results.flatMap((result, part) => {
        const begin = result + (first ?? 0) * layouts[part]!.rows;
        return [...after.subarray(begin, begin + xs.length * layouts[part]!.rows)];
      });
      return new Float32Array(Uint32Array.from(found).buffer);
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
