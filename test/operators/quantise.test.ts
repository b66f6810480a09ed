// The quantisers: GPTQ against numpy (scripts/golden/gptq.py), and what all of them promise.

import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { createGemm, plainGemm } from '../../src/linalg/index.js';
import {
  factoriseGram,
  findQuantiser,
  GRID_BITS,
  type Matrix,
  type MatrixGrid,
  pruneSparseGpt,
  QUANTISERS,
  roundingTo,
} from '../../src/operators/index.js';
import { LEAST_SQUARES, roundMatrix } from '../../src/operators/quantise/grid.js';
import { nearestCode, plainKernels } from '../../src/solver-kernels/index.js';
import { nearestHalf } from '../../src/tensor/index.js';
import { runs } from '../scale.js';
import { readSolverGolden, unpack } from './golden.js';

const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 2 });
const gemm = await createGemm(engine);
afterAll(() => engine.close());

type Zeros = { readonly rate: number; readonly pattern: string };
const unit = { id: 'q', kind: 'linear', trunk: 'language', block: 0, role: 'q', weights: 1 } as const;

/** What an operator makes of W. */
async function quantise(
  name: string,
  W: Matrix,
  bits: { readonly bits: number; readonly group: number },
  gram?: Float32Array,
  zeros?: Zeros,
  sequences = 4,
) {
  const prepared = await findQuantiser(name).prepare('here', { gram: gram?.slice(), sequences }, { gemm });
  const { zeroed, weights, grid } = await prepared.apply(unit, W, { bits, ...(zeros ? { zeros } : {}) });
  return { zeroed, weights: weights!, grid: grid! };
}

type GoldenCase = {
  readonly bits: number;
  readonly group: number;
  readonly pattern:
    | { readonly kind: 'columns'; readonly count: number }
    | { readonly kind: 'n:m'; readonly n: number; readonly m: number }
    | null;
  readonly sequences: number;
  readonly dead: readonly number[];
  readonly damping: number;
};
const { json, tensors, bytesOf, floatsOf } = await readSolverGolden('gptq');
const { cases } = json as { readonly cases: Record<string, GoldenCase> };

function random(count: number, seed: number): Float32Array {
  const rng = createRng(seed);
  return Float32Array.from({ length: count }, () => 2 * rng.uniform() - 1);
}

/** Σ xᵀx of `tokens` inputs that share half of their content. */
async function gramOf(columns: number, tokens: number, seed = 1): Promise<Float32Array> {
  const common = random(tokens, seed);
  const X = random(columns * tokens, seed + 1).map((x, i) => x + common[i % tokens]!);
  const rows = { rows: columns, columns: tokens, data: X };
  return await plainGemm.multiply(rows, rows, 'B');
}

const squares = ({ columns, data }: Matrix, weights: Float32Array, H: Float32Array): Promise<number> => {
  const D = { rows: data.length / columns, columns, data: data.map((w, i) => w - weights[i]!) };
  return plainGemm
    .multiply(D, { rows: columns, columns, data: H.slice() })
    .then((DH) => DH.reduce((sum, x, i) => sum + x * D.data[i]!, 0));
};

describe.each(Object.entries(cases))('numpy: %s', (name, golden) => {
  const [rows, columns] = tensors.get(`${name}.W`)!.shape as [number, number];
  const W = { rows, columns, data: floatsOf(`${name}.W`) };
  const gram = unpack(floatsOf(`${name}.gram`), columns);
  const q = new Int8Array(bytesOf(`${name}.q`));

  test('the operator', async () => {
    const { bits, group, pattern, sequences } = golden;
    const count = pattern?.kind === 'n:m' ? (rows * columns * pattern.n) / pattern.m : (pattern?.count ?? 0);
    const spelt = pattern?.kind === 'n:m' ? `${pattern.m - pattern.n}:${pattern.m}` : 'columns';
    const zeros = pattern ? { rate: count / (rows * columns), pattern: spelt } : undefined;
    const { grid, zeroed, weights } = await quantise('gptq', W, { bits, group }, gram, zeros, sequences);
    expect(grid.scales).toEqual(floatsOf(`${name}.scales`));
    expect(grid.q).toEqual(q);
    expect(zeroed).toEqual(bytesOf(`${name}.mask`));
    expect(weights).toEqual(dequantised(grid, columns));
  });

  test('in plain TypeScript', async () => {
    const { bits, group, pattern, sequences, dead, damping } = golden;
    const factor = await factoriseGram(gram.slice(), columns, { gemm: plainGemm, kernels: plainKernels, sequences });
    expect(factor.dead).toEqual(dead);
    expect(factor.damping).toBe(damping);
    const chosen = pattern?.kind === 'columns' ? ({ kind: 'panels', count: pattern.count } as const) : pattern;
    const how = { gemm: plainGemm, kernels: plainKernels, round: roundingTo(bits, group) };
    const given = { kind: 'given', mask: new Uint8Array(rows * columns) } as const;
    const { weights, scales, mask } = await pruneSparseGpt(W, chosen ?? given, factor, how);
    expect(scales).toEqual(floatsOf(`${name}.scales`));
    expect(weights).toEqual(dequantised({ bits, group, q, scales }, columns));
    expect(mask).toEqual(bytesOf(`${name}.mask`));
  });
});

