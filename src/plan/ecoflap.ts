// ECoFLaP (arXiv 2310.02998, §3). Blocks to which the loss is more sensitive stay denser. s_b = Σ over the linears of block
// b of a zeroth-order estimate of ‖∂loss/∂W‖_F, N_b = weights of block b, p = largest sparsity of a block:
//   keep_b = N_b·(1 − p) + a part of the rest of (1 − S)·ΣN in proportion to s_b, at most N_b,   rate_b = 1 − keep_b/N_b.
// What exceeds N_b goes to the other blocks in the same proportion (share.ts). p = S + margin; all published scripts use
// margin = 0.1. The rates keep the parameter-weighted budget.
// We differ: the published code adds where it should subtract once a block is full, and so exceeds its budget. Our p is at
// most 1, counts are rounded once over the whole plan, and if all estimates are 0 the result is uniform.

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
