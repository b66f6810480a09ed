// One budget over several chains: ECoFLaP sees one model, and what each chain gets of it is what that model's blocks would.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allocate, findPolicy, joinFacts, type ModelFacts, meanRate, partPlan } from '../../src/plan/index.js';
import { blockId } from '../../src/records/index.js';
import { runs } from '../scale.js';

/** A chain of blocks of one linear each. */
const chain = (name: string, widths: readonly number[]): ModelFacts => ({
  blocks: widths.length,
  linears: widths.map((columns, block) => ({
    ...{ id: `${name}.${block}`, kind: 'linear', trunk: name, block, role: 'q' },
    ...{ weights: 8 * columns, rows: 8, columns },
  })),
});

/** keep_b = N_b(1 − p) + shares of the rest by s_b, what does not fit going to the others (arXiv 2310.02998, §3), term by term. */
function ecoflap(sizes: readonly number[], scores: readonly number[], S: number, p: number): readonly number[] {
  const keep = sizes.map((N) => N * (1 - p));
  let rest = sizes.reduce((sum, N) => sum + N, 0) * (1 - S) - keep.reduce((a, b) => a + b, 0);
  const open = new Set(sizes.keys());
  while (rest > 1e-9 && open.size > 0) {
    const total = [...open].reduce((sum, b) => sum + scores[b]!, 0);
    const full = [...open].find((b) => keep[b]! + (rest * scores[b]!) / total >= sizes[b]!);
    if (full === undefined) {
      for (const b of open) keep[b]! += (rest * scores[b]!) / total;
      break;
    }
    rest -= sizes[full]! - keep[full]!;
    keep[full] = sizes[full]!;
    open.delete(full);
  }
  return keep.map((kept, b) => 1 - kept / sizes[b]!);
}

const widths = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 6 });

test('both chains together have the target, and every block the rate that it has in one model of all', () => {
  fc.assert(
    fc.property(
      widths,
      widths,
      fc.double({ min: 0.1, max: 0.8, noNaN: true }),
      fc.infiniteStream(fc.double({ min: 0.01, max: 5, noNaN: true })),
      (a, b, target, numbers) => {
        const parts = [chain('vision', a), chain('language', b)];
        const gradient = [...a, ...b].map(() => numbers.next().value as number);
        const facts = joinFacts(parts);
        const plan = allocate(findPolicy('ecoflap'), { target, facts, counting: 'exact', measured: { gradient } });
        const sizes = [...a, ...b].map((columns) => 8 * columns);
        const wanted = ecoflap(sizes, gradient, target, Math.min(1, target + 0.1));
        const [vision, language] = partPlan(plan, parts);
        const rates = [
          ...a.map((_, i) => vision!.units[blockId(i)]!.zeros!.rate),
          ...b.map((_, i) => language!.units[blockId(i)]!.zeros!.rate),
        ];
        for (const [i, rate] of rates.entries()) expect(rate).toBeCloseTo(wanted[i]!, 9);
        const sizeOf = (some: readonly number[]): number => 8 * some.reduce((x, y) => x + y, 0);
        const [of, and] = [meanRate(vision!, parts[0]!), meanRate(language!, parts[1]!)];
        expect(vision!.budget!.target).toBe(of);
        expect((of * sizeOf(a) + and * sizeOf(b)) / sizeOf([...a, ...b])).toBeCloseTo(target, 9);
      },
    ),
    { numRuns: runs(100) },
  );
});

test('a line goes on from one chain to the next', () => {
  const parts = [chain('vision', [8, 8]), chain('language', [8, 8, 8])];
  const values = { beta: 0.1 };
  const plan = allocate(findPolicy('atp'), { target: 0.5, facts: joinFacts(parts), counting: 'exact', values });
  const [vision, language] = partPlan(plan, parts);
  const rates = [vision!, language!].map(({ units }) => Object.values(units).map(({ zeros }) => zeros!.rate));
  expect(rates[0]!.map((rate) => rate.toFixed(6))).toEqual(['0.300000', '0.400000']);
  expect(rates[1]!.map((rate) => rate.toFixed(6))).toEqual(['0.500000', '0.600000', '0.700000']);
  expect(vision!.from).toEqual({ policy: 'atp', values });
});

test('rates of linears go to the chain that has them', () => {
  const parts = [chain('vision', [8, 16]), chain('language', [8])];
  const plan = allocate(findPolicy('er-plus'), { target: 0.5, facts: joinFacts(parts), counting: 'exact' });
  const [vision, language] = partPlan(plan, parts);
  expect(Object.keys(vision!.units)).toEqual(['vision.0', 'vision.1']);
  expect(Object.keys(language!.units)).toEqual(['language.0']);
  expect(language!.units['language.0']).toEqual(plan.units['language.0']);
});
