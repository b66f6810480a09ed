// Widths from rates: the budget to half of the smallest step, multiples and bounds, one width for all, and heads against channels
// by trying every number of heads.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import {
  allocate,
  chooseWidths,
  findPolicy,
  flapPlan,
  type Half,
  halfFacts,
  mostRemoved,
  realiseWidths,
  smallestSteps,
} from '../../src/plan/index.js';
import type { Plan } from '../../src/records/index.js';
import { runs } from '../scale.js';

const half = (block: number, kind: Half['kind'], slices: number, parameters: number, step: number): Half => ({
  ...{ id: `blocks.${block}.${kind}`, block, kind, experts: false, slices, parameters, step },
  readers: [`${block}.${kind}`],
});
const mlps = (blocks: number, slices: number, step: number, parameters = 30): readonly Half[] =>
  Array.from({ length: blocks }, (_, block) => half(block, 'mlp', slices, parameters, step));
const planOf = (halves: readonly Half[], rates: readonly number[]): Plan => ({
  format: 'layerwise-plan',
  version: 2,
  units: Object.fromEntries(halves.map(({ id }, i) => [id, { zeros: { rate: rates[i]! } }])),
});
const removedBy = (halves: readonly Half[], keeps: ReadonlyMap<string, number>): number =>
  halves.reduce((sum, { id, slices, parameters }) => sum + (slices - keeps.get(id)!) * parameters, 0);
const isWidth = ({ slices, step }: Half, keep: number): boolean =>
  keep === slices || (keep >= step && keep % step === 0);

