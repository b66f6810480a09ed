// AlphaPruning (arXiv 2410.10912, §3). Linears whose spectrum has a heavier tail are better trained and stay denser. α_l =
// Hill estimate of the power-law exponent of the spectrum of W_lᵀ·W_l (profile/alpha.ts), m_i = mean of α_l over block i:
//   r_i = (1 − ε) + 2ε·(m_i − min m)/(max m − min m),   s_i = r_i·S·ΣN/Σ(N·r),   N_i = weights of block i.
// Data-free; default ε = 0.3. The spread of the rates grows with S, and they keep the parameter-weighted budget.
// We differ: an s_i above 1 (published: six blocks of LLaMA-7B at S = 0.8) becomes 1, and all others grow by one factor
// (evenly, if only blocks with r_i = 0 remain). Equal m_i give uniform. We assign linears to blocks by their block number;
// the published code divides the list into equal pieces.

import { type AllocationPolicy, blockWeights } from './policy.js';
import { divideByShares } from './share.js';
import { scaleToUnit } from './shift.js';

export const alphapruning: AllocationPolicy = {
  name: 'alphapruning',
  summary: 'blocks whose weight spectra have heavier tails stay denser (arXiv 2410.10912)',
  granularity: 'block',
  needs: ['alpha'],
  hyperparameters: [
    {
      name: 'epsilon',
      text: 'half the width of the rates, as a share of the target',
      fallback: 0.3,
      range: () => [0, 1],
    },
  ],
  weighted: true,
  allocate: ({ target, facts, measured, values }) => {
    const sums = new Array<number>(facts.blocks).fill(0);
    const linears = new Array<number>(facts.blocks).fill(0);
    for (const [l, { block }] of facts.linears.entries()) {
      sums[block]! += measured.alpha![l]!;
      linears[block]!++;
    }
    const factors = scaleToUnit(sums.map((sum, block) => sum / linears[block]!)).map(
      (m) => 1 - values.epsilon! + 2 * values.epsilon! * m,
    );
    const weights = blockWeights(facts);
    const total = weights.reduce((a, b) => a + b, 0);
    const shares = weights.map((N, block) => N * factors[block]!);
    return divideByShares(target * total, shares, weights).map((pruned, block) => pruned / weights[block]!);
  },
};
