// AlphaPruning's measure (arXiv 2410.10912, §3; PL_Alpha_Hill): how heavy the tail of a linear's spectrum is. λ_1 ≤ … ≤
// λ_n are the eigenvalues of the smaller of W·Wᵀ and Wᵀ·W. For a tail that starts at i, of k = n − i + 1 values,
//   α_i = 1 + k/Σ_{j ≥ i} (ln λ_j − ln λ_i).
// α is that of the start whose tail fits its power law best, with the least max_j |1 − (λ_j/λ_i)^{1−α_i} − (j − i)/k|.
// Starts reach up to 1.5 times the peak of the histogram of log₁₀ λ (100 bins; the lower edge of the fullest).
// We differ: eigenvalues below 1e-12 of the largest are rounding errors and are left out (published: all float32
// singular values); starts have no lower bound (the published one compares a logarithm with an eigenvalue and excludes
// none).

import { symmetricEigenvalues } from './eigenvalues.js';
import type { Measure } from './measure.js';

const SMALLEST_EIGENVALUE = 1e-12;
const LARGEST_ALPHA = 100;
const BINS = 100;
const PEAK_FACTOR = 1.5;

/**
 * Costs O(n³) in float64 on one thread: 0.02 s for n = 128, 0.15 s for 512, 1.0 s for 1,024, and as much again for the
 * product. By extrapolation, minutes for each linear of a 7B model (n = 4,096), and hours in all.
 */
export const alpha: Measure<'alpha'> = {
  name: 'alpha',
  looksAt: 'weights',
  start: () => {
    const alphas: number[] = [];
    return {
      linear: ({ linear: { rows, columns }, weights }) => {
        const n = Math.min(rows, columns);
        alphas.push(hillAlpha(symmetricEigenvalues(smallerGram(weights, rows, columns), n)));
      },
      result: () => alphas,
    };
  },
};

/**
 * The Hill estimate for eigenvalues in ascending order. A spectrum without a tail (all eigenvalues equal, a linear of
 * zeros) has α = 100.
 */
export function hillAlpha(eigenvalues: Float64Array): number {
  const largest = eigenvalues.at(-1)!;
  if (!(largest > 0)) return LARGEST_ALPHA;
  const logs = eigenvalues.filter((value) => value > SMALLEST_EIGENVALUE * largest).map(Math.log);
  const n = logs.length;
  const latest = peakOf(logs) + Math.log(PEAK_FACTOR);
  const sums = new Float64Array(n + 1);
  for (let i = n - 1; i >= 0; i--) sums[i] = sums[i + 1]! + logs[i]!;
  let best = LARGEST_ALPHA;
  let nearest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < n - 1 && logs[i]! <= latest; i++) {
    const k = n - i;
    const exponent = k / (sums[i]! - k * logs[i]!);
    if (!(exponent > 0 && exponent + 1 < LARGEST_ALPHA)) continue;
    let distance = 0;
    for (let j = i; j < n && distance < nearest; j++) {
      distance = Math.max(distance, Math.abs(1 - Math.exp(-exponent * (logs[j]! - logs[i]!)) - (j - i) / k));
    }
    if (distance < nearest) {
      nearest = distance;
      best = 1 + exponent;
    }
  }
  return best;
}

/** The lower edge of the fullest of 100 equal bins; the first of equals. `logs` must ascend. */
function peakOf(logs: Float64Array): number {
  const [low, high] = [logs[0]!, logs.at(-1)!];
  const counts = new Array<number>(BINS).fill(0);
  const width = (high - low) / BINS || 1;
  for (const log of logs) counts[Math.min(BINS - 1, Math.floor((log - low) / width))]!++;
  return low + width * counts.indexOf(Math.max(...counts));
}

/** Columns of a product taken together, so that they stay in the cache. */
const SLAB = 256;

/** The lower triangle of W·Wᵀ or Wᵀ·W, whichever is smaller, in float64. */
export function smallerGram(W: Float32Array, rows: number, columns: number): Float64Array {
  const wide = rows <= columns;
  const [n, m] = wide ? [rows, columns] : [columns, rows];
  const gram = new Float64Array(n * n);
  // An odd n gets one extra row of zeros, because rows are taken in pairs.
  const slab = new Float64Array((n + (n & 1)) * SLAB);
  for (let left = 0; left < m; left += SLAB) {
    const width = Math.min(SLAB, m - left);
    slab.fill(0);
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < width; k++) {
        slab[i * SLAB + k] = wide ? W[i * columns + left + k]! : W[(left + k) * columns + i]!;
      }
    }
    for (let i = 0; i < n; i += 2) for (let j = 0; j <= i; j += 2) addPair(gram, n, slab, i, j);
  }
  return gram;
}

/** Adds the products of rows i, i + 1 with rows j, j + 1 of the slab. */
function addPair(gram: Float64Array, n: number, slab: Float64Array, i: number, j: number): void {
  const [a, b] = [i * SLAB, j * SLAB];
  let s00 = 0;
  let s01 = 0;
  let s10 = 0;
  let s11 = 0;
  for (let k = 0; k < SLAB; k++) {
    const a0 = slab[a + k]!;
    const a1 = slab[a + SLAB + k]!;
    const b0 = slab[b + k]!;
    const b1 = slab[b + SLAB + k]!;
    s00 += a0 * b0;
    s01 += a0 * b1;
    s10 += a1 * b0;
    s11 += a1 * b1;
  }
  gram[i * n + j]! += s00;
  if (i + 1 < n) gram[(i + 1) * n + j]! += s10;
  // Nothing above the diagonal is read; wherever this writes, j + 1 < n.
  if (j + 1 < n) gram[i * n + j + 1]! += s01;
  if (i + 1 < n && j + 1 < n) gram[(i + 1) * n + j + 1]! += s11;
}
