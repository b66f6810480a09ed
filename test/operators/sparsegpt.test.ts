// SparseGPT against PyTorch (scripts/golden/sparsegpt.py), against itself in plain TypeScript, and what it promises.

import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { createGemm, type Gemm, plainGemm } from '../../src/linalg/index.js';
import { factoriseGram, pruneSparseGpt, type SparseGptPattern } from '../../src/operators/index.js';
import { plainKernels } from '../../src/solver-kernels/index.js';
import { runs } from '../scale.js';
import { SPARSEGPT_WEIGHTS } from '../tolerances.js';
import { readSolverGolden, unpack } from './golden.js';

const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 2 });
const gemm = await createGemm(engine);
afterAll(() => engine.close());

type GoldenCase = { pattern: SparseGptPattern; sequences: number; dead: number[]; damping: number; pruned: number };
const { json, tensors, bytesOf, floatsOf } = await readSolverGolden('sparsegpt');
const { cases } = json as { cases: Record<string, GoldenCase> };

describe.each(Object.entries(cases))('PyTorch: %s', (name, golden) => {
  test.each([
    ['on the engine', { gemm }],
    ['in plain TypeScript', { gemm: plainGemm, kernels: plainKernels }],
  ] as const)('%s', async (_, how) => {
    const [rows, columns] = tensors.get(`${name}.W`)!.shape as [number, number];
    const gram = unpack(floatsOf(`${name}.gram`), columns);
    const factor = await factoriseGram(gram, columns, { ...how, sequences: golden.sequences });
    expect(factor.dead).toEqual(golden.dead);
    expect(factor.damping).toBe(golden.damping);
    const W = { rows, columns, data: floatsOf(`${name}.W`) };
    const { mask, weights } = await pruneSparseGpt(W, golden.pattern, factor, how);
    expect(mask.reduce((a, b) => a + b, 0)).toBe(golden.pruned);
    expect(mask).toEqual(bytesOf(`${name}.mask`));
    expect(furthest(weights, floatsOf(`${name}.weights`))).toBeLessThanOrEqual(SPARSEGPT_WEIGHTS);
    for (const [i, gone] of mask.entries()) if (gone) expect(Object.is(weights[i], 0)).toBe(true);
  });
});

/** The largest difference, as a share of the largest weight. */
function furthest(got: Float32Array, expected: Float32Array): number {
  let [largest, worst] = [0, 0];
  for (const [i, want] of expected.entries()) {
    largest = Math.max(largest, Math.abs(want));
    worst = Math.max(worst, Math.abs(got[i]! - want));
  }
  return worst / largest;
}

function random(count: number, seed: number): Float32Array {
  const rng = createRng(seed);
  return Float32Array.from({ length: count }, () => 2 * rng.uniform() - 1);
}

/** Σ xᵀx of `tokens` correlated inputs. */
async function gramOf(columns: number, tokens: number, seed = 1): Promise<Float32Array> {
  const rank = Math.ceil(columns / 4);
  const [mix, common] = [random(columns * rank, seed), random(rank * tokens, seed + 1)];
  const X = await plainGemm.multiply(
    { rows: columns, columns: rank, data: mix },
    { rows: rank, columns: tokens, data: common },
  );
  const noise = random(columns * tokens, seed + 2);
  for (let i = 0; i < X.length; i++) X[i]! += 0.5 * noise[i]!;
  const rows = { rows: columns, columns: tokens, data: X };
  return await plainGemm.multiply(rows, rows, 'B');
}

