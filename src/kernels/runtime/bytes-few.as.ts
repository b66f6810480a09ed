// AssemblyScript: dense int3 and int2 rows (dense-few.as.ts) by dot products of bytes (bytes.as.ts). For one token, the
// fields are multiplied as they are, 4 or 2 above the values; that excess, a multiple of the activations' sums, is the
// same for all rows. A vector has four columns of four rows, so its four sums are those of the rows, and four
// activations are loaded into all lanes. A field stays at its bits: products are then a power of two too large, until
// the 128 columns that share a scale end. All factors have seven bits, so no processor sees a sign. For several tokens,
// rows of 128 columns are unpacked for all of them into eight blocks of sixteen columns, as those of int4 are
// (bytes-dense.as.ts), in the order of the columns.

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

/** Adds the bits of `mask`, after a shift by a constant, times the activations of a step. */
@inline
function field(sum: v128, w: v128, shift: i32, mask: v128, act: v128): v128 {
  return add(sum, v128.and(shift ? i16x8.shr_u(w, shift) : w, mask), act);
}

/**
 * Multiplies eight rows of `groups` times 128 columns by one token; sums are float32. The loops are written for V8's
 * registers: at most eight sums, and each waits for one product in a turn (docs/lab/kernels.md).
 */
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
  const first = v128.and(nibbles, i8x16.splat(bits === 2 ? 3 : 7));
  const second = bits === 2 ? i16x8.shl(first, 2) : i16x8.shl(first, 3);
  const third = i16x8.shl(v128.and(first, i8x16.splat(3)), 4);
  // In int3, the low and the high bits of steps 6 and 7, moved to bits 4 to 6.
  const one = i16x8.shl(v128.and(first, i8x16.splat(1)), 6);
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
    if (bits === 2) {
      for (const end = x + 128; x < end; x += 16) {
        const v = v128.load(row);
        const w = v128.load(row, 16);
        let act = v128.load32_splat(x);
        a = field(a, v, 0, first, act);
        e = field(e, w, 0, first, act);
        act = v128.load32_splat(x, 4);
        b = field(b, v, 0, second, act);
        f = field(f, w, 0, second, act);
        act = v128.load32_splat(x, 8);
        c = field(c, v, 0, third, act);
        g = field(g, w, 0, third, act);
        act = v128.load32_splat(x, 12);
        d = field(d, v, 2, third, act);
        h = field(h, w, 2, third, act);
        row += 32;
      }
      a = i32x4.add(i32x4.add(a, i32x4.shr_s(b, 2)), i32x4.shr_s(i32x4.add(c, d), 4));
      e = i32x4.add(i32x4.add(e, i32x4.shr_s(f, 2)), i32x4.shr_s(i32x4.add(g, h), 4));
    } else {
      // Steps 0 to 5, a vector at a time, then steps 6 and 7.
      const end = x + 128;
      for (const last = row + 96; row < last; row += 32) {
        let from = row;
        for (let at = x; at < end; at += 64) {
          let v = v128.load(from);
          let w = v128.load(from, 16);
          let act = v128.load32_splat(at);
          a = field(a, v, 0, first, act);
          e = field(e, w, 0, first, act);
          act = v128.load32_splat(at, 4);
          b = field(b, v, 0, second, act);
          f = field(f, w, 0, second, act);
          v = v128.load(from, 96);
          w = v128.load(from, 112);
          act = v128.load32_splat(at, 32);
          c = field(c, v, 0, first, act);
          g = field(g, w, 0, first, act);
          act = v128.load32_splat(at, 36);
          d = field(d, v, 0, second, act);
          h = field(h, w, 0, second, act);
          from += 192;
        }
        x += 8;
      }
      row -= 96;
      a = i32x4.add(i32x4.add(a, c), i32x4.shr_s(i32x4.add(b, d), 3));
      e = i32x4.add(i32x4.add(e, g), i32x4.shr_s(i32x4.add(f, h), 3));
      b = i32x4.splat(0);
      c = b;
      f = b;
      g = b;
      for (; x < end + 24; x += 32) {
        const v = v128.load(row, 64);
        const w = v128.load(row, 80);
        let act = v128.load32_splat(x);
        b = add(b, v128.or(v128.and(i16x8.shr_u(v128.load(row), 2), third), v128.and(v, one)), act);
        f = add(f, v128.or(v128.and(i16x8.shr_u(v128.load(row, 16), 2), third), v128.and(w, one)), act);
        act = v128.load32_splat(x, 4);
        c = add(c, v128.or(v128.and(i16x8.shr_u(v128.load(row, 32), 2), third), v128.and(i16x8.shr_u(v, 1), one)), act);
        g = add(g, v128.or(v128.and(i16x8.shr_u(v128.load(row, 48), 2), third), v128.and(i16x8.shr_u(w, 1), one)), act);
        row += 96;
      }
      x -= 24;
      a = i32x4.add(a, i32x4.shr_s(i32x4.add(b, c), 4));
      e = i32x4.add(e, i32x4.shr_s(i32x4.add(f, g), 4));
    }
    low = plus(low, a, scales);
    high = plus(high, e, scales + 8);
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
