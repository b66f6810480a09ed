import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GRID, searchInterval } from '../../src/search/index.js';
import { runs } from '../scale.js';

/** Runs the search on a loss and reports what it cost. */
async function run(loss: (beta: number) => number, surrogate?: (beta: number) => number, maxTrials = 6) {
  const asked: number[] = [];
  const result = await searchInterval({
    low: 0,
    high: 0.09,
    startsUniform: true,
    maxTrials,
    exact: async (beta) => {
      asked.push(beta);
      return loss(beta);
    },
    surrogate: surrogate && (async (beta) => surrogate(beta)),
  });
  return { ...result, asked };
}

test('asks for uniform first, never twice for the same β, and at most maxTrials besides', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.double({ min: 0, max: 9, noNaN: true }), { minLength: 10, maxLength: 10 }),
      fc.integer({ min: 1, max: 6 }),
      async (values, maxTrials) => {
        const { asked, loss } = await run(
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

test('finds the best grid point or better of any unimodal loss, given an honest surrogate, within six trials', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.double({ min: 0, max: 0.09, noNaN: true }),
      fc.double({ min: 1, max: 3, noNaN: true }),
      async (vertex, power) => {
        const loss = (beta: number): number => Math.abs(beta - vertex) ** power;
        const grid = Array.from({ length: GRID + 1 }, (_, j) => loss((0.09 * j) / GRID));
        const found = await run(loss, loss);
        expect(found.loss).toBeLessThanOrEqual(Math.min(...grid));
        expect(found.asked.length).toBeLessThanOrEqual(7);
      },
    ),
    { numRuns: runs(100) },
  );
});

test('a surrogate that points the wrong way costs trials, not the result', async () => {
  const loss = (beta: number): number => (beta - 0.02) ** 2;
  const found = await run(loss, (beta) => -beta);
  expect(found.loss).toBeLessThanOrEqual(loss(0.03));
});

test('uniform wins where rising only hurts', async () => {
  const found = await run(
    (beta) => beta,
    (beta) => beta,
  );
  expect(found.value).toBe(0);
});

test('an empty range is uniform alone', async () => {
  const result = await searchInterval({
    low: 0,
    high: 0,
    startsUniform: true,
    maxTrials: 6,
    exact: async () => 1,
    surrogate: undefined,
  });
  expect(result).toEqual({ value: 0, loss: 1 });
});

describe('a range that does not begin with uniform', () => {
  const within = async (loss: (value: number) => number, surrogate: typeof loss | undefined, maxTrials: number) => {
    const asked: number[] = [];
    const result = await searchInterval({
      low: -0.3,
      high: 0.6,
      startsUniform: false,
      maxTrials,
      exact: async (value) => {
        asked.push(value);
        return loss(value);
      },
      surrogate: surrogate && (async (value) => surrogate(value)),
    });
    return { ...result, asked };
  };

  test('stays inside its bounds, makes at most maxTrials, and finds the bottom, be it the low end itself', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: -0.3, max: 0.6, noNaN: true }),
        fc.integer({ min: 1, max: 6 }),
        fc.boolean(),
        async (vertex, maxTrials, guided) => {
          const loss = (value: number): number => (value - vertex) ** 2;
          const { asked, value, loss: found } = await within(loss, guided ? loss : undefined, maxTrials);
          expect(asked.length).toBeLessThanOrEqual(maxTrials);
          for (const one of asked) expect(one >= -0.3 - 1e-12 && one <= 0.6 + 1e-12).toBe(true);
          expect(found).toBe(Math.min(...asked.map(loss)));
          if (guided) expect(Math.abs(value - vertex)).toBeLessThanOrEqual(0.05 + 1e-9);
        },
      ),
      { numRuns: runs(100) },
    );
    const low = await within(
      (value) => value,
      (value) => value,
      6,
    );
    expect(low.value).toBe(-0.3);
  });
});
