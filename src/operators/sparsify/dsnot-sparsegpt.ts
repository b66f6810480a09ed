// DSnoT (dsnot.ts) from SparseGPT's mask, the third start in its paper (arXiv 2310.08915). SparseGPT (sparsegpt.ts) scores a
// weight by w²/U_jj², U upper triangular with (H + λI)⁻¹ = UᵀU, and repairs other weights during the sweep. DSnoT changes no
// weight. So this start scores all columns of the original weights at once, in the given pattern. A run of SparseGPT gives
// another mask: after the first panel it scores repaired weights, within panels of 128 columns.
// We differ: the published code never accumulates the Gram matrix for this start, so every column counts as dead and the
// first columns are pruned; ours is that of the linear's input. All weights of a dead column are pruned first, as in
// SparseGPT, and no swap grows them back: they add nothing to the output.

import { InternalError } from '../../base/index.js';
import { type SolverOperator, solverOperator } from './criterion.js';
import { refineMask } from './dsnot.js';
import { factoriseGram, retarget } from './gram-factor.js';
import { selectMask } from './mask.js';
import { diagonalOf, scoreSparseGpt } from './sparsegpt.js';
import { scoreWanda, wanda } from './wanda.js';

export const dsnotSparsegpt: SolverOperator = solverOperator({
  name: 'dsnot-sparsegpt',
  summary:
    'SparseGPT’s scores of the original weights, then swaps in each row that keep the sum of its output (arXiv 2310.08915)',
  needs: ['gram', 'squareSums', 'columnSums'],
  standIn: wanda,
  patterns: ['row', 'matrix', 'n:m'],
  factorise: async (gram, columns, { statistics, ...options }) => {
    if (!statistics) throw new InternalError('E_INTERNAL_STATISTICS', 'DSnoT got no statistics.');
    const factor = await factoriseGram(gram, columns, options);
    const { U, dead, damping } = factor;
    // Only the diagonal of U is needed.
    const diagonal = diagonalOf({ rows: columns, columns, data: U });
    return {
      damping,
      solve: async (given, count, pattern, pull) => {
        const W = await retarget(given, pull, factor, options.gemm);
        const scores = scoreSparseGpt(W, diagonal);
        for (const j of dead) for (let at = j; at < scores.length; at += columns) scores[at] = 0;
        const start = selectMask({ ...W, data: scores }, count, pattern);
        const of = pattern.kind === 'n:m' ? pattern.of : undefined;
        const mask = refineMask(W, start, scoreWanda(W, statistics), statistics, of);
        return { weights: W.data.map((weight, i) => (mask[i] === 1 ? 0 : weight)), mask };
      },
    };
  },
});
