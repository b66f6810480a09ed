// LAMP (arXiv 2010.07611, §3). One threshold over scores that are comparable between linears:
//   score(u) = w_u² / Σ_{v ≥ u} w_v²,   weights of a linear in ascending order of w².
// Each linear then loses that many of its smallest weights. The largest weight of a linear scores 1, so no linear loses all
// weights. Data-free. The rates keep the parameter-weighted budget.
// We differ: scores are counted in bins 0.8 % wide instead of sorted over the whole model, and every linear loses the same
// share of the threshold's bin. The order of equal weights, which the paper leaves open, is that of the sort. A linear of
// zeros scores 0 throughout and is pruned first.

import type { AllocationPolicy } from './policy.js';
import { thresholdRates } from './threshold.js';

export const lamp: AllocationPolicy = {
  name: 'lamp',
  summary: 'one threshold over w² divided by the sum of all w² at least as large in its linear (arXiv 2010.07611)',
  granularity: 'linear',
  needs: ['lamp'],
  hyperparameters: [],
  weighted: true,
  allocate: ({ target, measured }) => thresholdRates(measured.lamp!, target),
};
