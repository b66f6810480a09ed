// Golden vectors of the published policies: those of the papers and their code where there are any, else numpy's
// (scripts/golden/policies.py); and what each does in degenerate cases.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import {
  type AllocationPolicy,
  allocate,
  atpLine,
  type Counting,
  findPolicy,
  fitBudget,
  type ModelFacts,
  POLICIES,
  realisePlan,
  searchSpace,
  type Values,
  zeroRate,
} from '../../src/plan/index.js';
import { countBins } from '../../src/profile/histogram.js';
import { lampScores } from '../../src/profile/lamp.js';
import { type Measured, type Plan, parsePlan } from '../../src/records/index.js';
import { levelsOf, walkLevels } from '../../src/search/index.js';
import { golden, goldenFacts, goldenScores, goldenWeights } from '../profile/golden.js';
import { runs } from '../scale.js';
import { groupedFacts, randomMeasured } from './measured.js';
import { unit } from './units.js';

const S = golden.target;
/** Blocks of one linear each. */
const blocksOf = (...sizes: readonly number[]): ModelFacts => ({
  blocks: sizes.length,
  linears: sizes.map((columns, block) => unit(`${block}`, block, 'q', 1, columns)),
});
/** What the policy says before any fitting. */
const rawRates = (
  policy: AllocationPolicy,
  target: number,
  facts: ModelFacts,
  measured: Partial<Measured>,
  given: Values = {},
): readonly number[] => {
  const defaults = policy.hyperparameters.map(({ name, fallback }) => [name, fallback ?? 0] as const);
  return policy.allocate({ target, facts, measured, values: { ...Object.fromEntries(defaults), ...given } });
};
const expectAll = (got: readonly number[], expected: readonly number[], digits = 10): void => {
  expect(got).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(got[i], `[${i}]`).toBeCloseTo(value, digits);
};
const measured: Partial<Measured> = {
  ...golden.measured,
  lamp: goldenWeights.map((W) => countBins(lampScores(W))),
  scores: goldenScores.map(countBins),
};
const goldenRates = (name: string, target = S, values: Values = {}): readonly number[] =>
  rawRates(findPolicy(name), target, goldenFacts, measured, values);

describe('log', () => {
  test('is SlimGPT’s curve between the first and the last rate, with the target as its mean', () => {
    const facts = blocksOf(100, 100, 100, 100);
    const rates = rawRates(findPolicy('log'), 0.5, facts, {}, { rise: 0.3 });
    // r_0 + (r_3 − r_0)·ln(i + 1)/ln 4, by hand.
    expectAll(rates, [0.328064, 0.478064, 0.565808, 0.628064], 6);
    expect(rates.reduce((a, b) => a + b) / 4).toBeCloseTo(0.5, 12);
    const [low, high] = findPolicy('log').hyperparameters[0]!.range(0.5, facts);
    for (const rise of [low, high]) {
      const bound = rawRates(findPolicy('log'), 0.5, facts, {}, { rise });
      expect(Math.min(...bound) >= 0 && Math.max(...bound) <= 1).toBe(true);
      expect(bound.some((rate) => rate === 0 || rate === 1)).toBe(true);
    }
  });
});

