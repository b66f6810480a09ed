// What RIA promises beyond the masks of patterns.test.ts.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findCriterion, type MaskOperator, scoreRia } from '../../src/operators/index.js';
import { runs } from '../scale.js';
import { RIA_SCORES } from '../tolerances.js';

const weight = fc.oneof(fc.float({ min: -4, max: 4, noNaN: true }), fc.constant(0));
const input = fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 })).chain(([rows, columns]) =>
  fc.record({
    W: fc
      .array(weight, { minLength: rows * columns, maxLength: rows * columns })
      .map((values) => ({ rows, columns, data: Float32Array.from(values) })),
    squareSums: fc
      .array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: columns, maxLength: columns })
      .map((values) => Float64Array.from(values)),
  }),
);

test('by hand', () => {
  const W = { rows: 2, columns: 2, data: Float32Array.of(1, -3, 1, 1) };
  const scores = scoreRia(W, { squareSums: Float64Array.of(2, 32), sequences: 2 });
  // Shares of columns: 1/2, 3/4, 1/2, 1/4; of rows: 1/4, 3/4, 1/2, 1/2; √‖X‖: 1, 2.
  expect([...scores]).toEqual([0.75, 3, 1, 1.5]);
});

test('is finite and never negative, zero for a zero weight; without activations the scores of W sum to rows + columns', () => {
  fc.assert(
    fc.property(input, ({ W, squareSums }) => {
      const scores = scoreRia(W, { squareSums, sequences: 3 });
      for (const [i, score] of scores.entries()) {
        expect(Number.isFinite(score) && score >= 0).toBe(true);
        if (W.data[i] === 0) expect(score).toBe(0);
      }
      const plain = scoreRia(W, { squareSums: new Float64Array(W.columns).fill(1), sequences: 1 });
      const sum = plain.reduce((a, b) => a + b, 0);
      const full = (count: number, at: (i: number, j: number) => number, others: number): number =>
        Array.from({ length: count }, (_, i) => i).filter((i) =>
          Array.from({ length: others }, (_, j) => j).some((j) => W.data[at(i, j)] !== 0),
        ).length;
      const rows = full(W.rows, (i, j) => i * W.columns + j, W.columns);
      const columns = full(W.columns, (j, i) => i * W.columns + j, W.rows);
      expect(Math.abs(sum - rows - columns)).toBeLessThanOrEqual(RIA_SCORES * (1 + rows + columns));
    }),
    { numRuns: runs(100) },
  );
});

test('does not change where W is scaled by a power of two', () => {
  fc.assert(
    fc.property(input, ({ W, squareSums }) => {
      // Large enough that no weight is a denormal.
      const data = W.data.map((value) => (Math.abs(value) < 1e-30 ? 0 : value));
      const statistics = { squareSums, sequences: 2 };
      expect(scoreRia({ ...W, data: data.map((value) => value * 8) }, statistics)).toEqual(
        scoreRia({ ...W, data }, statistics),
      );
    }),
    { numRuns: runs(100) },
  );
});

test('a weight that is no number is refused by its place', () => {
  const ria = findCriterion('ria') as MaskOperator;
  for (const broken of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const W = { rows: 2, columns: 3, data: Float32Array.of(1, 2, 3, 4, broken, 6) };
    const statistics = { squareSums: Float64Array.of(1, 1, 1), sequences: 1 };
    expect(() => ria.mask(W, 2, { kind: 'matrix' }, statistics)).toThrowError(
      expect.objectContaining({ code: 'E_NUMERIC_SCORE' }),
    );
  }
});
