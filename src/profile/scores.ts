// Three measures of the scores A = |W_ij|·‖X_j‖₂, with X dense: their distribution in each linear (policy global); and
// over all linears of a block together, the share of outliers (OWL), and the mean, median and Var(ln A) (DLP, DSA). The
// scores are Wanda's, rounded to float32 as there; sums over them are in float64.

import { countBins, valueAtRank } from './histogram.js';
import type { Measure } from './measure.js';

/** The thresholds that OWL's authors tried: a score above M times the mean is an outlier. */
const OUTLIER_FACTORS = [3, 5, 7, 10] as const;

export const scores: Measure<'scores'> = {
  name: 'scores',
  looksAt: 'scores',
  start: () => {
    const histograms: ReturnType<typeof countBins>[] = [];
    return {
      linear: (view) => void histograms.push(countBins(view.scores)),
      result: () => histograms,
    };
  },
};

export const outliers: Measure<'outliers'> = {
  name: 'outliers',
  looksAt: 'scores',
  start: () => {
    const shares = new Map<number, number[]>(OUTLIER_FACTORS.map((M) => [M, []]));
    return {
      block: (parts) => {
        const { sum, count } = sumOf(parts);
        const thresholds = OUTLIER_FACTORS.map((M) => (M * sum) / count);
        const above = OUTLIER_FACTORS.map(() => 0);
        for (const part of parts) {
          for (let i = 0; i < part.length; i++) {
            const score = part[i]!;
            // The thresholds ascend, and few scores reach even the first.
            for (let t = 0; t < thresholds.length && score > thresholds[t]!; t++) above[t]!++;
          }
        }
        for (const [t, M] of OUTLIER_FACTORS.entries()) shares.get(M)!.push(above[t]! / count);
      },
      result: () => Object.fromEntries(shares),
    };
  },
};

export const scoreMoments: Measure<'scoreMoments'> = {
  name: 'scoreMoments',
  looksAt: 'scores',
  start: () => {
    const moments: { mean: number; median: number; logVariance: number }[] = [];
    return {
      block: (parts) => {
        const { sum, count } = sumOf(parts);
        // For an even number of scores, the median is the lower of the two in the middle.
        const median = valueAtRank(parts, Math.floor((count - 1) / 2));
        moments.push({ mean: sum / count, median, logVariance: logVariance(parts) });
      },
      result: () => moments,
    };
  },
};

function sumOf(parts: readonly Float32Array[]): { readonly sum: number; readonly count: number } {
  let [sum, count] = [0, 0];
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) sum += part[i]!;
    count += part.length;
  }
  return { sum, count };
}

/** The population variance of ln A over A > 0, by Welford's recurrence; 0 where no A is positive. */
function logVariance(parts: readonly Float32Array[]): number {
  let [count, mean, squares] = [0, 0, 0];
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) {
      if (part[i] === 0) continue;
      const log = Math.log(part[i]!);
      count++;
      const off = log - mean;
      mean += off / count;
      squares += off * (log - mean);
    }
  }
  return count > 0 ? squares / count : 0;
}
