// Bits per weight: the golden vectors, and whole bits against all choices of small cases.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  allocateBits,
  atpBits,
  BIT_MENU,
  continuousBits,
  type LinearUnit,
  type ModelFacts,
  wholeBits,
  widthGroups,
} from '../../src/plan/index.js';
import { validatePlan } from '../../src/records/index.js';
import { runs } from '../scale.js';
import { groupedFacts } from './measured.js';
import { unit } from './units.js';

const close = (values: readonly number[], expected: readonly number[], digits = 2): void => {
  expect(values).toHaveLength(expected.length);
  for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected[i]!, digits);
};

describe('golden vectors, computed apart in float64', () => {
  test('by sensitivity: D, P and a mean of 3', () => {
    const linears = [1, 1, 2, 4].map((weights, l) => unit(`${l}`, 0, 'q', 1, weights));
    const rule = { rule: 'layerwise', sensitivity: [0.08, 0.02, 0.005, 0.32], gain: 1, line: 0 } as const;
    close(continuousBits({ blocks: 1, linears }, 3, rule), [3.75, 2.75, 1.25, 3.75], 9);
  });

  test('ATP over bits: four blocks, a mean of 4 and a difference of a half', () => {
    expect(atpBits(4, 4, 0.5)).toEqual([4.75, 4.25, 3.75, 3.25]);
  });
});

describe('continuous bits', () => {
  const facts = groupedFacts(8, 4, [16, 16, 16]);
  const weights = facts.linears.reduce((sum, linear) => sum + linear.weights, 0);
  const mean = (bits: readonly number[]): number =>
    bits.reduce((sum, b, l) => sum + b * facts.linears[l]!.weights, 0) / weights;

  test('every rule has the mean that was asked for', () => {
    const sensitivity = facts.linears.map((_, l) => 0.01 * (l + 1));
    for (const rule of [
      { rule: 'uniform' },
      { rule: 'atp', beta: -0.3 },
      { rule: 'layerwise', sensitivity, gain: 0.7, line: 0.4 },
    ] as const) {
      expect(mean(continuousBits(facts, 3.2, rule))).toBeCloseTo(3.2, 12);
    }
  });

  test('gain 0 is ATP’s line with β = 2·line/(L − 1), and both 0 is uniform', () => {
    const sensitivity = facts.linears.map((_, l) => 0.01 * (l + 1));
    const bent = continuousBits(facts, 3, { rule: 'layerwise', sensitivity, gain: 0, line: 0.5 });
    close(bent, continuousBits(facts, 3, { rule: 'atp', beta: 0.5 }), 12);
    const flat = continuousBits(facts, 3, { rule: 'layerwise', sensitivity, gain: 0, line: 0 });
    expect(flat).toEqual(continuousBits(facts, 3, { rule: 'uniform' }));
  });
});

/** The damage that whole bits do, by the model of the header. */
const damageOf = (linears: readonly LinearUnit[], wanted: readonly number[], bits: readonly number[]): number =>
  linears.reduce((sum, { weights }, l) => sum + weights * 4 ** (wanted[l]! - bits[l]!), 0);

function bestWhole(linears: readonly LinearUnit[], wanted: readonly number[], most: number, menu: readonly number[]) {
  let best = Number.POSITIVE_INFINITY;
  const walk = (l: number, cost: number, damage: number): void => {
    if (cost > most) return;
    if (l === linears.length) {
      best = Math.min(best, damage);
      return;
    }
    const { weights } = linears[l]!;
    for (const b of menu) walk(l + 1, cost + weights * b, damage + weights * 4 ** (wanted[l]! - b));
  };
  walk(0, 0, 0);
  return best;
}

