// Plan documents: version 2 as it is written, version 1 as it was, and what is refused with its place.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Plan, parsePlan, validatePlan } from '../../src/records/index.js';
import { runs } from '../scale.js';

const parse = (value: unknown): Plan => parsePlan(JSON.stringify(value), 'plan.json');
const rate = fc.double({ min: 0, max: 1, noNaN: true });

describe('version 1 is read as version 2', () => {
  test('rates per block', () => {
    expect(parse({ target: 0.5, budget: 'published', blocks: [0.4, 0.6] })).toEqual({
      format: 'layerwise-plan',
      version: 2,
      units: { 'blocks.0': { zeros: { rate: 0.4 } }, 'blocks.1': { zeros: { rate: 0.6 } } },
      budget: { of: 'zeros', target: 0.5, counting: 'published' },
    });
  });

  test('rates per linear, and where they came from', () => {
    const policy = { name: 'owl', hyperparameters: { lambda: 0.08, m: 5 } };
    expect(parse({ format: 'layerwise-plan', version: 1, policy, linears: { 'a.q_proj': 0.3 } })).toEqual({
      format: 'layerwise-plan',
      version: 2,
      units: { 'a.q_proj': { zeros: { rate: 0.3 } } },
      from: { policy: 'owl', values: { lambda: 0.08, m: 5 } },
    });
  });
});

test('what is written is read again', () => {
  const treatment = fc.oneof(
    fc.record({ zeros: fc.record({ rate, pattern: fc.constantFrom('row', 'n:16', '2:4') }) }),
    fc.record({ bits: fc.record({ bits: fc.integer({ min: 1, max: 16 }), group: fc.integer({ min: 1, max: 4096 }) }) }),
    fc.record({ zeros: fc.record({ rate }), bits: fc.record({ bits: fc.constant(4), group: fc.constant(128) }) }),
    fc.record({ keep: fc.integer({ min: 1, max: 64 }) }),
    fc.constant({ drop: true as const }),
  );
  const plan = fc.record({
    format: fc.constant('layerwise-plan' as const),
    version: fc.constant(2 as const),
    units: fc.dictionary(
      fc.string({ minLength: 1 }).filter((id) => id !== '__proto__'),
      treatment,
    ),
    budget: fc.record({ of: fc.constantFrom('zeros', 'bits', 'bytes'), target: rate, counting: fc.constant('exact') }),
    from: fc.record({ policy: fc.string(), values: fc.constant({ beta: 0.01 }) }),
  });
  fc.assert(
    fc.property(plan, (one) => {
      const text = JSON.stringify(one);
      expect(JSON.stringify(parsePlan(text, 'plan.json'))).toBe(text);
    }),
    { numRuns: runs(100) },
  );
});

test.each([
  ['neither version', {}, 'units'],
  ['both forms of version 1', { blocks: [0.5], linears: {} }, 'exactly one of'],
  ['a rate above 1', { blocks: [0.5, 1.5] }, 'at blocks.1'],
  ['a rate above 1, version 2', { units: { 'blocks.0': { zeros: { rate: 1.5 } } } }, 'at units.blocks.0.zeros.rate'],
  ['a treatment that says nothing', { units: { 'blocks.0': {} } }, 'zeros, bits, keep or drop'],
  ['a treatment that nobody knows', { units: { 'blocks.0': { shrink: 1 } } }, 'shrink'],
  ['a misspelt field', { units: {}, buget: {} }, 'buget'],
  ['a misspelt field of version 1', { blocks: [0.5], taget: 0.5 }, 'taget'],
  ['both versions at once', { blocks: [0.5], units: {} }, 'blocks'],
  ['a version of the future', { version: 3, units: {} }, 'version'],
  ['no object', [1], 'plan'],
])('%s is refused with its place', (_what, value, place) => {
  expect(() => validatePlan(value, 'plan.json')).toThrowError(
    expect.objectContaining({ code: 'E_OPTION_PLAN', message: expect.stringContaining(place) }),
  );
});
