// Greedy removal of slices (src/operators/cut/elimination.ts) against its definition: at every step the slice without which the
// least squares of W·X on the columns that are left errs least, each least squares by elimination in double precision.

import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { createElimination, keepSlices } from '../../src/operators/index.js';
import { invert, solve } from './solve.js';

type Rows = number[][];

/** The best V on `columns` for W in the norm of H, and its error tr (W − V)·H·(W − V)ᵀ. */
function fitOn(W: Rows, H: Rows, columns: readonly number[]): { weights: Rows; error: number } {
  const A = columns.map((i) => columns.map((j) => H[i]![j]!));
  const B = columns.map((i) => W.map((w) => w.reduce((sum, value, j) => sum + value * H[j]![i]!, 0)));
  const made = solve(A, B);
  const weights = W.map((_, row) => columns.map((_, i) => made[i]![row]!));
  const error = W.reduce((sum, w, row) => {
    const gap = w.map((value, j) => value - (columns.includes(j) ? weights[row]![columns.indexOf(j)]! : 0));
    return sum + gap.reduce((all, a, i) => all + gap.reduce((part, b, j) => part + a * b * H[i]![j]!, 0), 0);
  }, 0);
  return { weights, error };
}

describe.each([
  { width: 1, columns: 12, keep: 5 },
  { width: 3, columns: 12, keep: 2 },
  { width: 4, columns: 16, keep: 4 },
])('$keep slices of $width of $columns columns', ({ width, columns, keep }) => {
  test('are those that the definition keeps, with the least squares on them', () => {
    const rng = createRng(columns + width);
    const normals = (count: number) => Array.from({ length: count }, () => rng.uniform() + rng.uniform() - 1);
    const X = Array.from({ length: columns }, () => normals(40));
    for (let j = 1; j < columns; j++) X[j] = X[j]!.map((value, t) => value + 0.6 * X[j - 1]![t]!);
    const H = X.map((a, i) => X.map((b, j) => a.reduce((sum, v, t) => sum + v * b[t]!, i === j ? 0.1 : 0)));
    const W = Array.from({ length: 5 }, () => normals(columns));
    const of = (slices: readonly number[]) =>
      slices.flatMap((s) => Array.from({ length: width }, (_, j) => s * width + j));
    let left = Array.from({ length: columns / width }, (_, s) => s);
    while (left.length > keep) {
      const errors = left.map((gone) => fitOn(W, H, of(left.filter((one) => one !== gone))).error);
      left = left.toSpliced(errors.indexOf(Math.min(...errors)), 1);
    }
    const input = { rows: 5, columns, W: Float32Array.from(W.flat()), width };
    const got = keepSlices(createElimination({ ...input, inverse: invert(H.flat(), columns) }), keep, 'a site');
    expect(got.slices).toEqual(left);
    const wanted = fitOn(W, H, of(left)).weights.flat();
    for (const [i, value] of wanted.entries()) expect(got.weights[i]).toBeCloseTo(value, 4);
  });
});

test('of equal slices the lower goes first, and dead ones cost nothing', () => {
  const elimination = () => {
    const inverse = Float64Array.from([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    return createElimination({ rows: 1, columns: 4, W: Float32Array.of(2, 0, 2, 3), inverse, width: 1 });
  };
  expect(keepSlices(elimination(), 3, 'a site')).toEqual({ slices: [0, 2, 3], weights: Float32Array.of(2, 2, 3) });
  expect(keepSlices(elimination(), 2, 'a site').slices).toEqual([2, 3]);
});
