// K-quants: 256 weights with a half d, and a small integer scale for each group of 16 or 32, so that a scale is d times an
// integer (and a minimum dmin times one). Layouts are those of ggml (ggml-quants.c); the search is ours: in each group the
// scale (and minimum) of least squared error, then integers for them relative to the largest, then the neighbours of these
// integers, each with the nearest q. Squared errors are not weighted.
//   Q6_K: 16 groups of 16, W = d·s·q, s in [−128, 127], q in [−32, 31].
//   Q4_K: 8 groups of 32, W = d·s·q − dmin·m, s and m in [0, 63], q in [0, 15]. A zero is dmin·m off a multiple of d·s.

import { halfBits, nearestHalf } from '../tensor/index.js';
import { bestScale, roundTo } from './round.js';

const GROUP6 = 16;
const GROUP4 = 32;

export function writeQ6K(W: Float32Array, from: number, bytes: DataView, at: number): void {
  const scales = Array.from({ length: 16 }, (_, group) => {
    const start = from + group * GROUP6;
    return bestScale(W, start, start + GROUP6, 6, (value) => value);
  });
  const largest = scales.reduce((most, scale) => (Math.abs(scale) > Math.abs(most) ? scale : most), 0);
  const d = nearestHalf(largest / -128);
  bytes.setUint16(at + 208, halfBits(d), true);
  for (let group = 0; group < 16; group++) {
    const start = from + group * GROUP6;
    const s = d === 0 ? 0 : bestInteger(W, start, d, scales[group]! / d);
    bytes.setInt8(at + 192 + group, s);
    for (let j = 0; j < GROUP6; j++) {
      const i = group * GROUP6 + j;
      const q = s === 0 ? 32 : roundTo(W[from + i]!, d * s, 31) + 32;
      const side = i >> 7;
      or(bytes, at + (side << 6) + (i & 63), (q & 15) << ((i >> 6) & 1 ? 4 : 0));
      or(bytes, at + 128 + (side << 5) + (i & 31), (q >> 4) << (((i >> 5) & 3) << 1));
    }
  }
}

/** The integer beside `exact` whose scale d·s has the least error for the 16 weights from `start`. */
function bestInteger(W: Float32Array, start: number, d: number, exact: number): number {
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  const middle = Math.min(127, Math.max(-128, Math.round(exact)));
  for (const s of [middle, middle - 1, middle + 1]) {
    if (s < -128 || s > 127) continue;
    let error = 0;
    for (let i = start; i < start + GROUP6; i++) {
      const rest = W[i]! - (s === 0 ? 0 : d * s * roundTo(W[i]!, d * s, 31));
      error += rest * rest;
    }
    if (error < least) [best, least] = [s, error];
  }
  return best;
}

type Affine = { readonly scale: number; readonly minimum: number };

export function writeQ4K(W: Float32Array, from: number, bytes: DataView, at: number): void {
  const fits = Array.from({ length: 8 }, (_, group) => fitAffine(W, from + group * GROUP4));
  const d = nearestHalf(Math.max(...fits.map(({ scale }) => scale)) / 63);
  const dmin = nearestHalf(Math.max(...fits.map(({ minimum }) => minimum)) / 63);
  bytes.setUint16(at, halfBits(d), true);
  bytes.setUint16(at + 2, halfBits(dmin), true);
  for (let group = 0; group < 8; group++) {
    const start = from + group * GROUP4;
    const [s, m] = bestPair(W, start, d, dmin, fits[group]!);
    putScales(bytes, at + 4, group, s, m);
    for (let i = 0; i < GROUP4; i++) {
      const q = level(W[start + i]!, d * s, dmin * m);
      or(bytes, at + 16 + ((group >> 1) << 5) + i, q << ((group & 1) << 2));
    }
  }
}

/** The nearest of the sixteen levels. */
const level = (w: number, scale: number, minimum: number): number =>
  scale === 0 ? 0 : Math.min(15, Math.max(0, Math.round((w + minimum) / scale)));

function errorOf(W: Float32Array, start: number, scale: number, minimum: number): number {
  let error = 0;
  for (let i = start; i < start + GROUP4; i++) {
    const rest = W[i]! - (scale * level(W[i]!, scale, minimum) - minimum);
    error += rest * rest;
  }
  return error;
}

/** How many levels the range of a group is stretched over: fewer clip nothing, more clip both ends. */
const STRETCHES = Array.from({ length: 12 }, (_, i) => 14 + i / 4);

/**
 * The scale and the minimum of least error for 32 weights: for each stretch the levels, and the line through (level, weight)
 * by least squares; through the origin where its minimum would be negative.
 */
function fitAffine(W: Float32Array, start: number): Affine {
  let [low, high] = [0, 0];
  for (let i = start; i < start + GROUP4; i++) {
    low = Math.min(low, W[i]!);
    high = Math.max(high, W[i]!);
  }
  let [best, least]: [Affine, number] = [{ scale: 0, minimum: 0 }, Number.POSITIVE_INFINITY];
  if (low === high) return best;
  for (const stretch of STRETCHES) {
    const step = (high - low) / stretch;
    let [sumQ, sumQQ, sumW, sumQW] = [0, 0, 0, 0];
    for (let i = start; i < start + GROUP4; i++) {
      const q = level(W[i]!, step, -low);
      sumQ += q;
      sumQQ += q * q;
      sumW += W[i]!;
      sumQW += q * W[i]!;
    }
    const determinant = GROUP4 * sumQQ - sumQ * sumQ;
    if (determinant === 0) continue;
    let scale = (GROUP4 * sumQW - sumQ * sumW) / determinant;
    let minimum = (sumQ * sumQW - sumQQ * sumW) / determinant;
    if (minimum < 0) [scale, minimum] = [sumQW / sumQQ, 0];
    if (!(scale > 0)) continue;
    const error = errorOf(W, start, scale, minimum);
    if (error < least) [best, least] = [{ scale, minimum }, error];
  }
  return least === Number.POSITIVE_INFINITY ? { scale: (high - low) / 15, minimum: -low } : best;
}

/** The integers beside those of `fit`, in [0, 63], with the least error. */
function bestPair(W: Float32Array, start: number, d: number, dmin: number, fit: Affine): readonly [number, number] {
  const near = (value: number, unit: number): readonly number[] => {
    if (unit === 0) return [0];
    const middle = Math.round(value / unit);
    return [middle, middle - 1, middle + 1].filter((integer) => integer >= 0 && integer <= 63);
  };
  let best: readonly [number, number] = [0, 0];
  let least = errorOf(W, start, 0, 0); // beside tiny weights the smallest half is large
  for (const s of near(fit.scale, d)) {
    for (const m of near(fit.minimum, dmin)) {
      const error = errorOf(W, start, d * s, dmin * m);
      if (error < least) [best, least] = [[s, m], error];
    }
  }
  return best;
}

/** Scale and minimum of a group in twelve bytes: six bits each, the upper two of groups 4 to 7 beside those of 0 to 3. */
function putScales(bytes: DataView, at: number, group: number, s: number, m: number): void {
  const j = at + (group & 3);
  if (group < 4) {
    or(bytes, j, s);
    or(bytes, j + 4, m);
  } else {
    or(bytes, j + 8, (s & 15) | ((m & 15) << 4));
    or(bytes, j, (s >> 4) << 6);
    or(bytes, j + 4, (m >> 4) << 6);
  }
}

function or(bytes: DataView, at: number, bits: number): void {
  bytes.setUint8(at, bytes.getUint8(at) | bits);
}