test('the sum is met to half of the smallest step, by legal widths, wherever rates point', () => {
  const model = fc.record({
    blocks: fc.integer({ min: 1, max: 9 }),
    slices: fc.integer({ min: 1, max: 70 }),
    step: fc.integer({ min: 1, max: 16 }),
    seed: fc.integer({ min: 0, max: 1000 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(model, ({ blocks, slices, step, seed, share }) => {
      const halves = mlps(blocks, slices, Math.min(step, slices));
      const rng = createRng(seed);
      const rates = halves.map(() => rng.uniform());
      const remove = share * mostRemoved(halves);
      const keeps = chooseWidths(planOf(halves, rates), halves, { remove, equal: false });
      for (const one of halves) expect(isWidth(one, keeps.get(one.id)!)).toBe(true);
      const [first] = halves;
      const largest = Math.max(step, slices % step) * first!.parameters;
      expect(Math.abs(removedBy(halves, keeps) - remove)).toBeLessThanOrEqual(largest / 2 + 1e-6);
    }),
    { numRuns: runs(200) },
  );
});

test('a width follows its rate to a step, and equal rates are rounded evenly over the depth', () => {
  const halves = mlps(8, 64, 8);
  const rates = [0.125, 0.25, 0.375, 0.5, 0.5, 0.375, 0.25, 0.125];
  const remove = rates.reduce((sum, rate) => sum + rate * 64 * 30, 0);
  const keeps = chooseWidths(planOf(halves, rates), halves, { remove, equal: false });
  expect([...keeps.values()]).toEqual([56, 48, 40, 32, 32, 40, 48, 56]);
  const flat = chooseWidths(
    planOf(
      halves,
      halves.map(() => 0.1875),
    ),
    halves,
    { remove: 0.1875 * 8 * 64 * 30, equal: false },
  );
  expect([...flat.values()]).toEqual([48, 56, 48, 56, 48, 56, 48, 56]);
});

test('with equal widths all blocks get the nearest one', () => {
  const halves = mlps(4, 48, 8);
  const keeps = chooseWidths(
    planOf(
      halves,
      halves.map(() => 0.3),
    ),
    halves,
    { remove: 0.3 * 4 * 48 * 30, equal: true },
  );
  expect([...keeps.values()]).toEqual([32, 32, 32, 32]);
});

test('with equal widths experts get one width however many a block has, and MLPs beside them their own', () => {
  const experts = [6, 4, 5].map((count, block) => ({ ...half(block, 'mlp', 16, 30 * count, 4), experts: true }));
  const halves = [...experts, ...mlps(5, 16, 4).slice(3)];
  const rates = [0.3, 0.3, 0.3, 0.7, 0.7];
  const remove = 0.25 * 16 * 30 * 15 + 0.75 * 16 * 30 * 2;
  const keeps = chooseWidths(planOf(halves, rates), halves, { remove, equal: true });
  expect([...keeps.values()]).toEqual([12, 12, 12, 4, 4]);
  expect(smallestSteps(halves, true)).toEqual({ first: 4 * 30 * 2, step: 4 * 30 * 2 });
  expect(smallestSteps(experts, true)).toEqual({ first: 4 * 30 * 15, step: 4 * 30 * 15 });
});

test('the smallest step is of what has a second width, and the first down from the full one may be smaller', () => {
  const halves = [half(0, 'mlp', 70, 30, 32), half(1, 'mlp', 64, 20, 32), half(2, 'attention', 1, 7, 1)];
  expect(smallestSteps(halves, false)).toEqual({ first: 6 * 30, step: 32 * 20 });
  expect(smallestSteps(halves.slice(2), false).first).toBe(Number.POSITIVE_INFINITY);
});

describe('heads and channels', () => {
  const halves = [0, 1].flatMap((block) => [half(block, 'attention', 4, 200, 1), half(block, 'mlp', 40, 30, 1)]);
  const rising = (slices: number, slope: number): number[] => Array.from({ length: slices }, (_, i) => slope * i ** 2);
  const all = 2 * (4 * 200 + 40 * 30);

  test('compete by their errors: as many heads go as cost least with the channels beside them', () => {
    const costs = new Map(
      halves.map(({ id, kind, slices, block }) => [id, rising(slices, kind === 'mlp' ? 0.01 : block + 0.5)]),
    );
    const rate = 0.3;
    const plan = planOf(
      halves,
      halves.map(() => rate),
    );
    const keeps = chooseWidths(plan, halves, { remove: rate * all, equal: false, costs });
    for (const block of [0, 1]) {
      const quota = rate * (4 * 200 + 40 * 30);
      const errors = [0, 1, 2, 3].map((gone) => {
        const channels = (quota - 200 * gone) / 30;
        if (channels < 0) return Number.POSITIVE_INFINITY;
        const [low, high] = [Math.floor(channels), Math.ceil(channels)];
        const [a, b] = [low, high].map((i) => 0.01 * i ** 2) as [number, number];
        return (block + 0.5) * gone ** 2 + a + (channels - low) * (b - a);
      });
      expect(4 - keeps.get(`blocks.${block}.attention`)!).toBe(errors.indexOf(Math.min(...errors)));
    }
    expect(Math.abs(removedBy(halves, keeps) - rate * all)).toBeLessThanOrEqual(15);
    const equal = chooseWidths(plan, halves, { remove: rate * all, equal: true, costs });
    expect(equal.get('blocks.0.attention')).toBe(equal.get('blocks.1.attention'));
    expect(equal.get('blocks.0.mlp')).toBe(equal.get('blocks.1.mlp'));
    expect(Math.abs(removedBy(halves, equal) - rate * all)).toBeLessThanOrEqual(30);
  });

  test('with a rate for each half, heads are rounded and channels make up for it', () => {
    const rates = halves.map(({ kind }) => (kind === 'attention' ? 0.4 : 0.2));
    const remove = halves.reduce((sum, one, i) => sum + rates[i]! * one.slices * one.parameters, 0);
    const keeps = chooseWidths(planOf(halves, rates), halves, { remove, equal: false });
    expect([keeps.get('blocks.0.attention'), keeps.get('blocks.1.attention')]).toEqual([2, 3]);
    expect(Math.abs(removedBy(halves, keeps) - remove)).toBeLessThanOrEqual(15);
  });
});

test('every policy of cut has the target as its mean, and all readers of a half keep as many slices', () => {
  const halves = mlps(6, 40, 4).map((one) => ({ ...one, readers: [`${one.id}.a`, `${one.id}.b`] }));
  const facts = halfFacts(6, halves);
  for (const name of ['uniform', 'atp', 'log']) {
    const policy = findPolicy(name);
    const values = Object.fromEntries(policy.hyperparameters.map((one) => [one.name, one.range(0.3, facts)[1] / 2]));
    const plan = allocate(policy, { target: 0.3, facts, counting: 'exact', values });
    const { units } = realiseWidths(plan, halves, { remove: 0.3 * 6 * 40 * 30, equal: false });
    expect(Object.keys(units)).toHaveLength(12);
    const keeps = halves.map(({ readers }) => readers.map((reader) => units[reader]!.keep!));
    for (const [a, b] of keeps) expect(a).toBe(b);
    expect(keeps.reduce((sum, [a]) => sum + 40 - a!, 0)).toBe(72);
    if (name !== 'uniform') expect(keeps[0]![0]).toBeGreaterThan(keeps[5]![0]!);
  }
});

test('FLAP’s threshold takes the lowest scores of all halves', () => {
  const halves = mlps(2, 4, 1);
  const plan = flapPlan(halves, { 'blocks.0.mlp': [-1, 0, 1, 2], 'blocks.1.mlp': [-3, -2, -1.5, 5] }, 0.5);
  expect(plan.units).toEqual({ 'blocks.0.mlp': { zeros: { rate: 0.25 } }, 'blocks.1.mlp': { zeros: { rate: 0.75 } } });
});
