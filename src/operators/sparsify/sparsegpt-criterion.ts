import { type SolverOperator, solverOperator } from './criterion.js';
import { factoriseGram, retarget } from './gram-factor.js';
import { groupCounts } from './pattern.js';
import { pruneSparseGpt } from './sparsegpt.js';
import { wanda } from './wanda.js';

/** SparseGPT as a criterion; the algorithm is in sparsegpt.ts. */
export const sparsegpt: SolverOperator = solverOperator({
  name: 'sparsegpt',
  summary: 'smallest w²/U² of every 128 columns first, the others repaired (arXiv 2301.00774)',
  needs: ['gram'],
  patterns: ['columns', 'n:m'],
  standIn: wanda,
  evenGroups: true,
  factorise: async (gram, columns, options) => {
    const { gemm } = options;
    const factor = await factoriseGram(gram, columns, options);
    return {
      damping: factor.damping,
      solve: async (given, count, pattern, pull) => {
        const W = await retarget(given, pull, factor, gemm);
        if (pattern.kind !== 'n:m') return pruneSparseGpt(W, { kind: 'panels', count }, factor, { gemm });
        // In `pruneSparseGpt`, n is the number of pruned weights.
        const { whole } = groupCounts(W.rows, W.columns, count, pattern.of);
        return pruneSparseGpt(W, { kind: 'n:m', n: whole, m: pattern.of }, factor, { gemm });
      },
    };
  },
});
