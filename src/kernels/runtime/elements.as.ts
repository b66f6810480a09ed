// AssemblyScript: the decoder's steps between its products: norms, quantisation of activations, rotary positions, the
// gate of the feed-forward part, sums, and rows of the embedding. Rows are tokens unless a comment says otherwise.
// `stride` is the bytes from one row to the next, `count` the float32 numbers in a row.

import { exp4, total } from './lanes.as';

/** y = x / √(mean x² + epsilon) · weight, rows [from, to). */
export function normalise(
  x: usize,
  stride: usize,
  weight: usize,
  epsilon: f32,
  y: usize,
  pitch: usize,
  count: i32,
  from: i32,
  to: i32,
): void {
  const whole = (<usize>(count & ~3)) << 2;
  const bytes = (<usize>count) << 2;
  for (let row = from; row < to; row++) {
    const source = x + <usize>row * stride;
    const target = y + <usize>row * pitch;
    let squares = f32x4.splat(0);
    for (let at: usize = 0; at < whole; at += 16) {
      const v = v128.load(source + at);
      squares = f32x4.add(squares, f32x4.mul(v, v));
    }
    let sum = total(squares);
    for (let at = whole; at < bytes; at += 4) {
      const v = load<f32>(source + at);
      sum += v * v;
    }
    const factor: f32 = 1 / sqrt<f32>(sum / <f32>count + epsilon);
    const factors = f32x4.splat(factor);
    for (let at: usize = 0; at < whole; at += 16) {
      v128.store(target + at, f32x4.mul(f32x4.mul(v128.load(source + at), factors), v128.load(weight + at)));
    }
    for (let at = whole; at < bytes; at += 4) {
      store<f32>(target + at, load<f32>(source + at) * factor * load<f32>(weight + at));
    }
  }
}

/** y = (x − mean x) / √(variance + epsilon) · weight + bias, rows [from, to); `bias` is 0 for no bias. */
export function normaliseLayer(
  x: usize,
  stride: usize,
  weight: usize,
  bias: usize,
  epsilon: f32,
  y: usize,
  pitch: usize,
  count: i32,
  from: i32,
  to: i32,
): void {
  const whole = (<usize>(count & ~3)) << 2;
  const bytes = (<usize>count) << 2;
  for (let row = from; row < to; row++) {
    const source = x + <usize>row * stride;
    const target = y + <usize>row * pitch;
    let sums = f32x4.splat(0);
    for (let at: usize = 0; at < whole; at += 16) sums = f32x4.add(sums, v128.load(source + at));
    let sum = total(sums);
    for (let at = whole; at < bytes; at += 4) sum += load<f32>(source + at);
    const mean: f32 = sum / <f32>count;
    const means = f32x4.splat(mean);
    let squares = f32x4.splat(0);
    for (let at: usize = 0; at < whole; at += 16) {
      const v = f32x4.sub(v128.load(source + at), means);
      squares = f32x4.add(squares, f32x4.mul(v, v));
    }
    let spread = total(squares);
    for (let at = whole; at < bytes; at += 4) {
      const v = load<f32>(source + at) - mean;
      spread += v * v;
    }
    const factor: f32 = 1 / sqrt<f32>(spread / <f32>count + epsilon);
    for (let at: usize = 0; at < bytes; at += 4) {
      const value = (load<f32>(source + at) - mean) * factor * load<f32>(weight + at);
      store<f32>(target + at, bias ? value + load<f32>(bias + at) : value);
    }
  }
}

/**
 * Symmetric int8, rows [from, to): q [rows, pitch], padded with zeros to `padded`, a multiple of 16, and one scale per
 * row.
 */
