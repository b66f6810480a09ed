// Global: one threshold over the scores of all linears of all blocks. Each linear loses its weights below the threshold.
// This is the baseline of the papers on allocation ("global magnitude", prune.global_unstructured), here over Wanda's scores
// |W_ij|·‖X_j‖₂ as in ATP's and DSA's tables; X is the dense input. The rates keep the parameter-weighted budget. A linear
// may lose all weights (rate 1): models collapse then, in the papers and here, and nothing prevents it.
// We differ: scores are counted in bins 0.8 % wide instead of sorted, and every linear loses the same share of the bin that
// holds the threshold. The criterion then prunes the smallest of each row, not of the whole matrix.

import type { AllocationPolicy } from './policy.js';
import { thresholdRates } from './threshold.js';

export const global: AllocationPolicy = {
  name: 'global',
  summary: 'one threshold over all scores |W|·‖X‖ of the model',
  granularity: 'linear',
  needs: ['scores'],
  hyperparameters: [],
  weighted: true,
  allocate: ({ target, measured }) => thresholdRates(measured.scores!, target),
};