describe('evo', () => {
  const facts = groupedFacts(16, 8, [24, 40, 24]);
  const evo = findPolicy('evo');
  const total = facts.linears.reduce((sum, { weights }) => sum + weights, 0);

  test.each([0.05, 0.5, 0.7, 0.985])(
    'at %s, levels that add up to 0 keep the budget exactly, out to their bounds',
    (S) => {
      const space = searchSpace(evo, {}, S, facts);
      if (space?.kind !== 'levels') throw new Error('evo has no levels');
      const levels = facts.linears.map(() => 0);
      // Takes from every linear what it can give, and gives it to those that can take it, from the last on.
      let open = facts.linears.length - 1;
      for (const [l, low] of space.low.entries()) {
        while (levels[l]! > low && l < open) {
          while (open > l && levels[open]! >= space.high[open]!) open--;
          if (open <= l) break;
          levels[l]!--;
          levels[open]!++;
        }
      }
      const plan = allocate(evo, { target: S, facts, counting: 'exact', levels });
      const rates = facts.linears.map((linear) => zeroRate(plan, linear));
      for (const [l, rate] of rates.entries()) {
        expect(rate >= 0 && rate <= Math.max(0.98, S) + 1 / facts.linears[l]!.weights).toBe(true);
      }
      const mean = rates.reduce((sum, rate, l) => sum + rate * facts.linears[l]!.weights, 0) / total;
      // What uniform is in whole weights.
      expect(Math.abs(mean - S) * total).toBeLessThanOrEqual(0.5 + 1e-6);
      expect(plan.budget!.target).toBeCloseTo(mean, 9);
      if (S < 0.98) expect(new Set(rates).size).toBeGreaterThan(2);
    },
  );

  test('a level is the same number of weights for every linear', () => {
    const levels = facts.linears.map((_, l) => (l === 0 ? 1 : l === 6 ? -1 : 0));
    const rates = rawRates(evo, 0.5, facts, {}, {}).map((_, l) => {
      return evo.allocate({ target: 0.5, facts, measured: {}, values: { step: 0.1, levels: 8 }, levels })[l]!;
    });
    const moved = rates.map((rate, l) => (rate - 0.5) * facts.linears[l]!.weights);
    expect(moved[0]).toBeCloseTo(Math.round((0.1 * total) / facts.linears.length), 9);
    expect(moved[6]).toBeCloseTo(-moved[0]!, 9);
  });

  test('a linear at a level loses the same weights in every plan, and all plans as many as uniform', () => {
    const pattern = fc.constantFrom<readonly [Counting, number | undefined]>(
      ['exact', undefined],
      ['exact', 4],
      ['exact', 16],
      ['published', undefined],
    );
    const target = fc.oneof(fc.constantFrom(0.5, 0.7, 0.05), fc.double({ min: 0.02, max: 0.97, noNaN: true }));
    const sizes = fc.constantFrom([24, 40, 24], [33, 47, 24], [16, 48, 32]);
    fc.assert(
      fc.property(pattern, target, sizes, fc.nat(), ([counting, of], S, columns, seed) => {
        const facts = groupedFacts(16, 8, columns);
        const { linears } = facts;
        const whole = { counting, of };
        const space = searchSpace(evo, { step: 0.11, levels: 4 }, S, facts, false, whole);
        if (space?.kind !== 'levels') throw new Error('evo has no levels');
        const countsOf = (plan: Plan): number[] => {
          const real = realisePlan(plan, linears, { counting, pattern: 'x', of });
          return linears.map((linear) => Math.round(zeroRate(real, linear) * linear.weights));
        };
        const given = { target: S, facts, counting, of, values: { step: 0.11, levels: 4 } };
        const uniform = countsOf(allocate(findPolicy('uniform'), { target: S, facts, counting }));
        expect(countsOf(allocate(evo, { ...given, levels: linears.map(() => 0) }))).toEqual(uniform);
        const rng = createRng(seed);
        const seen = new Map<string, number>();
        const walk = walkLevels({
          ...space,
          windows: [1],
          maxTrials: 1,
          generations: 3,
          offspring: 6,
          draws: () => rng.below,
        });
        for (let step = walk.next(); !step.done; step = walk.next(rng.uniform())) {
          const levels = levelsOf(step.value.values, linears.length);
          const counts = countsOf(allocate(evo, { ...given, levels }));
          for (const [l, count] of counts.entries()) {
            const key = `${l}: ${levels[l]}`;
            expect(count, key).toBe(seen.get(key) ?? count);
            seen.set(key, count);
            if (levels[l] === 0) expect(count).toBe(uniform[l]);
            else expect(Math.sign(count - uniform[l]!)).toBe(Math.sign(levels[l]!));
          }
          // The last columns of a row may be fewer than M: then a level is not always the same number of weights.
          if (of !== undefined && columns.some((n) => n % of !== 0)) continue;
          expect(counts.reduce((a, b) => a + b, 0)).toBe(uniform.reduce((a, b) => a + b, 0));
        }
      }),
      { numRuns: runs(100) },
    );
  });
});

