// LESA's predictor in closed form (src/operators/predict.ts) against the formulas of the paper with an eigendecomposition, in
// double precision; and what it does where neighbours say much or nothing.

import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { plainGemm } from '../../src/linalg/index.js';
import { fitPredictor, type Stack } from '../../src/operators/index.js';
import { normal } from '../api/make.js';
import { solve } from './solve.js';

type M = number[][];
const times = (A: M, B: M): M =>
  A.map((row) => B[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * B[k]![j]!, 0)));
const turn = (A: M): M => A[0]!.map((_, j) => A.map((row) => row[j]!));
const plus = (A: M, B: M): M => A.map((row, i) => row.map((value, j) => value + B[i]![j]!));

/** Eigenvalues and eigenvectors (columns of U) of a symmetric matrix, by Jacobi's turns. */
function eigen(A: M): { values: number[]; U: M } {
  const n = A.length;
  const a = A.map((row) => [...row]);
  const U: M = a.map((_, i) => a.map((__, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 60; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const angle = 0.5 * Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (const M of [a, U]) {
          for (const row of M) [row[p], row[q]] = [c * row[p]! - s * row[q]!, s * row[p]! + c * row[q]!];
        }
        for (let j = 0; j < n; j++) {
          [a[p]![j], a[q]![j]] = [c * a[p]![j]! - s * a[q]![j]!, s * a[p]![j]! + c * a[q]![j]!];
        }
      }
    }
  }
  return { values: a.map((row, i) => row[i]!), U };
}

const [ROWS, COLUMNS] = [10, 6];

/** Matrices of which each is `rho` times the one before, and noise. */
function chain(length: number, rho: number, seed: number): M[] {
  const rng = createRng(seed);
  const draw = (): M => Array.from({ length: ROWS }, () => Array.from({ length: COLUMNS }, () => normal(rng)));
  const all: M[] = [draw()];
  while (all.length < length) {
    const noise = draw();
    all.push(all.at(-1)!.map((row, i) => row.map((value, j) => rho * value + Math.sqrt(1 - rho ** 2) * noise[i]![j]!)));
  }
  return all;
}

const stackOf = (matrices: readonly M[]): Stack => ({
  name: 'w',
  ...{ rows: ROWS, columns: COLUMNS },
  blocks: matrices.map((_, i) => i),
  triples: matrices.map((_, i) => i).slice(1, -1),
  read: async (block) => Float32Array.from(matrices[block]!.flat()),
});

type Pair = readonly [left: number, right: number];

/** U·S·[V_left | V_right]·P, P fitted without some triples; from the SVD: C·Cᵀ = U·S²·Uᵀ, V_i = S⁻¹UᵀW_i. */
function paperPredict(matrices: readonly M[], pair: Pair, damping: number, without: readonly number[] = []): M {
  const gram = matrices.map((W) => times(W, turn(W))).reduce(plus);
  const epsilon = (1e-4 * gram.reduce((sum, row, i) => sum + row[i]!, 0)) / ROWS;
  const { values, U } = eigen(gram);
  const S = values.map((value) => Math.sqrt(value + epsilon));
  const V = matrices.map((W) => times(turn(U), W).map((row, i) => row.map((value) => value / S[i]!)));
  const beside = (i: number, j: number): M => V[i]!.map((row, k) => [...row, ...V[j]![k]!]);
  const inner = matrices
    .map((_, i) => i)
    .slice(1, -1)
    .filter((i) => !without.includes(i));
  const G = inner.map((i) => times(turn(beside(i - 1, i + 1)), beside(i - 1, i + 1))).reduce(plus);
  const B = inner.map((i) => times(turn(beside(i - 1, i + 1)), V[i]!)).reduce(plus);
  const lambda = (damping * G.reduce((sum, row, i) => sum + row[i]!, 0)) / G.length;
  const P = solve(
    G.map((row, i) => row.map((value, j) => value + (i === j ? lambda : 0))),
    B,
  );
  const made = times(beside(...pair), P);
  return times(
    U,
    made.map((row, i) => row.map((value) => value * S[i]!)),
  );
}

describe.each([0, 0.9])('blocks that follow each other by %d', (rho) => {
  const matrices = chain(9, rho, 5);
  const inner = [1, 2, 3, 4, 5, 6, 7];

  test('the prediction is U·S·G([V_l | V_l+1]) of the paper, with the ridge in place of the network', async () => {
    const { heldOut, predict } = await fitPredictor(stackOf(matrices), plainGemm);
    for (const before of [0, 3, 7]) {
      const wanted = paperPredict(matrices, [before, before + 1], heldOut.damping).flat();
      const got = await predict(before);
      const largest = Math.max(...wanted.map(Math.abs));
      for (const [i, value] of wanted.entries()) expect(Math.abs(got[i]! - value) / largest).toBeLessThan(2e-3);
    }
  });

  test('held-out errors are of predictions that were not shown the triple, by the best of four dampings', async () => {
    const { heldOut } = await fitPredictor(stackOf(matrices), plainGemm);
    const squares = (A: M): number => A.flat().reduce((sum, value) => sum + value ** 2, 0);
    const sum = (made: (i: number) => M): number =>
      inner.reduce((all, i) => {
        const negative = matrices[i]!.map((row) => row.map((value) => -value));
        return all + squares(plus(made(i), negative));
      }, 0);
    const total = inner.reduce((all, i) => all + squares(matrices[i]!), 0);
    const byDamping = [0.01, 0.1, 1, 10].map((damping) => {
      // Every fourth triple is held out with the first, the second, …
      const made = (i: number): M => {
        const without = inner.filter((other) => (other - i) % 4 === 0);
        return paperPredict(matrices, [i - 1, i + 1], damping, without);
      };
      return Math.sqrt(sum(made) / total);
    });
    expect(heldOut.lesa).toBeCloseTo(Math.min(...byDamping), 4);
    expect(heldOut.triples).toBe(7);
    expect(heldOut.copy).toBeCloseTo(Math.sqrt(sum((i) => matrices[i - 1]!) / total), 5);
    const mean = (i: number): M => plus(matrices[i - 1]!, matrices[i + 1]!).map((row) => row.map((v) => v / 2));
    expect(heldOut.average).toBeCloseTo(Math.sqrt(sum(mean) / total), 5);
    if (rho === 0) expect(heldOut.lesa).toBeGreaterThan(0.9);
    else expect(heldOut.lesa).toBeLessThan(0.75);
  });
});
