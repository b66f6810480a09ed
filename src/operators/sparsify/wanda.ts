// Wanda (arXiv 2306.11695). Score |W_ij| · ‖X_j‖₂; the smallest scores of each row are pruned. ‖X_j‖₂² is the mean over
// sequences of Σ_tokens x², as published; a sum would give the same order within a row. The score is rounded to float32 after
// each step, as an fp32 implementation does, so that ties and near-ties come out the same.

import { InternalError } from '../../base/index.js';
import type { Matrix } from '../operator.js';
import { type LinearStatistics, type MaskOperator, maskOperator } from './criterion.js';
import { selectMask } from './mask.js';

/** |W_ij| · ‖X_j‖₂, row-major like W. */
export function scoreWanda({ rows, columns, data }: Matrix, statistics: LinearStatistics): Float32Array {
  const norms = Float32Array.from(statistics.squareSums, (sum) => Math.sqrt(Math.fround(sum / statistics.sequences)));
  const scores = new Float32Array(data.length);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) scores[at] = Math.abs(data[at]!) * norms[column]!;
  }
  return scores;
}

export const wanda: MaskOperator = maskOperator({
  name: 'wanda',
  summary: 'smallest |W|·‖X‖ of each row first (arXiv 2306.11695)',
  needs: ['squareSums'],
  patterns: ['row', 'matrix', 'columns', 'n:m'],
  mask: (W, count, pattern, statistics) => {
    if (!statistics) throw new InternalError('E_INTERNAL_STATISTICS', 'Wanda got no statistics.');
    const { rows, columns } = W;
    return selectMask({ rows, columns, data: scoreWanda(W, statistics) }, count, pattern);
  },
});
