// ATP (arXiv 2502.14770, §3.4, eq. 10). Sparsity rises with depth as an arithmetic progression:
//   s_i = S − β(L−1)/2 + β·i,  i = 0 … L−1,  |β| ≤ min(2S, 2(1−S))/(L−1).
// S = target, L = number of blocks; β is the only number to search.
// We differ: β = 0 (uniform) is allowed and always tried. β < 0 is allowed: sparsity then falls with depth. It is searched
// where no rising line beats uniform, as on some pretrained vision transformers (docs/lab/vision.md), and where weights are
// fitted to the dense stream. If blocks differ in size, the line is shifted so that the parameter-weighted mean is S. The
// counting `published` leaves both out: its search tries β ≥ 0 alone, and its mean is the unweighted one.

import type { AllocationPolicy } from './policy.js';
import { snapRate } from './unit.js';

/** The largest β that keeps the rate of every block in [0, 1]. */
export function maxBeta(target: number, blocks: number): number {
  return blocks < 2 ? 0 : Math.min(2 * target, 2 * (1 - target)) / (blocks - 1);
}

/** ATP's line for β. */
export function atpLine(target: number, blocks: number, beta: number): number[] {
  return Array.from({ length: blocks }, (_, i) => snapRate(target - (beta * (blocks - 1)) / 2 + beta * i));
}

export const atp: AllocationPolicy = {
  name: 'atp',
  summary: 'sparsity rises with depth by a common difference β (arXiv 2502.14770)',
  granularity: 'block',
  needs: [],
  hyperparameters: [
    {
      name: 'beta',
      text: 'common difference of sparsity between neighbouring blocks',
      fallback: undefined,
      range: (target, facts) => [-maxBeta(target, facts.blocks) + 0, maxBeta(target, facts.blocks)],
      neutral: 0,
    },
  ],
  allocate: ({ target, facts, values }) => atpLine(target, facts.blocks, values.beta!),
};
