// LAMP scores (arXiv 2010.07611) of a linear: score(u) = w_u²/Σ_{v ≥ u} w_v², with weights in ascending order of w².
// The largest weight scores 1. Equal weights differ by their position in the sort, which the paper leaves open; a
// linear of zeros scores 0. The sort key is the bits of |w|; sums run from the largest weight down, in float64. Needs
// one sorted copy of one linear.

import { bitsOf, countBins } from './histogram.js';
import type { Measure } from './measure.js';

export const lamp: Measure<'lamp'> = {
  name: 'lamp',
  looksAt: 'weights',
  start: () => {
    const histograms: ReturnType<typeof countBins>[] = [];
    return {
      linear: ({ weights }) => void histograms.push(countBins(lampScores(weights))),
      result: () => histograms,
    };
  },
};

/** The scores in ascending order of |w|. */
export function lampScores(weights: Float32Array): Float32Array {
  const sorted = weights.map(Math.abs);
  bitsOf(sorted).sort();
  let sum = 0;
  for (let u = sorted.length - 1; u >= 0; u--) {
    const square = sorted[u]! * sorted[u]!;
    sum += square;
    sorted[u] = sum > 0 ? square / sum : 0;
  }
  return sorted;
}
