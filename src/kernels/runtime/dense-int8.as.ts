// AssemblyScript: dense int8 rows times int8 activations, the baseline for the sparse kernels. For one vector, eight
// rows at a time share the widened activations. For four vectors, two rows at a time share the activations, and the
// vectors share the weights. Loads widen both sides to 16 bits; sums of a whole row fit in 32 bits. layouts/dense.ts
// describes the order of rows. Relaxed SIMD uses bytes-dense.as.ts instead of these loops.
// Diff against dense-int4.as.ts; AssemblyScript has no free generics.

import { ahead, aheadOf, begin, STEP } from './ahead.as';
import { bytesDenseInt8, oneDenseInt8 } from './bytes-dense.as';
import { finishTokens, join, prepare, scaleRows } from './steps.as';

/** Bytes of a block of sixteen columns of eight rows. */
const BLOCK: usize = 128;

/** Adds the products of sixteen bytes and sixteen bytes. */
@inline
function addRow(sum: v128, row: usize, x0: v128, x1: v128): v128 {
  const low = i32x4.dot_i16x8_s(v128.load8x8_s(row), x0);
  return i32x4.add(sum, i32x4.add(low, i32x4.dot_i16x8_s(v128.load8x8_s(row, 8), x1)));
}

/** Multiplies eight rows of `blocks` blocks by one vector. */
function rows8(row: usize, blocks: i32, x: usize, sums: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) return oneDenseInt8(row, blocks, x, sums);
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  let c = i32x4.splat(0);
  let d = i32x4.splat(0);
  let e = i32x4.splat(0);
  let f = i32x4.splat(0);
  let g = i32x4.splat(0);
  let h = i32x4.splat(0);
  for (const end = x + ((<usize>blocks) << 4); x < end; ) {
    ahead(row);
    for (const next = row + STEP; row < next && x < end; x += 16) {
      const x0 = v128.load8x8_s(x);
      const x1 = v128.load8x8_s(x, 8);
      a = addRow(a, row, x0, x1);
      b = addRow(b, row + 16, x0, x1);
      c = addRow(c, row + 32, x0, x1);
      d = addRow(d, row + 48, x0, x1);
      e = addRow(e, row + 64, x0, x1);
      f = addRow(f, row + 80, x0, x1);
      g = addRow(g, row + 96, x0, x1);
      h = addRow(h, row + 112, x0, x1);
      row += BLOCK;
    }
  }
  v128.store(sums, join(a, b, c, d));
  v128.store(sums, join(e, f, g, h), 16);
}

@inline
function addProducts(sum: v128, a: v128, b: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(a, b));
}

/**
 * Multiplies two neighbouring rows of `blocks` blocks by four vectors. A vector's sums are 32 bytes from the next
 * one's.
 */
function rows2(row: usize, blocks: i32, x: usize, stride: usize, sums: usize): void {
  let s0 = i32x4.splat(0);
  let s1 = i32x4.splat(0);
  let t0 = i32x4.splat(0);
  let t1 = i32x4.splat(0);
  let u0 = i32x4.splat(0);
  let u1 = i32x4.splat(0);
  let v0 = i32x4.splat(0);
  let v1 = i32x4.splat(0);
  const xt = x + stride;
  const xu = xt + stride;
  const xv = xu + stride;
  const end = (<usize>blocks) << 4;
  for (let at: usize = 0; at < end; at += 16) {
    let w0 = v128.load8x8_s(row);
    let w1 = v128.load8x8_s(row, 16);
    let a = v128.load8x8_s(x + at);
    s0 = addProducts(s0, w0, a);
    s1 = addProducts(s1, w1, a);
    a = v128.load8x8_s(xt + at);
    t0 = addProducts(t0, w0, a);
    t1 = addProducts(t1, w1, a);
    a = v128.load8x8_s(xu + at);
    u0 = addProducts(u0, w0, a);
    u1 = addProducts(u1, w1, a);
    a = v128.load8x8_s(xv + at);
    v0 = addProducts(v0, w0, a);
    v1 = addProducts(v1, w1, a);
    w0 = v128.load8x8_s(row, 8);
    w1 = v128.load8x8_s(row, 24);
    a = v128.load8x8_s(x + at, 8);
    s0 = addProducts(s0, w0, a);
    s1 = addProducts(s1, w1, a);
    a = v128.load8x8_s(xt + at, 8);
    t0 = addProducts(t0, w0, a);
    t1 = addProducts(t1, w1, a);
    a = v128.load8x8_s(xu + at, 8);
    u0 = addProducts(u0, w0, a);
    u1 = addProducts(u1, w1, a);
    a = v128.load8x8_s(xv + at, 8);
    v0 = addProducts(v0, w0, a);
    v1 = addProducts(v1, w1, a);
    row += BLOCK;
  }
  const st = join(s0, s1, t0, t1);
  const uv = join(u0, u1, v0, v1);
  v128.store64_lane(sums, st, 0);
  v128.store64_lane(sums, st, 1, 32);
  v128.store64_lane(sums, uv, 0, 64);
  v128.store64_lane(sums, uv, 1, 96);
}

/** Row groups [from, to). A row has `width` bytes, a multiple of sixteen. */
export function multiplyDenseInt8(
  width: i32,
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
  let done = 0;
  if (ASC_FEATURE_RELAXED_SIMD) {
    prepare(sums);
    done = bytesDenseInt8(width, values, scales, bias, rows, x, stride, xScales, y, pitch, tokens, from, to, sums);
    if (done === tokens) return;
  }
  const blocks = width >> 4;
  const groupBytes = (<usize>width) << 3;
  begin(values + <usize>from * groupBytes, <usize>(to - from) * groupBytes);
  for (let group = from; group < to; group++) {
    const row = values + <usize>group * groupBytes;
    let block = 1;
    for (let token = done; token < tokens; token += block) {
      block = !ASC_FEATURE_RELAXED_SIMD && tokens - token >= 4 ? 4 : 1;
      const own = x + <usize>token * stride;
      if (!ASC_FEATURE_RELAXED_SIMD && block === 4) {
        if (token === done) aheadOf(row, groupBytes);
        for (let r: usize = 0; r < 8; r += 2) rows2(row + (r << 4), blocks, own, stride, sums + (r << 2));
      } else rows8(row, blocks, own, sums);
      for (let i = 0; i < block; i++) scaleRows(sums + ((<usize>i) << 5), scales, group);
      finishTokens(sums, bias, rows, xScales, y, pitch, token, block, group);
    }
  }
}
