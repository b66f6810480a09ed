// DLP (arXiv 2505.23807, §3). Blocks with larger scores are less important. g_i = median of A = |W_ij|·‖X_j‖₂ over all
// linears of block i, X their dense inputs:
//   m_i = 1 − g_i/Σ g,   d_i = 2α·(m_i − min m)/(max m − min m),   s_i = S − d_i + mean d.
// Default α = 0.15, published for S = 0.7. Scores grow with the norm of the residual, so rates rise with depth.
// The paper takes the median (the lower of two middle ones); the released code always takes the mean, whatever its option
// says. The hyperparameter `mean` chooses: 0 (default) or 1. We differ also as owl.ts does: the parameter-weighted mean is
// S, rates outside [0, 1] are water-filled, and equal g_i (or all 0) give uniform.

import type { AllocationPolicy } from './policy.js';
import { shiftByImportance } from './shift.js';

export const dlp: AllocationPolicy = {
  name: 'dlp',
  summary: 'blocks with a larger median score become sparser (arXiv 2505.23807)',
  granularity: 'block',
  needs: ['scoreMoments'],
  hyperparameters: [
    { name: 'alpha', text: 'half the width of the rates', fallback: 0.15, range: () => [0, 0.5] },
    {
      name: 'mean',
      text: '0: the median of the scores, as in the paper; 1: their mean, as in the released code',
      fallback: 0,
      range: () => [0, 1],
      choices: [0, 1],
    },
  ],
  // Scaling to [0, 1] cancels the division by Σ g. So −g gives the same result as 1 − g/Σ g, also if all g are 0.
  allocate: ({ target, measured, values }) =>
    shiftByImportance(
      measured.scoreMoments!.map(({ mean, median }) => -(values.mean === 1 ? mean : median)),
      values.alpha!,
      target,
    ),
};