/** scale·q, written once more. */
function dequantised({ group, q, scales }: MatrixGrid, columns: number): Float32Array {
  const groups = Math.ceil(columns / group);
  return Float32Array.from(q, (value, i) => {
    const scale = scales[Math.floor(i / columns) * groups + Math.floor((i % columns) / group)]!;
    return value === 0 ? 0 : value * scale;
  });
}

const limits = (bits: number): readonly [number, number] =>
  bits === 8 ? [-127, 127] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];

const asked = fc.record({
  rows: fc.integer({ min: 1, max: 6 }),
  columns: fc.constantFrom(1, 7, 32, 100, 128, 200),
  bits: fc.constantFrom(...GRID_BITS),
  group: fc.constantFrom(32, 64, 128, 1000),
  seed: fc.nat({ max: 1e6 }),
  zeros: fc.constantFrom(0, 0.4, 1),
});

type Random = Readonly<Record<'rows' | 'columns' | 'seed' | 'zeros', number>>;

function matrixOf({ rows, columns, seed, zeros }: Random): Matrix {
  const rng = createRng(seed);
  const data = random(rows * columns, seed).map((w) => (rng.uniform() < zeros ? 0 : w ** 3));
  return { rows, columns, data };
}

describe.each([...QUANTISERS.keys()])('%s', (name) => {
  test('gives weights on a grid of as many levels as asked, and every zero stays zero', async () => {
    await fc.assert(
      fc.asyncProperty(asked, async (shape) => {
        const { bits, group, columns, rows } = shape;
        const W = matrixOf(shape);
        const { grid, weights } = await quantise(name, W, { bits, group }, await gramOf(columns, columns + 40));
        expect(grid).toMatchObject({ bits, group: bits === 8 ? columns : Math.min(group, columns) });
        expect(grid.scales.length).toBe(rows * Math.ceil(columns / grid.group));
        expect(weights).toEqual(dequantised(grid, columns));
        expect(weights.every((w) => !Object.is(w, -0))).toBe(true);
        const [low, high] = limits(bits);
        expect(grid.q.every((q) => q >= low && q <= high)).toBe(true);
        if (bits < 8) expect(grid.scales.every((scale) => nearestHalf(scale) === scale)).toBe(true);
        for (const [i, w] of W.data.entries()) if (w === 0) expect(weights[i]).toBe(0);
      }),
      { numRuns: runs(40) },
    );
  });

  test('gives the same twice, and leaves W as it is', async () => {
    const W = matrixOf({ rows: 3, columns: 200, seed: 5, zeros: 0.2 });
    const before = W.data.slice();
    const gram = await gramOf(200, 300);
    const one = await quantise(name, W, { bits: 3, group: 64 }, gram);
    expect(await quantise(name, W, { bits: 3, group: 64 }, gram)).toEqual(one);
    expect(W.data).toEqual(before);
  });

  test('a weight that no float16 scale reaches is refused; 8 bits reach it', async () => {
    const W = { rows: 1, columns: 2, data: Float32Array.of(1, -3e5) };
    const gram = Float32Array.of(2, 0, 0, 2);
    await expect(quantise(name, W, { bits: 3, group: 32 }, gram)).rejects.toMatchObject({
      code: 'E_NUMERIC_WEIGHT',
      message: expect.stringMatching(/up to 262016.*3 bits.*got 300000/),
    });
    const { weights } = await quantise(name, W, { bits: 8, group: 32 }, gram);
    expect(weights[1]).toBeCloseTo(-3e5, -1);
  });
});

