// RIA, relative importance and activations (Zhang et al., "Plug-and-Play", ICLR 2024). Score of W [rows i, columns j]:
//   (|W_ij| / Σ_i |W_ij| + |W_ij| / Σ_j |W_ij|) · ‖X_j‖₂^a,  a = ½.
// A weight counts by its share of its column and its row, so no row or column is emptied just because all its weights are
// small. ‖X_j‖₂² is the mean over sequences of Σ_tokens x², as published. We differ: shares in a column or row of zeros are 0
// (the published code divides 0 by 0 and compares with NaN). Exactly k weights are pruned, equal scores from the top left (it
// compares with `sorted[int(n·s)]` and `<=`: one too many, and all ties). Sums are float64, so the order of summation does
// not matter; each later step is rounded to float32.

import { InternalError } from '../../base/index.js';
import type { Matrix } from '../operator.js';
import { type LinearStatistics, type MaskOperator, maskOperator } from './criterion.js';
import { selectMask } from './mask.js';

/** a. */
const EXPONENT = 0.5;

/** (|W_ij| / Σ_i |W_ij| + |W_ij| / Σ_j |W_ij|) · ‖X_j‖₂^½, row-major like W. */
export function scoreRia({ rows, columns, data }: Matrix, statistics: LinearStatistics): Float32Array {
  const [rowSums, columnSums] = [new Float64Array(rows), new Float64Array(columns)];
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      const size = Math.abs(data[at]!);
      rowSums[row]! += size;
      columnSums[column]! += size;
    }
  }
  const norms = Float32Array.from(
    statistics.squareSums,
    (sum) => Math.fround(Math.sqrt(Math.fround(sum / statistics.sequences))) ** EXPONENT,
  );
  const scores = new Float32Array(data.length);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      const size = Math.abs(data[at]!);
      const share = Math.fround(shareOf(size, columnSums[column]!)) + Math.fround(shareOf(size, rowSums[row]!));
      scores[at] = Math.fround(share) * norms[column]!;
    }
  }
  return scores;
}

const shareOf = (size: number, sum: number): number => (sum === 0 ? 0 : size / sum);

export const ria: MaskOperator = maskOperator({
  name: 'ria',
  summary: 'smallest share of its row and column, times ‖X‖^½, first (RIA, ICLR 2024)',
  needs: ['squareSums'],
  patterns: ['matrix', 'row', 'columns', 'n:m'],
  mask: (W, count, pattern, statistics) => {
    if (!statistics) throw new InternalError('E_INTERNAL_STATISTICS', 'RIA got no statistics.');
    const { rows, columns } = W;
    return selectMask({ rows, columns, data: scoreRia(W, statistics) }, count, pattern);
  },
});
