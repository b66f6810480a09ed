// AssemblyScript: dense int4 rows times int8 activations, the baseline for the sparse kernels. Sixteen bytes hold 32
// columns of a row as four nibbles in each of eight lanes (layouts/dense.ts). Nibble k, moved to the top of its lane,
// is the value times 4096, so sums are 4096 times too large until the end of the 128 columns that share a scale. For
// one vector, four rows at a time share the widened activations; for four vectors, they share the values of a row.
// Relaxed SIMD uses bytes-dense.as.ts instead of these loops.
// Diff against dense-int8.as.ts; AssemblyScript has no free generics.

import { aheadOf, begin } from './ahead.as';
import { bytesDenseInt4, oneDenseInt4 } from './bytes-dense.as';
import { clear, finishTokens, halves, join, prepare, splatHalf, topMask, turnFour } from './steps.as';

/** Bytes of a block of 32 columns of eight rows. */
const BLOCK: usize = 128;
/** Blocks that share a scale. */
const SHARING: i32 = 4;

@inline
function addScaled(to: usize, sum: v128, scale: v128): void {
  v128.store(to, f32x4.add(v128.load(to), f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(sum, 12)), scale)));
}

/** Adds the products of one row's block with 32 activations. */
@inline
function addBlock(sum: v128, w: v128, top: v128, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const low = i32x4.add(
    i32x4.dot_i16x8_s(i16x8.shl(w, 12), x0),
    i32x4.dot_i16x8_s(v128.and(i16x8.shl(w, 8), top), x1),
  );
  const high = i32x4.add(
    i32x4.dot_i16x8_s(v128.and(i16x8.shl(w, 4), top), x2),
    i32x4.dot_i16x8_s(v128.and(w, top), x3),
  );
  return i32x4.add(sum, i32x4.add(low, high));
}

/** Multiplies eight rows of `blocks` blocks of 32 columns by one vector. */
function rows8(row: usize, blocks: i32, scales: usize, x: usize, sums: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) return oneDenseInt4(row, blocks, scales, x, sums);
  const top = topMask(sums);
  while (blocks > 0) {
    const steps = min(blocks, SHARING);
    blocks -= steps;
    const end = x + <usize>(steps << 5);
    aheadOf(row, <usize>steps * BLOCK);
    for (let half: usize = 0; half < 128; half += 64) {
      let a = i32x4.splat(0);
      let b = i32x4.splat(0);
      let c = i32x4.splat(0);
      let d = i32x4.splat(0);
      let from = row + half;
      for (let at = x; at < end; at += 32) {
        const x0 = v128.load8x8_s(at);
        const x1 = v128.load8x8_s(at, 8);
        const x2 = v128.load8x8_s(at, 16);
        const x3 = v128.load8x8_s(at, 24);
        a = addBlock(a, v128.load(from), top, x0, x1, x2, x3);
        b = addBlock(b, v128.load(from, 16), top, x0, x1, x2, x3);
        c = addBlock(c, v128.load(from, 32), top, x0, x1, x2, x3);
        d = addBlock(d, v128.load(from, 48), top, x0, x1, x2, x3);
        from += BLOCK;
      }
      addScaled(sums + (half >> 2), join(a, b, c, d), halves(scales + (half >> 3)));
    }
    x = end;
    row += <usize>steps * BLOCK;
    scales += 16;
  }
}

@inline
function addProducts(sum: v128, w: v128, x: usize): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(w, v128.load8x8_s(x)));
}

