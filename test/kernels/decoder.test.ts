// The kernels between a decoder's products against their scalar twins: odd sizes, parts of a range, strides with something
// beside them, in place.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import {
  plainActivate,
  plainAttend,
  plainNormalise,
  plainNormaliseLayer,
  plainQuantise,
  plainRotate,
  scoresBytes,
} from '../../src/kernels/index.js';
import { activationBytes, decodeLinear, encodeDense } from '../../src/layouts/index.js';
import { fromFloat32, toFloat32 } from '../../src/tensor/index.js';
import { runs } from '../scale.js';
import { DECODER } from '../tolerances.js';
import { quantised } from './matrices.js';
import { createPlace } from './place.js';

const seed = fc.nat({ max: 2 ** 31 });
const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 60, max: 300 }));
const scale = fc.constantFrom(1, 1e-20, 1e-44, 1e18);

function uniform(count: number, seed: number, scale = 1): Float32Array {
  const rng = createRng(seed);
  return Float32Array.from({ length: count }, () => (2 * rng.uniform() - 1) * scale);
}

/** Each within `times` times `absolute` + `relative` · |expected|. */
function near(got: Float32Array, expected: Float32Array, times = 1): void {
  expect(got.length).toBe(expected.length);
  for (const [i, want] of expected.entries()) {
    const distance = Math.abs(got[i]! - want);
    const within =
      Object.is(got[i], want) || distance <= times * (DECODER.absolute + DECODER.relative * Math.abs(want));
    if (!within) expect(got[i], `at ${i}`).toBe(want);
  }
}

/** Rows with three numbers beside each that must stay as they were. */
function rowsOf(place: ReturnType<typeof createPlace>, data: Float32Array, count: number) {
  const rows = data.length / count;
  const padded = new Float32Array(rows * (count + 3)).fill(7);
  for (let row = 0; row < rows; row++) padded.set(data.subarray(row * count, (row + 1) * count), row * (count + 3));
  const address = place.put(padded);
  return {
    at: { address, stride: 4 * (count + 3) },
    take: (): Float32Array => {
      const all = place.floats(address, padded.length);
      const own = new Float32Array(data.length);
      for (let row = 0; row < rows; row++) {
        const from = row * (count + 3);
        own.set(all.subarray(from, from + count), row * count);
        expect([...all.subarray(from + count, from + count + 3)]).toEqual([7, 7, 7]);
      }
      expect(place.intact()).toBe(true);
      return own;
    },
  };
}

test('normalise', () => {
  fc.assert(
    fc.property(size, fc.nat({ max: 4 }), fc.constantFrom(1, 1e-4, 1e10), seed, (count, from, s, n) => {
      const place = createPlace();
      const data = uniform(5 * count, n, s);
      const weight = uniform(count, n + 1);
      const [x, y] = [rowsOf(place, data, count), rowsOf(place, data, count)];
      place.kernels.normalise({ x: x.at, weight: place.put(weight), epsilon: 1e-6, y: y.at, count, from, to: 5 });
      const got = y.take();
      for (let row = 0; row < 5; row++) {
        const own = data.subarray(row * count, (row + 1) * count);
        near(got.subarray(row * count, (row + 1) * count), row < from ? own : plainNormalise(own, weight, 1e-6));
      }
      expect(x.take()).toEqual(data);
    }),
    { numRuns: runs(100) },
  );
});

test('quantise, to the last bit', () => {
  fc.assert(
    fc.property(size, scale, seed, fc.constantFrom(0, 1, Number.NaN, Number.POSITIVE_INFINITY), (count, s, n, odd) => {
      const place = createPlace();
      const data = uniform(4 * count, n, s);
      data.fill(0, count, 2 * count);
      for (let i = 0; i < count; i++) data[2 * count + i] = (i % 255) - 127.5; // ties
      data[3 * count] = odd;
      const x = rowsOf(place, data, count);
      const stride = activationBytes(count);
      const y = { address: place.take(4 * stride), stride, scales: place.take(16) };
      new Int8Array(place.memory.buffer, y.address, 4 * stride).fill(99);
      place.kernels.quantise({ x: x.at, y, count, from: 0, to: 4 });
      expect(place.intact()).toBe(true);
      for (let row = 0; row < 4; row++) {
        const expected = plainQuantise(data.subarray(row * count, (row + 1) * count));
        expect(place.floats(y.scales, 4)[row]).toBe(expected.scale);
        const got = place.bytes(y.address + row * stride, stride);
        expect(got.subarray(0, count)).toEqual(expected.q);
        expect(got.subarray(count).every((q) => q === 0)).toBe(true);
      }
    }),
    { numRuns: runs(100) },
  );
});

