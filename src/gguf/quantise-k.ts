// K-quants: 256 weights with a half d, and a small integer scale for each group of 16 or 32, so that a scale is d times an
// integer (and a minimum dmin times one). Layouts are those of ggml (ggml-quants.c); the search is ours: in each group the
// scale (and minimum) of least squared error, then integers for them relative to the largest, then the neighbours of these
// integers, each with the nearest q. Squared errors are not weighted.
//   Q6_K: 16 groups of 16, W = d·s·q, s in [−128, 127], q in [−32, 31].
//   Q3_K: 16 groups of 16, W = d·s·q, s in [−32, 31], q in [−4, 3].
//   Q4_K: 8 groups of 32, W = d·s·q − dmin·m, s and m in [0, 63], q in [0, 15]. A zero is dmin·m off a multiple of d·s.
//   Q2_K: 16 groups of 16, W = d·s·q − dmin·m, s and m in [0, 15], q in [0, 3].

import { halfBits, nearestHalf } from '../tensor/index.js';
import { bestScale, roundTo } from './round.js';

/** Groups of 16 with a signed scale: the bits of q, and the least s. */
type Signed = { readonly bits: number; readonly least: number };
const SIX: Signed = { bits: 6, least: -128 };
const THREE: Signed = { bits: 3, least: -32 };

/** d, rounded to a half, and for each group s. */
function fitSigned(
  W: Float32Array,
  from: number,
  { bits, least }: Signed,
): { readonly d: number; readonly s: number[] } {
  const scales = Array.from({ length: 16 }, (_, group) => {
    const start = from + group * 16;
    return bestScale(W, start, start + 16, bits, (value) => value);
  });
  const largest = scales.reduce((most, scale) => (Math.abs(scale) > Math.abs(most) ? scale : most), 0);
  const d = nearestHalf(largest / least);
  const s = scales.map((scale, group) =>
    d === 0 ? 0 : bestInteger(W, from + group * 16, d, scale / d, { bits, least }),
  );
  return { d, s };
}

/** The integer beside `exact` whose scale d·s has the least error for the 16 weights from `start`. */
function bestInteger(W: Float32Array, start: number, d: number, exact: number, { bits, least: low }: Signed): number {
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  const [high, most] = [2 ** (bits - 1) - 1, -low - 1];
  const middle = Math.min(most, Math.max(low, Math.round(exact)));
  for (const s of [middle, middle - 1, middle + 1]) {
    if (s < low || s > most) continue;
    let error = 0;
    for (let i = start; i < start + 16; i++) {
      const rest = W[i]! - (s === 0 ? 0 : d * s * roundTo(W[i]!, d * s, high));
      error += rest * rest;
    }
    if (error < least) [best, least] = [s, error];
  }
  return best;
}

export function writeQ6K(W: Float32Array, from: number, bytes: DataView, at: number): void {
  const { d, s } = fitSigned(W, from, SIX);
  bytes.setUint16(at + 208, halfBits(d), true);
  for (let i = 0; i < 256; i++) {
    const scale = s[i >> 4]!;
    if ((i & 15) === 0) bytes.setInt8(at + 192 + (i >> 4), scale);
    const q = scale === 0 ? 32 : roundTo(W[from + i]!, d * scale, 31) + 32;
    const side = i >> 7;
    or(bytes, at + (side << 6) + (i & 63), (q & 15) << ((i >> 6) & 1 ? 4 : 0));
    or(bytes, at + 128 + (side << 5) + (i & 31), (q >> 4) << (((i >> 5) & 3) << 1));
  }
}

export function writeQ3K(W: Float32Array, from: number, bytes: DataView, at: number): void {
  const { d, s } = fitSigned(W, from, THREE);
  bytes.setUint16(at + 108, halfBits(d), true);
  for (const [group, scale] of s.entries()) {
    const stored = scale + 32;
    or(bytes, at + 96 + (group & 7), (stored & 15) << (group < 8 ? 0 : 4));
    or(bytes, at + 104 + (group & 3), (stored >> 4) << ((group >> 2) << 1));
  }
  for (let i = 0; i < 256; i++) {
    const scale = s[i >> 4]!;
    const q = scale === 0 ? 4 : roundTo(W[from + i]!, d * scale, 3) + 4;
    or(bytes, at + (i & 31), (q >> 2) << (i >> 5));
    or(bytes, at + 32 + ((i >> 7) << 5) + (i & 31), (q & 3) << (((i >> 5) & 3) << 1));
  }
}

type Affine = { readonly scale: number; readonly minimum: number };

/** Groups with a scale and a minimum: how many weights, the largest q, the largest s and m, and the stretches tried. */
type Unsigned = {
  readonly size: number;
  readonly levels: number;
  readonly most: number;
  /** Over how many levels the range of a group is stretched: fewer clip nothing, more clip both ends. */
  readonly stretches: readonly number[];
};
const FOUR: Unsigned = { size: 32, levels: 15, most: 63, stretches: Array.from({ length: 12 }, (_, i) => 14 + i / 4) };
const TWO: Unsigned = { size: 16, levels: 3, most: 15, stretches: Array.from({ length: 24 }, (_, i) => 2 + i / 8) };

