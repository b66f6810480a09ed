// Magnitude pruning: the weights with the smallest |W| are pruned. The published code compares with `sorted[int(n·s)]` and
// `<=`, so it prunes one weight too many and all ties; we prune exactly the given number.

import { type MaskOperator, maskOperator } from './criterion.js';
import { selectMask } from './mask.js';

export const magnitude: MaskOperator = maskOperator({
  name: 'magnitude',
  summary: 'smallest |W| first',
  needs: [],
  patterns: ['row', 'matrix', 'columns', 'n:m'],
  mask: (W, count, pattern) => selectMask({ ...W, data: W.data.map(Math.abs) }, count, pattern),
});
