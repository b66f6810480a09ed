// LAMP (arXiv 2010.07611, §3): one threshold over scores that are made comparable between linears,
//   score(u) = w_u² / Σ_{v ≥ u} w_v²,   weights of a linear in ascending order of w²,
// after which each linear loses that many of its own smallest. The largest weight of a linear scores 1, so no linear goes
// whole. Data-free: it sees weights alone. It keeps the parameter-weighted budget by itself.
// We differ: scores are counted in bins 0.8 % wide rather than sorted over the whole model, and of the threshold's bin
// every linear loses the same share; which of equal weights comes first is the order of the sort (the paper leaves it
// open). A linear of zeros scores 0 throughout and goes first.

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
