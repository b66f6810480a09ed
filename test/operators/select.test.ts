import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findCriterion, type MaskOperator, selectMask, selectRank } from '../../src/operators/index.js';
import { runs } from '../scale.js';

/** The slow plain twin: a stable sort of the indices. */
function stableSmallest(scores: readonly number[], count: number): Set<number> {
  const order = scores.map((_, i) => i).sort((a, b) => scores[a]! - scores[b]! || a - b);
  return new Set(order.slice(0, count));
}

const score = fc.oneof(fc.float({ min: 0, max: 10, noNaN: true }), fc.constantFrom(0, 1, 1, 2));
const matrix = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 60 })).chain(([rows, columns]) =>
  fc.record({
    rows: fc.constant(rows),
    columns: fc.constant(columns),
    data: fc.array(score, { minLength: rows * columns, maxLength: rows * columns }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
);

test('selectRank agrees with sorting, whatever the order and the ties', () => {
  const keys = fc.array(fc.nat({ max: 50 }), { minLength: 1, maxLength: 400 });
  fc.assert(
    fc.property(keys, fc.nat(), (values, at) => {
      const rank = at % values.length;
      expect(selectRank(Uint32Array.from(values), rank)).toBe([...values].sort((a, b) => a - b)[rank]);
    }),
    { numRuns: runs(100) },
  );
});

describe('selectMask', () => {
  test('matrix: exactly the k smallest, the lower index first among equals', () => {
    fc.assert(
      fc.property(matrix, ({ rows, columns, data, share }) => {
        const count = Math.round(share * rows * columns);
        const mask = selectMask({ rows, columns, data: Float32Array.from(data) }, count, { kind: 'matrix' });
        const expected = stableSmallest([...Float32Array.from(data)], count);
        expect([...mask].flatMap((bit, i) => (bit === 1 ? [i] : []))).toEqual([...expected].sort((a, b) => a - b));
      }),
      { numRuns: runs(100) },
    );
  });

  test('row: exactly k in all, ⌊k / rows⌋ in each row and the rest where the next score is smallest', () => {
    fc.assert(
      fc.property(matrix, ({ rows, columns, data, share }) => {
        const scores = Float32Array.from(data);
        const count = Math.round(share * rows * columns);
        const mask = selectMask({ rows, columns, data: scores }, count, { kind: 'row' });
        const base = Math.floor(count / rows);
        const rowScores = Array.from({ length: rows }, (_, row) => [
          ...scores.subarray(row * columns, (row + 1) * columns),
        ]);
        const next = rowScores.map((row) => [...row].sort((a, b) => a - b)[base] ?? Number.POSITIVE_INFINITY);
        const extra = stableSmallest(next, count - base * rows);
        for (const [row, values] of rowScores.entries()) {
          const expected = stableSmallest(values, base + (extra.has(row) ? 1 : 0));
          const got = [...mask.subarray(row * columns, (row + 1) * columns)].flatMap((bit, i) =>
            bit === 1 ? [i] : [],
          );
          expect(got).toEqual([...expected].sort((a, b) => a - b));
        }
      }),
      { numRuns: runs(100) },
    );
  });

  test('refuses a score that is not a number, with its place', () => {
    const data = Float32Array.from([1, 2, Number.NaN, 4]);
    expect(() => selectMask({ rows: 2, columns: 2, data }, 1, { kind: 'row' })).toThrowError(/\[1, 0\]/);
  });
});

describe('criteria', () => {
  const magnitude = findCriterion('magnitude') as MaskOperator;
  const wanda = findCriterion('wanda') as MaskOperator;
  const W = { rows: 2, columns: 3, data: Float32Array.from([-3, 1, 2, 0.5, -0.25, 4]) };

  test('magnitude takes the smallest |W|', () => {
    expect([...magnitude.mask(W, 2, { kind: 'row' }, undefined)]).toEqual([0, 1, 0, 0, 1, 0]);
    expect([...magnitude.mask(W, 2, { kind: 'matrix' }, undefined)]).toEqual([0, 0, 0, 1, 1, 0]);
  });

  test('Wanda weighs by the norm of the input: a large weight on a silent column goes first', () => {
    const statistics = { squareSums: Float64Array.from([0.0001, 4, 1]), sequences: 1 };
    expect([...wanda.mask(W, 2, { kind: 'row' }, statistics)]).toEqual([1, 0, 0, 1, 0, 0]);
  });

  test('an unknown criterion is refused with the names there are', () => {
    expect(() => findCriterion('wand')).toThrowError(/magnitude, wanda/);
  });
});
