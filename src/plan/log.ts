// SlimGPT's curve (arXiv 2412.18110, §3.3, "incremental pruning ratio"): rates rise with the logarithm of the depth, fast in the
// first blocks and slowly in the last, because errors of early blocks add up in all that follow.
//   r_i = r_0 + (r_{L−1} − r_0)·ln(i + 1)/ln L,   i = 0 … L−1
// L = number of blocks. The mean is the target, so one number is left: rise = r_{L−1} − r_0. The paper chooses it by hand; here it
// is searched like ATP's β, and uniform (rise = 0) is always tried. We differ: a rise below 0 is allowed.

import type { AllocationPolicy } from './policy.js';
import { snapRate } from './unit.js';

/** ln(i + 1)/ln L for every block, and the mean of these. */
function depths(blocks: number): { readonly at: readonly number[]; readonly mean: number } {
  const at = Array.from({ length: blocks }, (_, i) => (blocks < 2 ? 0 : Math.log(i + 1) / Math.log(blocks)));
  return { at, mean: at.reduce((a, b) => a + b, 0) / blocks };
}

/** The largest rise, up or down, with which the rate of every block is in [0, 1]. */
function maxRise(target: number, blocks: number): number {
  const { mean } = depths(blocks);
  if (blocks < 2) return 0;
  const [below, above] = [mean, 1 - mean];
  return Math.min(target / below, (1 - target) / above, target / above, (1 - target) / below);
}

/** The curve: its mean over blocks is `target`. */
function logCurve(target: number, blocks: number, rise: number): number[] {
  const { at, mean } = depths(blocks);
  return at.map((depth) => snapRate(target + rise * (depth - mean)));
}

export const log: AllocationPolicy = {
  name: 'log',
  summary: 'sparsity rises with the logarithm of the depth, as SlimGPT’s does (arXiv 2412.18110)',
  granularity: 'block',
  needs: [],
  hyperparameters: [
    {
      name: 'rise',
      text: 'difference of sparsity between the last block and the first',
      fallback: undefined,
      range: (target, facts) => [-maxRise(target, facts.blocks) + 0, maxRise(target, facts.blocks)],
      neutral: 0,
    },
  ],
  allocate: ({ target, facts, values }) => logCurve(target, facts.blocks, values.rise!),
};
