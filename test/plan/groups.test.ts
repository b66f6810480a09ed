// Counts in groups of M: how near they come to the target, and that no linear strays.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { countInGroups } from '../../src/plan/index.js';
import { runs } from '../scale.js';

const size = fc.constantFrom(8, 16, 24, 64, 96, 256);
const linearsOf = (columns: fc.Arbitrary<number>) =>
  fc.array(
    fc.record({
      rows: size,
      columns,
      rate: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 0.5, 0.7, 1)),
    }),
    { minLength: 1, maxLength: 40 },
  );
const of = fc.constantFrom(4, 8, 16, 32);

const counted = (linears: readonly { rows: number; columns: number; rate: number }[], m: number) => {
  const counts = countInGroups(linears, ({ rate }) => rate, m);
  return linears.map((linear, i) => ({ ...linear, count: counts[i]! }));
};
const missingOf = (linears: ReturnType<typeof counted>): number =>
  linears.reduce((sum, { rows, columns, rate, count }) => sum + rows * columns * rate - count, 0);
/** The search is in weights; sums of rates round. */
const ROUNDING = 0.1;

test('each n is a whole number within 1 of rate·M, and a rate of whole M-ths stays', () => {
  fc.assert(
    fc.property(linearsOf(fc.constantFrom(32, 64, 96, 352)), of, (linears, m) => {
      for (const { rows, columns, rate, count } of counted(linears, m)) {
        const n = (count * m) / (rows * columns);
        expect(Number.isInteger(n) && n >= 0 && n <= m).toBe(true);
        expect(Math.abs(n - rate * m)).toBeLessThan(1);
        if (Number.isInteger(rate * m)) expect(n).toBe(rate * m);
      }
    }),
    { numRuns: runs(100) },
  );
});

test('the total is within half the smallest step that is left in its direction, and half the largest in any case', () => {
  fc.assert(
    fc.property(linearsOf(fc.constantFrom(32, 64, 96, 352)), of, (linears, m) => {
      const got = counted(linears, m);
      const missing = missingOf(got);
      const open = got.filter(({ rate }) => Math.abs(rate * m - Math.round(rate * m)) > 1e-6);
      const steps = open.map(({ rows, columns }) => (rows * columns) / m);
      expect(Math.abs(missing)).toBeLessThanOrEqual(Math.max(0, ...steps) / 2 + ROUNDING);
      for (const [i, { rows, columns, rate, count }] of open.entries()) {
        const raised = count > rows * columns * rate;
        if (missing > 0 && !raised) expect(missing).toBeLessThanOrEqual(steps[i]! / 2 + ROUNDING);
        if (missing < 0 && raised) expect(-missing).toBeLessThanOrEqual(steps[i]! / 2 + ROUNDING);
      }
    }),
    { numRuns: runs(100) },
  );
});

test('where M does not divide the columns the counts are still those of groups, and no move of one linear comes nearer', () => {
  const pruned = (rows: number, columns: number, n: number, m: number): number =>
    rows * (Math.floor(columns / m) * n + Math.floor(((columns % m) * n) / m));
  fc.assert(
    fc.property(linearsOf(fc.integer({ min: 1, max: 100 })), of, (linears, m) => {
      const got = counted(linears, m);
      const missing = missingOf(got);
      for (const { rows, columns, rate, count } of got) {
        const low = Math.floor(rate * m + 1e-6);
        const neighbours = rate * m - low > 1e-6 ? [low, low + 1] : [low];
        const candidates = neighbours.map((n) => pruned(rows, columns, n, m));
        expect(candidates).toContain(count);
        for (const other of candidates) {
          expect(Math.abs(missing + count - other)).toBeGreaterThanOrEqual(Math.abs(missing) - ROUNDING);
        }
      }
    }),
    { numRuns: runs(100) },
  );
});

test('a rate that misses a whole number of M-ths by rounding alone means it', () => {
  const linears = [0.5, 1.25e-7, 0].map((rate, i) => ({ rows: 8, columns: [1, 4, 1][i]!, rate }));
  const counts = countInGroups(linears, ({ rate }) => rate, 4);
  expect(counts).toEqual([0, 0, 0]); // and not 8 of the second, which would make up for the first
});

describe('one rate for all', () => {
  const square = (count: number) => Array.from({ length: count }, () => ({ rows: 64, columns: 64 }));
  const numbers = (count: number, rate: number, m: number): number[] =>
    countInGroups(square(count), () => rate, m).map((pruned) => (pruned * m) / (64 * 64));

  test('whole M-ths are what they are', () => expect(numbers(5, 0.5, 4)).toEqual([2, 2, 2, 2, 2]));

  test('the others are rounded up in the right share, evenly through the depth', () => {
    expect(numbers(8, 0.7, 8).reduce((a, b) => a + b)).toBe(45); // 44.8
    fc.assert(
      fc.property(fc.integer({ min: 16, max: 224 }), fc.double({ min: 0, max: 1, noNaN: true }), (count, rate) => {
        const got = numbers(count, rate, 8);
        const halves = [got.slice(0, Math.floor(count / 2)), got.slice(Math.floor(count / 2))];
        const [early, late] = halves.map((half) => half.reduce((a, b) => a + b, 0) / half.length) as [number, number];
        expect(Math.abs(early - late)).toBeLessThan(16 / count + 0.1);
      }),
      { numRuns: runs(100) },
    );
  });

  test('the largest remainder comes first', () => {
    const linears = [0.3, 0.45, 0.2, 0.05].map((rate) => ({ rows: 64, columns: 64, rate }));
    // Four M-ths in all: 1.2, 1.8, 0.8 and 0.2.
    expect(countInGroups(linears, ({ rate }) => rate, 4).map((count) => count / 1024)).toEqual([1, 2, 1, 0]);
  });
});