/** Multiplies one row by four vectors; their sums are the lanes of the result. */
@inline
function row1(row: usize, blocks: i32, x: usize, stride: usize, top: v128): v128 {
  const xt = x + stride;
  const xu = xt + stride;
  const xv = xu + stride;
  let s = i32x4.splat(0);
  let t = i32x4.splat(0);
  let u = i32x4.splat(0);
  let v = i32x4.splat(0);
  const end = (<usize>blocks) << 5;
  for (let at: usize = 0; at < end; at += 32) {
    const slots = v128.load(row);
    let w = i16x8.shl(slots, 12);
    s = addProducts(s, w, x + at);
    t = addProducts(t, w, xt + at);
    u = addProducts(u, w, xu + at);
    v = addProducts(v, w, xv + at);
    w = v128.and(i16x8.shl(slots, 8), top);
    s = addProducts(s, w, x + at + 8);
    t = addProducts(t, w, xt + at + 8);
    u = addProducts(u, w, xu + at + 8);
    v = addProducts(v, w, xv + at + 8);
    w = v128.and(i16x8.shl(slots, 4), top);
    s = addProducts(s, w, x + at + 16);
    t = addProducts(t, w, xt + at + 16);
    u = addProducts(u, w, xu + at + 16);
    v = addProducts(v, w, xv + at + 16);
    w = v128.and(slots, top);
    s = addProducts(s, w, x + at + 24);
    t = addProducts(t, w, xt + at + 24);
    u = addProducts(u, w, xu + at + 24);
    v = addProducts(v, w, xv + at + 24);
    row += BLOCK;
  }
  return join(s, t, u, v);
}

/** Multiplies eight rows by four vectors. `sums` is f32 [row, vector] until the end, then [vector, row]. */
export function rows8x4(row: usize, blocks: i32, scales: usize, x: usize, stride: usize, sums: usize): void {
  const top = topMask(sums);
  while (blocks > 0) {
    const steps = min(blocks, SHARING);
    blocks -= steps;
    aheadOf(row, <usize>steps * BLOCK);
    for (let r: usize = 0; r < 8; r++) {
      const scale = splatHalf(scales + (r << 1));
      addScaled(sums + (r << 4), row1(row + (r << 4), steps, x, stride, top), scale);
    }
    x += <usize>(steps << 5);
    row += <usize>steps * BLOCK;
    scales += 16;
  }
  turn(sums);
}

/** Transposes f32 [8, 4] to [4, 8]. */
function turn(sums: usize): void {
  const a = v128.load(sums);
  const b = v128.load(sums, 16);
  const c = v128.load(sums, 32);
  const d = v128.load(sums, 48);
  const e = v128.load(sums, 64);
  const f = v128.load(sums, 80);
  const g = v128.load(sums, 96);
  const h = v128.load(sums, 112);
  turnFour(a, b, c, d, sums);
  turnFour(e, f, g, h, sums + 16);
}

/** Row groups [from, to). A row is `blocks` blocks of sixteen bytes. */
export function multiplyDenseInt4(
  blocks: i32,
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
  let done = 0;
  if (ASC_FEATURE_RELAXED_SIMD) {
    done = bytesDenseInt4(blocks, values, scales, bias, rows, x, stride, xScales, y, pitch, tokens, from, to, sums);
    if (done === tokens) return;
  }
  const groupBytes = <usize>blocks * BLOCK;
  const scaleBytes = (<usize>((blocks + SHARING - 1) / SHARING)) << 4;
  begin(values + <usize>from * groupBytes, <usize>(to - from) * groupBytes);
  begin(scales + <usize>from * scaleBytes, <usize>(to - from) * scaleBytes);
  for (let group = from; group < to; group++) {
    const row = values + <usize>group * groupBytes;
    const scale = scales + <usize>group * scaleBytes;
    aheadOf(scale, scaleBytes);
    let block = 1;
    for (let token = done; token < tokens; token += block) {
      block = !ASC_FEATURE_RELAXED_SIMD && tokens - token >= 4 ? 4 : 1;
      const own = x + <usize>token * stride;
      clear(sums, block);
      if (!ASC_FEATURE_RELAXED_SIMD && block === 4) rows8x4(row, blocks, scale, own, stride, sums);
      else rows8(row, blocks, scale, own, sums);
      finishTokens(sums, bias, rows, xScales, y, pitch, token, block, group);
    }
  }
}
