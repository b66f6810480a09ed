// Histograms of non-negative floats by the upper half of their bits: 32,768 ordered bins, each 0.8 % wide.

import { HISTOGRAM_BINS, HISTOGRAM_SHIFT, type Histogram } from '../records/index.js';

/** The bits of non-negative floats; they sort in the same order as the floats. */
export const bitsOf = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Counts `values` ≥ 0. */
export function countBins(values: Float32Array): Histogram {
  const counts = new Uint32Array(HISTOGRAM_BINS);
  const bits = bitsOf(values);
  for (let i = 0; i < bits.length; i++) counts[bits[i]! >>> HISTOGRAM_SHIFT]!++;
  return { counts, total: values.length };
}

/** The exact value at `rank` (0-based) among all of `parts` together, in ascending order. Copies nothing. */
export function valueAtRank(parts: readonly Float32Array[], rank: number): number {
  const upper = findBin(
    parts.map((part) => countBins(part).counts),
    rank,
  );
  const lower = new Uint32Array(1 << HISTOGRAM_SHIFT);
  const mask = lower.length - 1;
  for (const part of parts) {
    const bits = bitsOf(part);
    for (let i = 0; i < bits.length; i++) {
      if (bits[i]! >>> HISTOGRAM_SHIFT === upper.bin) lower[bits[i]! & mask]!++;
    }
  }
  const word = new Uint32Array([(upper.bin << HISTOGRAM_SHIFT) | findBin([lower], rank - upper.below).bin]);
  return new Float32Array(word.buffer)[0]!;
}

function findBin(counts: readonly Uint32Array[], rank: number): { readonly bin: number; readonly below: number } {
  let below = 0;
  for (let bin = 0; ; bin++) {
    let inside = 0;
    for (const one of counts) inside += one[bin]!;
    if (below + inside > rank) return { bin, below };
    below += inside;
  }
}
