// Which slices go and what the kept weights become: a golden vector by hand, and numpy's slow way in float64
// (scripts/golden/cut.py), which solves the least squares of every set of slices and updates nothing.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { plainGemm } from '../../src/linalg/index.js';
import {
  createElimination,
  cutOperator,
  eliminateGreedily,
  type Importance,
  measureCosts,
  type Repair,
} from '../../src/operators/index.js';
import { TRUNK } from '../../src/plan/index.js';
import { CUT_COST, CUT_WEIGHT } from '../tolerances.js';
import { invert } from './solve.js';

type Case = {
  readonly rows: number;
  readonly columns: number;
  readonly width: number;
  readonly tokens: number;
  readonly count: number;
  readonly bias: boolean;
  readonly W: readonly number[];
  readonly X: readonly number[];
  readonly gone: Readonly<Record<'obs' | 'wanda-sp' | 'flap', readonly number[]>>;
  readonly costs: readonly number[];
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly moved?: Readonly<Record<string, readonly number[]>>;
};
const { cases } = JSON.parse(readFileSync(new URL('../golden/cut.json', import.meta.url), 'utf8')) as {
  cases: readonly Case[];
};

const NAME = 'a.linear';
const unit = { id: NAME, kind: 'linear', trunk: TRUNK, block: 0, role: 'down', weights: 0 } as const;

function evidenceOf({ X, columns, tokens }: Case) {
  const gram = new Float64Array(columns * columns);
  const columnSums = new Float64Array(columns);
  for (let t = 0; t < tokens; t++) {
    const x = X.slice(t * columns, (t + 1) * columns);
    for (let i = 0; i < columns; i++) {
      columnSums[i]! += x[i]!;
      for (let j = 0; j < columns; j++) gram[i * columns + j]! += x[i]! * x[j]!;
    }
  }
  const squareSums = Float64Array.from({ length: columns }, (_, j) => gram[j * (columns + 1)]!);
  return { gram: Float32Array.from(gram), columnSums, squareSums, tokens, sequences: 4 };
}

const matrixOf = ({ rows, columns, W }: Case) => ({ rows, columns, data: Float32Array.from(W) });

async function applyTo(one: Case, importance: Importance, repair: Repair, pull?: Float32Array) {
  const readers = new Map([[NAME, { width: one.width, bias: one.bias }]]);
  const { prepare } = cutOperator({ importance, repair, readers });
  const prepared = await prepare('a site', evidenceOf(one), { gemm: plainGemm });
  const keep = one.columns / one.width - one.count;
  return { ...(await prepared.apply(unit, matrixOf(one), { keep }, pull)), movesBias: prepared.movesBias?.(unit) };
}

const zeroedSlices = ({ columns, width }: Case, zeroed: Uint8Array): number[] =>
  Array.from({ length: columns / width }, (_, slice) => slice).filter((slice) => zeroed[slice * width] === 1);

test('greedy OBS of the golden vector', () => {
  const G = [2, 0.5, 0, 1, 0.5, 1, 0.2, 0, 0, 0.2, 1, 0.3, 1, 0, 0.3, 2];
  const elimination = createElimination({
    rows: 2,
    columns: 4,
    W: Float64Array.of(2, 0, 1, 0.5, 1, 1, 0, 0.5),
    inverse: invert(G, 4),
    width: 1,
  });
  const { order, costs } = eliminateGreedily(elimination, 2, 'a site');
  expect(order).toEqual([3, 1]);
  expect(costs[0]).toBeCloseTo(0.647455, 6);
  expect(costs[1]).toBeCloseTo(0.582545, 6);
  expect(costs[0]! + costs[1]!).toBeCloseTo(1.23, 10);
  const fitted = elimination.weights();
  for (const [i, value] of [2.25, 0, 1.15, 0, 1.5, 0, 0.35, 0].entries()) {
    expect(fitted[i]).toBeCloseTo(value, 10);
  }
});

test.each(cases.map((one, i) => ({ one, i })))('case $i: costs are those of solving every set', async ({ one }) => {
  const evidence = evidenceOf(one);
  const costs = await measureCosts(matrixOf(one), one, evidence, plainGemm, 'a site');
  expect(costs[0]).toBe(0);
  let sum = 0;
  for (const [i, cost] of one.costs.entries()) {
    sum += cost;
    expect(Math.abs(costs[i + 1]! / sum - 1), `after ${i + 1}`).toBeLessThan(CUT_COST);
  }
});