test('rotate, to the last bit, in place and elsewhere', () => {
  const shape = fc.record({
    heads: fc.integer({ min: 1, max: 4 }),
    half: fc.integer({ min: 1, max: 20 }),
    rest: fc.integer({ min: 0, max: 5 }),
    same: fc.boolean(),
    seed,
  });
  fc.assert(
    fc.property(shape, ({ heads, half, rest, same, seed: n }) => {
      const place = createPlace();
      const head = 2 * half + rest;
      const data = uniform(3 * heads * head, n);
      const [cos, sin] = [uniform(9 * half, n + 1), uniform(9 * half, n + 2)];
      const positions = [4, 0, 8];
      const x = rowsOf(place, data, heads * head);
      const y = same ? x : rowsOf(place, new Float32Array(data.length), heads * head);
      place.kernels.rotate({
        x: x.at,
        y: y.at,
        heads,
        size: head,
        rotary: 2 * half,
        cosines: place.put(cos),
        sines: place.put(sin),
        positions: place.put(Int32Array.from(positions)),
        from: 0,
        to: 3,
      });
      const got = y.take();
      for (let i = 0; i < 3 * heads; i++) {
        const at = positions[Math.floor(i / heads)]! * half;
        const own = data.subarray(i * head, (i + 1) * head);
        const expected = plainRotate(own, cos.subarray(at, at + half), sin.subarray(at, at + half));
        expect(got.subarray(i * head, (i + 1) * head)).toEqual(expected);
      }
    }),
    { numRuns: runs(100) },
  );
});

describe.each(['silu', 'gelu', 'gelu_tanh', 'relu'] as const)('%s, over the whole range of exponents', (activation) => {
  test.each([true, false])('gating: %s', (gated) => {
    const scales = fc.constantFrom(1, 10, 100, 1e4, 1e-30);
    fc.assert(
      fc.property(size, scales, seed, fc.nat({ max: 40 }), (count, s, n, from) => {
        const place = createPlace();
        const [x, up] = [uniform(count, n, s), gated ? uniform(count, n + 1) : undefined];
        const y = place.put(x);
        const range = { from: Math.min(from, count), to: count };
        place.kernels.activate({ activation, x: y, up: up ? place.put(up) : 0, y, ...range });
        const expected = plainActivate(activation, x, up);
        near(place.floats(y, count).subarray(range.from), expected.subarray(range.from), Math.max(1, s));
        expect(place.floats(y, count).subarray(0, range.from)).toEqual(x.subarray(0, range.from));
        expect(place.intact()).toBe(true);
      }),
      { numRuns: runs(100) },
    );
  });
});

test('normaliseLayer', () => {
  fc.assert(
    fc.property(
      size,
      fc.nat({ max: 4 }),
      fc.constantFrom(1, 1e-4, 1e10),
      fc.boolean(),
      seed,
      (count, from, s, b, n) => {
        const place = createPlace();
        const data = uniform(5 * count, n, s);
        const [weight, bias] = [uniform(count, n + 1), b ? uniform(count, n + 2) : undefined];
        const [x, y] = [rowsOf(place, data, count), rowsOf(place, data, count)];
        const vectors = { weight: place.put(weight), bias: bias ? place.put(bias) : 0 };
        place.kernels.normaliseLayer({ x: x.at, ...vectors, epsilon: 1e-5, y: y.at, count, from, to: 5 });
        const got = y.take();
        for (let row = 0; row < 5; row++) {
          const own = data.subarray(row * count, (row + 1) * count);
          const expected = row < from ? own : plainNormaliseLayer(own, weight, bias, 1e-5);
          near(got.subarray(row * count, (row + 1) * count), expected, 4); // two sums, and a difference of like numbers
        }
      },
    ),
    { numRuns: runs(100) },
  );
});

test('add', () => {
  fc.assert(
    fc.property(size, seed, fc.nat({ max: 40 }), (count, n, from) => {
      const place = createPlace();
      const [a, b] = [uniform(count, n), uniform(count, n + 1)];
      const y = place.put(a);
      const start = Math.min(from, count);
      place.kernels.add({ y, x: place.put(b), from: start, to: count });
      expect(place.floats(y, count)).toEqual(a.map((value, i) => (i < start ? value : value + b[i]!)));
      expect(place.intact()).toBe(true);
    }),
    { numRuns: runs(100) },
  );
});