describe('the sweep', () => {
  test('prunes exactly as many as asked at any shape, and stays as it is for zero', async () => {
    const shape = fc.tuple(
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(1, 5, 127, 128, 129, 300),
      fc.double({ min: 0, max: 1, noNaN: true }),
    );
    await fc.assert(
      fc.asyncProperty(shape, async ([rows, columns, share]) => {
        const factor = await factoriseGram(await gramOf(columns, columns + 9), columns, { gemm, sequences: 4 });
        const W = { rows, columns, data: random(rows * columns, columns) };
        const count = Math.round(share * rows * columns);
        const { mask, weights } = await pruneSparseGpt(W, { kind: 'panels', count }, factor, { gemm });
        expect(mask.reduce((a, b) => a + b, 0)).toBe(count);
        expect(weights.filter((w) => w === 0).length).toBe(count);
        if (count === 0) expect(weights).toEqual(W.data);
      }),
      { numRuns: runs(25) },
    );
  });

  test('spreads a count that does not divide over panels by largest remainder', async () => {
    const columns = 300; // panels of 128, 128, 44
    const factor = await factoriseGram(await gramOf(columns, 400), columns, { gemm, sequences: 4 });
    const W = { rows: 3, columns, data: random(3 * columns, 5) };
    const { mask } = await pruneSparseGpt(W, { kind: 'panels', count: 100 }, factor, { gemm });
    const per = [0, 0, 0];
    for (const [i, gone] of mask.entries()) per[Math.floor((i % columns) / 128)]! += gone;
    expect(per).toEqual([43, 43, 14]); // 42⅔, 42⅔, 14⅔: all tie, the two on the left get one
  });

  test('repairs: the output moves less than with the same mask and no repair', async () => {
    const [rows, columns] = [16, 300];
    const gram = await gramOf(columns, 700);
    const factor = await factoriseGram(gram.slice(), columns, { gemm, sequences: 4 });
    const W = { rows, columns, data: random(rows * columns, 5) };
    const { mask, weights } = await pruneSparseGpt(W, { kind: 'panels', count: 2400 }, factor, { gemm });
    const masked = W.data.map((w, i) => (mask[i] ? 0 : w));
    const error = await Promise.all(
      [weights, masked].map((pruned) => outputError(W.data, pruned, gram, rows, columns)),
    );
    expect(error[0]).toBeLessThan(0.6 * error[1]!);
  });

  test('is the same to the last bit with one thread and with two workers', async () => {
    const [rows, columns] = [140, 700];
    const gram = await gramOf(columns, 800);
    const W = { rows, columns, data: random(rows * columns, 7) };
    const results = [];
    for (const [workers, threads] of [
      [1, 1],
      [1, 2],
      [2, 1],
    ] as const) {
      const other = await createOrtEngine({ device: 'cpu', workers, threads });
      const how = { gemm: await createGemm(other) };
      const factor = await factoriseGram(gram.slice(), columns, { ...how, sequences: 4 });
      results.push(await pruneSparseGpt(W, { kind: 'panels', count: 49_000 }, factor, how));
      await other.close();
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  test('of equal scores the first goes, row by row', async () => {
    const columns = 4;
    const factor = {
      columns,
      U: Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1),
      dead: [],
      scale: 1,
      damping: 0,
    };
    const W = { rows: 2, columns, data: new Float32Array(8).fill(-2) };
    const { mask } = await pruneSparseGpt(W, { kind: 'panels', count: 5 }, factor, { gemm });
    expect([...mask]).toEqual([1, 1, 1, 1, 1, 0, 0, 0]);
  });
});

/** tr((W − P)·H·(W − P)ᵀ): the squared error of the linear's output. */
async function outputError(W: Float32Array, P: Float32Array, H: Float32Array, rows: number, columns: number) {
  const D = { rows, columns, data: W.map((w, i) => w - P[i]!) };
  const DH = await plainGemm.multiply(D, { rows: columns, columns, data: H });
  return DH.reduce((sum, x, i) => sum + x * D.data[i]!, 0);
}

describe('the damping', () => {
  /** x·xᵀ times 1e6: of rank one, and too large for float32 to see 1 % of damping in what is left of it. */
  const flat = (n: number, by: number): Float32Array =>
    Float32Array.from({ length: n * n }, (_, i) => (i % n === Math.floor(i / n) ? 1 : by));

  test('is raised tenfold until the matrix is positive definite, and says so', async () => {
    // Eigenvalues 1 − b and 1 + b: 1.05 in place of b asks for more than 5 %.
    const factor = await factoriseGram(flat(2, 1.05), 2, { gemm, sequences: 2 });
    expect(factor.damping).toBeCloseTo(0.1, 12);
    const same = await factoriseGram(flat(2, 1.05), 2, { gemm, sequences: 2, damping: 0.1 });
    expect(factor.U).toEqual(same.U);
  });

  test('is not raised for ever', async () => {
    const failing = factoriseGram(flat(2, 3), 2, { gemm, sequences: 2, name: 'layers.0.q' });
    await expect(failing).rejects.toMatchObject({
      code: 'E_NUMERIC_CHOLESKY',
      message: expect.stringMatching(/layers\.0\.q.*0\.01, 0\.1, 1\b/),
    });
  });

  test('is not asked to mend what is no number', async () => {
    const failing = factoriseGram(Float32Array.of(1, 0, 0, Number.NaN), 2, { gemm, sequences: 2 });
    await expect(failing).rejects.toMatchObject({ code: 'E_NUMERIC_GRAM', facts: { column: 1 } });
  });
});

describe('what does not fit is refused', () => {
  const factor = { columns: 6, U: new Float32Array(36).fill(1), dead: [], scale: 1, damping: 0.01 };
  const W = { rows: 1, columns: 6, data: new Float32Array(6).fill(1) };
  const prune = (pattern: SparseGptPattern, how: { gemm: Gemm } = { gemm }) => pruneSparseGpt(W, pattern, factor, how);

  test.each([
    [{ kind: 'n:m', n: 2, m: 4 }, 'E_OPTION_PATTERN'],
    [{ kind: 'n:m', n: 4, m: 3 }, 'E_OPTION_PATTERN'],
    [{ kind: 'n:m', n: 1, m: 129 }, 'E_OPTION_PATTERN'],
    [{ kind: 'panels', count: 7 }, 'E_OPTION_COUNT'],
  ] as const)('%o', async (pattern, code) => {
    await expect(prune(pattern)).rejects.toMatchObject({ code });
  });

  test('a weight that is no number, by its place', async () => {
    const broken = { ...W, data: Float32Array.of(1, 1, Number.NaN, 1, 1, 1) };
    for (const pattern of [{ kind: 'panels', count: 2 } as const, { kind: 'n:m', n: 1, m: 2 } as const]) {
      const failing = pruneSparseGpt(broken, pattern, factor, { gemm });
      await expect(failing).rejects.toMatchObject({ code: 'E_NUMERIC_SCORE', facts: { row: 0 } });
    }
  });
});
