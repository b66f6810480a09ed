// Plans of mixed treatments from a table: the budget, what bending does, and what a table must say.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allocateMixed, bendDamages, costRange, mostZeros } from '../../src/plan/index.js';
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

describe('zeros as a second budget', () => {
  const PATTERN = 'n:16';
  /** Three units with a dense, a sparse and a sparser treatment each; zeros save bits and do damage. */
  const tables = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.double({ min: 0.001, max: 1, noNaN: true })), {
      minLength: 2,
      maxLength: 5,
    })
    .map((units): SensitivityTable => {
      const entries = units.map(([size, damage], u) => {
        const item = (bits: number, cost: number, harm: number, rate?: number) => ({
          treatment: {
            bits: { bits, group: 128 },
            ...(rate === undefined ? {} : { zeros: { rate, pattern: PATTERN } }),
          },
          cost: cost * size,
          damage: harm * damage,
        });
        return [
          `u${u}`,
          { block: u, items: [item(2, 2, 9), item(4, 4, 1), item(4, 3, 4, 0.5), item(4, 2.5, 8, 0.625)] },
        ] satisfies [string, SensitivityTable['units'][string]];
      });
      return {
        ...{ format: 'layerwise-sensitivities', version: 1, model: 'm', blocks: units.length },
        ...{ texts: { measured: 't' }, damage: 'kl', cost: 'bits' },
        units: Object.fromEntries(entries),
      };
    });
  const sizeOf = (table: SensitivityTable) => (id: string) => table.units[id]!.items[1]!.cost / 4;

  /** All choices of a table: cost, zeros, damage. */
  function everyChoice(table: SensitivityTable): { cost: number; zeros: number; damage: number }[] {
    return Object.entries(table.units).reduce(
      (all, [id, { items }]) =>
        all.flatMap((one) =>
          items.map(({ treatment, cost, damage }) => ({
            cost: one.cost + cost,
            zeros: one.zeros + (treatment?.zeros?.rate ?? 0) * sizeOf(table)(id),
            damage: one.damage + damage,
          })),
        ),
      [{ cost: 0, zeros: 0, damage: 0 }],
    );
  }

  test('both hold, at nearly the least damage; what no choice has is refused', () => {
    fc.assert(
      fc.property(
        tables,
        fc.double({ min: 2.2, max: 4, noNaN: true }),
        fc.double({ min: 0.05, max: 0.62, noNaN: true }),
        (table, bits, share) => {
          const ids = Object.keys(table.units);
          const weightsOf = sizeOf(table);
          const weights = ids.reduce((sum, id) => sum + weightsOf(id), 0);
          const all = everyChoice(table).filter(({ cost }) => cost <= bits * weights + 1e-9);
          const legal = all.filter(({ zeros }) => zeros >= share * weights * (1 - 1e-9));
          const most = mostZeros(table, bits * weights, weightsOf);
          const exact = Math.max(...all.map(({ zeros }) => zeros)) / weights;
          expect(most).toBeLessThanOrEqual(exact + 1e-6);
          const run = () => allocateMixed(table, bits * weights, {}, { share, weightsOf });
          if (legal.length === 0) return void expect(run).toThrow('--zeros');
          if (most < share) return;
          const { plan, cost, measured } = run();
          expect(cost).toBeLessThanOrEqual(bits * weights + 1e-9);
          const zeros = ids.reduce((sum, id) => sum + (plan.units[id]?.zeros?.rate ?? 0) * weightsOf(id), 0);
          expect(zeros).toBeGreaterThanOrEqual(share * weights * (1 - 1e-6));
          const least = Math.min(...legal.map(({ damage }) => damage));
          const steps = Object.values(table.units).map(({ items }) => items[0]!.damage);
          expect(measured).toBeGreaterThanOrEqual(least - 1e-9);
          expect(measured).toBeLessThanOrEqual(least + 2 * Math.max(...steps));
        },
      ),
      { numRuns: runs(300) },
    );
  });
});
