// A plan in whole weights: the budget holds to one weight, realising again changes nothing, and what is written is what
// an operator counts.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countOf, realisePlan, treatmentOf, zeroRate } from '../../src/plan/index.js';
import type { Plan } from '../../src/records/index.js';
import { runs } from '../scale.js';
import { unit } from './units.js';

const shape = fc.record({
  rows: fc.integer({ min: 1, max: 300 }),
  columns: fc.integer({ min: 1, max: 300 }),
  rate: fc.double({ min: 0, max: 1, noNaN: true }),
});
const exact = { counting: 'exact', pattern: 'row', of: undefined } as const;

test('the whole weights of all linears add up to the plan’s mean, and realising again changes nothing', () => {
  fc.assert(
    fc.property(fc.array(shape, { minLength: 1, maxLength: 30 }), (shapes) => {
      const linears = shapes.map(({ rows, columns }, i) => unit(`l${i}`, 0, 'q', rows, columns));
      const units = Object.fromEntries(shapes.map(({ rate }, i) => [`l${i}`, { zeros: { rate } }]));
      const plan: Plan = { format: 'layerwise-plan', version: 2, units };
      const realised = realisePlan(plan, linears, exact);
      const counts = linears.map((linear) => countOf(zeroRate(realised, linear), linear.weights));
      const wanted = linears.reduce((sum, linear, i) => sum + linear.weights * shapes[i]!.rate, 0);
      expect(Math.abs(counts.reduce((a, b) => a + b, 0) - wanted)).toBeLessThanOrEqual(0.5 + 1e-6);
      for (const [i, linear] of linears.entries()) {
        // The rate is that of a whole number, to the last bit.
        expect(zeroRate(realised, linear)).toBe(counts[i]! / linear.weights);
        expect(treatmentOf(realised, linear)!.zeros!.pattern).toBe('row');
      }
      expect(realisePlan(realised, linears, exact)).toEqual(realised);
    }),
    { numRuns: runs(100) },
  );
});

test('a linear’s own treatment comes before its block’s, and one that nothing names loses nothing', () => {
  const linears = [unit('a', 0, 'q', 10, 10), unit('b', 0, 'k', 10, 10), unit('c', 1, 'q', 10, 10)];
  const units = { 'blocks.0': { zeros: { rate: 0.5 } }, b: { zeros: { rate: 0.2 } } };
  const realised = realisePlan({ format: 'layerwise-plan', version: 2, units }, linears, exact);
  expect(linears.map((linear) => zeroRate(realised, linear))).toEqual([0.5, 0.2, 0]);
});

test('n:M counts whole N of M', () => {
  const linears = [unit('a', 0, 'q', 8, 32), unit('b', 1, 'q', 8, 32)];
  const units = { 'blocks.0': { zeros: { rate: 0.55 } }, 'blocks.1': { zeros: { rate: 0.7 } } };
  const how = { counting: 'exact', pattern: 'n:16', of: 16 } as const;
  const realised = realisePlan({ format: 'layerwise-plan', version: 2, units }, linears, how);
  expect(linears.map((linear) => zeroRate(realised, linear) * 16)).toEqual([9, 11]);
});
