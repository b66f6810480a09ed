import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DROP_METHODS, dropDeepest, dropLeast, dropRun, findDropMethod, seamsOf } from '../../src/plan/index.js';
import { removeGreedily } from '../../src/search/index.js';
import { codeOf } from '../checkpoint/make.js';
import { runs } from '../scale.js';

describe('which blocks go', () => {
  test('of least influence, the lower first of equals, the last never', () => {
    expect(dropLeast([0.5, 0.1, 0.3, 0.1, 0.01], 1)).toEqual([1]);
    expect(dropLeast([0.5, 0.1, 0.3, 0.1, 0.01], 3)).toEqual([1, 2, 3]);
    expect(dropLeast([9, 8, 7, 0], 3)).toEqual([0, 1, 2]);
  });

  test('the run of least distance, the lower of equals, the last block never', () => {
    // Runs of 2 in 5 blocks begin at 0 … 3; the run at 3 holds the last block.
    expect(dropRun([0.4, 0.2, 0.2, 0.1], 2)).toEqual([1, 2]);
    expect(dropRun([0.1, 0.1, 0.1, 0], 2)).toEqual([0, 1]);
    expect(dropRun([0.4, 0.2, 0.1, 0.3, 0.0], 1)).toEqual([2]);
    expect(dropRun([0.9, 0], 4)).toEqual([0, 1, 2, 3]);
  });

  test('the deepest but the last', () => {
    expect(dropDeepest(12, 2)).toEqual([9, 10]);
    expect(dropDeepest(2, 1)).toEqual([0]);
  });

  test('each method takes n blocks in ascending order and leaves the last', () => {
    const cases = fc.integer({ min: 2, max: 12 }).chain((blocks) =>
      fc.record({
        n: fc.integer({ min: 1, max: blocks - 1 }),
        scores: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: blocks, maxLength: blocks }),
      }),
    );
    fc.assert(
      fc.property(cases, ({ n, scores }) => {
        const blocks = scores.length;
        const runs = scores.slice(0, blocks - n + 1);
        for (const removed of [dropLeast(scores, n), dropRun(runs, n), dropDeepest(blocks, n)]) {
          expect(removed).toEqual([...new Set(removed)].sort((a, b) => a - b));
          expect(removed).toHaveLength(n);
          expect(removed.every((block) => block >= 0 && block < blocks - 1)).toBe(true);
        }
      }),
      { numRuns: runs(100) },
    );
  });

  test('the block before a gap stands in for it; the first that stays for those before it', () => {
    const seams = (blocks: number, ...removed: number[]) => seamsOf(blocks, new Set(removed));
    expect(seams(6, 2, 3)).toEqual([{ block: 1, gap: [2, 3], until: 4 }]);
    expect(seams(6, 1, 3, 5)).toEqual([
      { block: 0, gap: [1], until: 2 },
      { block: 2, gap: [3], until: 4 },
      { block: 4, gap: [5], until: 6 },
    ]);
    expect(seams(5, 0, 1, 4)).toEqual([
      { block: 2, gap: [0, 1], until: 3 },
      { block: 3, gap: [4], until: 5 },
    ]);
    expect(seams(5, 0, 2, 3)).toEqual([{ block: 1, gap: [0, 2, 3], until: 4 }]);
    expect(seams(3, 0, 1)).toEqual([{ block: 2, gap: [0, 1], until: 3 }]);
    expect(seams(3)).toEqual([]);
  });

  test('a method has its name', async () => {
    for (const [name, method] of DROP_METHODS) expect(findDropMethod(name)).toBe(method);
    expect(await codeOf(Promise.resolve().then(() => findDropMethod('random')))).toBe('E_OPTION_METHOD');
  });
});

describe('greedy removal', () => {
  test('scores again what is left, and takes the lower of equals', async () => {
    const asked: (readonly number[])[] = [];
    // Without 1 the others change places.
    const result = await removeGreedily(4, 2, async (left) => {
      asked.push(left);
      return left.map((one) => (left.includes(1) ? [3, 1, 1, 2][one]! : [0.5, 9, 7, 0.5][one]!));
    });
    expect(asked).toEqual([
      [0, 1, 2, 3],
      [0, 2, 3],
    ]);
    expect(result).toEqual({ order: [1, 0], scores: [0.5, 1, 7, 0.5] });
  });
});
