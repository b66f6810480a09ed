// The ADMM update against numpy (scripts/golden/admm.py), and what it promises.

import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { createGemm, plainGemm } from '../../src/linalg/index.js';
import {
  findCriterion,
  type Matrix,
  parsePattern,
  type SolverOperator,
  scoreWanda,
  selectMask,
} from '../../src/operators/index.js';
import { runs } from '../scale.js';
import { ADMM_WEIGHTS } from '../tolerances.js';
import { readSolverGolden, unpack } from './golden.js';

const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 2 });
const gemm = await createGemm(engine);
afterAll(() => engine.close());

type GoldenCase = { pattern: string; pruned: number };
const { json, tensors, bytesOf, floatsOf } = await readSolverGolden('admm');
const cases = json as Record<string, GoldenCase>;

const admm = findCriterion('admm') as SolverOperator;
async function solve(W: Matrix, gram: Float32Array, count: number, pattern: string, how = gemm as typeof plainGemm) {
  const solver = await admm.factorise(gram, W.columns, { gemm: how, sequences: 1, name: 'a test' });
  return { damping: solver.damping, ...(await solver.solve(W, count, parsePattern(pattern))) };
}

describe.each(Object.entries(cases))('numpy: %s', (name, { pattern, pruned }) => {
  test.each([
    ['on the engine', gemm],
    ['in plain TypeScript', plainGemm],
  ] as const)('%s', async (_, how) => {
    const [rows, columns] = tensors.get(`${name}.W`)!.shape as [number, number];
    const W = { rows, columns, data: floatsOf(`${name}.W`) };
    const { mask, weights, damping } = await solve(W, unpack(floatsOf(`${name}.gram`), columns), pruned, pattern, how);
    expect(damping).toBe(0.1);
    expect(mask).toEqual(bytesOf(`${name}.mask`));
    expect(W.data).toEqual(floatsOf(`${name}.W`));
    const expected = floatsOf(`${name}.weights`);
    const largest = Math.max(...expected.map(Math.abs));
    for (const [i, want] of expected.entries()) {
      expect(Math.abs(weights[i]! - want)).toBeLessThanOrEqual(ADMM_WEIGHTS * largest);
      if (mask[i] === 1) expect(Object.is(weights[i], 0)).toBe(true);
    }
  });
});

function random(count: number, seed: number): Float32Array {
  const rng = createRng(seed);
  return Float32Array.from({ length: count }, () => 2 * rng.uniform() - 1);
}

/** X [columns, tokens], of correlated columns. */
async function inputsOf(columns: number, tokens: number): Promise<Matrix> {
  const rank = Math.ceil(columns / 4);
  const X = await plainGemm.multiply(
    { rows: columns, columns: rank, data: random(columns * rank, 1) },
    { rows: rank, columns: tokens, data: random(rank * tokens, 2) },
  );
  const noise = random(X.length, 3);
  return { rows: columns, columns: tokens, data: X.map((x, i) => x + 0.3 * noise[i]!) };
}

test('exactly as many go as asked, at any share and in every pattern', async () => {
  const shape = fc.tuple(
    fc.integer({ min: 1, max: 6 }),
    fc.constantFrom(1, 7, 16, 131),
    fc.constantFrom('row', 'matrix', 'columns'),
    fc.double({ min: 0, max: 1, noNaN: true }),
  );
  await fc.assert(
    fc.asyncProperty(shape, async ([rows, columns, pattern, share]) => {
      const X = await inputsOf(columns, columns + 5);
      const W = { rows, columns, data: random(rows * columns, 4) };
      const count = Math.round(share * rows * columns);
      const { mask, weights } = await solve(W, await plainGemm.multiply(X, X, 'B'), count, pattern);
      expect(mask.reduce((a, b) => a + b, 0)).toBe(count);
      for (const [i, gone] of mask.entries()) if (gone) expect(Object.is(weights[i], 0)).toBe(true);
    }),
    { numRuns: runs(20) },
  );
});

test('it leaves a smaller error of the output than Wanda’s mask does, and nothing of it where nothing goes', async () => {
  const [rows, columns] = [24, 64];
  const X = await inputsOf(columns, 200);
  const gram = await plainGemm.multiply(X, X, 'B');
  const W = { rows, columns, data: random(rows * columns, 5) };
  const count = (rows * columns) / 2;
  /** ‖(W − W′)X‖². */
  const errorOf = (weights: Float32Array): number => {
    let error = 0;
    for (let row = 0; row < rows; row++) {
      for (let t = 0; t < X.columns; t++) {
        let sum = 0;
        for (let j = 0; j < columns; j++) {
          const at = row * columns + j;
          sum += (W.data[at]! - weights[at]!) * X.data[j * X.columns + t]!;
        }
        error += sum * sum;
      }
    }
    return error;
  };
  const squareSums = Float64Array.from({ length: columns }, (_, j) => gram[j * columns + j]!);
  const wanda = selectMask({ ...W, data: scoreWanda(W, { squareSums, sequences: 1 }) }, count, { kind: 'row' });
  const masked = errorOf(W.data.map((weight, i) => (wanda[i] === 1 ? 0 : weight)));
  const { weights } = await solve(W, gram.slice(), count, 'row');
  expect(errorOf(weights)).toBeLessThan(0.5 * masked);
  const { weights: whole } = await solve(W, gram.slice(), 0, 'row');
  expect(errorOf(whole)).toBeLessThan(1e-9 * masked);
});

test('a Gram matrix without numbers is refused by name', async () => {
  const W = { rows: 2, columns: 3, data: random(6, 1) };
  const gram = new Float32Array(9).fill(Number.NaN);
  await expect(solve(W, gram, 2, 'row')).rejects.toThrowError(
    expect.objectContaining({ code: 'E_NUMERIC_GRAM', message: expect.stringContaining('a test') }),
  );
});
