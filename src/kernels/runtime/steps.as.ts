// AssemblyScript: the inner steps that the tile kernels share. layouts/slots.ts describes the order of a tile's slots.
// A shift and a mask split sixteen fetched activations into even and odd bytes, times 256 in 16-bit lanes. That takes
// two instructions, on ports that the shuffles do not need; sign extension takes three. Sums are therefore 256 times
// too large until `settle`.

// A thread's scratch, `sums`, holds the eight sums of up to four vectors and then masks. V8 builds a constant vector
// wherever it is used, even in a loop, with three instructions each; a vector loaded before the loop stays in its
// register.
const NIBBLES: usize = 128;
const ODD: usize = 144;
const TOP: usize = 160;
const RAISE: usize = 176;

/** int8 slots of a row between two settlings: 256 · 512 · 127² is below 2³¹. */
export const SEGMENT: i32 = 512;
/** int4 tiles that share a scale, where tiles are consecutive. */
export const SHARING: i32 = 8;

/** Writes the masks for the functions below; must be called first. */
export function prepare(sums: usize): void {
  v128.store(sums, i8x16.splat(0x0f), NIBBLES);
  v128.store(sums, i16x8.splat(-256), ODD);
  v128.store(sums, i16x8.splat(-4096), TOP);
  if (ASC_FEATURE_RELAXED_SIMD) prepareBytes(sums);
}

/** 0x0f in every byte. */
@inline
export function nibbleMask(sums: usize): v128 {
  return v128.load(sums, NIBBLES);
}

/** 0xff00 in every 16-bit lane. */
@inline
export function oddMask(sums: usize): v128 {
  return v128.load(sums, ODD);
}

/** 0xf000 in every 16-bit lane. */
@inline
export function topMask(sums: usize): v128 {
  return v128.load(sums, TOP);
}

/**
 * Writes what activations are raised by (bytes.as.ts), as tested with the instruction itself: 0x80 in every byte where
 * 127 · 0xff is above zero. The factors are loaded, so that the compiler does not know them.
 */
function prepareBytes(sums: usize): void {
  v128.store(sums, i8x16.splat(127), RAISE);
  v128.store(sums, i8x16.splat(-1));
  const product = i32x4.relaxed_dot_i8x16_i7x16_add_s(v128.load(sums, RAISE), v128.load(sums), i32x4.splat(0));
  v128.store(sums, v128.and(i32x4.gt_s(product, i32x4.splat(0)), i8x16.splat(-128)), RAISE);
}

/**
 * Four times the product of two bytes, computed as the kernels compute products. Loaders use it to check that this
 * build fits the processor.
 */
export function fourProducts(a: i32, b: i32): i32 {
  if (!ASC_FEATURE_RELAXED_SIMD) return 4 * <i32>(<i8>a) * <i32>(<i8>b);
  const sum = i32x4.relaxed_dot_i8x16_i7x16_add_s(i8x16.splat(<i8>a), i8x16.splat(<i8>b), i32x4.splat(0));
  return i32x4.extract_lane(sum, 0);
}

/** What activations are raised by, in every byte. */
@inline
export function raise(sums: usize): v128 {
  return v128.load(sums, RAISE);
}

/** How many of the remaining vectors share a decoded tile. With relaxed SIMD none do, because decoding is cheap there. */
@inline
export function blockOf(left: i32): i32 {
  if (ASC_FEATURE_RELAXED_SIMD) return 1;
  return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/** Adds sixteen activations times weights, in pairs: even bytes with `w0`, odd bytes with `w1`. */
@inline
export function addBoth(sum: v128, a: v128, w0: v128, w1: v128, odd: v128): v128 {
  const even = i32x4.dot_i16x8_s(i16x8.shl(a, 8), w0);
  return i32x4.add(sum, i32x4.add(even, i32x4.dot_i16x8_s(v128.and(a, odd), w1)));
}

/** Adds even bytes times weights. */
@inline
export function addEven(sum: v128, a: v128, w: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.shl(a, 8), w));
}

/** Adds odd bytes times weights. */
@inline
export function addOdd(sum: v128, a: v128, w: v128, odd: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(v128.and(a, odd), w));
}

/** Divides a sum by 256. */
@inline
export function settle(sum: v128): v128 {
  return i32x4.shr_s(sum, 8);
}