describe('lsa', () => {
  // Mean errors of the blocks 1, 3, 2; I = 1 − E/ΣE = 5/6, 1/2, 2/3, scaled 1, 0, 1/2; d = 2λ of that, its mean λ.
  const facts = blocksOf(10, 10, 10);

  test('golden: E = 1, 3, 2, S = 0.7, λ = 0.15: the block with the largest error is the sparsest', () => {
    expectAll(rawRates(findPolicy('lsa'), 0.7, facts, { halfError: [1, 3, 2] }), [0.55, 0.85, 0.7], 12);
  });

  test('golden over linears: the same shift in weights, so a small linear’s rate moves more', () => {
    const sizes = blocksOf(10, 20, 30);
    const rates = rawRates(findPolicy('lsa-projection'), 0.7, sizes, { halfError: [1, 3, 2] });
    expectAll(rates, [0.7 - 0.07 * 2, 0.7 + 0.07, 0.7], 12);
    const [a, b, c] = rates as [number, number, number];
    expect((10 * a + 20 * b + 30 * c) / 60).toBeCloseTo(0.7, 12);
  });

  test('equal errors are uniform', () => {
    for (const name of ['lsa', 'lsa-projection']) {
      expectAll(rawRates(findPolicy(name), 0.6, facts, { halfError: [2, 2, 2] }), [0.6, 0.6, 0.6], 12);
    }
  });
});

describe('owl', () => {
  test('golden: D = 5, 3, 2, 1.5 %, S = 0.7, λ = 0.08', () => {
    const outliers = { 5: [0.05, 0.03, 0.02, 0.015] };
    const got = rawRates(findPolicy('owl'), 0.7, blocksOf(1, 1, 1, 1), { outliers });
    expectAll(got, [0.602857, 0.694286, 0.74, 0.762857], 6);
  });

  test('numpy’s, and the width is 2λ', () => {
    const got = goldenRates('owl');
    expectAll(got, golden.rates.owl!);
    expect(Math.max(...got) - Math.min(...got)).toBeCloseTo(0.16, 12);
  });
});

test('dlp: numpy’s, by the paper’s median and by the code’s mean', () => {
  expectAll(goldenRates('dlp'), golden.rates.dlp!);
  expectAll(goldenRates('dlp', S, { mean: 1 }), golden.rates.dlpMean!);
});

test('dsa: numpy’s, inside the domain of asin(atan v) and beyond it', () => {
  const scoreMoments = [0.8, 1.5, 1.2].map((logVariance) => ({ mean: 0, median: 0, logVariance }));
  expectAll(rawRates(findPolicy('dsa'), S, goldenFacts, { scoreMoments }), golden.rates.dsa!);
  expectAll(goldenRates('dsa'), golden.rates.dsaBeyond!);
});

test('alphapruning: numpy’s; capped at 1 where the published rule exceeds it', () => {
  expectAll(goldenRates('alphapruning'), golden.rates.alphapruning!);
  const capped = goldenRates('alphapruning', 0.9);
  expectAll(capped, golden.rates.alphapruningCapped!);
  expect(Math.max(...capped)).toBe(1);
});

