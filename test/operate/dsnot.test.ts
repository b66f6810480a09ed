// What DSnoT promises beyond the golden masks of patterns.test.ts.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findCriterion, maskOf, refineMask, selectMask } from '../../src/operate/index.js';

const input = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 24 })).chain(([rows, columns]) => {
  const numbers = (count: number, low: number, high: number) =>
    fc.array(fc.oneof(fc.double({ min: low, max: high, noNaN: true }), fc.constant(0)), {
      minLength: count,
      maxLength: count,
    });
  return fc.record({
    rows: fc.constant(rows),
    columns: fc.constant(columns),
    weights: numbers(rows * columns, -3, 3),
    sums: numbers(columns, -20, 20),
    extra: numbers(columns, 0, 20),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  });
});
const TOKENS = 16;

test('as many of each row go as before, a row whose sum is right stays, and so do columns without a sum', () => {
  fc.assert(
    fc.property(input, ({ rows, columns, weights, sums, extra, share }) => {
      const W = { rows, columns, data: Float32Array.from(weights) };
      const columnSums = Float64Array.from(sums);
      const squareSums = columnSums.map((sum, j) => sum ** 2 / TOKENS + extra[j]!);
      const statistics = { squareSums, columnSums, sequences: 1, tokens: TOKENS };
      const scores = W.data.map(Math.abs);
      const start = selectMask({ ...W, data: scores }, Math.round(share * rows * columns), { kind: 'row' });
      const mask = refineMask(W, start.slice(), scores, statistics);
      for (let row = 0; row < rows; row++) {
        const of = (some: Uint8Array) => some.subarray(row * columns, (row + 1) * columns);
        const count = (some: Uint8Array) => of(some).reduce((a, b) => a + b, 0);
        const missing = (some: Uint8Array) =>
          of(some).reduce((sum, bit, j) => sum + bit * W.data[row * columns + j]! * columnSums[j]!, 0);
        expect(count(mask)).toBe(count(start));
        if (Math.abs(missing(start)) <= 0.1) expect(of(mask)).toEqual(of(start));
        for (let j = 0; j < columns; j++) if (columnSums[j] === 0) expect(of(mask)[j]).toBe(of(start)[j]);
      }
    }),
  );
});

describe('by hand', () => {
  /** One row; column sums 1 over one token each, so that W is the effect; variances as given. */
  const refine = (weights: readonly number[], gone: readonly number[], variance: readonly number[]): number[] => {
    const columns = weights.length;
    const statistics = {
      columnSums: new Float64Array(columns).fill(1),
      squareSums: Float64Array.from(variance, (v) => v + 1),
      sequences: 1,
      tokens: 1,
    };
    const W = { rows: 1, columns, data: Float32Array.from(weights) };
    return [...refineMask(W, Uint8Array.from(gone), W.data.map(Math.abs), statistics)];
  };

  test('what takes most from the sum by its variance grows back; the smallest of the other sign goes', () => {
    // E = 2.5. 1.5 over variance 3 is less than 1 over 1; −0.5 is smaller than −4. E = 2.5 − 1 − 0.5 = 1, and 1.5 follows
    // with −4: E = −4.5, where nothing pruned at first is negative any more.
    expect(refine([1, 1.5, -4, -0.5], [1, 1, 0, 0], [1, 3, 1, 1])).toEqual([0, 0, 1, 1]);
  });

  test('a row stops where no weight has the sign it needs', () => {
    expect(refine([1, 2, 3], [1, 0, 0], [1, 1, 1])).toEqual([1, 0, 0]);
    expect(refine([-1, 2, -3], [1, 0, 0], [1, 1, 1])).toEqual([0, 1, 0]);
  });
});

test('under n:m every group keeps as many as it had, and the sum of a row’s output does not change its sign', () => {
  fc.assert(
    fc.property(input, fc.constantFrom(2, 4, 8), ({ rows, columns, weights, sums, extra }, of) => {
      const W = { rows, columns, data: Float32Array.from(weights) };
      const columnSums = Float64Array.from(sums);
      const squareSums = columnSums.map((sum, j) => sum ** 2 / TOKENS + extra[j]!);
      const statistics = { squareSums, columnSums, sequences: 1, tokens: TOKENS };
      const scores = W.data.map(Math.abs);
      const [groups, rest] = [Math.floor(columns / of), columns % of];
      const count = rows * (groups * (of / 2) + Math.floor(rest / 2));
      const start = selectMask({ ...W, data: scores }, count, { kind: 'n:m', kept: undefined, of });
      const mask = refineMask(W, start.slice(), scores, statistics, of);
      for (let row = 0; row < rows; row++) {
        const missing = (some: Uint8Array) =>
          columnSums.reduce((sum, S, j) => sum + some[row * columns + j]! * W.data[row * columns + j]! * S, 0);
        for (let left = 0; left < columns; left += of) {
          const [from, to] = [row * columns + left, row * columns + Math.min(left + of, columns)];
          const gone = (some: Uint8Array) => some.subarray(from, to).reduce((a, b) => a + b, 0);
          expect(gone(mask)).toBe(gone(start));
        }
        const [before, after] = [missing(start), missing(mask)];
        if (Math.abs(after - before) > 1e-9) expect(Math.sign(after)).toBe(Math.sign(before));
      }
    }),
  );
});

test('a search’s surrogates are those of the mask it starts from, which need no sums', () => {
  expect(maskOf(findCriterion('dsnot')).name).toBe('wanda');
  expect(maskOf(findCriterion('dsnot-ria')).name).toBe('ria');
  expect(maskOf(findCriterion('dsnot-magnitude')).name).toBe('magnitude');
});
