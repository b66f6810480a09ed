// Patterns: how they are spelt, what each promises, and masks bit for bit against PyTorch (scripts/golden/criteria.py).

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readSafetensors } from '../../src/checkpoint/index.js';
import {
  findCriterion,
  formatPattern,
  type Mask,
  type MaskOperator,
  type Matrix,
  parsePattern,
  selectMask,
} from '../../src/operators/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { runs } from '../scale.js';

const folder = fileURLToPath(new URL('../golden/criteria/', import.meta.url));
type GoldenCase = { sequences: number; length: number; counts: Record<string, number> };
const { cases } = JSON.parse(readFileSync(`${folder}golden.json`, 'utf8')) as { cases: Record<string, GoldenCase> };
const { tensors } = await readSafetensors(`${folder}golden.safetensors`);
const all = readFileSync(`${folder}golden.safetensors`);

function bytesOf(name: string): Uint8Array {
  const { offset, length } = tensors.get(name)!;
  return new Uint8Array(all.subarray(offset, offset + length));
}

function unpack(packed: Uint8Array, rows: number, columns: number): Mask {
  const stride = Math.ceil(columns / 8);
  return Uint8Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return (packed[row * stride + (column >> 3)]! >> (column & 7)) & 1;
  });
}

describe.each(Object.entries(cases))('PyTorch: %s', (name, { sequences, length, counts }) => {
  const [rows, columns] = tensors.get(`${name}.W`)!.shape as [number, number];
  const W = { rows, columns, data: toFloat32(bytesOf(`${name}.W`), 'F32') };
  const doubles = (key: string) => Float64Array.from(toFloat32(bytesOf(`${name}.${key}`), 'F32'));
  const statistics = {
    squareSums: doubles('squareSums'),
    columnSums: doubles('sums'),
    sequences,
    tokens: sequences * length,
  };

  test.each(Object.entries(counts))('%s', (key, count) => {
    const [criterion, pattern] = key.split('.') as [string, string];
    const mask = (findCriterion(criterion) as MaskOperator).mask(W, count, parsePattern(pattern), statistics);
    expect(mask).toEqual(unpack(bytesOf(`${name}.${key}`), rows, columns));
  });
});

test.each(['row', 'matrix', 'columns', '2:4', '4:8', '1:32', '31:32', '2:3', 'n:4', 'n:8', 'n:16', 'n:32'])(
  '%s is a pattern, and is spelt as it was',
  (name) => expect(formatPattern(parsePattern(name))).toBe(name),
);

test('N of N:M is the number that is kept', () => {
  expect(parsePattern('3:4')).toEqual({ kind: 'n:m', kept: 3, of: 4 });
  expect(parsePattern('n:16')).toEqual({ kind: 'n:m', kept: undefined, of: 16 });
});

test.each(['', 'rows', 'n:m', '0:4', '4:4', '5:4', 'n:5', 'n:2', 'n:64', '2:33', '2:4:8', '-1:4', '1.5:4', ' 2:4'])(
  '%j is none, and the message says what is',
  (name) => {
    expect(() => parsePattern(name)).toThrowError(
      expect.objectContaining({
        code: 'E_OPTION_PATTERN',
        message: expect.stringMatching(/row, matrix, columns, N:M, n:4.*kept/),
      }),
    );
  },
);

/** The slow plain twin: a stable sort of the indices. */
function stableSmallest(scores: readonly number[], count: number): number[] {
  const order = scores.map((_, i) => i).sort((a, b) => scores[a]! - scores[b]! || a - b);
  return order.slice(0, count).sort((a, b) => a - b);
}

const score = fc.oneof(fc.float({ min: 0, max: 10, noNaN: true }), fc.constantFrom(0, 1, 1, 2));
const matrixOf = (rows: number, columns: number): fc.Arbitrary<Matrix> =>
  fc.array(score, { minLength: rows * columns, maxLength: rows * columns }).map((values) => ({
    rows,
    columns,
    data: Float32Array.from(values),
  }));
const goneOf = (mask: Mask): number[] => [...mask].flatMap((bit, i) => (bit === 1 ? [i] : []));

test('columns: each panel of 128 loses the smallest of its own, the upper row first, then the lower column', () => {
  const shape = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.constantFrom(1, 100, 128, 129, 300));
  const input = shape.chain(([rows, columns]) =>
    fc.tuple(matrixOf(rows, columns), fc.double({ min: 0, max: 1, noNaN: true })),
  );
  fc.assert(
    fc.property(input, ([scores, share]) => {
      const { rows, columns, data } = scores;
      const count = Math.round(share * rows * columns);
      const mask = selectMask(scores, count, { kind: 'columns' });
      expect(goneOf(mask)).toHaveLength(count);
      for (let left = 0; left < columns; left += 128) {
        const width = Math.min(128, columns - left);
        const places = Array.from(
          { length: rows * width },
          (_, i) => Math.floor(i / width) * columns + left + (i % width),
        );
        const gone = places.flatMap((at, i) => (mask[at] === 1 ? [i] : []));
        expect(Math.abs(gone.length - (count * width) / columns)).toBeLessThan(1);
        expect(gone).toEqual(
          stableSmallest(
            places.map((at) => data[at]!),
            gone.length,
          ),
        );
      }
    }),
    { numRuns: runs(40) },
  );
});

describe('n:m', () => {
  const input = fc
    .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 70 }), fc.constantFrom(2, 3, 4, 8, 16, 32))
    .chain(([rows, columns, of]) =>
      fc.record({ scores: matrixOf(rows, columns), of: fc.constant(of), n: fc.integer({ min: 0, max: of }) }),
    );

  test('every M consecutive columns lose n, r columns behind them ⌊r·n / M⌋, the lower column first among equals', () => {
    fc.assert(
      fc.property(input, ({ scores, of, n }) => {
        const { rows, columns, data } = scores;
        const [groups, rest] = [Math.floor(columns / of), columns % of];
        const count = rows * (groups * n + Math.floor((rest * n) / of));
        const mask = selectMask(scores, count, { kind: 'n:m', kept: of - n, of });
        expect(goneOf(mask)).toHaveLength(count);
        for (let row = 0; row < rows; row++) {
          for (let left = 0; left < columns; left += of) {
            const [from, to] = [row * columns + left, row * columns + Math.min(left + of, columns)];
            const gone = Math.floor(((to - from) * n) / of);
            expect(goneOf(mask.subarray(from, to))).toEqual(stableSmallest([...data.subarray(from, to)], gone));
            expect(to - from - gone).toBeLessThanOrEqual(of - n);
          }
        }
      }),
      { numRuns: runs(100) },
    );
  });

  test('a count that groups cannot fill is our fault, and says so', () => {
    const scores = { rows: 2, columns: 8, data: new Float32Array(16) };
    for (const count of [1, 2, 6, 17, 20]) {
      expect(() => selectMask(scores, count, { kind: 'n:m', kept: undefined, of: 4 })).toThrowError(/groups of 4/);
    }
  });
});