/** d and dmin, rounded to halves, and for each group s and m. */
function fitUnsigned(W: Float32Array, from: number, of: Unsigned) {
  const fits = Array.from({ length: 256 / of.size }, (_, group) => fitAffine(W, from + group * of.size, of));
  const d = nearestHalf(Math.max(...fits.map(({ scale }) => scale)) / of.most);
  const dmin = nearestHalf(Math.max(...fits.map(({ minimum }) => minimum)) / of.most);
  const pairs = fits.map((fit, group) => bestPair(W, from + group * of.size, d, dmin, fit, of));
  return { d, dmin, pairs };
}

export function writeQ4K(W: Float32Array, from: number, bytes: DataView, at: number): void {
  const { d, dmin, pairs } = fitUnsigned(W, from, FOUR);
  bytes.setUint16(at, halfBits(d), true);
  bytes.setUint16(at + 2, halfBits(dmin), true);
  for (const [group, [s, m]] of pairs.entries()) {
    putScales(bytes, at + 4, group, s, m);
    for (let i = 0; i < 32; i++) {
      const q = level(W[from + group * 32 + i]!, d * s, dmin * m, 15);
      or(bytes, at + 16 + ((group >> 1) << 5) + i, q << ((group & 1) << 2));
    }
  }
}

export function writeQ2K(W: Float32Array, from: number, bytes: DataView, at: number): void {
  const { d, dmin, pairs } = fitUnsigned(W, from, TWO);
  bytes.setUint16(at + 80, halfBits(d), true);
  bytes.setUint16(at + 82, halfBits(dmin), true);
  for (const [group, [s, m]] of pairs.entries()) bytes.setUint8(at + group, s | (m << 4));
  for (let i = 0; i < 256; i++) {
    const [s, m] = pairs[i >> 4]!;
    const q = level(W[from + i]!, d * s, dmin * m, 3);
    or(bytes, at + 16 + ((i >> 7) << 5) + (i & 31), q << (((i >> 5) & 3) << 1));
  }
}

/** The nearest of the levels. */
const level = (w: number, scale: number, minimum: number, levels: number): number =>
  scale === 0 ? 0 : Math.min(levels, Math.max(0, Math.round((w + minimum) / scale)));

function errorOf(W: Float32Array, start: number, scale: number, minimum: number, { size, levels }: Unsigned): number {
  let error = 0;
  for (let i = start; i < start + size; i++) {
    const rest = W[i]! - (scale * level(W[i]!, scale, minimum, levels) - minimum);
    error += rest * rest;
  }
  return error;
}

/**
 * The scale and the minimum of least error for a group: for each stretch the levels, and the line through (level, weight) by
 * least squares; through the origin where its minimum would be negative.
 */
function fitAffine(W: Float32Array, start: number, of: Unsigned): Affine {
  const { size, levels, stretches } = of;
  let [low, high] = [0, 0];
  for (let i = start; i < start + size; i++) {
    low = Math.min(low, W[i]!);
    high = Math.max(high, W[i]!);
  }
  let [best, least]: [Affine, number] = [{ scale: 0, minimum: 0 }, Number.POSITIVE_INFINITY];
  if (low === high) return best;
  for (const stretch of stretches) {
    const step = (high - low) / stretch;
    let [sumQ, sumQQ, sumW, sumQW] = [0, 0, 0, 0];
    for (let i = start; i < start + size; i++) {
      const q = level(W[i]!, step, -low, levels);
      sumQ += q;
      sumQQ += q * q;
      sumW += W[i]!;
      sumQW += q * W[i]!;
    }
    const determinant = size * sumQQ - sumQ * sumQ;
    if (determinant === 0) continue;
    let scale = (size * sumQW - sumQ * sumW) / determinant;
    let minimum = (sumQ * sumQW - sumQQ * sumW) / determinant;
    if (minimum < 0) [scale, minimum] = [sumQW / sumQQ, 0];
    if (!(scale > 0)) continue;
    const error = errorOf(W, start, scale, minimum, of);
    if (error < least) [best, least] = [{ scale, minimum }, error];
  }
  return least === Number.POSITIVE_INFINITY ? { scale: (high - low) / levels, minimum: -low } : best;
}

/** The integers beside those of `fit` with the least error. */
function bestPair(
  W: Float32Array,
  start: number,
  d: number,
  dmin: number,
  fit: Affine,
  of: Unsigned,
): readonly [number, number] {
  const near = (value: number, unit: number): readonly number[] => {
    if (unit === 0) return [0];
    const middle = Math.round(value / unit);
    return [middle, middle - 1, middle + 1].filter((integer) => integer >= 0 && integer <= of.most);
  };
  let best: readonly [number, number] = [0, 0];
  let least = errorOf(W, start, 0, 0, of); // beside tiny weights the smallest half is large
  for (const s of near(fit.scale, d)) {
    for (const m of near(fit.minimum, dmin)) {
      const error = errorOf(W, start, d * s, dmin * m, of);
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
