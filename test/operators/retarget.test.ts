// Stream targets of solvers and least squares on a mask: golden vectors computed in float64 elsewhere, exact solutions by
// elimination, and what a target promises.

import { expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { choleskyOfInverse, plainGemm } from '../../src/linalg/index.js';
import { findCriterion, findOperator, refit, retarget } from '../../src/operators/index.js';
import { plainKernels } from '../../src/solver-kernels/index.js';
import { normal } from '../api/make.js';
import { solve } from './solve.js';

const W = { rows: 2, columns: 3, data: Float32Array.of(1, -2, 0.5, 0, 1, 1) };
const X = [1, 0, 2, -1, 0, 1, 1, 1, 1, 1, 0, 2];
const Y = [1, 0, 1.5, -1, 0, 0.5, 1, 1, 1, 1, 0, 1.5];
const R = [0.1, 0, -0.1, 0.2, 0, 0.2, 0, -0.1];
const MU = 0.1;

/** A·Bᵀ of A [a, n] and B [b, n]. */
function times(A: ArrayLike<number>, a: number, B: ArrayLike<number>, b: number): Float32Array {
  const n = A.length / a;
  const product = new Float32Array(a * b);
  for (let i = 0; i < a; i++) {
    for (let j = 0; j < b; j++) {
      let sum = 0;
      for (let t = 0; t < n; t++) sum += A[i * n + t]! * B[j * n + t]!;
      product[i * b + j] = sum;
    }
  }
  return product;
}

const H = times(Y, 3, Y, 3);
/** W(X − X̃)X̃ᵀ + R·X̃ᵀ. */
function pullOf(): Float32Array {
  const difference = X.map((x, i) => x - Y[i]!);
  const cross = times(difference, 3, Y, 3);
  const pull = times(R, 2, Y, 3);
  for (let i = 0; i < 2; i++) {
    for (let j = 0; j < 3; j++) for (let k = 0; k < 3; k++) pull[i * 3 + j]! += W.data[i * 3 + k]! * cross[k * 3 + j]!;
  }
  return pull;
}

function expectNear(got: Float32Array, wanted: readonly number[], tolerance = 2e-6): void {
  expect(got.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(got[i]! - value), `at ${i}`).toBeLessThan(tolerance);
}

test('W* is the golden one', async () => {
  const U = H.slice();
  for (let j = 0; j < 3; j++) U[j * 4]! += MU;
  expect(await choleskyOfInverse({ rows: 3, columns: 3, data: U }, plainGemm, { kernels: plainKernels })).toBe(-1);
  const { data } = await retarget(W, pullOf(), { U, scale: 1 }, plainGemm);
  expectNear(data, [0.998155, -1.682064, 0.301886, -0.083744, 1.149198, 1.220628]);
  expect(await retarget(W, undefined, { U, scale: 1 }, plainGemm)).toBe(W);
});

test('least squares on a mask is the golden one, after two turns', async () => {
  const mask = Uint8Array.of(0, 1, 0, 1, 0, 0);
  const wanted = [0.712144, 0, -0.504351, 0, 1.106468, 1.2499];
  for (const turns of [2, 30]) {
    expectNear(await refit(W, mask, { H, damping: MU, pull: pullOf() }, plainGemm, turns), wanted);
  }
});

test('least squares on random masks equals an exact solution for each row', async () => {
  const rng = createRng(3);
  const [rows, columns, tokens] = [5, 12, 40];
  const draw = (count: number): Float32Array => Float32Array.from({ length: count }, () => normal(rng));
  const inputs = draw(columns * tokens);
  const gram = times(inputs, columns, inputs, columns);
  const weights = { rows, columns, data: draw(rows * columns) };
  const pull = draw(rows * columns);
  // The last row keeps nothing.
  const mask = Uint8Array.from({ length: rows * columns }, (_, i) =>
    i >= (rows - 1) * columns || rng.uniform() < 0.5 ? 1 : 0,
  );
  const damping = 0.4;
  const got = await refit(weights, mask, { H: gram, damping, pull }, plainGemm, 40);
  for (let row = 0; row < rows; row++) {
    const at = (j: number): number => row * columns + j;
    const kept = Array.from({ length: columns }, (_, j) => j).filter((j) => mask[at(j)] === 0);
    const right = kept.map((j) => {
      let sum = pull[at(j)]! + damping * weights.data[at(j)]!;
      for (let k = 0; k < columns; k++) sum += weights.data[at(k)]! * gram[k * columns + j]!;
      return sum;
    });
    const exact = solve(
      kept.map((i) => kept.map((j) => gram[i * columns + j]! + (i === j ? damping : 0))),
      right.map((value) => [value]),
    ).map(([value]) => value!);
    for (let j = 0; j < columns; j++) {
      const wanted = kept.includes(j) ? exact[kept.indexOf(j)]! : 0;
      expect(Math.abs(got[at(j)]! - wanted), `row ${row}, column ${j}`).toBeLessThan(1e-4);
    }
  }
});

test('a solver given a pull of zeros does what it does without one', async () => {
  const rng = createRng(9);
  const [rows, columns, tokens] = [6, 16, 64];
  const draw = (count: number): Float32Array => Float32Array.from({ length: count }, () => normal(rng));
  const inputs = draw(columns * tokens);
  const gram = times(inputs, columns, inputs, columns);
  const squareSums = Float64Array.from({ length: columns }, (_, j) => gram[j * (columns + 1)]!);
  const weights = { rows, columns, data: draw(rows * columns) };
  const unit = { id: 'a', kind: 'linear', trunk: 'language', block: 0, role: 'q', weights: rows * columns } as const;
  for (const name of ['sparsegpt', 'admm', 'dsnot-sparsegpt', 'wanda+refit', 'magnitude+refit']) {
    const operator = findCriterion(name);
    const [kind] = operator.patterns;
    const apply = async (pull?: Float32Array) => {
      const columnSums = new Float64Array(columns);
      const evidence = { gram: gram.slice(), squareSums, columnSums, sequences: 4, tokens };
      const prepared = await operator.prepare('a site', evidence, { gemm: plainGemm });
      return await prepared.apply(unit, weights, { zeros: { rate: 0.5, pattern: kind! } }, pull);
    };
    expect(await apply(new Float32Array(rows * columns)), name).toEqual(await apply());
    const moved = await apply(draw(rows * columns).map((value) => 20 * value));
    expect(moved.weights, name).not.toEqual((await apply()).weights);
    expect(
      moved.zeroed.reduce((a, b) => a + b, 0),
      name,
    ).toBe((rows * columns) / 2);
  }
});

test('only criteria that choose a mask can be refitted', () => {
  expect(() => findCriterion('sparsegpt+refit')).toThrow('--refit: expected a criterion that only chooses a mask');
  expect(() => findCriterion('nothing+refit')).toThrow('--criterion: expected one of');
});

test('gptq keeps the zeros that are there when a target moves every other weight', async () => {
  const rng = createRng(4);
  const [rows, columns, tokens] = [4, 64, 200];
  const draw = (count: number): Float32Array => Float32Array.from({ length: count }, () => normal(rng));
  const inputs = draw(columns * tokens);
  const gram = times(inputs, columns, inputs, columns);
  const data = draw(rows * columns).map((weight) => (rng.uniform() < 0.5 ? 0 : weight));
  const unit = { id: 'a', kind: 'linear', trunk: 'language', block: 0, role: 'q', weights: rows * columns } as const;
  const prepared = await findOperator('gptq').prepare('a site', { gram, sequences: 4, tokens }, { gemm: plainGemm });
  const pull = draw(rows * columns).map((value) => 20 * value);
  const { weights } = await prepared.apply(unit, { rows, columns, data }, { bits: { bits: 3, group: 32 } }, pull);
  for (const [i, weight] of data.entries()) if (weight === 0) expect(weights![i], `at ${i}`).toBe(0);
  expect(weights!.some((weight) => weight !== 0)).toBe(true);
});
