// ATP's line over bits: the golden vectors, and what holds for every line.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  allocateProgression,
  checkBitsBeta,
  distinctBetas,
  maxBitsBeta,
  progressionBits,
} from '../../src/plan/index.js';
import { validatePlan } from '../../src/records/index.js';
import { runs } from '../scale.js';
import { groupedFacts } from './measured.js';

const even = (blocks: number): number[] => Array.from({ length: blocks }, () => 1);

describe('golden vectors, computed apart', () => {
  test.each([
    [8, 4, 0.3, [2, 3, 4, 5, 6, 8], [5, 5, 4, 4, 4, 4, 3, 3]],
    [12, 3.5, 0.2, [2, 3, 4, 6], [4, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 2]],
    [4, 3, 0.5, [2, 3, 4], [4, 3, 3, 2]],
    [32, 3.5, 0.05, [3, 4], [...Array(16).fill(4), ...Array(16).fill(3)]],
  ])('%i blocks, a mean of %d, β %d, out of %j', (blocks, mean, beta, choices, bits) => {
    expect(progressionBits(even(blocks), mean, beta, choices)).toEqual(bits);
  });

  test('a mean that is a choice, without a slope, is that choice everywhere', () => {
    expect(progressionBits(even(7), 4, 0, [2, 3, 4, 8])).toEqual(Array(7).fill(4));
  });
});

test('bits fall with depth for β ≥ 0 and equal blocks, and the mean is within half a step of a block', () => {
  const choices = [2, 3, 4, 8];
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 24 }),
      fc.boolean(),
      fc.double({ min: 2, max: 8, noNaN: true }),
      fc.double({ min: -1, max: 1, noNaN: true }),
      (sizes, equal, mean, share) => {
        const weights = equal ? even(sizes.length) : sizes;
        const most = maxBitsBeta(mean, weights.length, choices);
        checkBitsBeta(share * most, mean, weights.length, choices);
        const bits = progressionBits(weights, mean, share * most, choices);
        for (const width of bits) expect(choices).toContain(width);
        if (!equal) return;
        const total = bits.reduce((a, b) => a + b, 0);
        expect(Math.abs(total - mean * weights.length)).toBeLessThanOrEqual(2 + 1e-6);
        const falling = share >= 0 ? bits : bits.toReversed();
        if (share !== 0) {
          for (let i = 1; i < bits.length; i++) expect(falling[i]!).toBeLessThanOrEqual(falling[i - 1]! + 1e-9 + 4);
        }
      },
    ),
    { numRuns: runs(300) },
  );
});

test('the slopes of a search come to different bits, on both sides of the flat line if asked', () => {
  const choices = [2, 3, 4, 8];
  for (const [blocks, mean] of [
    [4, 3.5],
    [12, 3],
    [30, 3.25],
    [1, 3],
    [5, 2],
  ] as const) {
    for (const bothSides of [false, true]) {
      const betas = distinctBetas(even(blocks), mean, choices, bothSides);
      const plans = betas.map((beta) => progressionBits(even(blocks), mean, beta, choices).join());
      expect(new Set(plans).size).toBe(plans.length);
      expect(betas).toEqual([...betas].sort((a, b) => a - b));
      expect(betas).toContain(0);
      expect(betas.length).toBeLessThanOrEqual(bothSides ? 19 : 10);
      if (blocks > 5) expect(betas.length).toBeGreaterThan(bothSides ? 4 : 2);
    }
  }
});

test('a plan names every linear, and β beyond its bound is refused with the bound', () => {
  const facts = groupedFacts(6, 3, [16, 16, 16]);
  const plan = allocateProgression(facts, 3.5, 0.1, [2, 3, 4, 8], 64);
  expect(Object.keys(plan.units)).toEqual(facts.linears.map(({ id }) => id));
  expect(validatePlan(plan, 'test')).toEqual(plan);
  expect(() => checkBitsBeta(0.61, 3.5, 6, [2, 3, 4, 8])).toThrow(/at most 0\.6 /);
});
