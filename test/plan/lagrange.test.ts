// The choice of items within a budget: against all choices of small cases, and against the bound where there are too many.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CostedItem, chooseItems } from '../../src/plan/index.js';
import { runs } from '../scale.js';

type Units = readonly (readonly CostedItem[])[];

/** The least damage within the budget, by trying everything; undefined if nothing fits. */
function leastDamage(units: Units, budget: number): number | undefined {
  let best: number | undefined;
  const walk = (unit: number, cost: number, damage: number): void => {
    if (cost > budget) return;
    if (unit === units.length) {
      if (best === undefined || damage < best) best = damage;
      return;
    }
    for (const item of units[unit]!) walk(unit + 1, cost + item.cost, damage + item.damage);
  };
  walk(0, 0, 0);
  return best;
}

const whole = fc.record({ cost: fc.integer({ min: 0, max: 60 }), damage: fc.integer({ min: 0, max: 500 }) });
const thirds = fc.integer({ min: 0, max: 1_000_000 }).map((n) => n / 3);
const real = fc.record({ cost: thirds, damage: thirds.map((n) => n / 1e5) });
const unitsOf = (item: fc.Arbitrary<CostedItem>): fc.Arbitrary<Units> =>
  fc.array(fc.array(item, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 6 });

const cheapest = (units: Units): number =>
  units.reduce((sum, items) => sum + Math.min(...items.map(({ cost }) => cost)), 0);
const dearest = (units: Units): number =>
  units.reduce((sum, items) => sum + Math.max(...items.map(({ cost }) => cost)), 0);
/** The most damage that one unit can save. */
const oneStep = (units: Units): number =>
  Math.max(
    ...units.map((items) => {
      const damages = items.map(({ damage }) => damage);
      return Math.max(...damages) - Math.min(...damages);
    }),
  );

describe.each([
  ['whole numbers', whole],
  ['real numbers', real],
] as const)('costs that are %s', (_name, item) => {
  test('the budget holds, the bound holds, and the damage is within one step of the least', () => {
    fc.assert(
      fc.property(unitsOf(item), fc.double({ min: 0, max: 1, noNaN: true }), (units, share) => {
        const low = cheapest(units);
        const between = low + share * (dearest(units) - low);
        const budget = item === (whole as unknown) ? Math.floor(between) : between;
        const chosen = chooseItems(units, budget);
        const items = chosen.picks.map((pick, u) => units[u]![pick]!);
        const cost = items.reduce((sum, one) => sum + one.cost, 0);
        const damage = items.reduce((sum, one) => sum + one.damage, 0);
        expect(cost).toBeLessThanOrEqual(budget);
        expect([chosen.cost, chosen.damage]).toEqual([cost, damage]);
        const least = leastDamage(units, budget)!;
        const slack = 1e-9 * Math.max(1, least);
        expect(chosen.bound).toBeLessThanOrEqual(least + slack);
        expect(damage).toBeGreaterThanOrEqual(least - slack);
        expect(damage - least).toBeLessThanOrEqual(oneStep(units) + slack);
        expect(damage - chosen.bound).toBeLessThanOrEqual(oneStep(units) + slack);
      }),
      { numRuns: runs(300) },
    );
  });
});

test('nine in ten small cases are solved exactly', () => {
  let [exact, all] = [0, 0];
  fc.assert(
    fc.property(unitsOf(whole), fc.double({ min: 0, max: 1, noNaN: true }), (units, share) => {
      const budget = Math.floor(cheapest(units) + share * (dearest(units) - cheapest(units)));
      all++;
      if (chooseItems(units, budget).damage === leastDamage(units, budget)) exact++;
    }),
    { numRuns: runs(300), seed: 1 },
  );
  expect(exact / all).toBeGreaterThan(0.9);
});

test('an exchange of two units fills what single steps leave', () => {
  // The steepest step (10 for 10) takes all; 6 + 4 saves 11 within the same budget.
  const item = (cost: number, damage: number): CostedItem => ({ cost, damage });
  const units = [
    [item(0, 10), item(10, 0)],
    [item(0, 6), item(6, 0)],
    [item(0, 5), item(4, 0)],
  ];
  const { picks, damage } = chooseItems(units, 10);
  expect([picks, damage]).toEqual([[0, 1, 1], 10]);
});

test('an unlimited budget takes the least damage everywhere, with the multiplier 0 and no gap', () => {
  const units = [
    [
      { cost: 5, damage: 1 },
      { cost: 1, damage: 3 },
      { cost: 7, damage: 1 },
    ],
    [{ cost: 2, damage: 4 }],
  ];
  expect(chooseItems(units, Number.POSITIVE_INFINITY)).toEqual({
    ...{ picks: [0, 0], multiplier: 0, cost: 7, damage: 5, bound: 5 },
  });
});

test('ties go to the earlier unit and the earlier item', () => {
  const items = [
    { cost: 0, damage: 1 },
    { cost: 1, damage: 0 },
    { cost: 1, damage: 0 },
  ];
  expect(chooseItems([items, items, items], 2).picks).toEqual([1, 1, 0]);
});

test('a budget below the cheapest choice is refused with the smallest possible', () => {
  const units = [
    [
      { cost: 3, damage: 0 },
      { cost: 2, damage: 1 },
    ],
    [{ cost: 4, damage: 1 }],
  ];
  expect(() => chooseItems(units, 5)).toThrow(
    expect.objectContaining({ code: 'E_OPTION_BUDGET', facts: { got: 5, smallest: 6 } }),
  );
});

test.each([[[]], [[{ cost: -1, damage: 0 }]], [[{ cost: 1, damage: Number.NaN }]]])(
  'a unit of %j is a mistake of the caller',
  (items) => {
    expect(() => chooseItems([items], 5)).toThrow(expect.objectContaining({ code: 'E_INTERNAL_ALLOCATION' }));
  },
);
