// AssemblyScript: dense int3 and int2 rows times int8 activations. Eight rows of 128 columns, which share scales, lie
// together, a vector for four bytes of rows 0–3 and one for rows 4–7 in turn (layouts/dense-few.ts). A field is the
// value plus 4 (int3) or 2 (int2).
//
// One token, without relaxed SIMD, masks nothing. A 16-bit lane holds fields f₀, f₁, … from bit p₀ = 0, p₁, … on, and
// shifted down by pₖ it is Oₖ = fₖ + 2^(pₖ₊₁ − pₖ)·Oₖ₊₁. So Σ fₖ·xₖ = Σ Oₖ·(xₖ − 2^(pₖ − pₖ₋₁)·xₖ₋₁): the activations
// are combined once, for all rows, and a field takes a shift, a multiplication and an addition. All of it is modulo
// 2^16, which is exact, since a lane's sum, over 64 columns, is within ±32512. It starts at the excess, minus 4 or 2
// times the activations. Activations are pairs of 16-bit numbers, for the two lanes of each row.
//
// Four tokens and more share weights that are unpacked to int4 (dense-int4.as.ts). Relaxed SIMD: bytes-few.as.ts.

import { aheadOf, begin } from './ahead.as';
import { bytesDenseFew, oneDenseFew, prepareExcess } from './bytes-few.as';
import { rows8x4 } from './dense-int4.as';
import { fieldsOf, firstRows, rowOfTwo } from './fields.as';
import { clear, finishTokens, halves, mixHigh, mixLow, nibbleMask, prepare } from './steps.as';

/** Bytes of eight rows of 128 columns, for each bit. */
const PLANE: usize = 128;
/** Bytes of 128 combined activations, with their excess, of either type. */
const COMBINED: usize = 336;
/** Where a thread's combined activations, or unpacked rows, begin in its scratch. */
const SCRATCH: usize = 192;

/** Even or odd bytes as 16-bit numbers. */
@inline
function evenOf(x: v128): v128 {
  return i16x8.shr_s(i16x8.shl(x, 8), 8);
}

@inline
function oddOf(x: v128): v128 {
  return i16x8.shr_s(x, 8);
}

/** a − 2^bits · b. */
@inline
function less(a: v128, b: v128, bits: i32): v128 {
  return i16x8.sub(a, i16x8.shl(b, bits));
}

/** Combines the activations of `groups` times 128 columns. */
@inline
function combine(bits: i32, x: usize, groups: i32, to: usize): void {
  for (; groups > 0; groups--) {
    let sum = i16x8.splat(0);
    for (let at: usize = 0; at < 128; at += 16) {
      const own = v128.load(x + at);
      sum = i16x8.add(sum, i16x8.add(evenOf(own), oddOf(own)));
    }
    sum = i16x8.add(sum, i32x4.shuffle(sum, sum, 2, 3, 0, 1));
    sum = i16x8.add(sum, i32x4.shuffle(sum, sum, 1, 0, 3, 2));
    v128.store(to, i16x8.neg(i16x8.shl(sum, bits - 1)));
    if (bits === 2) combineInt2(x, to + 16);
    else combineInt3(x, to + 16);
    x += 128;
    to += COMBINED;
  }
}

/** For each vector eight pairs: the fields of the even bytes, then of the odd ones. */
@inline
function combineInt2(x: usize, to: usize): void {
  for (const end = x + 128; x < end; x += 16) {
    const own = v128.load(x);
    const even = evenOf(own);
    const odd = oddOf(own);
    const none = i16x8.splat(0);
    v128.store(to, less(even, i32x4.shuffle(none, even, 0, 4, 5, 6), 2));
    v128.store(to, less(odd, i32x4.shuffle(even, odd, 3, 4, 5, 6), 2), 16);
    to += 32;
  }
}

/** Four bytes of a step in each of the four times 32 columns. */
@inline
function stepAt(x: usize): v128 {
  let bytes = v128.load32_zero(x);
  bytes = v128.load32_lane(x + 32, bytes, 1);
  bytes = v128.load32_lane(x + 64, bytes, 2);
  return v128.load32_lane(x + 96, bytes, 3);
}

