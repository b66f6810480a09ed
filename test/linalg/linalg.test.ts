// The factor of the inverse against its definition in double precision, at sizes around the blocks; and products that do
// not depend on how many threads or workers make them.

import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import { choleskyOfInverse, createGemm, type Gemm, type Matrix, plainGemm } from '../../src/linalg/index.js';
import { plainKernels } from '../../src/solver-kernels/index.js';
import { runs } from '../scale.js';
import { FACTOR, PRODUCT } from '../tolerances.js';

const engines: Engine[] = [];
async function gemmOn(workers: number, threads: number): Promise<Gemm> {
  const engine = await createOrtEngine({ device: 'cpu', workers, threads });
  engines.push(engine);
  return await createGemm(engine);
}
afterAll(async () => {
  for (const engine of engines) await engine.close();
});

function random(rows: number, columns: number, seed: number): Matrix {
  const rng = createRng(seed);
  return { rows, columns, data: Float32Array.from({ length: rows * columns }, () => 2 * rng.uniform() - 1) };
}
const copy = (M: Matrix): Matrix => ({ ...M, data: M.data.slice() });

/** The Gram matrix of correlated inputs, damped as SparseGPT damps it. */
async function gramOf(n: number, gemm: Gemm, seed = n): Promise<Matrix> {
  const rank = Math.ceil(n / 4);
  const X = {
    rows: n,
    columns: 2 * n,
    data: await gemm.multiply(random(n, rank, seed), random(rank, 2 * n, seed + 1)),
  };
  const noise = random(n, 2 * n, seed + 2).data;
  for (let i = 0; i < X.data.length; i++) X.data[i]! += 0.3 * noise[i]!;
  const H = { rows: n, columns: n, data: await gemm.multiply(copy(X), X, 'B') };
  let trace = 0;
  for (let j = 0; j < n; j++) trace += H.data[j * n + j]!;
  for (let j = 0; j < n; j++) H.data[j * n + j]! += (0.01 * trace) / n;
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) H.data[i * n + j] = H.data[j * n + i]!;
  return H;
}

/** max |U·H·Uᵀ − I|, which is zero for the U with H⁻¹ = Uᵀ·U, in double precision. */
function residual({ rows: n, data: H }: Matrix, U: Float32Array): number {
  const UH = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let k = i; k < n; k++) {
      const u = U[i * n + k]!;
      for (let j = 0; j < n; j++) UH[i * n + j]! += u * H[k * n + j]!;
    }
  }
  let worst = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = i === j ? -1 : 0;
      for (let k = j; k < n; k++) sum += UH[i * n + k]! * U[j * n + k]!;
      worst = Math.max(worst, Math.abs(sum));
    }
  }
  return worst;
}

describe('choleskyOfInverse', () => {
  test.each([1, 2, 255, 256, 257, 300, 513])('of %d columns', async (n) => {
    const gemm = await gemmOn(1, 2);
    const H = await gramOf(n, gemm);
    const U = copy(H);
    expect(await choleskyOfInverse(U, gemm)).toBe(-1);
    expect(residual(H, U.data)).toBeLessThanOrEqual(FACTOR);
    for (let i = 0; i < n; i++) {
      expect(U.data[i * n + i]).toBeGreaterThan(0);
      expect(U.data.subarray(i * n, i * n + i).every((x) => Object.is(x, 0))).toBe(true);
    }
  });

  test('of any size in blocks of any size, kernels and products plain', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 17 }), async (n, block) => {
        const H = await gramOf(n, plainGemm);
        const U = copy(H);
        expect(await choleskyOfInverse(U, plainGemm, { kernels: plainKernels, block })).toBe(-1);
        expect(residual(H, U.data)).toBeLessThanOrEqual(FACTOR);
      }),
      { numRuns: runs(40) },
    );
  });

  test('is the same to the last bit with one thread, two, and two workers', async () => {
    const gemms = [await gemmOn(1, 1), await gemmOn(1, 2), await gemmOn(2, 1)];
    const H = await gramOf(700, gemms[0]!);
    const results = [];
    for (const gemm of gemms) {
      const U = copy(H);
      await choleskyOfInverse(U, gemm);
      results.push(U.data);
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  test.each([0, 40, 299])(
    'names the column of a pivot that is not positive, and leaves H as it was',
    async (column) => {
      const gemm = await gemmOn(1, 1);
      const H = await gramOf(300, gemm);
      H.data[column * 300 + column] = -1;
      const U = copy(H);
      expect(await choleskyOfInverse(U, gemm)).toBe(column);
      expect(U.data).toEqual(H.data);
    },
  );
});

describe('products', () => {
  test('agree with the plain ones, whatever the shape, the workers and the transposition', async () => {
    const gemms = [await gemmOn(1, 1), await gemmOn(2, 1), await createGemm(createReferenceEngine())];
    const size = fc.integer({ min: 0, max: 40 });
    const tall = fc.oneof(size, fc.constantFrom(128, 200));
    await fc.assert(
      fc.asyncProperty(tall, size, size, fc.boolean(), async (m, k, n, transposed) => {
        const A = random(m, k, 1);
        const B = transposed ? random(n, k, 2) : random(k, n, 2);
        const how = transposed ? (['B'] as const) : ([] as const);
        const expected = await plainGemm.multiply(A, B, ...how);
        for (const gemm of gemms) {
          const got = await gemm.multiply(copy(A), copy(B), ...how);
          expect(got.length).toBe(m * n);
          for (const [i, x] of got.entries()) expect(Math.abs(x - expected[i]!)).toBeLessThanOrEqual(PRODUCT);
        }
      }),
      { numRuns: runs(60) },
    );
  });

  /** The reference engine with two workers, of which one step fails; what is open of it, and under way. */
  function failing(fails: (what: string, call: number) => boolean) {
    const counts = { open: 0, running: 0 };
    const calls: Record<string, number> = {};
    const step = (what: string): void => {
      calls[what] = (calls[what] ?? 0) + 1;
      if (fails(what, calls[what])) throw new Error(`${what} ${calls[what]}`);
    };
    const engine = createReferenceEngine();
    const load: Engine['load'] = async (graph) => {
      step('load');
      const session = await engine.load(graph);
      counts.open++;
      const run: typeof session.run = async (...given) => {
        counts.running++;
        try {
          step('run');
          await new Promise((resolve) => setTimeout(resolve, 5));
          return await session.run(...given);
        } finally {
          counts.running--;
        }
      };
      const release = async (): Promise<void> => {
        counts.open--;
        step('release');
      };
      return { ...session, run, release };
    };
    return { counts, engine: { ...engine, workers: 2, load } };
  }

  test.each([1, 2])('of which part %i fails leave nothing under way', async (part) => {
    const { counts, engine } = failing((what, call) => what === 'run' && call === part);
    const gemm = await createGemm(engine);
    await expect(gemm.multiply(random(256, 8, 1), random(8, 8, 2))).rejects.toThrow(`run ${part}`);
    expect(counts.running).toBe(0);
    await gemm.release();
    expect(counts.open).toBe(0);
  });

  test.each(['load 1', 'load 2', 'release 1', 'release 2'])('are released where %s fails', async (step) => {
    const { counts, engine } = failing((what, call) => `${what} ${call}` === step);
    await expect(createGemm(engine).then((gemm) => gemm.release())).rejects.toThrow(step);
    expect(counts.open).toBe(0);
  });
});
