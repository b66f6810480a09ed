// What DSnoT promises beyond the golden masks of patterns.test.ts.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { plainGemm } from '../../src/linalg/index.js';
import {
  findCriterion,
  type Mask,
  type MaskOperator,
  type Matrix,
  parsePattern,
  refineMask,
  type SolverOperator,
  scoreWanda,
  selectMask,
  standInOf,
} from '../../src/operators/index.js';
import { runs } from '../scale.js';
import { readSolverGolden, unpack } from './golden.js';

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
    { numRuns: runs(100) },
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

describe('for independent inputs, half of whose mean square is their squared mean', () => {
  /** Of the pruned weights' share of the outputs: the squared mean, and the mean square. */
  const missingOf = (columns: number) => {
    const rng = createRng(5);
    const [ROWS, SEQUENCES, LENGTH] = [16, 8, 256];
    const tokens = SEQUENCES * LENGTH;
    const between = (low: number, high: number) => low + (high - low) * rng.uniform();
    const W = { rows: ROWS, columns, data: Float32Array.from({ length: ROWS * columns }, () => between(-0.04, 0.04)) };
    const deviation = Float64Array.from({ length: columns }, () => between(0.3, 2));
    const mean = deviation.map((size) => size * between(-Math.sqrt(3), Math.sqrt(3)));
    const statistics = {
      columnSums: mean.map((size) => tokens * size),
      squareSums: mean.map((size, j) => tokens * (size ** 2 + deviation[j]! ** 2)),
      sequences: SEQUENCES,
      tokens,
    };
    const scores = scoreWanda(W, statistics);
    const start = selectMask({ ...W, data: scores }, (ROWS * columns) / 2, { kind: 'row' });
    return [start, refineMask(W, start.slice(), scores, statistics)].map((mask) => {
      let [squaredMean, meanSquare] = [0, 0];
      for (let at = 0; at < mask.length; at += columns) {
        let sum = 0;
        for (let j = 0; j < columns; j++) {
          const missing = mask[at + j]! * W.data[at + j]!;
          sum += missing * mean[j]!;
          meanSquare += (missing * deviation[j]!) ** 2;
        }
        squaredMean += sum ** 2;
      }
      return { squaredMean, meanSquare: meanSquare + squaredMean };
    }) as [Record<'squaredMean' | 'meanSquare', number>, Record<'squaredMean' | 'meanSquare', number>];
  };

  test('long rows lose most of the mean, and less of the output than before', () => {
    const [before, after] = missingOf(4096);
    expect(after.squaredMean).toBeLessThan(0.1 * before.squaredMean);
    expect(after.meanSquare).toBeLessThan(0.9 * before.meanSquare);
  });

  // As docs/lab/methods.md has it of the novels checkpoint: as many swaps are most of what a short row has kept.
  test('short rows lose more of the output than before', () => {
    const [before, after] = missingOf(128);
    expect(after.meanSquare).toBeGreaterThan(1.5 * before.meanSquare);
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
    { numRuns: runs(100) },
  );
});

test('a search’s surrogates are those of the mask it starts from, which need no sums', () => {
  expect(standInOf(findCriterion('dsnot')).name).toBe('wanda');
  expect(standInOf(findCriterion('dsnot-ria')).name).toBe('ria');
  expect(standInOf(findCriterion('dsnot-magnitude')).name).toBe('magnitude');
  expect(standInOf(findCriterion('dsnot-sparsegpt')).name).toBe('wanda');
});

type GoldenCase = {
  sequences: number;
  length: number;
  dead: number[];
  masks: Record<string, { count: number; swaps: number }>;
};
const { json, tensors, bytesOf, floatsOf } = await readSolverGolden('dsnot-sparsegpt');
const { cases } = json as { cases: Record<string, GoldenCase> };

describe.each(Object.entries(cases))(
  'PyTorch, from SparseGPT’s mask: %s',
  (name, { sequences, length, dead, masks }) => {
    test.each(Object.entries(masks))('%s', async (pattern, { count, swaps }) => {
      expect(swaps).toBeGreaterThan(0);
      const [rows, columns] = tensors.get(`${name}.W`)!.shape as [number, number];
      const W = { rows, columns, data: floatsOf(`${name}.W`) };
      const doubles = (key: string) => Float64Array.from(floatsOf(`${name}.${key}`));
      const sums = { squareSums: doubles('squareSums'), columnSums: doubles('sums') };
      const statistics = { ...sums, sequences, tokens: sequences * length };
      const { factorise } = findCriterion('dsnot-sparsegpt') as SolverOperator;
      const gram = unpack(floatsOf(`${name}.gram`), columns);
      expect(dead.every((j) => gram[j * columns + j] === 0)).toBe(true);
      const solver = await factorise(gram, columns, { gemm: plainGemm, sequences, name, statistics });
      const { mask, weights } = await solver.solve(W, count, parsePattern(pattern));
      expect(mask).toEqual(bytesOf(`${name}.${pattern}`));
      expect(weights).toEqual(W.data.map((w, i) => (mask[i] === 1 ? 0 : w)));
    });
  },
);

describe('from SparseGPT’s mask', () => {
  const [ROWS, COLUMNS, SAMPLES, SEQUENCES] = [12, 32, 96, 8];
  /** No token has anything here. */
  const DEAD = 5;
  const rng = createRng(17);
  const random = (count: number): Float32Array => Float32Array.from({ length: count }, () => 2 * rng.uniform() - 1);
  const W: Matrix = { rows: ROWS, columns: COLUMNS, data: random(ROWS * COLUMNS) };
  // Inputs that have a mean, and that depend on one another: each column carries some of the one before it.
  const X = random(SAMPLES * COLUMNS);
  for (let at = 0; at < X.length; at++) {
    const column = at % COLUMNS;
    X[at]! += 0.2 + (column > 0 ? 0.8 * X[at - 1]! : 0);
    if (column === DEAD) X[at] = 0;
  }
  const sumOver = (value: (t: number) => number): number => {
    let sum = 0;
    for (let t = 0; t < SAMPLES; t++) sum += value(t);
    return sum;
  };
  const x = (t: number, j: number): number => X[t * COLUMNS + j]!;
  const columns = Array.from({ length: COLUMNS }, (_, j) => j);
  const gram = columns.map((i) => columns.map((j) => sumOver((t) => x(t, i) * x(t, j))));
  const statistics = {
    squareSums: Float64Array.from(columns, (j) => gram[j]![j]!),
    columnSums: Float64Array.from(columns, (j) => sumOver((t) => x(t, j))),
    sequences: SEQUENCES,
    tokens: SAMPLES,
  };
  const solve = async (name: string, pattern: string, count: number) => {
    const criterion = findCriterion(name) as SolverOperator;
    const options = { gemm: plainGemm, sequences: SEQUENCES, name, statistics };
    const solver = await criterion.factorise(Float32Array.from(gram.flat()), COLUMNS, options);
    return await solver.solve(W, count, parsePattern(pattern));
  };

  /** The first element of the inverse of a matrix, by elimination from the last row up. */
  function cornerOfInverse(matrix: readonly (readonly number[])[]): number {
    const A = matrix.map((row) => [...row]);
    for (let k = A.length - 1; k > 0; k--) {
      for (let i = 0; i < k; i++) {
        const factor = A[i]![k]! / A[k]![k]!;
        for (let j = 0; j <= k; j++) A[i]![j]! -= factor * A[k]![j]!;
      }
    }
    return 1 / A[0]![0]!;
  }

  /** w²/U_jj² of the original weights. U_jj² is column j's own entry in the inverse of what of H is right of it and at it. */
  function startOf(pattern: string, count: number): Mask {
    const H = gram.map((row) => row.map((value) => (2 / SEQUENCES) * value));
    H[DEAD]![DEAD] = 1;
    const damping = (0.01 * columns.reduce((sum, j) => sum + H[j]![j]!, 0)) / COLUMNS;
    for (const j of columns) H[j]![j]! += damping;
    const pivots = columns.map((j) => cornerOfInverse(H.slice(j).map((row) => row.slice(j))));
    const data = W.data.map((w, i) => (i % COLUMNS === DEAD ? 0 : w ** 2 / pivots[i % COLUMNS]!));
    return selectMask({ ...W, data }, count, parsePattern(pattern));
  }

  const of = (pattern: string): number | undefined => (pattern.includes(':') ? 8 : undefined);
  const HALF = (ROWS * COLUMNS) / 2;

  test.each([
    ['row', HALF],
    ['row', 200],
    ['matrix', 200],
    ['4:8', HALF],
    ['n:8', (ROWS * COLUMNS * 5) / 8],
  ])(
    '%s, %d weights: the swaps start from the scores of the original weights, and what stays is as it was',
    async (pattern, count) => {
      const { mask, weights } = await solve('dsnot-sparsegpt', pattern, count);
      const start = startOf(pattern, count);
      expect(mask).toEqual(refineMask(W, start.slice(), scoreWanda(W, statistics), statistics, of(pattern)));
      expect(mask).not.toEqual(start);
      expect(mask.reduce((a, b) => a + b, 0)).toBe(count);
      expect(weights).toEqual(W.data.map((w, i) => (mask[i] === 1 ? 0 : w)));
      for (let row = 0; row < ROWS; row++) expect(mask[row * COLUMNS + DEAD]).toBe(1);
    },
  );

  test('is not what a run of SparseGPT prunes, nor what Wanda’s start comes to', async () => {
    const { mask } = await solve('dsnot-sparsegpt', '4:8', HALF);
    const { mask: repaired, weights } = await solve('sparsegpt', '4:8', HALF);
    expect(mask).not.toEqual(repaired);
    expect(weights.some((w, i) => w !== 0 && w !== W.data[i])).toBe(true);
    const wanda = findCriterion('dsnot') as MaskOperator;
    expect(mask).not.toEqual(wanda.mask(W, HALF, parsePattern('4:8'), statistics));
  });

  test('without sums it is our fault, and says so', async () => {
    const { factorise } = findCriterion('dsnot-sparsegpt') as SolverOperator;
    const options = { gemm: plainGemm, sequences: SEQUENCES, name: 'x' };
    await expect(factorise(Float32Array.from(gram.flat()), COLUMNS, options)).rejects.toMatchObject({
      code: 'E_INTERNAL_STATISTICS',
    });
  });
});
