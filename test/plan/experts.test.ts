// Which experts stay, and how many of each block: scores, ties, exact budgets, least numbers.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  countByRates,
  countByThreshold,
  countEqually,
  countFreely,
  findExpertMethod,
  findPolicy,
  keepLargest,
  type MixtureBlock,
  mergeExperts,
  scoreExperts,
} from '../../src/plan/index.js';
import { codeOf } from '../checkpoint/make.js';
import { runs } from '../scale.js';

const failing = (work: () => unknown): Promise<string | undefined> => codeOf(Promise.resolve().then(work));
const alike = (count: number, experts: number, perToken: number): MixtureBlock[] =>
  Array.from({ length: count }, (_, block) => ({ block, experts, perToken }));

describe('scores', () => {
  const sums = { tokens: [4, 0, 2, 8], contribution: [2, 0, 6, 4], agreement: [] };

  test('reap is the mean contribution, 0 without tokens; the others count tokens', () => {
    expect(scoreExperts('reap', sums)).toEqual([0.5, 0, 3, 0.5]);
    expect(scoreExperts('frequency', sums)).toEqual([4, 0, 2, 8]);
    expect(scoreExperts('merge', sums)).toEqual([4, 0, 2, 8]);
  });

  test('the largest stay, of equal ones the lower, in ascending order', () => {
    expect(keepLargest([0.5, 0, 3, 0.5], 2)).toEqual([0, 2]);
    expect(keepLargest([0.5, 0, 3, 0.5], 3)).toEqual([0, 2, 3]);
    expect(keepLargest([1, 1, 1, 1], 3)).toEqual([0, 1, 2]);
  });

  test('an expert is merged into the one whose logits point the same way, however long they are', () => {
    // Columns of logits: a = (2, 0), b = (0, 1), c = (3, 1), d = −a, e = 0.
    const columns = [
      [2, 0],
      [0, 1],
      [3, 1],
      [-2, 0],
      [0, 0],
    ];
    const agreement = columns.flatMap((a) => columns.map((b) => a[0]! * b[0]! + a[1]! * b[1]!));
    const merges = mergeExperts({ tokens: [1, 1, 1, 1, 1], contribution: [], agreement }, [0, 1]);
    // −a is at right angles to b and opposite to a. Nothing is like what is 0, so the lower takes it.
    expect(merges).toEqual([
      { expert: 2, into: 0 },
      { expert: 3, into: 1 },
      { expert: 4, into: 0 },
    ]);
  });

  test('a method that is none is refused', async () => {
    expect(await failing(() => findExpertMethod('random'))).toBe('E_OPTION_METHOD');
  });
});

describe('how many stay', () => {
  test('equally: the nearest whole number, the same for all', () => {
    expect(countEqually(alike(3, 8, 2), 0.75)).toEqual([6, 6, 6]);
    expect(countEqually(alike(2, 5, 2), 0.6)).toEqual([3, 3]);
    expect(countEqually(alike(2, 5, 2), 0.5)).toEqual([3, 3]);
  });

  test('never fewer than a token is given to, never all, and not equally where numbers differ', async () => {
    expect(await failing(() => countEqually(alike(2, 8, 4), 0.25))).toBe('E_OPTION_KEEP');
    expect(await failing(() => countEqually(alike(2, 8, 2), 0.99))).toBe('E_OPTION_KEEP');
    expect(await failing(() => countFreely(alike(2, 8, 4), 0.4))).toBe('E_OPTION_KEEP');
    expect(await failing(() => countFreely(alike(2, 8, 4), 0.999))).toBe('E_OPTION_KEEP');
    const uneven = [...alike(1, 8, 2), { block: 1, experts: 6, perToken: 2 }];
    expect(await failing(() => countEqually(uneven, 0.5))).toBe('E_OPTION_PER_LAYER');
    expect(countFreely(uneven, 0.5)).toBe(7);
  });

  test('by ATP’s line: β rises with depth, its bounds leave the least number, others are refused', async () => {
    const blocks = alike(4, 10, 2);
    expect(countByRates(blocks, 24, findPolicy('uniform'), {})).toEqual([6, 6, 6, 6]);
    expect(countByRates(blocks, 24, findPolicy('atp'), { beta: 1 / 3 })).toEqual([10, 7, 5, 2]);
    expect(countByRates(blocks, 24, findPolicy('atp'), { beta: -1 / 3 })).toEqual([2, 5, 7, 10]);
    expect(await failing(() => countByRates(blocks, 24, findPolicy('atp'), { beta: 0.34 }))).toBe(
      'E_OPTION_HYPERPARAMETERS',
    );
  });

  test('by one threshold: the smallest scores of all blocks go, but not the last of a block', () => {
    const blocks = alike(2, 4, 2);
    const scores = [
      [0.1, 0.2, 0.3, 0.4],
      [1, 2, 3, 4],
    ];
    expect(countByThreshold(blocks, 7, scores)).toEqual([3, 4]);
    expect(countByThreshold(blocks, 6, scores)).toEqual([2, 4]);
    expect(countByThreshold(blocks, 5, scores)).toEqual([2, 3]);
    // Of equal scores the later block's goes first.
    expect(
      countByThreshold(blocks, 7, [
        [1, 1, 1, 1],
        [1, 1, 1, 1],
      ]),
    ).toEqual([4, 3]);
  });

  test('every policy keeps the budget to one expert and every block its least number', () => {
    const cases = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 9 }).chain((spares) =>
      fc.record({
        blocks: fc.constant(spares),
        perToken: fc.integer({ min: 1, max: 4 }),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
        slope: fc.double({ min: -1, max: 1, noNaN: true }),
        seed: fc.integer(),
      }),
    );
    fc.assert(
      fc.property(cases, ({ blocks: spares, perToken, share, slope, seed }) => {
        const blocks = spares.map((spare, block) => ({ block, experts: spare + perToken, perToken }));
        const experts = blocks.reduce((sum, one) => sum + one.experts, 0);
        const least = perToken * blocks.length;
        const total = least + Math.floor(share * (experts - 1 - least));
        const target = (experts - total) / (experts - least);
        const most = blocks.length < 2 ? 0 : (2 * Math.min(target, 1 - target)) / (blocks.length - 1);
        const scores = blocks.map((one, i) =>
          Array.from({ length: one.experts }, (_, e) => Math.abs(Math.sin(seed + 7 * i + e))),
        );
        for (const counts of [
          countByRates(blocks, total, findPolicy('uniform'), {}),
          countByRates(blocks, total, findPolicy('atp'), { beta: slope * most }),
          countByThreshold(blocks, total, scores),
        ]) {
          expect(counts.reduce((a, b) => a + b, 0)).toBe(total);
          for (const [i, count] of counts.entries()) {
            expect(count).toBeGreaterThanOrEqual(perToken);
            expect(count).toBeLessThanOrEqual(blocks[i]!.experts);
          }
        }
      }),
      { numRuns: runs(300) },
    );
  });
});
