import type { SolverCriterion } from './criterion.js';
import { pruneSparseGpt } from './sparsegpt.js';
import { wanda } from './wanda.js';

/** SparseGPT among the criteria; the algorithm is in sparsegpt.ts. */
export const sparsegpt: SolverCriterion = {
  kind: 'solver',
  name: 'sparsegpt',
  summary: 'smallest w²/U² of every 128 columns first, the others repaired (arXiv 2301.00774)',
  needsActivations: true,
  patterns: ['columns'],
  surrogate: wanda,
  solve: (W, count, factor, gemm) => pruneSparseGpt(W, { kind: 'panels', count }, factor, { gemm }),
};