describe('rtn', () => {
  test('no other integer is nearer under the scale', async () => {
    await fc.assert(
      fc.asyncProperty(asked, async (shape) => {
        const { bits, columns } = shape;
        const W = matrixOf(shape);
        const { grid, weights } = await quantise('rtn', W, shape);
        const [low, high] = limits(bits);
        const groups = Math.ceil(columns / grid.group);
        for (const [i, w] of W.data.entries()) {
          const scale = grid.scales[Math.floor(i / columns) * groups + Math.floor((i % columns) / grid.group)]!;
          for (let q = low; q <= high; q++) {
            const slack = 2e-5 * Math.abs(scale); // float32 rounds the quotient, up to 127, to 2⁻¹⁷
            expect(Math.abs(w - weights[i]!)).toBeLessThanOrEqual(Math.abs(w - q * scale) + slack);
          }
        }
      }),
      { numRuns: runs(25) },
    );
  });

  test.each([2, 3, 4])('%d bits: the scale is as good as the best of many thousands', async (bits) => {
    const [low, high] = limits(bits);
    const loss = (w: Float32Array, scale: number): number =>
      w.reduce((sum, x) => sum + Math.abs(x - scale * nearestCode(x, scale, low, high)) ** 3, 0);
    let [found, best] = [0, 0];
    for (let seed = 0; seed < 30; seed++) {
      const W = matrixOf({ rows: 1, columns: 128, seed, zeros: 0 });
      const { grid } = await quantise('rtn', W, { bits, group: 128 });
      found += loss(W.data, grid.scales[0]!);
      const max = W.data.reduce((most, w) => Math.max(most, Math.abs(w)), 0);
      let least = Number.POSITIVE_INFINITY;
      for (let step = 1; step <= 2000; step++) {
        for (const sign of [1, -1]) least = Math.min(least, loss(W.data, (sign * step * max) / 1000 / -low));
      }
      best += least;
    }
    expect(found / best).toBeLessThan(1.02);
  });

  test('the scale takes the sign that gives the largest weight a level', async () => {
    const W = (data: number[]): Matrix => ({ rows: 1, columns: data.length, data: Float32Array.from(data) });
    const positive = await quantise('rtn', W([2, 1, 0, -1]), { bits: 2, group: 32 });
    expect([...positive.grid.scales, ...positive.grid.q]).toEqual([-1, -2, -1, 0, 1]);
    const negative = await quantise('rtn', W([-2, 1, 0, -1]), { bits: 2, group: 32 });
    expect([...negative.grid.scales, ...negative.grid.q]).toEqual([1, -2, 1, 0, -1]);
    // Both signs at full size: half of the levels go unused.
    const both = await quantise('rtn', W([3, -3, 3, -3]), { bits: 2, group: 32 });
    expect([...both.weights]).toEqual([3, -3, 3, -3]);
  });
});

test('hqq: an outlier moves its scale less than that of rtn', async () => {
  const data = random(128, 3);
  data[17] = 8;
  const W = { rows: 1, columns: 128, data };
  const [h, r] = [await quantise('hqq', W, { bits: 3, group: 128 }), await quantise('rtn', W, { bits: 3, group: 128 })];
  expect(Math.abs(h.grid.scales[0]!)).toBeLessThan(Math.abs(r.grid.scales[0]!));
  const loss = ({ weights }: typeof h): number =>
    data.reduce((sum, w, i) => sum + Math.abs(w - weights[i]!) ** 0.75, 0);
  expect(loss(h)).toBeLessThan(loss(r));
});