describe('ecoflap', () => {
  const thousand = blocksOf(1000, 1000, 1000, 1000);

  test.each([
    [
      [4, 2, 1, 1],
      [0.4, 0.5, 0.55, 0.55],
    ],
    [
      [100, 1, 1, 1],
      [0.212, 0.596, 0.596, 0.596],
    ],
  ])('golden: scores %j, S = 0.5, p = 0.6', (gradient, expected) => {
    expectAll(rawRates(findPolicy('ecoflap'), 0.5, thousand, { gradient }), expected, 3);
  });

  test('a full block gives what it cannot hold to the others: the budget holds, where the published code exceeds it', () => {
    const got = rawRates(findPolicy('ecoflap'), 0.1, thousand, { gradient: [1000, 1, 1, 1] }, { margin: 0.9 });
    expectAll(got, [0, 0.4 / 3, 0.4 / 3, 0.4 / 3]);
  });

  test('numpy’s', () => expectAll(goldenRates('ecoflap'), golden.rates.ecoflap!));
});

describe('er', () => {
  test('golden: one block, attention is denser than the wide MLP', () => {
    // Kept in proportion to rows + columns: 8, 6, 6, 8, 12, 12, 12 of 64.
    const got = rawRates(findPolicy('er'), 0.75, groupedFacts(4, 2, [8]), {});
    const kept = [16, 8, 8, 16, 32, 32, 32].map((size, l) => (1 - got[l]!) * size);
    expectAll(
      kept,
      [8, 6, 6, 8, 12, 12, 12].map((share) => (share * 36) / 64),
    );
  });

  test('what would be denser than dense is dense, and the others share the rest', () => {
    const got = rawRates(findPolicy('er'), 0.1, groupedFacts(4, 2, [8]), {});
    expect(got.slice(0, 4)).toEqual([0, 0, 0, 0]);
    expectAll(got.slice(4), [0.15, 0.15, 0.15]);
  });

  test('numpy’s; er-plus with the last linear dense', () => {
    expectAll(goldenRates('er'), golden.rates.er!);
    expectAll(goldenRates('er-plus'), golden.rates['er-plus']!);
    expect(goldenRates('er-plus').at(-1)).toBe(0);
  });

  test('er-plus leaves half of what stays to the others', () => {
    const facts = groupedFacts(4, 2, [8]);
    const got = rawRates(findPolicy('er-plus'), 0.9, facts, {});
    expect((1 - got.at(-1)!) * 32).toBeCloseTo(0.05 * 144, 12);
  });
});

test.each(['lamp', 'global'])('%s: numpy’s by sorting, to the width of a bin', (name) => {
  const got = goldenRates(name);
  for (const [l, expected] of golden.rates[name]!.entries()) expect(Math.abs(got[l]! - expected)).toBeLessThan(0.02);
});

test('lamp leaves something of every linear; global may take one whole', () => {
  const facts = blocksOf(1000, 1000);
  const W = [Float32Array.from({ length: 1000 }, (_, i) => i + 1), new Float32Array(1000).fill(1e-3)];
  const everything = { lamp: W.map((w) => countBins(lampScores(w))), scores: W.map(countBins) };
  expect(Math.max(...rawRates(findPolicy('lamp'), 0.9, facts, everything))).toBeLessThan(1);
  expectAll(rawRates(findPolicy('global'), 0.75, facts, everything), [0.5, 1], 2);
});

describe('als', () => {
  test('numpy’s: the best of all vertices of the linear program', () => {
    expectAll(goldenRates('als'), golden.rates.als!, 8);
  });

  test('all rates but one are bounds; at the upper bound itself only uniform is left', () => {
    const facts = blocksOf(3, 5, 2, 7, 4);
    const redundancy = { ...randomMeasured(facts, 3).redundancy, linears: facts.linears.map(() => [[1]]) };
    const got = rawRates(findPolicy('als'), 0.5, facts, { redundancy });
    expect(got.filter((rate) => ![0.3, 0.7].some((bound) => Math.abs(rate - bound) < 1e-12)).length).toBeLessThan(2);
    for (const target of [0.7, 0.8, 0.2]) {
      expect(rawRates(findPolicy('als'), target, facts, { redundancy })).toEqual(facts.linears.map(() => target));
    }
  });
});