export function quantise(
  x: usize,
  stride: usize,
  q: usize,
  pitch: usize,
  scales: usize,
  count: i32,
  padded: i32,
  from: i32,
  to: i32,
): void {
  const whole = count & ~15;
  for (let row = from; row < to; row++) {
    const source = x + <usize>row * stride;
    const target = q + <usize>row * pitch;
    // Magnitudes sort as their bits do, with NaN above all.
    const magnitude = i32x4.splat(0x7fffffff);
    let most = i32x4.splat(0);
    let i = 0;
    for (; i + 4 <= count; i += 4) {
      most = i32x4.max_s(most, v128.and(v128.load(source + ((<usize>i) << 2)), magnitude));
    }
    let bits = max<i32>(
      max<i32>(i32x4.extract_lane(most, 0), i32x4.extract_lane(most, 1)),
      max<i32>(i32x4.extract_lane(most, 2), i32x4.extract_lane(most, 3)),
    );
    for (; i < count; i++) bits = max<i32>(bits, load<i32>(source + ((<usize>i) << 2)) & 0x7fffffff);
    const largest = reinterpret<f32>(bits);
    const scale: f32 = largest / 127;
    store<f32>(scales + ((<usize>row) << 2), scale);
    const inverse: f32 = scale === 0 ? 0 : 127 / largest;
    const factor = f32x4.splat(inverse);
    for (i = 0; i < whole; i += 16) {
      const from16 = source + ((<usize>i) << 2);
      const low = i16x8.narrow_i32x4_s(rounded(v128.load(from16), factor), rounded(v128.load(from16, 16), factor));
      const high = i16x8.narrow_i32x4_s(rounded(v128.load(from16, 32), factor), rounded(v128.load(from16, 48), factor));
      v128.store(target + <usize>i, i8x16.narrow_i16x8_s(low, high));
    }
    for (; i < count; i++) {
      const value = rounded(v128.load32_splat(source + ((<usize>i) << 2)), factor);
      store<i8>(target + <usize>i, <i8>i32x4.extract_lane(value, 0));
    }
    for (; i < padded; i++) store<i8>(target + <usize>i, 0);
  }
}

/** x · factor, rounded to the nearest integer, ties to even, and clipped to ±127; NaN becomes 0. */
@inline
function rounded(x: v128, factor: v128): v128 {
  const near = f32x4.nearest(f32x4.mul(x, factor));
  return i32x4.trunc_sat_f32x4_s(f32x4.pmax(f32x4.pmin(near, f32x4.splat(127)), f32x4.splat(-127)));
}

/**
 * Rotates halves: the first `rotary` of the `size` numbers of each of `heads` heads rotate by cos and sin [position,
 * rotary / 2]; the others are copied. x and y may be the same. `positions` is i32, one per row; rows [from, to).
 */
export function rotate(
  x: usize,
  stride: usize,
  y: usize,
  pitch: usize,
  heads: i32,
  size: i32,
  rotary: i32,
  cosines: usize,
  sines: usize,
  positions: usize,
  from: i32,
  to: i32,
): void {
  const half = (<usize>(rotary >> 1)) << 2;
  const whole = half & ~15;
  const bytes = (<usize>size) << 2;
  for (let row = from; row < to; row++) {
    const angle = <usize>load<i32>(positions + ((<usize>row) << 2)) * half;
    const cos = cosines + angle;
    const sin = sines + angle;
    let source = x + <usize>row * stride;
    let target = y + <usize>row * pitch;
    for (let head = 0; head < heads; head++) {
      for (let at: usize = 0; at < whole; at += 16) {
        const a = v128.load(source + at);
        const b = v128.load(source + half + at);
        const c = v128.load(cos + at);
        const s = v128.load(sin + at);
        v128.store(target + at, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
        v128.store(target + half + at, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
      }
      for (let at = whole; at < half; at += 4) {
        const a = load<f32>(source + at);
        const b = load<f32>(source + half + at);
        const c = load<f32>(cos + at);
        const s = load<f32>(sin + at);
        store<f32>(target + at, a * c - b * s);
        store<f32>(target + half + at, b * c + a * s);
      }
      if (source !== target) {
        for (let at = half + half; at < bytes; at += 4) store<f32>(target + at, load<f32>(source + at));
      }
      source += bytes;
      target += bytes;
    }
  }
}

/**
 * tanh x: 1 − 2 / (1 + e²ˣ). Near 0, where that cancels, a polynomial (Cephes, tanhf). Exact to a few units in the last
 * place.
 */
@inline
export function tanh4(x: v128): v128 {
  const e = exp4(f32x4.add(x, x));
  const far = f32x4.sub(f32x4.splat(1), f32x4.div(f32x4.splat(2), f32x4.add(f32x4.splat(1), e)));
  const z = f32x4.mul(x, x);
  let p = f32x4.splat(-5.70498872745e-3);
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(2.06390887954e-2));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-5.37397155531e-2));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(1.33314422036e-1));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-3.33332819422e-1));
  const near = f32x4.add(x, f32x4.mul(f32x4.mul(p, z), x));
  return v128.bitselect(near, far, f32x4.lt(f32x4.abs(x), f32x4.splat(0.625)));
}

