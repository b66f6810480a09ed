// AssemblyScript: dense int3 and int2 rows (dense-few.as.ts) by dot products of bytes (bytes.as.ts). For one token, the
// fields are multiplied as they are, 4 or 2 above the values; that excess, a multiple of the activations' sums, is the
// same for all rows. A vector has four columns of four rows, so its four sums are those of the rows, and four
// activations are loaded into all lanes. For several tokens, rows of 128 columns are unpacked for all of them into eight
// blocks of sixteen columns, as those of int4 are (bytes-dense.as.ts), in the order of the columns.

import { aheadOf, begin } from './ahead.as';
import { add, clearBytes, quadsAt, stepsAt, sumsAt, takeBytes, turnBytes } from './bytes.as';
import { addBlocks } from './bytes-dense.as';
import { fieldsOf, firstRows, rowOfTwo } from './fields.as';
import { finishTokens, halves, join, nibbleMask } from './steps.as';

/** Up to so many tokens are faster one by one. */
const FEW: i32 = 3;
/** Bytes of eight rows of 128 columns, for each bit. */
const PLANE: usize = 128;
/** Bytes of sixteen unpacked columns of eight rows. */
const BLOCK: usize = 128;
/** The offset of a step's scales after its excess. */
const SCALES: usize = 128;

/** Writes the excess of each 128 columns, four times: minus 4 or 2 times the activations' sum. */
@inline
export function prepareExcess(bits: i32, x: usize, groups: i32, to: usize): void {
  const by = bits === 2 ? i8x16.splat(2) : i8x16.splat(4);
  for (; groups > 0; groups--) {
    let sum = i32x4.splat(0);
    for (const end = x + 128; x < end; x += 16) sum = add(sum, by, v128.load(x));
    v128.store(to, i32x4.neg(join(sum, sum, sum, sum)));
    to += 16;
  }
}

/** Adds integer sums, scaled. */
@inline
function plus(sum: v128, more: v128, scales: usize): v128 {
  return f32x4.add(sum, f32x4.mul(f32x4.convert_i32x4_s(more), halves(scales)));
}

/** Multiplies eight rows of `groups` times 128 columns by one token; sums are float32. */
@inline
export function oneDenseFew(
  bits: i32,
  row: usize,
  groups: i32,
  scales: usize,
  x: usize,
  excess: usize,
  sums: usize,
): void {
  const nibbles = nibbleMask(sums);
  const two = v128.and(nibbles, i8x16.splat(3));
  const three = v128.and(nibbles, i8x16.splat(7));
  const four = v128.and(nibbles, i8x16.splat(4));
  const bytes: usize = bits === 2 ? 64 : 96;
  let low = v128.load(sums);
  let high = v128.load(sums, 16);
  for (; groups > 0; groups--) {
    let a = v128.load(excess);
    let e = a;
    let b = i32x4.splat(0);
    let c = b;
    let d = b;
    let f = b;
    let g = b;
    let h = b;
    for (const end = x + 128; x < end; x += 32) {
      const v0 = v128.load(row);
      const w0 = v128.load(row, 16);
      const v1 = v128.load(row, 32);
      const w1 = v128.load(row, 48);
      const v2 = bits === 3 ? v128.load(row, 64) : v1;
      const w2 = bits === 3 ? v128.load(row, 80) : w1;
      let act = v128.load32_splat(x);
      a = add(a, fieldsOf(bits, 0, v0, v1, v2, two, three, four), act);
      e = add(e, fieldsOf(bits, 0, w0, w1, w2, two, three, four), act);
      act = v128.load32_splat(x, 4);
      b = add(b, fieldsOf(bits, 1, v0, v1, v2, two, three, four), act);
      f = add(f, fieldsOf(bits, 1, w0, w1, w2, two, three, four), act);
      act = v128.load32_splat(x, 8);
      c = add(c, fieldsOf(bits, 2, v0, v1, v2, two, three, four), act);
      g = add(g, fieldsOf(bits, 2, w0, w1, w2, two, three, four), act);
      act = v128.load32_splat(x, 12);
      d = add(d, fieldsOf(bits, 3, v0, v1, v2, two, three, four), act);
      h = add(h, fieldsOf(bits, 3, w0, w1, w2, two, three, four), act);
      act = v128.load32_splat(x, 16);
      a = add(a, fieldsOf(bits, 4, v0, v1, v2, two, three, four), act);
      e = add(e, fieldsOf(bits, 4, w0, w1, w2, two, three, four), act);
      act = v128.load32_splat(x, 20);
      b = add(b, fieldsOf(bits, 5, v0, v1, v2, two, three, four), act);
      f = add(f, fieldsOf(bits, 5, w0, w1, w2, two, three, four), act);
      act = v128.load32_splat(x, 24);
      c = add(c, fieldsOf(bits, 6, v0, v1, v2, two, three, four), act);
      g = add(g, fieldsOf(bits, 6, w0, w1, w2, two, three, four), act);
      act = v128.load32_splat(x, 28);
      d = add(d, fieldsOf(bits, 7, v0, v1, v2, two, three, four), act);
      h = add(h, fieldsOf(bits, 7, w0, w1, w2, two, three, four), act);
      row += bytes;
    }
    low = plus(low, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)), scales);
    high = plus(high, i32x4.add(i32x4.add(e, f), i32x4.add(g, h)), scales + 8);
    excess += 16;
    scales += 16;
  }
  v128.store(sums, low);
  v128.store(sums, high, 16);
}

