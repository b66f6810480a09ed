// Assignments against all permutations where there are few, and against a known one where there are many.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { assignMost } from '../../src/linalg/index.js';
import { runs } from '../scale.js';

const sumOf = (values: Float32Array, n: number, order: ArrayLike<number>): number =>
  Array.from({ length: n }, (_, row) => values[row * n + order[row]!]!).reduce((a, b) => a + b, 0);

const permutations = (items: readonly number[]): number[][] =>
  items.length === 0
    ? [[]]
    : items.flatMap((one) => permutations(items.filter((i) => i !== one)).map((p) => [one, ...p]));

test('no permutation has a larger sum', () => {
  const cases = fc.integer({ min: 1, max: 6 }).chain((n) =>
    // Few different numbers, so that many are equal.
    fc.array(fc.integer({ min: -4, max: 4 }), { minLength: n * n, maxLength: n * n }),
  );
  fc.assert(
    fc.property(cases, (numbers) => {
      const [values, n] = [Float32Array.from(numbers), Math.sqrt(numbers.length)];
      const order = assignMost(values, n);
      expect([...order].sort((a, b) => a - b)).toEqual([...order.keys()]);
      const best = Math.max(...permutations([...order.keys()]).map((one) => sumOf(values, n, one)));
      expect(sumOf(values, n, order)).toBe(best);
    }),
    { numRuns: runs(200) },
  );
});

test('rows that were shuffled are found again among 300', () => {
  const [n, width] = [300, 24];
  const rng = createRng(4);
  const rows = Array.from({ length: n }, () => Float32Array.from({ length: width }, () => rng.uniform() - 0.5));
  const order = [...rows.keys()].sort((a, b) => ((a * 7919) % n) - ((b * 7919) % n));
  const values = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) values[i * n + j] = rows[i]!.reduce((sum, x, c) => sum + x * rows[order[j]!]![c]!, 0);
  }
  const found = assignMost(values, n);
  expect([...found].map((column) => order[column])).toEqual([...rows.keys()]);
});

test('what is not finite is refused', () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => assignMost(Float32Array.of(1, value, 0, 1), 2)).toThrow(
      expect.objectContaining({ code: 'E_NUMERIC_ASSIGNMENT' }),
    );
  }
});
