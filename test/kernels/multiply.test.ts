// Every kernel that multiplies a linear against its scalar twin: integers to the last bit, floats within a tolerance; any
// number of tokens, any split of the rows among threads, and nothing written beside the output.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { plainMultiply, plainMultiplyQuantised, plainQuantise, sumsBytes } from '../../src/kernels/index.js';
import {
  activationBytes,
  decodeLinear,
  type EncodedLinear,
  encodeDense,
  encodeFixedTiles,
  encodeMaskedTiles,
  encodeSortedTiles,
  type IntegerValues,
  RANGES,
} from '../../src/layouts/index.js';
import { runs } from '../scale.js';
import { MULTIPLY } from '../tolerances.js';
import { type Case, cases, floatLayouts, integerLayouts, quantised } from './matrices.js';
import { BUILDS, createPlace } from './place.js';

/**
 * Few go by four, two and one; 24 and more go in blocks of 32, and what is left of them as the few. With relaxed SIMD four to
 * eight, by layout, and more go by eight.
 */
const tokens = fc.oneof(fc.integer({ min: 1, max: 11 }), fc.integer({ min: 22, max: 60 }));
const split = fc.double({ min: 0, max: 1, noNaN: true });

const ALL = ['int8', 'int4', 'int3', 'int2'] as const;

/** Activations of `tokens` tokens, one of them zeros, one with a single large number. */
function activations(c: Case, count: number): readonly Float32Array[] {
  const rng = createRng(c.seed + 1);
  return Array.from({ length: count }, (_, token) => {
    if (c.saturated) return new Float32Array(c.columns).fill(3);
    if (token === 3) return new Float32Array(c.columns);
    const x = Float32Array.from({ length: c.columns }, () => 2 * rng.uniform() - 1);
    if (token === 1) x[rng.below(c.columns)] = 100;
    return x;
  });
}

function biasOf(c: Case): Float32Array | undefined {
  const rng = createRng(c.seed + 2);
  return rng.below(2) === 0 ? undefined : Float32Array.from({ length: c.rows }, () => rng.uniform() - 0.5);
}

