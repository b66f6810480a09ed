// ECoFLaP (arXiv 2310.02998, §3): blocks that the loss is sensitive to stay denser. s_b = Σ over the block's linears of a
// zeroth-order estimate of ‖∂loss/∂W‖_F, N_b = weights of block b, p = largest sparsity of a block:
//   keep_b = N_b·(1 − p) + a part of the rest of (1 − S)·ΣN in proportion to s_b, at most N_b; what is left over goes to
//   the others in the same proportion, until nothing is.   rate_b = 1 − keep_b/N_b.
// p = S + margin, margin = 0.1 in all published scripts. It keeps the parameter-weighted budget by itself.
// We differ: the published code adds where it should take away once a block is over-full and so exceeds its budget; p is
// at most 1; counts are not rounded here but once, over the whole plan; with all estimates 0 it is uniform.

import { type AllocationPolicy, blockWeights } from './policy.js';
import { divideByShares } from './share.js';

export const ecoflap: AllocationPolicy = {
  name: 'ecoflap',
  summary: 'blocks that the loss is more sensitive to stay denser (arXiv 2310.02998, zeroth order)',
  granularity: 'block',
  needs: ['gradient'],
  hyperparameters: [
    { name: 'margin', text: 'how far above the target a block’s rate may lie', fallback: 0.1, range: () => [0, 1] },
  ],
  weighted: true,
  allocate: ({ target, facts, measured, values }) => {
    const scores = new Array<number>(facts.blocks).fill(0);
    for (const [l, { block }] of facts.linears.entries()) scores[block]! += measured.gradient![l]!;
    const weights = blockWeights(facts);
    const largest = Math.min(1, target + values.margin!);
    const room = weights.map((N) => N * largest);
    const rest = weights.reduce((sum, N) => sum + N * (largest - target), 0);
    return divideByShares(rest, scores, room).map((more, block) => largest - more / weights[block]!);
  },
};