test('rows of a table: float32, float16 with all its values, int8', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70 }), seed, (count, n) => {
      const rng = createRng(n);
      const names = Array.from({ length: 4 }, () => rng.below(19));
      const look = (values: 'f32' | 'f16' | 'int8' | 'int4', parts: readonly ArrayBufferView[]): Float32Array => {
        const place = createPlace();
        const [table, scales] = parts.map(place.put);
        const y = rowsOf(place, new Float32Array(4 * count), count);
        const tokens = place.put(Int32Array.from(names));
        place.kernels.look({ values, table: table!, scales: scales ?? 0, tokens, y: y.at, count, from: 0, to: 4 });
        return y.take();
      };
      const expected = (table: Float32Array): Float32Array =>
        Float32Array.from({ length: 4 * count }, (_, i) => table[names[Math.floor(i / count)]! * count + (i % count)]!);
      const floats = uniform(19 * count, n);
      expect(look('f32', [floats])).toEqual(expected(floats));
      const halves = Uint16Array.from({ length: 19 * count }, () => rng.below(65536));
      expect(look('f16', [halves])).toEqual(expected(toFloat32(new Uint8Array(halves.buffer), 'F16')));
      const q = Int8Array.from({ length: 19 * count }, () => rng.below(255) - 127);
      const scales = uniform(19, n).map(Math.abs);
      const { parts } = encodeDense({ rows: 19, columns: count, values: 'int8', q, scales });
      expect(look('int8', parts)).toEqual(expected(Float32Array.from(q, (v, i) => v * scales[Math.floor(i / count)]!)));
      const four = encodeDense(quantised({ rows: 19, columns: count, density: 1, saturated: false, seed: n }, 'int4'));
      expect(look('int4', four.parts)).toEqual(expected(decodeLinear(four)));
    }),
    { numRuns: runs(100) },
  );
});

test('every float16 number', () => {
  const place = createPlace();
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const y = { address: place.take(4 * 65536), stride: 4 * 65536 };
  const tokens = place.put(Int32Array.of(0));
  place.kernels.look({ values: 'f16', table: place.put(all), tokens, y, count: 65536, from: 0, to: 1 });
  const bytes = new Uint8Array(all.buffer);
  expect(place.floats(y.address, 65536)).toEqual(toFloat32(bytes, 'F16'));
  expect(fromFloat32(Float32Array.of(1), 'F16')).toEqual(Uint8Array.of(0, 0x3c));
});

test('attend', () => {
  const shape = fc.record({
    groups: fc.integer({ min: 1, max: 3 }),
    shared: fc.integer({ min: 1, max: 6 }),
    size: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(32, 64, 80)),
    start: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 90 })),
    tokens: fc.integer({ min: 1, max: 9 }),
    window: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 30 })),
    cap: fc.constantFrom(0, 0, 5, 50),
    sharp: fc.constantFrom(0.1, 1, 100), // the last: all the weight on one position
    split: fc.double({ min: 0, max: 1, noNaN: true }),
    byHead: fc.boolean(),
    seed,
  });
  fc.assert(
    fc.property(shape, ({ groups, shared, size, start, tokens, window, cap, sharp, split, byHead, seed: n }) => {
      const place = createPlace();
      const heads = groups * shared;
      const positions = start + tokens + 2;
      const q = uniform(tokens * heads * size, n);
      const keys = uniform(groups * positions * size, n + 1);
      const values = uniform(groups * positions * size, n + 2);
      for (let head = 0; head < groups; head++) {
        // What lies beyond the last position must not matter.
        keys.fill(Number.NaN, (head * positions + start + tokens) * size, (head + 1) * positions * size);
        values.fill(Number.NaN, (head * positions + start + tokens) * size, (head + 1) * positions * size);
      }
      const call = { heads, size, shared, positions, start, tokens, window, cap, scale: sharp / Math.sqrt(size) };
      const expected = plainAttend({ q, keys, values, ...call });
      const cache = (data: Float32Array): Float32Array => {
        if (byHead) return data;
        const turned = new Float32Array(data.length);
        for (let i = 0; i < data.length; i++) {
          const [head, position] = [Math.floor(i / size / positions), Math.floor(i / size) % positions];
          turned[(position * groups + head) * size + (i % size)] = data[i]!;
        }
        return turned;
      };
      const input = rowsOf(place, q, heads * size);
      const output = rowsOf(place, new Float32Array(q.length), heads * size);
      const strides = byHead
        ? { positionStride: 4 * size, headStride: 4 * size * positions }
        : { positionStride: 4 * size * groups, headStride: 4 * size };
      const common = { q: input.at, keys: place.put(cache(keys)), values: place.put(cache(values)), ...strides };
      const scores = place.take(scoresBytes(start + tokens));
      const middle = Math.round(split * heads);
      for (const [from, to] of [
        [middle, heads],
        [0, middle],
      ] as const) {
        const { heads: _, positions: __, ...rest } = call;
        place.kernels.attend({ ...common, ...rest, y: output.at, scores, from, to });
      }
      near(output.take(), expected, Math.max(1, sharp)); // a score's own rounding, in the exponent
    }),
    { numRuns: runs(200) },
  );
});
