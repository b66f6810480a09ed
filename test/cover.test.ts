// The covering array that the matrix tests walk: every legal pair is in it, nothing illegal is, and it is small.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { coverPairs, pairsOf } from '../scripts/docs/cover.js';
import { valuesOf } from '../scripts/docs/matrix.js';
import { MATRIX } from './matrix.js';
import { runs } from './scale.js';

const pairsIn = (cells: readonly (readonly string[])[]): Set<string> => new Set(cells.flatMap(pairsOf));
const grid = (...sizes: readonly number[]): string[][] =>
  sizes.reduce<string[][]>(
    (cells, size) => cells.flatMap((cell) => Array.from({ length: size }, (_, value) => [...cell, String(value)])),
    [[]],
  );

test('pairs are of different axes, and a value is its axis’s own', () => {
  expect(pairsOf(['a', 'a', 'b'])).toHaveLength(3);
  expect(new Set(pairsOf(['a', 'a', 'a'])).size).toBe(3);
  expect(pairsOf(['a'])).toEqual([]);
});

test('every pair of any table, and no cell twice or from elsewhere', () => {
  const table = fc.tuple(fc.nat(4), fc.nat(4), fc.nat(4), fc.nat(2), fc.array(fc.boolean(), { maxLength: 300 }));
  fc.assert(
    fc.property(table, ([a, b, c, d, legal]) => {
      const cells = grid(a + 1, b + 1, c + 1, d + 1).filter((_, i) => legal[i] ?? true);
      const chosen = coverPairs(cells, (cell) => cell);
      expect(pairsIn(chosen)).toEqual(pairsIn(cells));
      expect(new Set(chosen).size).toBe(chosen.length);
      for (const cell of chosen) expect(cells).toContain(cell);
      expect(coverPairs(cells, (cell) => cell)).toEqual(chosen);
    }),
    { numRuns: runs(100) },
  );
});

test('three axes of three: nine cells are the least there can be, and few more are taken', () => {
  expect(coverPairs(grid(3, 3, 3), (cell) => cell).length).toBeLessThanOrEqual(11);
  expect(coverPairs(grid(5), (cell) => cell)).toEqual([]);
});

test('of families, criteria and patterns: every pair, in hardly more cells than families times criteria', () => {
  const chosen = coverPairs(MATRIX, valuesOf);
  expect(pairsIn(chosen.map(valuesOf))).toEqual(pairsIn(MATRIX.map(valuesOf)));
  const [families, criteria] = [0, 1].map((axis) => new Set(MATRIX.map((cell) => valuesOf(cell)[axis])).size);
  expect(chosen.length).toBeLessThanOrEqual(1.1 * families! * criteria!);
});