/** Row groups [from, to) of rows of `groups` times 128 columns, for as many tokens as go this way. Returns their number. */
@inline
export function bytesDenseFew(
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
): i32 {
  const sixteens = groups << 3;
  const bytes = <usize>bits * PLANE;
  const groupBytes = <usize>groups * bytes;
  let done = 0;
  for (let take = takeBytes(tokens, FEW); take > 0; take = takeBytes(tokens - done, FEW)) {
    turnBytes(x + <usize>done * stride, stride, take, sixteens, sums);
    begin(values + <usize>from * groupBytes, <usize>(to - from) * groupBytes);
    for (let group = from; group < to; group++) {
      let row = values + <usize>group * groupBytes;
      let scale = scales + ((<usize>(group * groups)) << 4);
      aheadOf(row, groupBytes);
      clearBytes(take, sums);
      for (let block = 0; block < sixteens; block += 8) {
        unpackBytes(bits, row, quadsAt(sums), sums);
        v128.store(stepsAt(sums) + SCALES, halves(scale));
        v128.store(stepsAt(sums) + SCALES, halves(scale + 8), 16);
        addBlocks(true, quadsAt(sums), 8, block, take, sixteens, sums);
        row += bytes;
        scale += 16;
      }
      finishTokens(sumsAt(sums), bias, rows, xScales, y, pitch, done, take, group);
    }
    done += take;
  }
  return done;
}

/** Unpacks eight rows of 128 columns into eight blocks of sixteen. */
@inline
function unpackBytes(bits: i32, row: usize, to: usize, sums: usize): void {
  const nibbles = nibbleMask(sums);
  const two = v128.and(nibbles, i8x16.splat(3));
  const three = v128.and(nibbles, i8x16.splat(7));
  const four = v128.and(nibbles, i8x16.splat(4));
  const by = bits === 2 ? v128.and(nibbles, i8x16.splat(2)) : four;
  const bytes: usize = bits === 2 ? 64 : 96;
  for (const end = to + 8 * BLOCK; to < end; to += 2 * BLOCK) {
    for (let half: usize = 0; half < 2; half++) {
      const at = row + (half << 4);
      const own = to + (half << 6);
      const w0 = v128.load(at);
      const w1 = v128.load(at, 32);
      const w2 = bits === 3 ? v128.load(at, 64) : w1;
      putRows(
        own,
        i8x16.sub(fieldsOf(bits, 0, w0, w1, w2, two, three, four), by),
        i8x16.sub(fieldsOf(bits, 1, w0, w1, w2, two, three, four), by),
        i8x16.sub(fieldsOf(bits, 2, w0, w1, w2, two, three, four), by),
        i8x16.sub(fieldsOf(bits, 3, w0, w1, w2, two, three, four), by),
      );
      putRows(
        own + BLOCK,
        i8x16.sub(fieldsOf(bits, 4, w0, w1, w2, two, three, four), by),
        i8x16.sub(fieldsOf(bits, 5, w0, w1, w2, two, three, four), by),
        i8x16.sub(fieldsOf(bits, 6, w0, w1, w2, two, three, four), by),
        i8x16.sub(fieldsOf(bits, 7, w0, w1, w2, two, three, four), by),
      );
    }
    row += bytes;
  }
}

/** Four rows of sixteen columns, from four steps. */
@inline
function putRows(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const low0 = firstRows(a, b, false);
  const low1 = firstRows(c, d, false);
  const high0 = firstRows(a, b, true);
  const high1 = firstRows(c, d, true);
  v128.store(to, rowOfTwo(low0, low1, false));
  v128.store(to, rowOfTwo(low0, low1, true), 16);
  v128.store(to, rowOfTwo(high0, high1, false), 32);
  v128.store(to, rowOfTwo(high0, high1, true), 48);
}
