// DSnoT (dsnot.ts) from SparseGPT's mask, the third start of its paper (arXiv 2310.08915). SparseGPT (sparsegpt.ts) judges a
// weight by w²/U_jj², U upper triangular with (H + λI)⁻¹ = UᵀU, and repairs the others as it goes on. DSnoT changes no weight,
// so its start is what the score says of the original weights, all columns at once and in the pattern that is asked for, and
// what stays keeps its bits. So it is not the mask of a run of SparseGPT, which judges all but the first panel by weights
// that it has repaired, and within panels of 128 columns.
// We differ: in the published code the Gram matrix of this start is never accumulated, so that every column counts as dead
// and the first columns go; here it is that of the linear's input. Of a dead column all weights go first, as in SparseGPT,
// and no swap grows them back: they take nothing from the output.

import { InternalError } from '../../base/index.js';
import { type SolverOperator, solverOperator } from './criterion.js';
import { refineMask } from './dsnot.js';
import { factoriseGram } from './gram-factor.js';
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
    if (!statistics) throw new InternalError('E_INTERNAL_STATISTICS', 'DSnoT was given no statistics.');
    const { U, dead, damping } = await factoriseGram(gram, columns, options);
    // Of U no more than the diagonal is wanted; the matrix goes.
    const diagonal = diagonalOf({ rows: columns, columns, data: U });
    return {
      damping,
      solve: async (W, count, pattern) => {
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
