import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AllocationPolicy,
  allocate,
  blockRates,
  completeValues,
  countPruned,
  findPolicy,
  fitBudget,
  type ModelFacts,
  maxBeta,
  POLICIES,
  type Values,
  zeroRate,
} from '../../src/plan/index.js';
import type { Measured } from '../../src/records/index.js';
import { runs } from '../scale.js';
import { groupedFacts, permuteMeasured, randomMeasured } from './measured.js';
import { unit } from './units.js';

/** A model whose blocks have these weights, each in one linear. */
const factsOf = (weights: readonly number[]): ModelFacts => ({
  blocks: weights.length,
  linears: weights.map((columns, block) => unit(`${block}`, block, 'q', 1, columns)),
});
const equalBlocks = (blocks: number) => factsOf(Array.from({ length: blocks }, () => 1000));
const sizesOf = (facts: ModelFacts): number[] => facts.linears.map(({ rows, columns }) => rows * columns);
/** The rate of each linear. */
const perLinear = (
  policy: AllocationPolicy,
  target: number,
  facts: ModelFacts,
  counting: 'exact' | 'published',
  values: Values = {},
  measured: Partial<Measured> = randomMeasured(facts, 1),
): number[] => {
  const plan = allocate(policy, { target, facts, counting, values, measured });
  return facts.linears.map((linear) => zeroRate(plan, linear));
};
const perBlock = (...input: Parameters<typeof perLinear>): readonly number[] => {
  const [policy, target, facts, counting, values = {}, measured = randomMeasured(facts, 1)] = input;
  return blockRates(allocate(policy, { target, facts, counting, values, measured }), facts);
};
const weightedMean = (rates: readonly number[], weights: readonly number[]): number =>
  rates.reduce((sum, rate, i) => sum + rate * weights[i]!, 0) / weights.reduce((a, b) => a + b, 0);

/** A value for every hyperparameter, the share `f` into its range. */
const valuesAt = (policy: AllocationPolicy, S: number, facts: ModelFacts, f: number): Values =>
  Object.fromEntries(
    policy.hyperparameters.map(({ name, range, choices }) => {
      const [low, high] = range(S, facts);
      return [name, choices ? choices[Math.round(f * (choices.length - 1))]! : low + f * (high - low)];
    }),
  );

/** Policies whose rates follow from what a block measures, wherever it stands. */
const DEPTH_BLIND = [
  'uniform',
  'owl',
  'alphapruning',
  'dlp',
  'dsa',
  'ecoflap',
  'lsa',
  'lsa-projection',
  'global',
  'lamp',
  'er',
];
const ALL = [...POLICIES.values()];

/** One row per policy: what every allocation must keep, whatever it is made from. */
const CASES = ALL.map((policy) => ({
  policy,
  rises: policy.name === 'atp' || policy.name === 'neuronal',
}));

