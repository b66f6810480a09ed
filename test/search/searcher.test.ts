// A search is the same for any number of slots: what a walk uses, and where it ends, do not depend on how much is asked
// for at once; the first ask is always the one that the walk needs.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { type Ask, createSearcher, type Walk, walkGrid, walkInterval, walkLevels } from '../../src/search/index.js';
import { runs } from '../scale.js';
import { walkThrough } from './walk.js';

const axes = { line: [0, 0.1, 0.2, 0.3], gain: [0, 0.5, 1] };
const WALKS: readonly (readonly [string, (maxTrials: number, startsUniform: boolean) => Walk])[] = [
  [
    'an interval',
    (maxTrials, startsUniform) =>
      walkInterval({ name: 'beta', low: 0, high: 0.09, startsUniform, maxTrials, surrogate: true }),
  ],
  [
    'a mirrored interval',
    (maxTrials, startsUniform) =>
      walkInterval({ name: 'beta', low: 0, high: 0.09, mirrored: true, startsUniform, maxTrials, surrogate: true }),
  ],
  [
    'levels',
    (maxTrials) =>
      walkLevels({
        low: [-2, -2, -2, -2, -2, -2],
        high: [2, 2, 2, 2, 2, 2],
        generations: 3,
        offspring: 5,
        windows: [2, 8],
        maxTrials,
        draws: () => createRng(maxTrials).below,
      }),
  ],
  [
    'a grid',
    (maxTrials, startsUniform) => walkGrid({ axes, always: ({ gain }) => gain === 0, startsUniform, maxTrials }),
  ],
];

/** A loss that knows no shape, the same for the same ask. */
const noise =
  (seed: number) =>
  ({ values, fidelity, windows = 0 }: Ask): number => {
    let hash = seed + (fidelity === 'exact' ? 1 : 2) + windows;
    for (const [name, value] of Object.entries(values)) {
      hash = Math.imul(hash ^ (Math.round(value * 1e6) + name.length * Number.parseInt(name, 36)), 0x9e3779b1) >>> 0;
    }
    return (hash % 1000) / 100;
  };

describe.each(WALKS)('%s', (_name, walk) => {
  test('uses the same losses in the same order for 1, 2, 3, 4 and 7 slots', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 6 }), fc.boolean(), (seed, maxTrials, startsUniform) => {
        const alone = walkThrough(() => walk(maxTrials, startsUniform), noise(seed));
        for (const slots of [2, 3, 4, 7]) {
          const { asked, best, losses } = walkThrough(() => walk(maxTrials, startsUniform), noise(seed), slots);
          expect({ asked, best, losses }).toEqual({ asked: alone.asked, best: alone.best, losses: alone.losses });
        }
      }),
      { numRuns: runs(50) },
    );
  });

  test('more slots are used where the walk leaves room for them', () => {
    const asks = createSearcher(() => walk(6, true)).ask(4);
    expect(asks.length).toBeGreaterThan(1);
    expect(new Set(asks.map((ask) => JSON.stringify(ask))).size).toBe(asks.length);
  });

  test('there is no best point before the end, and no ask after it', () => {
    const searcher = createSearcher(() => walk(1, true));
    expect(searcher.best()).toBeUndefined();
    for (let [next] = searcher.ask(1); next; [next] = searcher.ask(1)) searcher.tell(next, noise(1)(next));
    expect(searcher.ask(9)).toEqual([]);
    expect(searcher.best()).toBeDefined();
  });
});
