// Plans of mixed treatments from a table: the budget, what bending does, and what a table must say.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allocateMixed, bendDamages, costRange } from '../../src/plan/index.js';
import {
  parseSensitivityTable,
  type SensitivityItem,
  type SensitivityTable,
  validatePlan,
  validateSensitivityTable,
} from '../../src/records/index.js';
import { runs } from '../scale.js';

const bits = (n: number, cost: number, damage: number): SensitivityItem => ({
  treatment: { bits: { bits: n, group: 128 } },
  cost,
  damage,
});
const tableOf = (units: SensitivityTable['units'], blocks = 4): SensitivityTable => ({
  format: 'layerwise-sensitivities',
  version: 1,
  model: 'm',
  blocks,
  texts: { measured: 't' },
  damage: 'kl',
  cost: 'bytes',
  units,
});
/** Four blocks of one linear, whose damage is fourfold with each bit less, and e^(−0.5·block) of the first’s. */
const falling = tableOf(
  Object.fromEntries(
    [0, 1, 2, 3].map((block) => {
      const scale = Math.exp(-0.5 * block);
      const items = [2, 3, 4].map((n) => bits(n, 100 * n, scale * 4 ** -n));
      return [`l${block}`, { block, items: [{ treatment: null, cost: 1600, damage: 0 }, ...items] }];
    }),
  ),
);

describe('a plan from a table', () => {
  test('keeps the budget and is a valid document that leaves untreated units out', () => {
    const { plan, cost, damage, measured, bound } = allocateMixed(falling, 2800);
    expect(validatePlan(plan, 'plan')).toEqual(plan);
    expect(cost).toBeLessThanOrEqual(2800);
    expect(plan.budget).toEqual({ of: 'bytes', target: 2800, counting: 'exact' });
    // One unit fits without treatment: the one that does most damage.
    expect(Object.keys(plan.units)).toEqual(['l1', 'l2', 'l3']);
    expect(measured).toBe(damage);
    expect(bound).toBeLessThanOrEqual(damage);
  });

  test('damage never rises with the budget, between the smallest and the largest cost', () => {
    const [low, high] = costRange(falling);
    expect([low, high]).toEqual([800, 6400]);
    const damages = Array.from({ length: 50 }, (_, i) => {
      return allocateMixed(falling, low + Math.round((i * (high - low)) / 49)).damage;
    });
    for (let i = 1; i < damages.length; i++) expect(damages[i]).toBeLessThanOrEqual(damages[i - 1]!);
    expect(damages.at(-1)).toBe(0);
    expect(() => allocateMixed(falling, low - 1)).toThrow(
      expect.objectContaining({ code: 'E_OPTION_BUDGET', facts: { got: low - 1, smallest: low } }),
    );
  });

  test('zeros, bits and both may stand in one plan', () => {
    const both: SensitivityItem = {
      treatment: { zeros: { rate: 0.5, pattern: 'n:16' }, bits: { bits: 4, group: 128 } },
      cost: 5,
      damage: 0.1,
    };
    const table = tableOf({ a: { block: 0, items: [both] }, b: { block: 3, items: [bits(2, 3, 1), both] } });
    expect(allocateMixed(table, 8).plan.units).toEqual({ a: both.treatment, b: bits(2, 3, 1).treatment });
  });
});

describe('bending', () => {
  test('by gain 1 and line 0 is none; gain 0 makes units of one size alike; a line spares early blocks', () => {
    const plain = Object.values(falling.units).map(({ items }) => items.map(({ damage }) => damage));
    expect(bendDamages(falling)).toEqual(plain);
    const [first, ...others] = bendDamages(falling, { gain: 0 });
    for (const one of others) for (const [i, damage] of one.entries()) expect(damage).toBeCloseTo(first![i]!, 12);
    const bent = bendDamages(falling, { line: 0.5 });
    expect(bent[0]![1]! / plain[0]![1]!).toBeCloseTo(Math.exp(0.5), 12);
    expect(bent[3]![1]! / plain[3]![1]!).toBeCloseTo(Math.exp(-0.5), 12);
  });

  test('whatever it is, the budget holds and the measured damage is reported', () => {
    const share = fc.double({ min: -2, max: 2, noNaN: true });
    fc.assert(
      fc.property(share, share, fc.integer({ min: 800, max: 6400 }), (gain, line, budget) => {
        const { cost, plan, measured } = allocateMixed(falling, budget, { gain, line });
        expect(cost).toBeLessThanOrEqual(budget);
        expect(plan.from!.values).toEqual({ gain, line });
        expect(measured).toBeGreaterThanOrEqual(allocateMixed(falling, budget).bound - 1e-12);
      }),
      { numRuns: runs(100) },
    );
  });

  test('units without damage or cost stay as they are', () => {
    const none = tableOf({ a: { block: 0, items: [bits(4, 0, 0)] }, b: { block: 1, items: [bits(4, 2, 0.5)] } });
    expect(bendDamages(none, { gain: 0 })).toEqual([[0], [0.5]]);
  });
});

describe('the document', () => {
  test('is read as it was written', () => {
    expect(parseSensitivityTable(JSON.stringify(falling), 'table.json')).toEqual(falling);
  });

  test.each([
    ['a negative cost', { units: { a: { block: 0, items: [bits(2, -1, 0)] } } }],
    ['a unit without items', { units: { a: { block: 0, items: [] } } }],
    ['no units', { units: {} }],
    ['a block that the model lacks', { units: { a: { block: 4, items: [bits(2, 1, 0)] } } }],
    ['another damage', { damage: 'mse' }],
    ['an unknown field', { speed: 1 }],
    ['another version', { version: 2 }],
  ])('with %s is refused', (_what, change) => {
    expect(() => validateSensitivityTable({ ...falling, ...change }, 'table.json')).toThrow(
      expect.objectContaining({ code: 'E_OPTION_SENSITIVITIES' }),
    );
  });
});
