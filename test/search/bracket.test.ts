import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GRID, walkInterval } from '../../src/search/index.js';
import { runs } from '../scale.js';
import { walkThrough } from './walk.js';

/** Runs the search on a loss and reports what it cost. */
function run(loss: (beta: number) => number, surrogate?: (beta: number) => number, maxTrials = 6) {
  return within({ low: 0, high: 0.09, startsUniform: true }, loss, surrogate, maxTrials);
}

function within(
  range: { readonly low: number; readonly high: number; readonly startsUniform: boolean; readonly mirrored?: boolean },
  loss: (value: number) => number,
  surrogate: ((value: number) => number) | undefined,
  maxTrials: number,
) {
  const start = () => walkInterval({ name: 'beta', ...range, maxTrials, surrogate: surrogate !== undefined });
  const { best, asked, losses } = walkThrough(start, ({ values, fidelity }) =>
    (fidelity === 'exact' ? loss : surrogate!)(values.beta!),
  );
  const exact = asked.filter(({ fidelity }) => fidelity === 'exact').map(({ values }) => values.beta!);
  return { value: best.beta!, loss: Math.min(...losses), asked: exact };
}

test('asks for uniform first, never twice for the same β, and at most maxTrials besides', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 9, noNaN: true }), { minLength: 10, maxLength: 10 }),
      fc.integer({ min: 1, max: 6 }),
      (values, maxTrials) => {
        const { asked, loss } = run(
          (beta) => values[Math.min(9, Math.round((beta / 0.09) * GRID))]!,
          undefined,
          maxTrials,
        );
        expect(asked[0]).toBe(0);
        expect(new Set(asked).size).toBe(asked.length);
        expect(asked.length - 1).toBeLessThanOrEqual(maxTrials);
        expect(loss).toBeLessThanOrEqual(values[0]!);
      },
    ),
    { numRuns: runs(100) },
  );
});

test('finds the best grid point or better of any unimodal loss, given an honest surrogate, within six trials', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 0.09, noNaN: true }),
      fc.double({ min: 1, max: 3, noNaN: true }),
      (vertex, power) => {
        const loss = (beta: number): number => Math.abs(beta - vertex) ** power;
        const grid = Array.from({ length: GRID + 1 }, (_, j) => loss((0.09 * j) / GRID));
        const found = run(loss, loss);
        expect(found.loss).toBeLessThanOrEqual(Math.min(...grid));
        expect(found.asked.length).toBeLessThanOrEqual(7);
      },
    ),
    { numRuns: runs(100) },
  );
});

test('a surrogate that points the wrong way costs trials, not the result', () => {
  const loss = (beta: number): number => (beta - 0.02) ** 2;
  const found = run(loss, (beta) => -beta);
  expect(found.loss).toBeLessThanOrEqual(loss(0.03));
});

test('uniform wins where rising only hurts', () => {
  const found = run(
    (beta) => beta,
    (beta) => beta,
  );
  expect(found.value).toBe(0);
});

test('an empty range is uniform alone', () => {
  const result = within({ low: 0, high: 0, startsUniform: true }, () => 1, undefined, 6);
  expect(result).toEqual({ value: 0, loss: 1, asked: [0] });
});

describe('a range that does not begin with uniform', () => {
  const range = { low: -0.3, high: 0.6, startsUniform: false };

  test('stays inside its bounds, makes at most maxTrials, and finds the bottom, be it the low end itself', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -0.3, max: 0.6, noNaN: true }),
        fc.integer({ min: 1, max: 6 }),
        fc.boolean(),
        (vertex, maxTrials, guided) => {
          const loss = (value: number): number => (value - vertex) ** 2;
          const { asked, value, loss: found } = within(range, loss, guided ? loss : undefined, maxTrials);
          expect(asked.length).toBeLessThanOrEqual(maxTrials);
          for (const one of asked) expect(one >= -0.3 - 1e-12 && one <= 0.6 + 1e-12).toBe(true);
          expect(found).toBe(Math.min(...asked.map(loss)));
          if (guided) expect(Math.abs(value - vertex)).toBeLessThanOrEqual(0.05 + 1e-9);
        },
      ),
      { numRuns: runs(100) },
    );
    const low = within(
      range,
      (value) => value,
      (value) => value,
      6,
    );
    expect(low.value).toBe(-0.3);
  });
});

describe('a mirrored interval', () => {
  const both = { low: 0, high: 0.09, startsUniform: true, mirrored: true };

  test('finds the best grid point or better where it rises, and down to four steps below, within six trials', () => {
    fc.assert(
      fc.property(fc.double({ min: -0.04, max: 0.09, noNaN: true }), (vertex) => {
        const loss = (beta: number): number => (beta - vertex) ** 2;
        const grid = Array.from({ length: 2 * GRID + 1 }, (_, j) => loss((0.09 * (j - GRID)) / GRID));
        const found = within(both, loss, loss, 6);
        expect(found.loss).toBeLessThanOrEqual(Math.min(...grid));
        expect(found.asked[0]).toBe(0);
        expect(found.asked.length).toBeLessThanOrEqual(7);
      }),
      { numRuns: runs(100) },
    );
  });

  test('asks as if there were one side wherever that side beats uniform, else goes on from there', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 9, noNaN: true }), { minLength: 2 * GRID + 1, maxLength: 2 * GRID + 1 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 8 }),
        (values, guided, maxTrials) => {
          const loss = (beta: number): number => values[Math.round((beta / 0.09) * GRID) + GRID]!;
          const estimate = guided ? loss : (beta: number): number => Math.abs(beta - 0.03);
          const one = within({ ...both, mirrored: false }, loss, estimate, maxTrials);
          const two = within(both, loss, estimate, maxTrials);
          if (one.value > 0) expect(two).toEqual(one);
          else expect(two.asked.slice(0, one.asked.length)).toEqual(one.asked);
          expect(two.loss).toBeLessThanOrEqual(one.loss);
        },
      ),
      { numRuns: runs(200) },
    );
  });

  test('costs one trial more where the loss rises on both sides, and asks for no estimate below', () => {
    const estimated: number[] = [];
    const estimate = (beta: number): number => {
      estimated.push(beta);
      return Math.abs(beta);
    };
    const two = within(both, Math.abs, estimate, 6);
    expect(two.value).toBe(0);
    expect(two.asked.map((beta) => Math.round(beta * 100))).toEqual([0, 1, 2, -1]);
    expect(Math.min(...estimated)).toBeGreaterThan(0);
  });

  test('without the mirror nothing below the low end is asked for', () => {
    const { asked } = within(
      { ...both, mirrored: false },
      (beta) => beta,
      (beta) => beta,
      6,
    );
    expect(Math.min(...asked)).toBe(0);
  });

  test('of equal losses the one nearer uniform wins, then the rising one', () => {
    const { value } = within(
      both,
      () => 1,
      () => 1,
      6,
    );
    expect(value).toBe(0);
    const valley = (beta: number): number => (Math.abs(Math.abs(beta) - 0.01) < 1e-9 ? 0 : 1);
    expect(within(both, valley, valley, 6).value).toBeCloseTo(0.01, 12);
  });
});
