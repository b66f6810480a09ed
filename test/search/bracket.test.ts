import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GRID, searchBeta } from '../../src/search/index.js';

/** Runs the search on a loss and reports what it cost. */
async function run(loss: (beta: number) => number, surrogate?: (beta: number) => number, maxTrials = 6) {
  const asked: number[] = [];
  const result = await searchBeta({
    high: 0.09,
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
  expect(found.beta).toBe(0);
});

test('an empty range is uniform alone', async () => {
  const result = await searchBeta({ high: 0, maxTrials: 6, exact: async () => 1, surrogate: undefined });
  expect(result).toEqual({ beta: 0, loss: 1 });
});
