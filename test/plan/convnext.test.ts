// ATP's line over ConvNeXt's blocks, whose last stage has most of the weights. As published, with the unweighted mean over blocks, it
// prunes more than was asked for. The numbers are from a computation of their own over the released widths and depths.

import { describe, expect, test } from 'vitest';
import { allocate, findPolicy, type ModelFacts, meanRate, searchSpace } from '../../src/plan/index.js';

/** The pointwise linears of a ConvNeXt: W1 [4C, C] and W2 [C, 4C] in each block. */
function convnext(widths: readonly number[], depths: readonly number[]): ModelFacts {
  const blocks = depths.flatMap((depth, stage) => Array<number>(depth).fill(widths[stage]!));
  const linears = blocks.flatMap((C, block) =>
    [
      { role: 'up', rows: 4 * C, columns: C },
      { role: 'down', rows: C, columns: 4 * C },
    ].map((shape) => ({
      ...{ id: `${block}.${shape.role}`, kind: 'linear' as const, trunk: 'vision', block, weights: 4 * C * C },
      ...shape,
    })),
  );
  return { blocks: blocks.length, linears };
}

const T = convnext([96, 192, 384, 768], [3, 3, 9, 3]);
const S = convnext([96, 192, 384, 768], [3, 3, 27, 3]);
const B = convnext([128, 256, 512, 1024], [3, 3, 27, 3]);
const L = convnext([192, 384, 768, 1536], [3, 3, 27, 3]);

/** The share of weights and the first and last rate of a line. */
function line(facts: ModelFacts, target: number, beta: number, counting: 'published' | 'exact') {
  const plan = allocate(findPolicy('atp'), { target, facts, counting, values: { beta } });
  const rates = Object.values(plan.units).map(({ zeros }) => zeros!.rate);
  return { share: meanRate(plan, facts), first: rates[0]!, last: rates.at(-1)! };
}

describe.each([
  ['T', T, 0.5, 0.01, 0.545, 0.415, 0.585],
  ['T', T, 0.5, 0.02, 0.59, 0.33, 0.67],
  ['S', S, 0.5, 0.01, 0.5564, 0.325, 0.675],
  ['B', B, 0.5, 0.01, 0.5564, 0.325, 0.675],
  ['L', L, 0.5, 0.01, 0.5564, 0.325, 0.675],
  ['S', S, 0.5, 0.02, 0.6128, 0.15, 0.85],
  ['T', T, 0.7, 0.01, 0.745, 0.615, 0.785],
  ['B', B, 0.7, 0.01, 0.7564, 0.525, 0.875],
] as const)('ConvNeXt-%s at %d', (_, facts, target, beta, share, first, last) => {
  test(`published, β = ${beta}: ${share} of the weights; exact: ${target}, by a line as steep`, () => {
    const published = line(facts, target, beta, 'published');
    expect(published.share).toBeCloseTo(share, 3 + Number(String(share).length > 5));
    expect(published.first).toBeCloseTo(first, 9);
    expect(published.last).toBeCloseTo(last, 9);
    const exact = line(facts, target, beta, 'exact');
    expect(exact.share).toBeCloseTo(target, 12);
    expect(exact.last - exact.first).toBeCloseTo(last - first, 9);
  });
});

describe('with the stage as unit', () => {
  const groups = [3, 3, 9, 3].flatMap((depth, stage) => Array<number>(depth).fill(stage));
  const staged: ModelFacts = { ...T, groups };
  const ratesOf = (plan: ReturnType<typeof allocate>) => Object.values(plan.units).map(({ zeros }) => zeros!.rate);

  test('a line has four rates, one for all blocks of a stage, and its bound is that of four', () => {
    const asked = { target: 0.5, facts: staged, values: { beta: 0.1 } };
    const exact = allocate(findPolicy('atp'), { ...asked, counting: 'exact' });
    const rates = ratesOf(exact);
    expect(rates).toHaveLength(18);
    const four = [0, 3, 6, 15].map((first) => rates[first]!);
    for (const [block, rate] of rates.entries()) expect(rate).toBe(four[groups[block]!]);
    for (const [i, rate] of four.slice(1).entries()) expect(rate - four[i]!).toBeCloseTo(0.1, 12);
    expect(meanRate(exact, T)).toBeCloseTo(0.5, 12);
    const published = ratesOf(allocate(findPolicy('atp'), { ...asked, counting: 'published' }));
    expect([0, 3, 6, 15].map((first) => published[first]!.toFixed(6))).toEqual([
      ...['0.350000', '0.450000', '0.550000', '0.650000'],
    ]);
    const steep = { ...asked, values: { beta: 0.3334 }, counting: 'exact' as const };
    expect(() => allocate(findPolicy('atp'), steep)).toThrowError(/0\.3333\d*\] \(atp, sparsity 0.5, 4 stages\)/);
    expect(searchSpace(findPolicy('atp'), {}, 0.5, staged)).toMatchObject({ high: 1 / 3 });
  });

  test('ECoFLaP gives a stage what its linears need together', () => {
    const gradient = T.linears.map(({ block }) => 1 + (block % 4));
    const measured = { gradient };
    const plan = allocate(findPolicy('ecoflap'), { target: 0.5, facts: staged, counting: 'exact', measured });
    // One model of four blocks with the same linears.
    const four = { blocks: 4, linears: T.linears.map((linear) => ({ ...linear, block: groups[linear.block]! })) };
    const wanted = ratesOf(allocate(findPolicy('ecoflap'), { target: 0.5, facts: four, counting: 'exact', measured }));
    expect(ratesOf(plan)).toEqual(groups.map((stage) => wanted[stage]));
    expect(meanRate(plan, T)).toBeCloseTo(0.5, 12);
  });
});

test('the line’s depth is that of all blocks, through the stages', () => {
  expect([T, S, B, L].map(({ blocks }) => blocks)).toEqual([18, 36, 36, 36]);
});
