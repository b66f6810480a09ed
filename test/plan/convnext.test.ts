// ATP's line over ConvNeXt's blocks, whose last stage has most of the weights. As published, with the unweighted mean over blocks, it
// prunes more than was asked for. The numbers are from a computation of their own over the released widths and depths.

import { describe, expect, test } from 'vitest';
import { allocate, findPolicy, type ModelFacts, meanRate } from '../../src/plan/index.js';

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

test('the line’s depth is that of all blocks, through the stages', () => {
  expect([T, S, B, L].map(({ blocks }) => blocks)).toEqual([18, 36, 36, 36]);
});