describe('gptq', () => {
  test('with inputs that say nothing of each other it rounds each weight by itself', async () => {
    await fc.assert(
      fc.asyncProperty(asked, async (shape) => {
        const { columns } = shape;
        const identity = Float32Array.from({ length: columns * columns }, (_, i) => (i % (columns + 1) === 0 ? 2 : 0));
        const W = matrixOf(shape);
        const grid = roundMatrix(W, shape.bits, shape.group, LEAST_SQUARES);
        const plain = { grid, weights: dequantised(grid, columns) };
        expect(await quantise('gptq', W, shape, identity)).toEqual({
          ...plain,
          zeroed: Uint8Array.from(W.data, (w) => (w === 0 ? 1 : 0)),
        });
      }),
      { numRuns: runs(25) },
    );
  });

  test.each([
    [2, 32],
    [3, 128],
    [4, 1000],
  ])('%d bits, group %d: the output moves less than with rtn', async (bits, group) => {
    const W = matrixOf({ rows: 12, columns: 300, seed: 4, zeros: 0 });
    const gram = await gramOf(300, 700);
    const [g, r] = [await quantise('gptq', W, { bits, group }, gram), await quantise('rtn', W, { bits, group })];
    expect(await squares(W, g.weights, gram)).toBeLessThan(0.8 * (await squares(W, r.weights, gram)));
  });

  test('no zeros asked for is the same as zeros at the rate 0', async () => {
    const W = matrixOf({ rows: 5, columns: 300, seed: 8, zeros: 0 });
    const gram = await gramOf(300, 700);
    const alone = await quantise('gptq', W, { bits: 3, group: 64 }, gram);
    for (const pattern of ['columns', 'n:4']) {
      expect(await quantise('gptq', W, { bits: 3, group: 64 }, gram, { rate: 0, pattern })).toEqual(alone);
    }
  });

  test.each(['panels', 'n:m'] as const)(
    'zeros, and a grid too fine to round anything, in one sweep: SparseGPT (%s)',
    async (kind) => {
      const W = matrixOf({ rows: 5, columns: 384, seed: 9, zeros: 0 });
      const factor = await factoriseGram(await gramOf(384, 900), 384, { gemm, sequences: 4 });
      const pattern = kind === 'panels' ? ({ kind, count: 1100 } as const) : ({ kind, n: 5, m: 8 } as const);
      const pruned = await pruneSparseGpt(W, pattern, factor, { gemm });
      const limit = 2 ** 20;
      const scalesOf = ({ rows }: Matrix): Float32Array => new Float32Array(rows).fill(4 / limit);
      for (const group of [32, 128, 384]) {
        const round = { group, low: -limit, high: limit, scalesOf };
        const both = await pruneSparseGpt(W, pattern, factor, { gemm, round });
        expect(both.mask).toEqual(pruned.mask);
        for (const [i, w] of pruned.weights.entries()) expect(Math.abs(both.weights[i]! - w)).toBeLessThan(2e-5);
      }
    },
  );

  test('prunes exactly as many as asked, and is better than rounding after SparseGPT', async () => {
    const W = matrixOf({ rows: 12, columns: 256, seed: 2, zeros: 0 });
    const gram = await gramOf(256, 700);
    const count = 1536;
    const joint = await quantise('gptq', W, { bits: 3, group: 128 }, gram, {
      rate: count / W.data.length,
      pattern: 'columns',
    });
    expect(joint.zeroed.reduce((a, b) => a + b, 0)).toBe(count);
    for (const [i, gone] of joint.zeroed.entries()) if (gone) expect(joint.grid.q[i]).toBe(0);
    const factor = await factoriseGram(gram.slice(), 256, { gemm, sequences: 4 });
    const pruned = await pruneSparseGpt(W, { kind: 'panels', count }, factor, { gemm });
    const after = await quantise('rtn', { ...W, data: pruned.weights }, { bits: 3, group: 128 });
    expect(await squares(W, joint.weights, gram)).toBeLessThan(await squares(W, after.weights, gram));
  });

  test('n:m that crosses the end of a group of columns is refused', async () => {
    const W = matrixOf({ rows: 2, columns: 160, seed: 2, zeros: 0 });
    const zeros = { rate: 0.6, pattern: '2:5' };
    const failing = quantise('gptq', W, { bits: 3, group: 32 }, await gramOf(160, 300), zeros);
    await expect(failing).rejects.toMatchObject({ code: 'E_OPTION_PATTERN', message: expect.stringMatching(/5 .*32/) });
    await quantise('gptq', W, { bits: 3, group: 160 }, await gramOf(160, 300), zeros);
  });

  test('is the same to the last bit with one thread and with two', async () => {
    const W = matrixOf({ rows: 40, columns: 700, seed: 2, zeros: 0 });
    const gram = await gramOf(700, 800);
    const results: unknown[] = [];
    for (const threads of [1, 2]) {
      const other = await createOrtEngine({ device: 'cpu', workers: 1, threads });
      const how = { gemm: await createGemm(other) };
      const factor = await factoriseGram(gram.slice(), 700, { ...how, sequences: 4 });
      const given = { kind: 'given', mask: new Uint8Array(W.data.length) } as const;
      results.push(await pruneSparseGpt(W, given, factor, { ...how, round: roundingTo(2, 32) }));
      await other.close();
    }
    expect(results[1]).toEqual(results[0]);
  });
});

test('an unknown method is refused with the known ones', () => {
  expect(() => findQuantiser('awq')).toThrow(/gptq, rtn, hqq.*"awq"/);
});
