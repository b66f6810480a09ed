// AssemblyScript: dense int4 rows times int8 activations, the baseline of the sparse kernels. Sixteen bytes hold 32
// columns of a row as four nibbles in each of eight lanes (layouts/dense.ts); nibble k, moved to the top of its lane, is
// the value times 4096, so sums are 4096 times too large until the end of the 128 columns that share a scale. Four rows at
// a time share the widened activations, and up to two vectors share the values; where a row group
// ends early its last row is repeated, and those sums are not read.

import { clear, finish, halves, topMask, twoHalves } from './steps.as';

/** Four sums of lanes, of one row each, as the lanes of one vector; the 4096 taken out. */
@inline
function join(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(i32x4.shuffle(a, b, 0, 4, 1, 5), i32x4.shuffle(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(i32x4.shuffle(c, d, 0, 4, 1, 5), i32x4.shuffle(c, d, 2, 6, 3, 7));
  const sums = i32x4.add(i64x2.shuffle(ab, cd, 0, 2), i64x2.shuffle(ab, cd, 1, 3));
  return i32x4.shr_s(sums, 12);
}

@inline
function addScaled(to: usize, sum: v128, scale: v128): void {
  v128.store(to, f32x4.add(v128.load(to), f32x4.mul(f32x4.convert_i32x4_s(sum), scale)));
}

/** Adds the products of one block of 32 columns. */
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

/** Four rows times one vector, `blocks` blocks of 32 columns each. */
function rows4(r0: usize, r1: usize, r2: usize, r3: usize, blocks: i32, scales: usize, x: usize, sums: usize): void {
  const top = topMask();
  while (blocks > 0) {
    const steps = min(blocks, 4);
    blocks -= steps;
    let a = i32x4.splat(0);
    let b = i32x4.splat(0);
    let c = i32x4.splat(0);
    let d = i32x4.splat(0);
    for (const end = x + <usize>(steps << 5); x < end; x += 32) {
      const x0 = v128.load8x8_s(x);
      const x1 = v128.load8x8_s(x, 8);
      const x2 = v128.load8x8_s(x, 16);
      const x3 = v128.load8x8_s(x, 24);
      a = addBlock(a, v128.load(r0), top, x0, x1, x2, x3);
      b = addBlock(b, v128.load(r1), top, x0, x1, x2, x3);
      c = addBlock(c, v128.load(r2), top, x0, x1, x2, x3);
      d = addBlock(d, v128.load(r3), top, x0, x1, x2, x3);
      r0 += 16;
      r1 += 16;
      r2 += 16;
      r3 += 16;
    }
    addScaled(sums, join(a, b, c, d), halves(scales));
    scales += 16;
  }
}

@inline
function step2(sum: v128, w: v128, x: usize): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(w, v128.load8x8_s(x)));
}

/** Two rows times four vectors; the sums of rows r and r + 1 of vector i go to sums + 32·i. */
function rows2(r0: usize, r1: usize, blocks: i32, scales: usize, x: usize, stride: usize, sums: usize): void {
  const top = topMask();
  const stride3 = stride * 3;
  while (blocks > 0) {
    const steps = min(blocks, 4);
    blocks -= steps;
    let s0 = i32x4.splat(0);
    let s1 = i32x4.splat(0);
    let t0 = i32x4.splat(0);
    let t1 = i32x4.splat(0);
    let u0 = i32x4.splat(0);
    let u1 = i32x4.splat(0);
    let v0 = i32x4.splat(0);
    let v1 = i32x4.splat(0);
    for (let i = 0; i < steps; i++) {
      let p = v128.load(r0);
      let q = v128.load(r1);
      r0 += 16;
      r1 += 16;
      for (let k = 0; k < 4; k++) {
        // The highest nibble first: then the next one is moved up.
        const w0 = v128.and(p, top);
        const w1 = v128.and(q, top);
        p = i16x8.shl(p, 4);
        q = i16x8.shl(q, 4);
        const at = x + <usize>(24 - 8 * k);
        s0 = step2(s0, w0, at);
        s1 = step2(s1, w1, at);
        t0 = step2(t0, w0, at + stride);
        t1 = step2(t1, w1, at + stride);
        u0 = step2(u0, w0, at + 2 * stride);
        u1 = step2(u1, w1, at + 2 * stride);
        v0 = step2(v0, w0, at + stride3);
        v1 = step2(v1, w1, at + stride3);
      }
      x += 32;
    }
    const scale = twoHalves(scales);
    scales += 16;
    addPair(sums, join(s0, s1, t0, t1), scale);
    addPair(sums + 64, join(u0, u1, v0, v1), scale);
  }
}

/** Lanes 0 and 1 belong to one vector's two rows, lanes 2 and 3 to the next vector's. */
@inline
function addPair(to: usize, sum: v128, scale: v128): void {
  const scaled = f32x4.mul(f32x4.convert_i32x4_s(sum), i64x2.shuffle(scale, scale, 0, 0));
  store<f32>(to, load<f32>(to) + f32x4.extract_lane(scaled, 0));
  store<f32>(to, load<f32>(to, 4) + f32x4.extract_lane(scaled, 1), 4);
  store<f32>(to, load<f32>(to, 32) + f32x4.extract_lane(scaled, 2), 32);
  store<f32>(to, load<f32>(to, 36) + f32x4.extract_lane(scaled, 3), 36);
}

/** Row groups [from, to); a row is `blocks` blocks of sixteen bytes. */
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
  const width = (<usize>blocks) << 4;
  const scaleBytes = (<usize>((blocks + 3) >> 2)) << 4;
  for (let group = from; group < to; group++) {
    const last = rows - 1;
    const scale = scales + <usize>group * scaleBytes;
    let block = 1;
    for (let token = 0; token < tokens; token += block) {
      block = tokens - token >= 4 ? 4 : 1;
      const own = x + <usize>token * stride;
      clear(sums, block);
      for (let r = 0; r < 8; r += block === 4 ? 2 : 4) {
        const first = group * 8 + r;
        if (first >= rows) break;
        const at = scale + ((<usize>r) << 1);
        const to = sums + ((<usize>r) << 2);
        const r0 = values + <usize>first * width;
        const r1 = values + <usize>min(first + 1, last) * width;
        if (block === 4) {
          rows2(r0, r1, blocks, at, own, stride, to);
        } else {
          const r2 = values + <usize>min(first + 2, last) * width;
          rows4(r0, r1, r2, values + <usize>min(first + 3, last) * width, blocks, at, own, to);
        }
      }
      for (let i = 0; i < block; i++) {
        const factor = load<f32>(xScales + ((<usize>(token + i)) << 2));
        finish(sums + ((<usize>i) << 5), factor, bias, y + <usize>(token + i) * pitch, group, rows);
      }
    }
  }
}
