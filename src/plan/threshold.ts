// The threshold of the policies global and lamp. One threshold applies to the scores of all linears, so the rate of a linear
// is its share of scores below it. Scores come as histograms (bins 0.8 % wide), so no copy of them is held. Every linear
// loses the same share of the threshold's bin, which makes the total exactly the target's.

import type { Histogram } from '../records/index.js';

/** Each linear's share of scores below the threshold, which has the share `target` of all scores below it. */
export function thresholdRates(histograms: readonly Histogram[], target: number): number[] {
  const below = new Array<number>(histograms.length).fill(0);
  let left = target * histograms.reduce((sum, { total }) => sum + total, 0);
  const bins = Math.max(...histograms.map(({ counts }) => counts.length));
  for (let bin = 0; bin < bins && left > 0; bin++) {
    let inside = 0;
    for (const { counts } of histograms) inside += counts[bin]!;
    if (inside === 0) continue;
    const share = Math.min(1, left / inside);
    for (const [l, { counts }] of histograms.entries()) below[l]! += share * counts[bin]!;
    left -= share * inside;
  }
  return below.map((count, l) => Math.min(1, count / histograms[l]!.total));
}
