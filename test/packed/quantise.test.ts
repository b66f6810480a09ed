import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type IntegerValues, RANGES } from '../../src/layouts/index.js';
import { quantise } from '../../src/packed/index.js';
import { nearestHalf } from '../../src/tensor/index.js';
import { runs } from '../scale.js';
import { randomMatrix } from './make.js';

const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
};

const weights = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true, min: -65504, max: 65504 }),
  fc.constantFrom(0, -0, 1e-45, -1e-38, 6e-8, 1, -1),
);

test('int8: zeros stay, no weight is further off than half a scale', () => {
  fc.assert(
    fc.property(fc.array(weights, { minLength: 1, maxLength: 300 }), (row) => {
      const W = Float32Array.from(row);
      const { matrix, nonzeros, rounded } = quantise('w', W, 1, W.length, 'int8');
      const scale = matrix.scales[0]!;
      let [kept, lost] = [0, 0];
      for (const [i, w] of W.entries()) {
        const q = matrix.q[i]!;
        if (w === 0) expect(q).toBe(0);
        else if (q === 0) lost++;
        else kept++;
        // A scale below the smallest float32 is 0, and everything with it.
        if (scale > 1e-35) expect(Math.abs(w - scale * q)).toBeLessThanOrEqual(scale * (0.5 + 1e-4));
        else expect(Math.abs(w)).toBeLessThan(1e-30);
      }
      expect([nonzeros, rounded]).toEqual([kept, lost]);
    }),
    { numRuns: runs(100) },
  );
});

test('int4: zeros stay, and the error is at most that of the largest weight’s scale', () => {
  fc.assert(
    fc.property(fc.array(weights, { minLength: 1, maxLength: 300 }), (row) => {
      const W = Float32Array.from(row);
      const { matrix, nonzeros, rounded } = quantise('w', W, 1, W.length, 'int4');
      const groups = Math.ceil(W.length / 128);
      expect(matrix.scales.length).toBe(groups);
      for (let group = 0; group < groups; group++) {
        const own = W.subarray(group * 128, (group + 1) * 128);
        const [plain] = quantise('w', own, 1, own.length, 'int8').matrix.scales;
        let [error, bound] = [0, 0];
        for (const [i, w] of own.entries()) {
          const q = matrix.q[group * 128 + i]!;
          expect(q).toBeGreaterThanOrEqual(-8);
          expect(q).toBeLessThanOrEqual(7);
          if (w === 0) expect(q).toBe(0);
          error += (w - matrix.scales[group]! * q) ** 2;
          bound += w === 0 ? 0 : ((plain! * 127) / 14) ** 2;
        }
        // A float16 scale is off by 2⁻¹¹ of itself, or by 2⁻²⁵ where it is small: seven of those at most.
        expect(error).toBeLessThanOrEqual(bound * 1.01 + own.length * (7 * 2 ** -24) ** 2 * 4);
      }
      expect(nonzeros + rounded).toBe(W.reduce((sum, w) => sum + (w === 0 ? 0 : 1), 0));
    }),
    { numRuns: runs(100) },
  );
});

test('int4: the search pays on weights with an outlier', () => {
  const W = randomMatrix(1, 128, { share: 0 });
  W[17] = 2.2;
  const { matrix } = quantise('w', W, 1, 128, 'int4');
  const scale = matrix.scales[0]!;
  expect(Math.abs(scale)).toBeLessThan(2.2 / 7);
  expect(errorOf(W, scale, 'int4')).toBeLessThan(0.9 * errorOf(W, 2.2 / 7, 'int4'));
});

const SMALL = ['int4', 'int3', 'int2'] as const;
/** The squared error of the weights that are not zero. */
function errorOf(W: Float32Array, scale: number, values: IntegerValues): number {
  const [low, high] = RANGES[values];
  const q = (w: number): number =>
    Math.max(low, Math.min(high, Math.sign(w / scale) * Math.round(Math.abs(w / scale))));
  return W.reduce((sum, w) => sum + (w === 0 ? 0 : (w - scale * q(w)) ** 2), 0);
}

test.each(SMALL)('%s: the longer side of the grid is where the weights reach further', (values) => {
  const [low] = RANGES[values];
  for (const side of [1, -1]) {
    const W = Float32Array.from({ length: 128 }, (_, i) => side * (i % (1 - low) === 0 ? -low : -(i % -low)));
    const { matrix } = quantise('w', W, 1, 128, values);
    expect(matrix.scales).toEqual(Float32Array.of(-side));
    expect(matrix.q.map((q) => -side * q)).toEqual(Int8Array.from(W));
  }
});

test.each(SMALL)('%s: no candidate is better than what is chosen, and none of a symmetric grid', (values) => {
  const [low, high] = RANGES[values];
  fc.assert(
    fc.property(fc.array(fc.float({ noNaN: true, min: -4, max: 4 }), { minLength: 1, maxLength: 128 }), (row) => {
      const W = Float32Array.from(row);
      const max = W.reduce((most, w) => Math.max(most, Math.abs(w)), 0);
      const { matrix } = quantise('w', W, 1, W.length, values);
      const chosen = matrix.scales[0]!;
      if (chosen === 0) return;
      const error = errorOf(W, chosen, values);
      for (const f of [-low / high, 1, 0.95, 0.9, 0.8, 0.7]) {
        for (const sign of [1, -1]) {
          const scale = nearestHalf((sign * f * max) / -low);
          if (scale !== 0) expect(error).toBeLessThanOrEqual(errorOf(W, scale, values) * (1 + 1e-12));
        }
      }
    }),
    { numRuns: runs(100) },
  );
});

describe('numbers that are none', () => {
  test.each(['int8', ...SMALL] as const)('%s refuses NaN and infinity by the tensor’s name', (values) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (const place of [0, 5, 199]) {
        const W = randomMatrix(2, 100, { share: 0.5 });
        W[place] = bad;
        expect(() => quantise('some.weight', W, 2, 100, values)).toThrow(/some\.weight: expected finite weights/);
        expect(codeOf(() => quantise('w', W, 2, 100, values))).toBe('E_NUMERIC_WEIGHT');
      }
    }
  });

  test('int4 has no scale for weights past 458528, int8 has', () => {
    const W = Float32Array.of(1, 500_000);
    expect(() => quantise('w', W, 1, 2, 'int4')).toThrow(/--values int8/);
    expect(quantise('w', W, 1, 2, 'int8').matrix.q[1]).toBe(127);
  });
});