/** Twenty times a pair for each of the four times 32 columns. */
@inline
function combineInt3(x: usize, to: usize): void {
  const six = stepAt(x + 24);
  const seven = stepAt(x + 28);
  combineLow(stepAt(x), stepAt(x + 4), six, to);
  combineLow(stepAt(x + 8), stepAt(x + 12), seven, to + 96);
  const four = stepAt(x + 16);
  const five = stepAt(x + 20);
  // The third vector has the highest bits of steps 6 and 7.
  const even6 = i16x8.shl(evenOf(six), 2);
  const even7 = i16x8.shl(evenOf(seven), 2);
  const odd6 = i16x8.shl(oddOf(six), 2);
  const odd7 = i16x8.shl(oddOf(seven), 2);
  v128.store(to, evenOf(four), 192);
  v128.store(to, less(evenOf(five), evenOf(four), 3), 208);
  v128.store(to, less(even6, evenOf(five), 3), 224);
  v128.store(to, less(even7, even6, 1), 240);
  v128.store(to, less(oddOf(four), even7, 1), 256);
  v128.store(to, less(oddOf(five), oddOf(four), 3), 272);
  v128.store(to, less(odd6, oddOf(five), 3), 288);
  v128.store(to, less(odd7, odd6, 1), 304);
}

/** One of the first two vectors: in each byte two fields of three bits, and the low bits of a third. */
@inline
function combineLow(a: v128, b: v128, low: v128, to: usize): void {
  v128.store(to, evenOf(a));
  v128.store(to, less(evenOf(b), evenOf(a), 3), 16);
  v128.store(to, less(evenOf(low), evenOf(b), 3), 32);
  v128.store(to, less(oddOf(a), evenOf(low), 2), 48);
  v128.store(to, less(oddOf(b), oddOf(a), 3), 64);
  v128.store(to, less(oddOf(low), oddOf(b), 3), 80);
}

/** A lane's bits from `shift` on, a constant, times a pair of activations. */
@inline
function times(w: v128, shift: i32, x: v128): v128 {
  return i16x8.mul(shift ? i16x8.shr_u(w, shift) : w, x);
}

/**
 * Adds four fields. A sum waits for one addition only, so one sum for four rows is enough, and all stay in registers.
 */
@inline
function plusFour(sum: v128, w: v128, s: i32, x: v128, t: i32, y: v128, u: i32, z: v128, v: i32, q: v128): v128 {
  return i16x8.add(
    sum,
    i16x8.add(i16x8.add(times(w, s, x), times(w, t, y)), i16x8.add(times(w, u, z), times(w, v, q))),
  );
}

/** Adds three fields. */
@inline
function plusThree(sum: v128, w: v128, s: i32, x: v128, t: i32, y: v128, u: i32, z: v128): v128 {
  return i16x8.add(i16x8.add(sum, times(w, s, x)), i16x8.add(times(w, t, y), times(w, u, z)));
}

