// AssemblyScript: dense float32 rows times float32 activations, the baseline for the sparse kernels. For one vector,
// four rows share it; for four vectors, two rows share them. A row and a vector always have one running sum of four
// lanes, so a result has the same bits for any number of vectors. Columns beyond a multiple of four are added one by
// one.

import { dot, dots, total } from './lanes.as';

@inline
function addProducts(sum: v128, a: v128, b: v128): v128 {
  return f32x4.add(sum, f32x4.mul(a, b));
}

/** The products of the last columns, from byte `at` of a row on. */
function tail(row: usize, x: usize, at: usize, width: usize): f32 {
  let sum: f32 = 0;
  for (; at < width; at += 4) sum += load<f32>(row + at) * load<f32>(x + at);
  return sum;
}

@inline
function put(y: usize, row: i32, bias: usize, value: f32): void {
  const at = (<usize>row) << 2;
  store<f32>(y + at, bias ? value + load<f32>(bias + at) : value);
}

/** Multiplies rows `first` and `first + 1` by four vectors. */
function rows2(row: usize, width: usize, x: usize, stride: usize, y: usize, pitch: usize, bias: usize, first: i32): void {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let t0 = f32x4.splat(0);
  let t1 = f32x4.splat(0);
  let u0 = f32x4.splat(0);
  let u1 = f32x4.splat(0);
  let v0 = f32x4.splat(0);
  let v1 = f32x4.splat(0);
  const whole = width & ~15;
  const row1 = row + width;
  const xt = x + stride;
  const xu = xt + stride;
  const xv = xu + stride;
  for (let at: usize = 0; at < whole; at += 16) {
    const w0 = v128.load(row + at);
    const w1 = v128.load(row1 + at);
    let a = v128.load(x + at);
    s0 = addProducts(s0, w0, a);
    s1 = addProducts(s1, w1, a);
    a = v128.load(xt + at);
    t0 = addProducts(t0, w0, a);
    t1 = addProducts(t1, w1, a);
    a = v128.load(xu + at);
    u0 = addProducts(u0, w0, a);
    u1 = addProducts(u1, w1, a);
    a = v128.load(xv + at);
    v0 = addProducts(v0, w0, a);
    v1 = addProducts(v1, w1, a);
  }
  put(y, first, bias, total(s0) + tail(row, x, whole, width));
  put(y, first + 1, bias, total(s1) + tail(row1, x, whole, width));
  y += pitch;
  put(y, first, bias, total(t0) + tail(row, xt, whole, width));
  put(y, first + 1, bias, total(t1) + tail(row1, xt, whole, width));
  y += pitch;
  put(y, first, bias, total(u0) + tail(row, xu, whole, width));
  put(y, first + 1, bias, total(u1) + tail(row1, xu, whole, width));
  y += pitch;
  put(y, first, bias, total(v0) + tail(row, xv, whole, width));
  put(y, first + 1, bias, total(v1) + tail(row1, xv, whole, width));
}

/** Multiplies rows `first` to `first + 3` by one vector. */
function rows4(row: usize, width: usize, x: usize, y: usize, bias: usize, first: i32): void {
  const sums = dots(row, x, width);
  put(y, first, bias, f32x4.extract_lane(sums, 0));
  put(y, first + 1, bias, f32x4.extract_lane(sums, 1));
  put(y, first + 2, bias, f32x4.extract_lane(sums, 2));
  put(y, first + 3, bias, f32x4.extract_lane(sums, 3));
}

/** Row groups [from, to). */
export function multiplyDenseFloat(
  columns: i32,
  values: usize,
  bias: usize,
  rows: i32,
  x: usize,
  stride: usize,
  y: usize,
  pitch: usize,
  tokens: i32,
  from: i32,
  to: i32,
): void {
  const width = (<usize>columns) << 2;
  const end = min(to * 8, rows);
  for (let group = from; group < to; group++) {
    const last = min(group * 8 + 8, end);
    let block = 1;
    for (let token = 0; token < tokens; token += block) {
      block = tokens - token >= 4 ? 4 : 1;
      const own = x + <usize>token * stride;
      const out = y + <usize>token * pitch;
      let row = group * 8;
      if (block === 4) {
        for (; row + 2 <= last; row += 2) {
          const at = values + <usize>row * width;
          rows2(at, width, own, stride, out, pitch, bias, row);
        }
      } else {
        for (; row + 4 <= last; row += 4) {
          const at = values + <usize>row * width;
          rows4(at, width, own, out, bias, row);
        }
      }
      for (; row < last; row++) {
        const at = values + <usize>row * width;
        for (let i = 0; i < block; i++) {
          const sum = dot(at, own + <usize>i * stride, width);
          put(out + <usize>i * pitch, row, bias, sum);
        }
      }
    }
  }
}
