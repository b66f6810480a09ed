// NeuronAl, block step (TMLR 2025). ATP's line with λ instead of β = 2λ/(L − 1):
//   s_i = S − λ + 2λ·i/(L − 1),   i = 0 … L−1,   L = number of blocks; a single block has s = S.
// λ has no default. Of LAMBDAS, the one with the least misalignment on 8 calibration windows is taken
// (pipeline/alignment.ts); no loss is computed, and uniform is not a candidate. ATP's text leaves .04 out of the grid.
// We differ: λ is at most min(S, 1 − S); the published code clips rates to [0.01, 0.99] and so misses the budget. The row
// step allocates nothing over blocks and is left out.

import { atpLine } from './atp.js';
import type { AllocationPolicy } from './policy.js';

const LAMBDAS = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2] as const;
/** Tried below S = 0.8 only. */
const LARGEST_LAMBDA = 0.25;

export const neuronal: AllocationPolicy = {
  name: 'neuronal',
  summary: 'a line over blocks, chosen by how well activations stay aligned (TMLR 2025)',
  granularity: 'block',
  needs: [],
  hyperparameters: [
    {
      name: 'lambda',
      text: 'half the width of the line',
      fallback: undefined,
      range: (target) => [0, Math.min(target, 1 - target)],
    },
  ],
  candidates: (target) => {
    const bound = Math.min(target, 1 - target);
    const lambdas = (target < 0.8 ? [...LAMBDAS, LARGEST_LAMBDA] : LAMBDAS).filter((lambda) => lambda <= bound);
    return (lambdas.length > 0 ? lambdas : [bound]).map((lambda) => ({ lambda }));
  },
  allocate: ({ target, facts: { blocks }, values }) =>
    atpLine(target, blocks, blocks > 1 ? (2 * values.lambda!) / (blocks - 1) : 0),
};