/** Multiplies eight rows of `groups` times 128 columns by one token's combined activations. */
@inline
function rows8(bits: i32, row: usize, groups: i32, scales: usize, x: usize, sums: usize): void {
  let low = v128.load(sums);
  let high = v128.load(sums, 16);
  for (; groups > 0; groups--) {
    let a = v128.load(x);
    let b = a;
    let at = x + 16;
    if (bits === 2) {
      for (const end = row + 2 * PLANE; row < end; row += 32) {
        const v = v128.load(row);
        const w = v128.load(row, 16);
        let p = v128.load32_splat(at);
        let q = v128.load32_splat(at, 4);
        let r = v128.load32_splat(at, 8);
        let s = v128.load32_splat(at, 12);
        a = plusFour(a, v, 0, p, 2, q, 4, r, 6, s);
        b = plusFour(b, w, 0, p, 2, q, 4, r, 6, s);
        p = v128.load32_splat(at, 16);
        q = v128.load32_splat(at, 20);
        r = v128.load32_splat(at, 24);
        s = v128.load32_splat(at, 28);
        a = plusFour(a, v, 8, p, 10, q, 12, r, 14, s);
        b = plusFour(b, w, 8, p, 10, q, 12, r, 14, s);
        at += 32;
      }
    } else {
      for (const end = row + 3 * PLANE; row < end; row += 96) {
        let v = v128.load(row);
        let w = v128.load(row, 16);
        let p = v128.load32_splat(at);
        let q = v128.load32_splat(at, 16);
        let r = v128.load32_splat(at, 32);
        a = plusThree(a, v, 0, p, 3, q, 6, r);
        b = plusThree(b, w, 0, p, 3, q, 6, r);
        p = v128.load32_splat(at, 48);
        q = v128.load32_splat(at, 64);
        r = v128.load32_splat(at, 80);
        a = plusThree(a, v, 8, p, 11, q, 14, r);
        b = plusThree(b, w, 8, p, 11, q, 14, r);
        v = v128.load(row, 32);
        w = v128.load(row, 48);
        p = v128.load32_splat(at, 96);
        q = v128.load32_splat(at, 112);
        r = v128.load32_splat(at, 128);
        a = plusThree(a, v, 0, p, 3, q, 6, r);
        b = plusThree(b, w, 0, p, 3, q, 6, r);
        p = v128.load32_splat(at, 144);
        q = v128.load32_splat(at, 160);
        r = v128.load32_splat(at, 176);
        a = plusThree(a, v, 8, p, 11, q, 14, r);
        b = plusThree(b, w, 8, p, 11, q, 14, r);
        v = v128.load(row, 64);
        w = v128.load(row, 80);
        p = v128.load32_splat(at, 192);
        q = v128.load32_splat(at, 208);
        r = v128.load32_splat(at, 224);
        let t = v128.load32_splat(at, 240);
        a = plusFour(a, v, 0, p, 3, q, 6, r, 7, t);
        b = plusFour(b, w, 0, p, 3, q, 6, r, 7, t);
        p = v128.load32_splat(at, 256);
        q = v128.load32_splat(at, 272);
        r = v128.load32_splat(at, 288);
        t = v128.load32_splat(at, 304);
        a = plusFour(a, v, 8, p, 11, q, 14, r, 15, t);
        b = plusFour(b, w, 8, p, 11, q, 14, r, 15, t);
        at += 4;
      }
    }
    low = f32x4.add(low, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extadd_pairwise_i16x8_s(a)), halves(scales)));
    high = f32x4.add(high, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extadd_pairwise_i16x8_s(b)), halves(scales + 8)));
    x += COMBINED;
    scales += 16;
  }
  v128.store(sums, low);
  v128.store(sums, high, 16);
}

/** Unpacks eight rows of `groups` times 128 columns to int4. */
@inline
function unpack(bits: i32, row: usize, groups: i32, to: usize, sums: usize): void {
  const nibbles = nibbleMask(sums);
  const two = v128.and(nibbles, i8x16.splat(3));
  const three = v128.and(nibbles, i8x16.splat(7));
  const four = v128.and(nibbles, i8x16.splat(4));
  const offset = bits === 2 ? v128.and(nibbles, i8x16.splat(2)) : four;
  const bytes: usize = bits === 2 ? 64 : 96;
  for (const end = row + <usize>(groups * bits) * PLANE; row < end; row += bytes) {
    for (let half: usize = 0; half < 2; half++) {
      const at = row + (half << 4);
      const w0 = v128.load(at);
      const w1 = v128.load(at, 32);
      const w2 = bits === 3 ? v128.load(at, 64) : w1;
      const a = fieldsOf(bits, 0, w0, w1, w2, two, three, four);
      const b = fieldsOf(bits, 1, w0, w1, w2, two, three, four);
      const c = fieldsOf(bits, 2, w0, w1, w2, two, three, four);
      const d = fieldsOf(bits, 3, w0, w1, w2, two, three, four);
      const e = fieldsOf(bits, 4, w0, w1, w2, two, three, four);
      const f = fieldsOf(bits, 5, w0, w1, w2, two, three, four);
      const g = fieldsOf(bits, 6, w0, w1, w2, two, three, four);
      const h = fieldsOf(bits, 7, w0, w1, w2, two, three, four);
      const low0 = firstRows(a, b, false);
      const low1 = firstRows(c, d, false);
      const low2 = firstRows(e, f, false);
      const low3 = firstRows(g, h, false);
      const high0 = firstRows(a, b, true);
      const high1 = firstRows(c, d, true);
      const high2 = firstRows(e, f, true);
      const high3 = firstRows(g, h, true);
      const own = to + (half << 6);
      v128.store(own, nibblesOf(rowOfTwo(low0, low1, false), rowOfTwo(low2, low3, false), offset, nibbles));
      v128.store(own, nibblesOf(rowOfTwo(low0, low1, true), rowOfTwo(low2, low3, true), offset, nibbles), 16);
      v128.store(own, nibblesOf(rowOfTwo(high0, high1, false), rowOfTwo(high2, high3, false), offset, nibbles), 32);
      v128.store(own, nibblesOf(rowOfTwo(high0, high1, true), rowOfTwo(high2, high3, true), offset, nibbles), 48);
    }
    to += 128;
  }
}