/**
 * erf x to 1.5e-7 (Abramowitz and Stegun, 7.1.26): for x ≥ 0, 1 − (a₁t + … + a₅t⁵)·e^(−x²) with t = 1 / (1 +
 * 0.3275911·x).
 */
@inline
function erf4(x: v128): v128 {
  const size = f32x4.abs(x);
  const t = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), f32x4.mul(f32x4.splat(0.3275911), size)));
  let p = f32x4.splat(1.061405429);
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-1.453152027));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(1.421413741));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-0.284496736));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.254829592));
  const rest = f32x4.mul(f32x4.mul(p, t), exp4(f32x4.neg(f32x4.mul(size, size))));
  const value = f32x4.sub(f32x4.splat(1), rest);
  // Restores the sign of x.
  return v128.or(value, v128.and(x, i32x4.splat(<i32>0x80000000)));
}

/** Kinds: 0 is silu, x / (1 + e⁻ˣ); 1 is gelu, x·Φ(x); 2 is gelu's approximation by tanh; 3 is relu. */
@inline
function activated(kind: i32, x: v128): v128 {
  if (kind === 0) return f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))));
  if (kind === 3) return f32x4.max(x, f32x4.splat(0));
  const half = f32x4.mul(x, f32x4.splat(0.5));
  if (kind === 1) return f32x4.mul(half, f32x4.add(f32x4.splat(1), erf4(f32x4.mul(x, f32x4.splat(0.7071067811865476)))));
  const cube = f32x4.mul(f32x4.mul(f32x4.mul(x, x), x), f32x4.splat(0.044715));
  const inner = f32x4.mul(f32x4.add(x, cube), f32x4.splat(0.7978845608028654));
  return f32x4.mul(half, f32x4.add(f32x4.splat(1), tanh4(inner)));
}

@inline
function activateRange(kind: i32, x: usize, up: usize, y: usize, from: i32, to: i32): void {
  let i = from;
  for (; i + 4 <= to; i += 4) {
    const at = (<usize>i) << 2;
    let value = activated(kind, v128.load(x + at));
    if (up) value = f32x4.mul(value, v128.load(up + at));
    v128.store(y + at, value);
  }
  for (; i < to; i++) {
    const at = (<usize>i) << 2;
    let value = f32x4.extract_lane(activated(kind, v128.load32_splat(x + at)), 0);
    if (up) value *= load<f32>(up + at);
    store<f32>(y + at, value);
  }
}

/** y = activation(x), times `up` unless that is 0, numbers [from, to) of each. */
export function activate(kind: i32, x: usize, up: usize, y: usize, from: i32, to: i32): void {
  if (kind === 0) activateRange(0, x, up, y, from, to);
  else if (kind === 1) activateRange(1, x, up, y, from, to);
  else if (kind === 2) activateRange(2, x, up, y, from, to);
  else activateRange(3, x, up, y, from, to);
}

/** y += x, numbers [from, to) of each. */
export function add(y: usize, x: usize, from: i32, to: i32): void {
  let i = from;
  for (; i + 4 <= to; i += 4) {
    const at = (<usize>i) << 2;
    v128.store(y + at, f32x4.add(v128.load(y + at), v128.load(x + at)));
  }
  for (; i < to; i++) {
    const at = (<usize>i) << 2;
    store<f32>(y + at, load<f32>(y + at) + load<f32>(x + at));
  }
}