/** Interleaves the first halves of a and b, byte by byte: one instruction, where extending the last half takes two. */
@inline
export function mixLow(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

@inline
export function mixHigh(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/** Interleaves the first halves of a and b, in 16-bit lanes. */
@inline
export function lowHalves(a: v128, b: v128): v128 {
  return i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

@inline
export function highHalves(a: v128, b: v128): v128 {
  return i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

/** Expands eight bytes into sixteen nibbles: low ones in even bytes, high ones in odd bytes. */
@inline
export function spread(bytes: v128, nibbles: v128): v128 {
  const low = v128.and(bytes, nibbles);
  const high = v128.and(i16x8.shr_u(bytes, 4), nibbles);
  return mixLow(low, high);
}

/** Adds lanes 0–3 of eight 16-bit products to a sum that is 256 times too large. */
@inline
export function addLow(sum: v128, p: v128): v128 {
  return i32x4.add(sum, i32x4.shr_s(lowHalves(i16x8.splat(0), p), 8));
}

/** Adds lanes 4–7 of eight 16-bit products to a sum that is 256 times too large. */
@inline
export function addHigh(sum: v128, p: v128): v128 {
  return i32x4.add(sum, i32x4.shr_s(highHalves(i16x8.splat(0), p), 8));
}

/** int4 values of the slots in even bytes. */
@inline
export function evenValues(slots: v128): v128 {
  return i16x8.shr_s(i16x8.shl(slots, 8), 12);
}

/** int4 values of the slots in odd bytes. */
@inline
export function oddValues(slots: v128): v128 {
  return i16x8.shr_s(slots, 12);
}

/** int4 values of the slots in the first eight bytes. */
@inline
export function firstValues(slots: v128): v128 {
  return i16x8.shr_s(i8x16.shuffle(slots, slots, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), 12);
}

/**
 * Finite float16 numbers, extended with their signs to 32 bits, as float32: moves the bits into place, leaves one of the
 * four signs, then multiplies by the difference of the exponents' offsets, 2^112.
 */
@inline
function widen(bits: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(bits, 13), i32x4.splat(<i32>0x8fffffff)), f32x4.splat(5.192296858534828e33));
}

/** Four float16 numbers as float32. */
@inline
export function halves(at: usize): v128 {
  return widen(v128.load16x4_s(at));
}

/** One float16 number as float32, in all four lanes. */
@inline
export function splatHalf(at: usize): v128 {
  return widen(i32x4.extend_low_i16x8_s(v128.load16_splat(at)));
}

/** y = sum · scale + bias for the existing rows of one group. `sums` has eight f32 numbers. `bias` is 0 for no bias. */
function finish(sums: usize, scale: f32, bias: usize, y: usize, group: i32, rows: i32): void {
  const first = group * 8;
  const skip = (<usize>first) << 2;
  y += skip;
  if (rows - first >= 8) {
    let low = f32x4.mul(v128.load(sums), f32x4.splat(scale));
    let high = f32x4.mul(v128.load(sums, 16), f32x4.splat(scale));
    if (bias) {
      low = f32x4.add(low, v128.load(bias + skip));
      high = f32x4.add(high, v128.load(bias + skip, 16));
    }
    v128.store(y, low);
    v128.store(y, high, 16);
    return;
  }
  for (let r = 0; r < rows - first; r++) {
    const at = (<usize>r) << 2;
    let value = load<f32>(sums + at) * scale;
    if (bias) value += load<f32>(bias + skip + at);
    store<f32>(y + at, value);
  }
}

/** Converts the sums of `count` tokens, f32 [count, 8], to outputs. */
export function finishTokens(
  sums: usize,
  bias: usize,
  rows: i32,
  xScales: usize,
  y: usize,
  pitch: usize,
  token: i32,
  count: i32,
  group: i32,
): void {
  for (let i = 0; i < count; i++) {
    const scale = load<f32>(xScales + ((<usize>(token + i)) << 2));
    finish(sums + ((<usize>i) << 5), scale, bias, y + <usize>(token + i) * pitch, group, rows);
  }
}

/** Converts eight 32-bit row sums to float32, times the scale of each row. */
@inline
export function scaleRows(sums: usize, scales: usize, group: i32): void {
  scales += (<usize>group) << 5;
  v128.store(sums, f32x4.mul(f32x4.convert_i32x4_s(v128.load(sums)), v128.load(scales)));
  v128.store(sums, f32x4.mul(f32x4.convert_i32x4_s(v128.load(sums, 16)), v128.load(scales, 16)), 16);
}

/** Clears `count` blocks of eight sums. */
@inline
export function clear(sums: usize, count: i32): void {
  for (const end = sums + ((<usize>count) << 5); sums < end; sums += 16) v128.store(sums, i32x4.splat(0));
}

/** Transposes four vectors: their first lanes, second lanes and so on, 32 bytes apart. */
@inline
export function turnFour(a: v128, b: v128, c: v128, d: v128, to: usize): void {
  const ab = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const cd = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const AB = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const CD = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(to, i64x2.shuffle(ab, cd, 0, 2));
  v128.store(to, i64x2.shuffle(ab, cd, 1, 3), 32);
  v128.store(to, i64x2.shuffle(AB, CD, 0, 2), 64);
  v128.store(to, i64x2.shuffle(AB, CD, 1, 3), 96);
}

/** The sums of the four 32-bit lanes of each of four vectors. */
@inline
export function join(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(i32x4.shuffle(a, b, 0, 4, 1, 5), i32x4.shuffle(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(i32x4.shuffle(c, d, 0, 4, 1, 5), i32x4.shuffle(c, d, 2, 6, 3, 7));
  return i32x4.add(i64x2.shuffle(ab, cd, 0, 2), i64x2.shuffle(ab, cd, 1, 3));
}
