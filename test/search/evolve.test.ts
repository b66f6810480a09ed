// Evolution of levels: the budget, the bounds, that estimates decide in the order of their windows, and that exact trials
// have the last word.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { type Ask, levelsOf, walkLevels } from '../../src/search/index.js';
import { runs } from '../scale.js';
import { walkThrough } from './walk.js';

const WINDOWS = [2, 8, 32];
type Limits = {
  readonly low: readonly number[];
  readonly high: readonly number[];
  readonly groups?: readonly string[];
};
const start = (limits: Limits, seed: number, generations = 5, offspring = 8, maxTrials = 6) =>
  walkLevels({ ...limits, generations, offspring, windows: WINDOWS, maxTrials, draws: () => createRng(seed).below });
const even = (units: number, most: number): Limits => ({
  low: Array.from({ length: units }, () => -most),
  high: Array.from({ length: units }, () => most),
});
const hash = (text: string): number => {
  let value = 7;
  for (const letter of text) value = (Math.imul(value, 31) + letter.charCodeAt(0)) >>> 0;
  return value;
};
const noise = ({ values, windows, fidelity }: Ask): number => hash(JSON.stringify([values, windows, fidelity])) % 1000;

test('levels stay in their range and add up to 0, whatever the losses; no trial is wasted', () => {
  const limits = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })), { minLength: 1, maxLength: 9 })
    .map((pairs): Limits => ({ low: pairs.map(([a]) => -a), high: pairs.map(([, b]) => b) }));
  fc.assert(
    fc.property(limits, fc.nat(), fc.integer({ min: 1, max: 6 }), ({ low, high }, seed, maxTrials) => {
      const { asked, best, losses } = walkThrough(() => start({ low, high }, seed, 5, 8, maxTrials), noise);
      for (const { values } of [...asked, { values: best }]) {
        const levels = levelsOf(values, low.length);
        expect(levels.reduce((a, b) => a + b, 0)).toBe(0);
        for (const [unit, level] of levels.entries()) {
          expect(level >= low[unit]! && level <= high[unit]!).toBe(true);
        }
      }
      expect(losses.length).toBeGreaterThanOrEqual(1);
      expect(losses.length).toBeLessThanOrEqual(maxTrials);
      const exact = asked.filter(({ fidelity }) => fidelity === 'exact');
      expect(Math.min(...exact.map(noise))).toBe(noise({ values: best, fidelity: 'exact' }));
    }),
    { numRuns: runs(100) },
  );
});

test('units exchange levels within their group, and one that is alone keeps its own', () => {
  const groups = ['a', 'b', 'a', 'c', 'b', 'a'];
  const { asked } = walkThrough(() => start({ ...even(6, 3), groups }, 4, 8), noise);
  let moved = 0;
  for (const { values } of asked) {
    const levels = levelsOf(values, 6);
    const sums = ['a', 'b', 'c'].map((group) =>
      levels.reduce((sum, level, unit) => sum + (groups[unit] === group ? level : 0), 0),
    );
    expect(sums).toEqual([0, 0, 0]);
    expect(levels[3]).toBe(0);
    moved += Math.abs(levels[1]!);
  }
  expect(moved).toBeGreaterThan(0);
});

test('a generation estimates all children on few windows, the best quarter on more, and one against its parent', () => {
  const { asked } = walkThrough(() => start(even(6, 4), 3, 1, 16), noise);
  const counts = WINDOWS.map((count) => asked.filter(({ windows }) => windows === count).length);
  expect(counts).toEqual([16, 4, 2]);
  expect(new Set(asked.slice(0, 16).map(({ values }) => JSON.stringify(values))).size).toBe(16);
  // The best quarter goes on, in the order of its losses, and then the best of it.
  const best = (asks: readonly Ask[], count: number) =>
    [...asks]
      .sort((a, b) => noise(a) - noise(b))
      .slice(0, count)
      .map(({ values }) => values);
  expect(asked.slice(16, 20).map(({ values }) => values)).toEqual(best(asked.slice(0, 16), 4));
  expect(asked.slice(20, 22).map(({ values }) => values)).toEqual([{}, ...best(asked.slice(16, 20), 1)]);
});

test('finds most of what can be gained, and more generations find more', () => {
  // Units 0 … 7 gain by 3 … 0 levels less each; the best is known: the loss is a separate bowl for each unit.
  const goal = [-3, -2, -1, 0, 0, 1, 2, 3];
  const loss = ({ values }: Ask): number =>
    levelsOf(values, 8).reduce((sum, level, unit) => sum + (level - goal[unit]!) ** 2, 0);
  const lossAfter = (generations: number): number =>
    loss({ values: walkThrough(() => start(even(8, 4), 1, generations, 16), loss).best, fidelity: 'exact' });
  expect(lossAfter(1)).toBeLessThan(28);
  expect(lossAfter(8)).toBeLessThan(lossAfter(2));
  expect(lossAfter(40)).toBe(0);
});

test('exact trials go back towards the beginning for as long as that is better', () => {
  const falls = ({ values }: Ask): number => -(values[0] ?? 0);
  const distance = ({ values }: Ask): number => levelsOf(values, 4).reduce((sum, level) => sum + Math.abs(level), 0);
  const loss = (ask: Ask): number => (ask.fidelity === 'exact' ? distance(ask) : falls(ask));
  const { losses, best } = walkThrough(() => start(even(4, 50), 2, 20, 8, 9), loss);
  expect(losses.length).toBeGreaterThan(2);
  for (let i = 1; i < losses.length; i++) expect(losses[i]).toBeLessThan(losses[i - 1]!);
  expect(best).toEqual({});
  const kept = walkThrough(() => start(even(4, 50), 2, 20, 8, 9), falls);
  expect(kept.losses).toHaveLength(2);
  expect(falls({ values: kept.best, fidelity: 'exact' })).toBe(kept.losses[0]);
});

test('the same seed gives the same walk, another one another', () => {
  const asked = (seed: number) => walkThrough(() => start(even(6, 4), seed), noise).asked;
  expect(asked(5)).toEqual(asked(5));
  expect(asked(5)).not.toEqual(asked(6));
});
