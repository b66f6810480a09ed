import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { quantise } from '../../src/packed/index.js';
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
          expect(Math.abs(q)).toBeLessThanOrEqual(7);
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
  expect(scale).toBeLessThan(2.2 / 7);
  const errorOf = (s: number): number =>
    W.reduce((sum, w) => sum + (w - s * Math.max(-7, Math.min(7, Math.round(w / s)))) ** 2, 0);
  expect(errorOf(scale)).toBeLessThan(0.9 * errorOf(2.2 / 7));
});

describe('numbers that are none', () => {
  test.each(['int8', 'int4'] as const)('%s refuses NaN and infinity by the tensor’s name', (values) => {
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