describe.each(CASES)('$policy.name', ({ policy, rises }) => {
  const target = fc.double({ min: 0.01, max: 0.99, noNaN: true });
  const single = fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 80 }).map(factsOf);
  const grouped = fc
    .record({
      hidden: fc.integer({ min: 2, max: 96 }),
      keyValue: fc.integer({ min: 1, max: 48 }),
      widths: fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 12 }),
    })
    .map(({ hidden, keyValue, widths }) => groupedFacts(hidden, keyValue, widths));
  const model = fc.oneof(single, grouped);
  const share = fc.double({ min: 0, max: 1, noNaN: true });

  test('keeps every rate in [0, 1] and the parameter-weighted mean at the target', () => {
    fc.assert(
      fc.property(target, model, share, fc.nat(), (S, facts, f, seed) => {
        const values = valuesAt(policy, S, facts, f);
        const rates = perLinear(policy, S, facts, 'exact', values, randomMeasured(facts, seed));
        expect(rates).toHaveLength(facts.linears.length);
        for (const rate of rates) expect(rate >= 0 && rate <= 1).toBe(true);
        expect(weightedMean(rates, sizesOf(facts))).toBeCloseTo(S, 9);
        if (!rises) return;
        const slope = (values.beta ?? values.lambda)! < 0 ? -1 : 1;
        for (let i = 1; i < rates.length; i++) expect(slope * (rates[i]! - rates[i - 1]!)).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: runs(100) },
    );
  });

  test('published budget: the mean its paper takes is the target', () => {
    const facts = factsOf([10, 20, 3000, 4]);
    const rates = perBlock(policy, 0.6, facts, 'published', valuesAt(policy, 0.6, facts, 0.4));
    expect(weightedMean(rates, policy.weighted ? sizesOf(facts) : [1, 1, 1, 1])).toBeCloseTo(0.6, 12);
  });

  test('a single block is at the target', () => {
    const facts = groupedFacts(8, 4, [12]);
    const rates = perLinear(policy, 0.6, facts, 'exact', valuesAt(policy, 0.6, facts, 0));
    expect(weightedMean(rates, sizesOf(facts))).toBeCloseTo(0.6, 12);
    if (policy.granularity === 'block') for (const rate of rates) expect(rate).toBeCloseTo(0.6, 12);
  });

  test('refuses illegal hyperparameters before anything is measured', () => {
    const facts = equalBlocks(4);
    for (const { name, range } of policy.hyperparameters) {
      const [low, high] = range(0.6, facts);
      for (const value of [low - 0.01, high + 0.01, Number.NaN]) {
        const values = { ...valuesAt(policy, 0.6, facts, 0), [name]: value };
        expect(() => completeValues(policy, values, 0.6, facts)).toThrowError(
          expect.objectContaining({
            code: 'E_OPTION_HYPERPARAMETERS',
            facts: expect.objectContaining({ option: 'hyperparameters', policy: policy.name, name, got: value }),
            message: expect.stringContaining(`--hyperparameters ${name}=${value}: expected`),
          }),
        );
      }
    }
    expect(() => completeValues(policy, { nothing: 1 }, 0.6, facts)).toThrowError(
      expect.objectContaining({
        code: 'E_OPTION_HYPERPARAMETERS',
        facts: expect.objectContaining({ policy: policy.name, name: 'nothing', got: 1 }),
      }),
    );
  });

  test.each([0, 1, -0.1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses a target of %s', (S) => {
    expect(() => perBlock(policy, S, equalBlocks(4), 'exact')).toThrowError(
      expect.objectContaining({ code: 'E_OPTION_SPARSITY' }),
    );
  });
});

test.each(ALL.filter(({ name }) => DEPTH_BLIND.includes(name)))(
  '$name does not see depth: equal blocks that change places take their rates along',
  (policy) => {
    const facts = groupedFacts(12, 6, [20, 20, 20, 20, 20]);
    const order = [3, 0, 4, 2, 1];
    const measured = randomMeasured(facts, 5);
    const values = valuesAt(policy, 0.6, facts, 0.3);
    const before = perLinear(policy, 0.6, facts, 'exact', values, measured);
    const after = perLinear(policy, 0.6, facts, 'exact', values, permuteMeasured(measured, facts, order));
    for (const [place, block] of order.entries()) {
      for (let l = 0; l < 7; l++) expect(after[place * 7 + l]!).toBeCloseTo(before[block * 7 + l]!, 12);
    }
  },
);