/** y [rows, count] = the rows of a float32 table that `tokens` (i32) name; rows [from, to). */
export function lookFloat(table: usize, tokens: usize, y: usize, pitch: usize, count: i32, from: i32, to: i32): void {
  const bytes = (<usize>count) << 2;
  for (let row = from; row < to; row++) {
    const token = <usize>load<i32>(tokens + ((<usize>row) << 2));
    memory.copy(y + <usize>row * pitch, table + token * bytes, bytes);
  }
}

/** The same for a float16 table. */
export function lookHalf(table: usize, tokens: usize, y: usize, pitch: usize, count: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const token = <usize>load<i32>(tokens + ((<usize>row) << 2));
    const source = table + ((token * <usize>count) << 1);
    const target = y + <usize>row * pitch;
    for (let i = 0; i < count; i++) {
      const bits = <u32>load<u16>(source + ((<usize>i) << 1));
      const rest = bits & 0x7fff;
      // Exponent 31 (infinities and NaN) must stay all ones in float32.
      const value = rest >= 0x7c00 ? reinterpret<f32>((rest << 13) | 0x7f800000) : reinterpret<f32>(rest << 13) * <f32>5.192296858534828e33;
      store<f32>(target + ((<usize>i) << 2), bits & 0x8000 ? -value : value);
    }
  }
}

/** The same for an int8 table: a dense linear with rows of `width` bytes and one scale per row. */
export function lookInt8(
  table: usize,
  width: i32,
  scales: usize,
  tokens: usize,
  y: usize,
  pitch: usize,
  count: i32,
  from: i32,
  to: i32,
): void {
  for (let row = from; row < to; row++) {
    const token = <usize>load<i32>(tokens + ((<usize>row) << 2));
    const source = table + (token >> 3) * ((<usize>width) << 3) + ((token & 7) << 4);
    const target = y + <usize>row * pitch;
    const scale = load<f32>(scales + (token << 2));
    for (let i = 0; i < count; i++) {
      const at = ((<usize>(i >> 4)) << 7) + <usize>(i & 15);
      store<f32>(target + ((<usize>i) << 2), <f32>load<i8>(source + at) * scale);
    }
  }
}

/** The same for an int4 table: a dense linear of `blocks` blocks of 32 columns. */
export function lookInt4(
  table: usize,
  blocks: i32,
  scales: usize,
  tokens: usize,
  y: usize,
  pitch: usize,
  count: i32,
  from: i32,
  to: i32,
): void {
  const groups = <usize>((blocks + 3) >> 2);
  for (let row = from; row < to; row++) {
    const token = <usize>load<i32>(tokens + ((<usize>row) << 2));
    const source = table + (token >> 3) * ((<usize>blocks) << 7) + ((token & 7) << 4);
    const target = y + <usize>row * pitch;
    const own = scales + (((token >> 3) * groups) << 4) + ((token & 7) << 1);
    for (let i = 0; i < count; i++) {
      const lane = <i32>load<i16>(source + ((<usize>(i >> 5)) << 7) + ((<usize>(i & 7)) << 1));
      const value = <f32>((lane << (28 - 4 * ((i >> 3) & 3))) >> 28);
      const bits = (<i32>load<i16>(own + ((<usize>(i >> 7)) << 4)) << 13) & <i32>0x8fffffff;
      const scale = reinterpret<f32>(bits) * <f32>5.192296858534828e33;
      store<f32>(target + ((<usize>i) << 2), value == 0 ? 0 : value * scale);
    }
  }
}

/**
 * Reads bytes [from, to), multiples of 64, and returns a number made of all of them, to measure how fast memory can be
 * read.
 */
export function read(from: usize, to: usize): i32 {
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  let c = i32x4.splat(0);
  let d = i32x4.splat(0);
  for (; from < to; from += 64) {
    a = v128.xor(a, v128.load(from));
    b = v128.xor(b, v128.load(from, 16));
    c = v128.xor(c, v128.load(from, 32));
    d = v128.xor(d, v128.load(from, 48));
  }
  return i32x4.extract_lane(v128.xor(v128.xor(a, b), v128.xor(c, d)), 0);
}