describe('whole bits', () => {
  test('never go over the budget, and are within one item of the best of all choices', () => {
    const bits = fc.double({ min: 0, max: 9, noNaN: true });
    const sizes = fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), bits), { minLength: 1, maxLength: 6 });
    const menus = fc.subarray([...BIT_MENU], { minLength: 1 });
    fc.assert(
      fc.property(sizes, menus, fc.double({ min: 0, max: 1, noNaN: true }), (units, menu, share) => {
        const linears = units.map(([weights], l) => unit(`${l}`, l, 'q', 1, weights));
        const wanted = units.map(([, value]) => value);
        const [low, high] = [Math.min(...menu), Math.max(...menu)];
        const mean = low + share * (high - low);
        const total = linears.reduce((sum, { weights }) => sum + weights, 0);
        const chosen = wholeBits(linears, wanted, mean, menu);
        expect(chosen.every((b) => menu.includes(b))).toBe(true);
        expect(chosen.reduce((sum, b, l) => sum + b * linears[l]!.weights, 0)).toBeLessThanOrEqual(mean * total + 1e-6);
        const best = bestWhole(linears, wanted, mean * total + 1e-6, menu);
        const step = Math.max(
          ...linears.map(({ weights }, l) => weights * (4 ** (wanted[l]! - low) - 4 ** (wanted[l]! - high))),
        );
        expect(damageOf(linears, wanted, chosen)).toBeLessThanOrEqual((best + step) * (1 + 1e-9));
      }),
      { numRuns: runs(200) },
    );
  });

  test('a whole mean under one number for all is that number everywhere', () => {
    const { linears } = groupedFacts(8, 4, [16, 24, 16]);
    for (const b of BIT_MENU)
      expect(
        new Set(
          wholeBits(
            linears,
            linears.map(() => b),
            b,
          ),
        ),
      ).toEqual(new Set([b]));
  });

  test('fused linears share a width, experts apart', () => {
    const { linears } = groupedFacts(8, 4, [16, 24]);
    const wanted = linears.map((_, l) => 2 + (l % 5));
    const chosen = wholeBits(linears, wanted, 3.5, BIT_MENU, true);
    for (const block of [0, 7]) {
      expect(new Set(chosen.slice(block, block + 3)).size).toBe(1);
      expect(new Set(chosen.slice(block + 4, block + 6)).size).toBe(1);
    }
    const experts = ['e.0.gate', 'e.0.up', 'e.1.gate', 'e.1.up'].map((id) => unit(id, 0, id.slice(4), 2, 2));
    expect(widthGroups(experts, true)).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(widthGroups(experts, false)).toEqual([[0], [1], [2], [3]]);
  });

  test.each([
    [[2, 5], 3],
    [[], 3],
    [[3, 4], 2.9],
    [[2], Number.NaN],
  ])('a menu of %j for %d bits is refused', (menu, mean) => {
    const linears = [unit('a', 0, 'q', 2, 2)];
    expect(() => wholeBits(linears, [3], mean, menu)).toThrow(expect.objectContaining({ code: 'E_OPTION_BITS' }));
  });
});

describe('a plan of bits', () => {
  const facts: ModelFacts = groupedFacts(8, 4, [16, 16]);

  test('is a valid document that names every linear, the budget and where it comes from', () => {
    const plan = allocateBits({ facts, mean: 3.5, rule: { rule: 'atp', beta: 0.5 }, group: 64 });
    expect(validatePlan(plan, 'plan')).toEqual(plan);
    expect(Object.keys(plan.units)).toEqual(facts.linears.map(({ id }) => id));
    expect(new Set(Object.values(plan.units).map(({ bits }) => bits!.group))).toEqual(new Set([64]));
    expect(plan.budget).toEqual({ of: 'bits', target: 3.5, counting: 'exact' });
    expect(plan.from).toEqual({ policy: 'atp', values: { beta: 0.5 } });
  });

  test('does not run with measures of another model', () => {
    const rule = { rule: 'layerwise', sensitivity: [1], gain: 1, line: 0 } as const;
    expect(() => allocateBits({ facts, mean: 3, rule })).toThrow(
      expect.objectContaining({ code: 'E_INTERNAL_ALLOCATION' }),
    );
  });
});