describe('atp', () => {
  const atp = findPolicy('atp');

  test('golden: L = 4, S = 0.7, β = 0.1', () => {
    const rates = perBlock(atp, 0.7, equalBlocks(4), 'exact', { beta: 0.1 });
    for (const [i, rate] of [0.55, 0.65, 0.75, 0.85].entries()) expect(rates[i]).toBeCloseTo(rate, 12);
  });

  test.each([
    [4, 0.7, 0.2],
    [12, 0.7, 0.0545],
    [32, 0.7, 0.0194],
    [32, 0.5, 0.0323],
    [80, 0.7, 0.0076],
  ])('the bound for %i blocks at %s is %s, as published', (blocks, S, bound) => {
    expect(maxBeta(S, blocks)).toBeCloseTo(bound, 4);
  });

  test('β = 0 is uniform, and the first block is S − β(L−1)/2', () => {
    expect(perBlock(atp, 0.7, equalBlocks(12), 'exact', { beta: 0 })).toEqual(Array.from({ length: 12 }, () => 0.7));
    expect(perBlock(atp, 0.7, equalBlocks(12), 'exact', { beta: 0.02 })[0]).toBeCloseTo(0.7 - (0.02 * 11) / 2, 12);
  });

  test('at its bounds the last or the first block goes whole, and no further', () => {
    const high = maxBeta(0.7, 12);
    expect(perBlock(atp, 0.7, equalBlocks(12), 'exact', { beta: high }).at(-1)).toBe(1);
    expect(perBlock(atp, 0.7, equalBlocks(12), 'exact', { beta: -high })[0]).toBe(1);
    expect(() => perBlock(atp, 0.7, equalBlocks(12), 'exact', { beta: 0.0546 })).toThrowError(/\[-0\.0545\d*, 0\.0545/);
    expect(() => perBlock(atp, 0.7, equalBlocks(12), 'exact', { beta: -0.0546 })).toThrowError(
      expect.objectContaining({
        code: 'E_OPTION_HYPERPARAMETERS',
        facts: expect.objectContaining({ name: 'beta', got: -0.0546, low: -high, high }),
      }),
    );
  });

  test('β < 0 is the mirror image: the rates of β > 0 from the last block to the first', () => {
    const falling = perBlock(atp, 0.7, equalBlocks(12), 'exact', { beta: -0.02 });
    const rising = perBlock(atp, 0.7, equalBlocks(12), 'exact', { beta: 0.02 });
    for (const [i, rate] of falling.entries()) expect(rate).toBeCloseTo(rising[11 - i]!, 12);
  });

  test('a single block has only β = 0', () => {
    expect(maxBeta(0.5, 1)).toBe(0);
    expect(perBlock(atp, 0.5, equalBlocks(1), 'exact', { beta: 0 })).toEqual([0.5]);
  });
});

describe('fitBudget', () => {
  test('returns rates that fit unchanged, and water-fills those that do not', () => {
    const fitting = [0.25, 0.75];
    expect(fitBudget(fitting, [1, 1], 0.5)).toBe(fitting);
    const filled = fitBudget([0.5, 1.2, 1.3], [1, 1, 1], 0.9);
    expect(filled[1]).toBe(1);
    expect(filled[2]).toBe(1);
    expect(filled[0]).toBeCloseTo(0.7, 12);
  });
});

describe('countPruned', () => {
  const linears = fc.array(
    fc.record({
      rows: fc.integer({ min: 1, max: 300 }),
      columns: fc.integer({ min: 1, max: 300 }),
      rate: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    { minLength: 1, maxLength: 40 },
  );

  test('exact: the total is the rounded sum, and each linear is within one weight of its share', () => {
    fc.assert(
      fc.property(linears, (shapes) => {
        const counts = countPruned(shapes, ({ rate }) => rate, 'exact');
        const wanted = shapes.map(({ rows, columns, rate }) => rows * columns * rate);
        const total = counts.reduce((a, b) => a + b, 0);
        expect(Math.abs(total - wanted.reduce((a, b) => a + b, 0))).toBeLessThanOrEqual(0.5 + 1e-6);
        for (const [i, share] of wanted.entries()) expect(Math.abs(counts[i]! - share)).toBeLessThan(1 + 1e-5);
      }),
      { numRuns: runs(100) },
    );
  });

  test('exact: a product that should be whole is not lost to rounding', () => {
    const counts = countPruned([{ rows: 1, columns: 10 }], () => 0.7, 'exact');
    expect(counts).toEqual([7]);
  });

  test('published: ⌊columns × s⌋ in every row', () => {
    const counts = countPruned([{ rows: 3, columns: 7 }], () => 0.5, 'published');
    expect(counts).toEqual([9]);
  });
});