test.each(
  cases.flatMap((one, i) => (['obs', 'wanda-sp', 'flap'] as const).map((importance) => ({ one, i, importance }))),
)('case $i, $importance: slices, kept weights and bias are numpy’s', async ({ one, importance }) => {
  const { zeroed, weights, bias, movesBias } = await applyTo(one, importance, 'least-squares');
  expect(zeroedSlices(one, zeroed)).toEqual([...one.gone[importance]].sort((a, b) => a - b));
  const scale = Math.max(...one.W.map(Math.abs));
  for (const [i, value] of one.weights[importance]!.entries()) {
    expect(Math.abs(weights![i]! - value) / scale, `weight ${i}`).toBeLessThan(CUT_WEIGHT);
  }
  expect(movesBias).toBe(one.bias);
  expect(bias !== undefined).toBe(one.bias);
  for (const [i, value] of (one.moved?.[importance] ?? []).entries()) {
    expect(Math.abs(bias![i]! - value) / scale, `bias ${i}`).toBeLessThan(CUT_WEIGHT);
  }
});

test('without a repair the kept weights keep their bits, and a bias alone takes the mean of what went', async () => {
  const one = cases.find(({ bias }) => bias)!;
  const bare = await applyTo(one, 'flap', 'none');
  expect(bare.weights).toBeUndefined();
  expect(bare.bias).toBeUndefined();
  expect(bare.movesBias).toBe(false);
  const moved = await applyTo(one, 'flap', 'bias');
  expect(moved.weights).toBeUndefined();
  const { columnSums } = evidenceOf(one);
  for (let row = 0; row < one.rows; row++) {
    let mean = 0;
    for (let j = 0; j < one.columns; j++) {
      if (moved.zeroed[row * one.columns + j] === 1)
        mean += (one.W[row * one.columns + j]! * columnSums[j]!) / one.tokens;
    }
    expect(moved.bias![row]).toBeCloseTo(mean, 5);
  }
});

test('a target elsewhere: the kept weights solve for it exactly', async () => {
  const one = cases[0]!;
  const { rows, columns } = one;
  const pull = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(3 * i) * 5);
  const { weights, zeroed } = await applyTo(one, 'obs', 'least-squares', pull);
  const kept = Array.from({ length: columns }, (_, j) => j).filter((j) => zeroed[j] === 0);
  // (G_SS + μI)·w = ((W·G + pull) + μW)_S
  const { gram, squareSums } = evidenceOf(one);
  const mu = (0.01 * squareSums.reduce((a, b) => a + b, 0)) / columns;
  const A = kept.flatMap((i) => kept.map((j) => gram[i * columns + j]! + (i === j ? mu : 0)));
  const inverse = invert(A, kept.length);
  for (let row = 0; row < rows; row++) {
    const b = kept.map((j) => {
      let sum = pull[row * columns + j]! + mu * one.W[row * columns + j]!;
      for (let k = 0; k < columns; k++) sum += one.W[row * columns + k]! * gram[k * columns + j]!;
      return sum;
    });
    for (const [at, j] of kept.entries()) {
      const exact = b.reduce((sum, value, k) => sum + value * inverse[at * kept.length + k]!, 0);
      expect(Math.abs(weights![row * columns + j]! - exact), `${row}, ${j}`).toBeLessThan(20 * CUT_WEIGHT);
    }
  }
});

test('the means of inputs are asked for only where FLAP or a bias reads them', () => {
  const needsOf = (importance: Importance, repair: Repair, bias: boolean) =>
    cutOperator({ importance, repair, readers: new Map([[NAME, { width: 1, bias }]]) }).needs;
  expect(needsOf('obs', 'least-squares', false)).toEqual(['gram']);
  expect(needsOf('obs', 'least-squares', true)).toEqual(['gram', 'columnSums']);
  expect(needsOf('taylor', 'bias', true)).toEqual(['squareSums', 'columnSums']);
  expect(needsOf('wanda-sp', 'none', true)).toEqual(['squareSums']);
  expect(needsOf('flap', 'none', false)).toEqual(['squareSums', 'columnSums']);
});

test('an inverse that is not positive definite is refused', () => {
  const W = Float64Array.of(1, 2);
  const elimination = createElimination({ rows: 1, columns: 2, W, inverse: Float64Array.of(-1, 0, 0, 1), width: 1 });
  expect(() => eliminateGreedily(elimination, 1, 'a site')).toThrow(/of a site is not positive definite/);
});

test('a column that is always zero goes first, and costs nothing', async () => {
  const one = cases[0]!;
  const X = one.X.map((value, i) => (i % one.columns === 7 ? 0 : value));
  const dead = { ...one, X, count: 1 };
  expect(zeroedSlices(dead, (await applyTo(dead, 'obs', 'least-squares')).zeroed)).toEqual([7]);
  const costs = await measureCosts(matrixOf(dead), dead, evidenceOf(dead), plainGemm, 'a site');
  expect(costs[1]).toBe(0);
});
