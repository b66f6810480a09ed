// AssemblyScript: dense int8 rows times int8 activations, the baseline of the sparse kernels. One vector: four rows at a
// time, which share the widened activations. More: two rows times four vectors. Both sides are widened to 16 bits by their
// loads; sums of a whole row fit 32 bits.

import { finish, scaleRows } from './steps.as';

/** The sum of a vector's four lanes. */
@inline
function total(sum: v128): i32 {
  return (
    i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3)
  );
}

/** Adds the products of sixteen bytes each. */
@inline
function addRow(sum: v128, row: usize, x0: v128, x1: v128): v128 {
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.load8x8_s(row), x0));
  return i32x4.add(sum, i32x4.dot_i16x8_s(v128.load8x8_s(row, 8), x1));
}

/** Four rows, `width` bytes each, times one vector. */
function rows4(row: usize, width: usize, x: usize, sums: usize): void {
  let s0 = i32x4.splat(0);
  let s1 = i32x4.splat(0);
  let s2 = i32x4.splat(0);
  let s3 = i32x4.splat(0);
  for (const end = x + width; x < end; x += 16) {
    const x0 = v128.load8x8_s(x);
    const x1 = v128.load8x8_s(x, 8);
    s0 = addRow(s0, row, x0, x1);
    s1 = addRow(s1, row + width, x0, x1);
    s2 = addRow(s2, row + 2 * width, x0, x1);
    s3 = addRow(s3, row + 3 * width, x0, x1);
    row += 16;
  }
  store<i32>(sums, total(s0));
  store<i32>(sums, total(s1), 4);
  store<i32>(sums, total(s2), 8);
  store<i32>(sums, total(s3), 12);
}

/** Two rows, `width` bytes each, times four vectors; sums 32 bytes apart. */
function rows2(row: usize, width: usize, x: usize, stride: usize, sums: usize): void {
  let s0 = i32x4.splat(0);
  let s1 = i32x4.splat(0);
  let t0 = i32x4.splat(0);
  let t1 = i32x4.splat(0);
  let u0 = i32x4.splat(0);
  let u1 = i32x4.splat(0);
  let v0 = i32x4.splat(0);
  let v1 = i32x4.splat(0);
  const stride3 = stride * 3;
  for (const end = x + width; x < end; x += 8) {
    const w0 = v128.load8x8_s(row);
    const w1 = v128.load8x8_s(row + width);
    row += 8;
    let a = v128.load8x8_s(x);
    s0 = i32x4.add(s0, i32x4.dot_i16x8_s(a, w0));
    s1 = i32x4.add(s1, i32x4.dot_i16x8_s(a, w1));
    a = v128.load8x8_s(x + stride);
    t0 = i32x4.add(t0, i32x4.dot_i16x8_s(a, w0));
    t1 = i32x4.add(t1, i32x4.dot_i16x8_s(a, w1));
    a = v128.load8x8_s(x + 2 * stride);
    u0 = i32x4.add(u0, i32x4.dot_i16x8_s(a, w0));
    u1 = i32x4.add(u1, i32x4.dot_i16x8_s(a, w1));
    a = v128.load8x8_s(x + stride3);
    v0 = i32x4.add(v0, i32x4.dot_i16x8_s(a, w0));
    v1 = i32x4.add(v1, i32x4.dot_i16x8_s(a, w1));
  }
  store<i32>(sums, total(s0));
  store<i32>(sums, total(s1), 4);
  store<i32>(sums, total(t0), 32);
  store<i32>(sums, total(t1), 36);
  store<i32>(sums, total(u0), 64);
  store<i32>(sums, total(u1), 68);
  store<i32>(sums, total(v0), 96);
  store<i32>(sums, total(v1), 100);
}

/** One row times one vector, for what is left over. */
function row1(row: usize, width: usize, x: usize): i32 {
  let s = i32x4.splat(0);
  for (const end = x + width; x < end; x += 16) {
    s = addRow(s, row, v128.load8x8_s(x), v128.load8x8_s(x, 8));
    row += 16;
  }
  return total(s);
}

/** Row groups [from, to); a row is `width` bytes, a multiple of sixteen. */
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
  for (let group = from; group < to; group++) {
    const count = min(rows - group * 8, 8);
    const row = values + <usize>(group * 8) * <usize>width;
    let block = 1;
    for (let token = 0; token < tokens; token += block) {
      block = tokens - token >= 4 ? 4 : 1;
      const own = x + <usize>token * stride;
      let r = 0;
      if (block === 4) {
        for (; r + 2 <= count; r += 2) {
          rows2(row + <usize>r * <usize>width, <usize>width, own, stride, sums + ((<usize>r) << 2));
        }
      } else {
        for (; r + 4 <= count; r += 4) rows4(row + <usize>r * <usize>width, <usize>width, own, sums + ((<usize>r) << 2));
      }
      for (; r < count; r++) {
        for (let i = 0; i < block; i++) {
          const sum = row1(row + <usize>r * <usize>width, <usize>width, own + <usize>i * stride);
          store<i32>(sums + ((<usize>(8 * i + r)) << 2), sum);
        }
      }
      for (let i = 0; i < block; i++) {
        const at = sums + ((<usize>i) << 5);
        scaleRows(at, scales, group);
        const scale = load<f32>(xScales + ((<usize>(token + i)) << 2));
        finish(at, scale, bias, y + <usize>(token + i) * pitch, group, rows);
      }
    }
  }
}
