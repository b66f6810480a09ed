// Interpolated position tables against PyTorch, by numbers written here and by the residuals of the golden models.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { interpolatePositions } from '../../../src/model/image/positions.js';
import { runs } from '../../scale.js';

/** Of PyTorch 2.15 in float32: numbers of about 5, rounded after each of some ten operations. */
const TOLERANCE = 1e-6;

test.each([
  [
    'a taller and wider grid',
    [1, 2, 3, 5],
    [3, 4],
    [0.7300755, 1.0332847, 1.532688, 1.8358972, 1.8417969, 2.3398438, 3.1601562, 3.6582031].concat([
      2.9535184, 3.6464028, 4.7876248, 5.4805093,
    ]),
  ],
  ['a smaller one, without antialias', [0, 1, 2, 3, 4, 5, 6, 7, 8], [2, 2], [0.765625, 2.3828125, 5.6171875, 7.234375]],
] as const)('%s', (_, table, grid, expected) => {
  const got = interpolatePositions(Float32Array.from(table), 1, grid);
  expect(got.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(got[i]! - value)).toBeLessThan(TOLERANCE);
});

test('the size of the table leaves it as it is', () => {
  const table = Float32Array.from({ length: 18 }, (_, i) => Math.sin(i));
  expect(interpolatePositions(table, 2, [3, 3])).toBe(table);
});

const sizes = fc.record({
  side: fc.integer({ min: 1, max: 9 }),
  width: fc.integer({ min: 1, max: 3 }),
  height: fc.integer({ min: 1, max: 12 }),
  across: fc.integer({ min: 1, max: 12 }),
  seed: fc.integer(),
});
const tableOf = ({ side, width, seed }: { side: number; width: number; seed: number }): Float32Array =>
  Float32Array.from({ length: side * side * width }, (_, i) => Math.sin(seed + 7 * i));

test('each number of a row by itself, and transposing commutes', () => {
  fc.assert(
    fc.property(sizes, ({ side, width, height, across, seed }) => {
      const table = tableOf({ side, width, seed });
      const whole = interpolatePositions(table, width, [height, across]);
      const turned = new Float32Array(table.length);
      for (let i = 0; i < side * side; i++) {
        const from = (i % side) * side + Math.floor(i / side);
        turned.set(table.subarray(from * width, (from + 1) * width), i * width);
      }
      const other = interpolatePositions(turned, width, [across, height]);
      for (let d = 0; d < width; d++) {
        const column = interpolatePositions(
          table.filter((_, i) => i % width === d),
          1,
          [height, across],
        );
        for (let i = 0; i < height * across; i++) {
          const [r, c] = [Math.floor(i / across), i % across];
          expect(whole[i * width + d]).toBe(column[i]);
          expect(other[(c * height + r) * width + d]).toBeCloseTo(column[i]!, 5);
        }
      }
    }),
    { numRuns: runs(50) },
  );
});

test('a table that is no square is refused', () => {
  expect(() => interpolatePositions(new Float32Array(10), 2, [3, 3])).toThrow(/got 5 rows of 2 numbers/);
});
