// OWL (arXiv 2310.05175, §3.2). Blocks with more outliers among their scores stay denser. A = |W_ij|·‖X_j‖₂ of all linears
// of a block together, X their dense inputs:
//   D_i = #{A > M·mean A}/#A,   d_i = 2λ·(D_i − min D)/(max D − min D),   s_i = S − d_i + mean d.
// Defaults are the paper's for LLaMA, M = 5 and λ = 0.08; the published command line has M = 3. One rate per block, as in
// the code: the labels in the paper's Appendix C are swapped (its authors say so).
// We differ: the parameter-weighted mean is S (published: the unweighted mean). Rates outside [0, 1] are water-filled; the
// published code sets rates ≤ 0 to 0.01, misses the budget by that, and keeps rates above 1. Equal D_i give uniform.

import type { AllocationPolicy } from './policy.js';
import { shiftByImportance } from './shift.js';

export const owl: AllocationPolicy = {
  name: 'owl',
  summary: 'blocks with more outlier scores stay denser (arXiv 2310.05175)',
  granularity: 'block',
  needs: ['outliers'],
  hyperparameters: [
    {
      name: 'm',
      text: 'a score above this many times the mean is an outlier',
      fallback: 5,
      range: () => [3, 10],
      choices: [3, 5, 7, 10],
    },
    { name: 'lambda', text: 'half the width of the rates', fallback: 0.08, range: () => [0, 0.5] },
  ],
  allocate: ({ target, measured, values }) => shiftByImportance(measured.outliers![values.m!]!, values.lambda!, target),
};