test('neuronal is ATP’s line with β = 2λ/(L − 1)', () => {
  const facts = blocksOf(1, 1, 1, 1, 1);
  expectAll(rawRates(findPolicy('neuronal'), 0.7, facts, {}, { lambda: 0.1 }), atpLine(0.7, 5, 0.05));
  expectAll(rawRates(findPolicy('neuronal'), 0.7, facts, {}, { lambda: 0.1 }), [0.6, 0.65, 0.7, 0.75, 0.8]);
});

test.each(['owl', 'dlp', 'dsa', 'alphapruning', 'als', 'ecoflap'])(
  '%s is uniform where all blocks measure alike',
  (name) => {
    const facts = groupedFacts(8, 8, [8, 8, 8]);
    const psi = (n: number) => Array.from({ length: n }, () => new Array<number>(n).fill(1));
    const alike: Partial<Measured> = {
      outliers: { 5: [0.1, 0.1, 0.1] },
      scoreMoments: facts.linears.slice(0, 3).map(() => ({ mean: 1, median: 1, logVariance: 1 })),
      alpha: facts.linears.map(() => 3),
      gradient: facts.linears.map(() => 0),
      redundancy: { blocks: psi(3), linears: [psi(7), psi(7), psi(7)] },
    };
    const policy = findPolicy(name);
    const plan = allocate(policy, { target: 0.6, facts, counting: 'exact', measured: alike });
    for (const linear of facts.linears) expect(zeroRate(plan, linear)).toBeCloseTo(0.6, 12);
  },
);

test('what a published rule fits to the weighted budget by itself is left alone', () => {
  const facts = groupedFacts(12, 6, [20, 28, 24]);
  const own = randomMeasured(facts, 2);
  for (const policy of [...POLICIES.values()].filter(({ weighted }) => weighted)) {
    const raw = rawRates(policy, 0.6, facts, own);
    const plan = allocate(policy, { target: 0.6, facts, counting: 'exact', measured: own });
    const rates = facts.linears.map((linear) => zeroRate(plan, linear));
    const expected = policy.granularity === 'linear' ? raw : facts.linears.map(({ block }) => raw[block]!);
    expect(rates, policy.name).toEqual(expected);
  }
});

describe('a published schedule of 32 rates (LLaMA-1-7B at 70 %, searched by others)', () => {
  const text = `.642 .514 .613 .503 .557 .677 .561 .721 .641 .638 .706 .721 .722 .738 .757 .749 .727 .732 .734 .759 .739 .748
    .749 .745 .750 .752 .751 .755 .747 .750 .741 .758`;
  const rates = text.trim().split(/\s+/).map(Number);

  test('parses as a plan and fits its budget to the last digit that was published', () => {
    const plan = parsePlan(JSON.stringify({ target: 0.7, blocks: rates }), 'published.json');
    const parsed = rates.map((_, block) => plan.units[`blocks.${block}`]!.zeros!.rate);
    expect(parsed).toEqual(rates);
    const fitted = fitBudget(
      parsed,
      rates.map(() => 1),
      0.7,
    );
    for (const [block, rate] of fitted.entries()) expect(Math.abs(rate - rates[block]!)).toBeLessThan(5e-4);
  });
});

describe('docs/reference/policies.md', () => {
  const page = readFileSync(fileURLToPath(new URL('../../docs/reference/policies.md', import.meta.url)), 'utf8');

  test.each([...POLICIES.values()].map((policy) => [policy.name, policy] as const))(
    'has a row for %s',
    (name, policy) => {
      // Cells are padded to the widest of their column; only what is in them counts.
      const rows = page.split('\n').map((line) => line.replaceAll(/ +/g, ' '));
      const row = rows.find((line) => line.startsWith(`| \`${name}\` `));
      expect(row).toBeDefined();
      expect(row).toContain(`| ${policy.granularity} |`);
      for (const measure of policy.needs) expect(row).toContain(measure);
      for (const { name: parameter, fallback } of policy.hyperparameters) {
        expect(row).toContain(fallback === undefined ? `\`${parameter}\`` : `\`${parameter}\` ${fallback}`);
      }
    },
  );
});