describe.each(BUILDS)('%s', (_, module) => {
  /** y of all tokens by the kernel, its row groups in two parts, the later one first. */
  function multiply(
    encoded: EncodedLinear,
    inputs: readonly Float32Array[],
    bias: Float32Array | undefined,
    at: number,
  ) {
    const { rows, columns, values } = encoded.layout;
    const place = createPlace(module);
    const parts = encoded.parts.map(place.put);
    const linear = place.kernels.bindLinear(encoded.layout, parts, bias ? place.put(bias) : 0);
    const count = inputs.length;
    const pitch = 4 * (rows + 3);
    const y = { address: place.take(pitch * count), stride: pitch };
    const sums = place.take(sumsBytes(columns, count));
    let x = { address: 0, stride: 0, scales: 0 };
    if (values === 'f32') {
      const stride = 4 * columns;
      const all = new Float32Array(columns * count);
      for (const [token, input] of inputs.entries()) all.set(input, token * columns);
      x = { address: place.put(all), stride, scales: 0 };
    } else {
      const stride = activationBytes(columns);
      const all = new Int8Array(stride * count);
      const vectors = inputs.map(plainQuantise);
      for (const [token, { q }] of vectors.entries()) all.set(q, token * stride);
      const scales = place.put(Float32Array.from(vectors, ({ scale }) => scale));
      x = { address: place.put(all), stride, scales };
    }
    const middle = Math.round(at * linear.groups);
    linear.multiply({ x, y, tokens: count, from: middle, to: linear.groups, sums });
    linear.multiply({ x, y, tokens: count, from: 0, to: middle, sums });
    expect(place.intact()).toBe(true);
    const all = place.floats(y.address, (pitch / 4) * count);
    for (let token = 0; token < count; token++) {
      const beside = all.subarray(token * (rows + 3) + rows, (token + 1) * (rows + 3));
      expect([...beside]).toEqual([0, 0, 0]);
    }
    return inputs.map((_, token) => all.slice(token * (rows + 3), token * (rows + 3) + rows));
  }

  function agree(encoded: EncodedLinear, inputs: readonly Float32Array[], bias: Float32Array | undefined, at: number) {
    const got = multiply(encoded, inputs, bias, at);
    const { rows, columns, values } = encoded.layout;
    const W = values === 'f32' ? decodeLinear(encoded) : undefined;
    for (const [token, x] of inputs.entries()) {
      if (!W) {
        expect(got[token]).toEqual(plainMultiplyQuantised(encoded, plainQuantise(x), bias));
        continue;
      }
      const expected = plainMultiply(encoded, x, bias);
      for (let row = 0; row < rows; row++) {
        let size = Math.abs(bias?.[row] ?? 0);
        for (let i = 0; i < columns; i++) size += Math.abs(W[row * columns + i]! * x[i]!);
        const distance = Math.abs(got[token]![row]! - expected[row]!);
        expect(distance).toBeLessThanOrEqual(MULTIPLY * size + 1e-43 * columns);
      }
    }
  }

  test('float32, dense and in rows', () => {
    fc.assert(
      fc.property(cases, tokens, split, (c, count, at) => {
        for (const encoded of floatLayouts(c)) agree(encoded, activations(c, count), biasOf(c), at);
      }),
      { numRuns: runs(100) },
    );
  });

  describe.each(ALL)('%s', (values) => {
    test('dense, and where there are some fixed and sorted tiles, to the last bit', () => {
      fc.assert(
        fc.property(cases, tokens, split, (c, count, at) => {
          for (const encoded of integerLayouts(c, values)) agree(encoded, activations(c, count), biasOf(c), at);
        }),
        { numRuns: runs(100) },
      );
    });

    test.skipIf(values === 'int3' || values === 'int2')('every number of slots, as fixed tiles and listed', () => {
      for (let n = 1; n <= 16; n++) {
        const c = { rows: 11, columns: 16 * 37 + 5, density: 1, saturated: false, seed: n };
        const full = quantised(c, values);
        const matrix = { ...full, q: full.q.map((q, i) => ((i % c.columns) % 16 < n ? q || 1 : 0)) };
        for (const count of [1, 2, 3, 4, 7, 12, 25]) {
          agree(encodeFixedTiles(matrix, n), activations(c, count), biasOf(c), 0.5);
          agree(encodeSortedTiles(matrix), activations(c, count), biasOf(c), 0.5);
          if (values === 'int4' && n <= 8) agree(encodeMaskedTiles(matrix), activations(c, count), biasOf(c), 0.5);
        }
      }
    });

    test('more tokens than tiles are unpacked for at once, by the width of the rows', () => {
      for (const [columns, count] of [
        [90, 160],
        [16 * 100 + 3, 100],
        [16 * 300 - 1, 65],
      ] as const) {
        const c: Case = { rows: 2, columns, density: 0.3, saturated: false, seed: count };
        const bias = biasOf(c);
        for (const encoded of integerLayouts(c, values)) agree(encoded, activations(c, count), bias, 1);
      }
    });

    test('sums of the widest saturated rows do not overflow', () => {
      const c: Case = { rows: 3, columns: values === 'int8' ? 131072 : 20000, density: 1, saturated: true, seed: 1 };
      for (const encoded of integerLayouts(c, values)) agree(encoded, activations(c, 5), undefined, 1);
      const mixed = quantised(c, values as IntegerValues);
      const positive = { ...mixed, q: mixed.q.map(() => RANGES[values][1]) };
      agree(encodeDense(positive), activations(c, 1), undefined, 1);
      if (values === 'int3' || values === 'int2') return;
      agree(encodeFixedTiles(positive), activations(c, 1), undefined, 1);
      const one = { ...c, rows: 1 };
      agree(encodeFixedTiles(quantised(one, values)), activations(one, 24), undefined, 1);
      agree(encodeSortedTiles(quantised(one, values)), activations(one, 24), undefined, 1);
    });
  });

  test('a token gives the same bits alone and among others', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(...ALL), (c, values) => {
        const inputs = activations(c, 39);
        for (const encoded of [...integerLayouts(c, values), ...floatLayouts(c)]) {
          const together = multiply(encoded, inputs, undefined, 0.3);
          for (const [from, to] of [
            [2, 3],
            [30, 37],
          ]) {
            expect(multiply(encoded, inputs.slice(from, to), undefined, 0.8)).toEqual(together.slice(from, to));
          }
        }
      }),
      { numRuns: runs(20) },
    );
  });
});
