// ATP (arXiv 2502.14770, §3.4, eq. 10): sparsity rises with depth as an arithmetic progression,
//   s_i = S − β(L−1)/2 + β·i,  i = 0 … L−1,  0 ≤ β ≤ min(2S, 2(1−S))/(L−1).
// S = target, L = number of blocks, β = the one number to find. We differ from the published code: β = 0 (uniform) is
// legal and always tried; with blocks of unequal size the line is shifted so that the parameter-weighted mean is S.

import { OptionError } from '../base/index.js';
import { fitBudget, meanWeights, validateTarget } from './budget.js';
import type { AllocationPolicy } from './policy.js';

/** The largest legal common difference: beyond it some block would fall below 0 or above 1. */
export function maxBeta(target: number, blocks: number): number {
  return blocks < 2 ? 0 : Math.min(2 * target, 2 * (1 - target)) / (blocks - 1);
}

/** @throws OptionError E_OPTION_BETA outside [0, maxBeta], with the bound. */
export function validateBeta(beta: number, target: number, blocks: number): void {
  const bound = maxBeta(target, blocks);
  if (!(beta >= 0 && beta <= bound * (1 + 1e-12))) {
    throw new OptionError(
      'E_OPTION_BETA',
      `--beta: expected a number in [0, ${bound}] (sparsity ${target}, ${blocks} blocks), got ${beta}. Leave --beta out to have it searched.`,
      { option: 'beta', got: beta, bound },
    );
  }
}

export const atp: AllocationPolicy = {
  name: 'atp',
  summary: 'sparsity rises with depth by a common difference β (arXiv 2502.14770)',
  range: (target, facts) => ({ name: 'beta', low: 0, high: maxBeta(target, facts.blockWeights.length) }),
  allocate: (target, facts, budget, beta = 0) => {
    validateTarget(target);
    const L = facts.blockWeights.length;
    validateBeta(beta, target, L);
    const line = facts.blockWeights.map((_, i) => {
      const rate = target - (beta * (L - 1)) / 2 + beta * i;
      // At the bound itself the ends are 0 or 1 up to rounding.
      return Math.abs(rate) < 1e-12 ? 0 : Math.abs(rate - 1) < 1e-12 ? 1 : rate;
    });
    return fitBudget(line, meanWeights(facts, budget), target);
  },
};
