// Magnitude pruning: the weights of smallest |W| go. The published code compares with `sorted[int(n·s)]` and `<=`, so it
// takes one weight too many and all ties; we take exactly as many as asked.

import { type MaskOperator, maskOperator } from './criterion.js';
import { selectMask } from './mask.js';

export const magnitude: MaskOperator = maskOperator({
  name: 'magnitude',
  summary: 'smallest |W| first',
  needs: [],
  patterns: ['row', 'matrix', 'columns', 'n:m'],
  mask: (W, count, pattern) => selectMask({ ...W, data: W.data.map(Math.abs) }, count, pattern),
});
