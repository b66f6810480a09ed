// What the policies global and lamp share: one threshold over the scores of all linears; what lies below it goes, so each
// linear's rate is its share of low scores. Scores come as histograms (bins 0.8 % wide), so that no copy of them is held.
// Inside the bin of the threshold the same share goes of each linear, which makes the total the target's exactly.

import type { Histogram } from '../records/index.js';

/** The share of each linear's scores below the threshold that leaves out the share `target` of all scores. */
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
