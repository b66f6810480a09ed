// Global: one threshold over the scores of all linears of all blocks; each linear loses what lies below. The baseline of
// the papers on allocation ("global magnitude", prune.global_unstructured), here over Wanda's scores |W_ij|·‖X_j‖₂ as in
// ATP's and DSA's tables. W is [rows, columns], X its dense input.
// It keeps the parameter-weighted budget by itself. It may prune a linear whole (rate 1): the papers report that models
// collapse under it, and so they do here; nothing guards against it.
// We differ: scores are counted in bins 0.8 % wide rather than sorted, and of the bin that holds the threshold every
// linear loses the same share; the criterion then takes the smallest of each row, not of the whole matrix.

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