/** The int4 block of 32 columns of a row. */
@inline
function nibblesOf(first: v128, second: v128, offset: v128, nibbles: v128): v128 {
  const a = v128.and(i8x16.sub(first, offset), nibbles);
  const b = v128.and(i8x16.sub(second, offset), nibbles);
  return v128.or(mixLow(a, b), i16x8.shl(mixHigh(a, b), 4));
}

/** Row groups [from, to) of rows of `groups` times 128 columns. */
@inline
function multiply(
  bits: i32,
  groups: i32,
  values: usize,
  scales: usize,
  bias: usize,
  rows: i32,
  x: usize,
  stride: usize,
  xScales: usize,
  y: usize,
  pitch: usize,
  tokens: i32,
  from: i32,
  to: i32,
  sums: usize,
): void {
  prepare(sums);
  const groupBytes = <usize>(groups * bits) * PLANE;
  const scaleBytes = (<usize>groups) << 4;
  let done = 0;
  if (ASC_FEATURE_RELAXED_SIMD) {
    done = bytesDenseFew(bits, groups, values, scales, bias, rows, x, stride, xScales, y, pitch, tokens, from, to, sums);
  } else if (tokens >= 4) {
    done = tokens & ~3;
    begin(values + <usize>from * groupBytes, <usize>(to - from) * groupBytes);
    for (let group = from; group < to; group++) {
      const row = values + <usize>group * groupBytes;
      aheadOf(row, groupBytes);
      unpack(bits, row, groups, sums + SCRATCH, sums);
      for (let token = 0; token < done; token += 4) {
        clear(sums, 4);
        const own = x + <usize>token * stride;
        rows8x4(sums + SCRATCH, groups << 2, scales + <usize>group * scaleBytes, own, stride, sums);
        finishTokens(sums, bias, rows, xScales, y, pitch, token, 4, group);
      }
    }
  }
  if (done === tokens) return;
  const prepared = <usize>groups * (ASC_FEATURE_RELAXED_SIMD ? 16 : COMBINED);
  for (let token = done; token < tokens; token++) {
    const at = sums + SCRATCH + <usize>(token - done) * prepared;
    const own = x + <usize>token * stride;
    if (ASC_FEATURE_RELAXED_SIMD) prepareExcess(bits, own, groups, at);
    else combine(bits, own, groups, at);
  }
  begin(values + <usize>from * groupBytes, <usize>(to - from) * groupBytes);
  begin(scales + <usize>from * scaleBytes, <usize>(to - from) * scaleBytes);
  for (let group = from; group < to; group++) {
    const row = values + <usize>group * groupBytes;
    const scale = scales + <usize>group * scaleBytes;
    aheadOf(row, groupBytes);
    aheadOf(scale, scaleBytes);
    for (let token = done; token < tokens; token++) {
      const at = sums + SCRATCH + <usize>(token - done) * prepared;
      clear(sums, 1);
      if (ASC_FEATURE_RELAXED_SIMD) oneDenseFew(bits, row, groups, scale, x + <usize>token * stride, at, sums);
      else rows8(bits, row, groups, scale, at, sums);
      finishTokens(sums, bias, rows, xScales, y, pitch, token, 1, group);
    }
  }
}

export function multiplyDenseInt3(
  groups: i32,
  values: usize,
  scales: usize,
  bias: usize,
  rows: i32,
  x: usize,
  stride: usize,
  xScales: usize,
  y: usize,
  pitch: usize,
  tokens: i32,
  from: i32,
  to: i32,
  sums: usize,
): void {
  multiply(3, groups, values, scales, bias, rows, x, stride, xScales, y, pitch, tokens, from, to, sums);
}

export function multiplyDenseInt2(
  groups: i32,
  values: usize,
  scales: usize,
  bias: usize,
  rows: i32,
  x: usize,
  stride: usize,
  xScales: usize,
  y: usize,
  pitch: usize,
  tokens: i32,
  from: i32,
  to: i32,
  sums: usize,
): void {
  multiply(2, groups, values, scales, bias, rows, x, stride, xScales, y, pitch, tokens, from, to, sums);
}
