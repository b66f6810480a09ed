// AssemblyScript: dense int8 and int4 rows by dot products of bytes (bytes.as.ts). For one vector and eight rows, the
// weights are raised, because the excess, a multiple of the activations' sum, is then the same for all rows. For
// several tokens, the scratch, records and excess are those of tiles, with four sums per row: two rows at a time share
// the activations of four tokens, which share the rows' weights. int8 is read in place. int4 rows of 128 columns are
// unpacked for all tokens at once into blocks of sixteen columns, two for each 32: 0, 16, 1, 17, … 7, 23 and 8, 24, …
// 15, 31 (layouts/dense.ts says why); records have the same order.

import { ahead, aheadOf, begin, STEP } from './ahead.as';
import { add, clearBytes, quadsAt, recordBytes, recordsAt, stepsAt, sumsAt, takeBytes, turnBytes } from './bytes.as';
import { finishTokens, halves, join, mixHigh, mixLow, nibbleMask, raise, scaleRows } from './steps.as';

/** Up to so many tokens are faster one by one: for int8, and for int4. */
const FEW_INT8: i32 = 7;
const FEW_INT4: i32 = 3;
/** Bytes of sixteen columns of eight rows. */
const BLOCK: usize = 128;
/** Unpacked int4 blocks that share a scale. */
const SHARING: i32 = 8;
/** The offset of a step's scales after its excess. */
const SCALES: usize = 128;

/** Multiplies eight int8 rows of `blocks` blocks of sixteen columns by one vector. */
export function oneDenseInt8(row: usize, blocks: i32, x: usize, sums: usize): void {
  const by = raise(sums);
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  let c = i32x4.splat(0);
  let d = i32x4.splat(0);
  let e = i32x4.splat(0);
  let f = i32x4.splat(0);
  let g = i32x4.splat(0);
  let h = i32x4.splat(0);
  let excess = i32x4.splat(0);
  for (const end = x + ((<usize>blocks) << 4); x < end; ) {
    ahead(row);
    for (const next = row + STEP; row < next && x < end; x += 16) {
      const act = v128.load(x);
      a = add(a, v128.xor(v128.load(row), by), act);
      b = add(b, v128.xor(v128.load(row, 16), by), act);
      c = add(c, v128.xor(v128.load(row, 32), by), act);
      d = add(d, v128.xor(v128.load(row, 48), by), act);
      e = add(e, v128.xor(v128.load(row, 64), by), act);
      f = add(f, v128.xor(v128.load(row, 80), by), act);
      g = add(g, v128.xor(v128.load(row, 96), by), act);
      h = add(h, v128.xor(v128.load(row, 112), by), act);
      excess = add(excess, by, act);
      row += BLOCK;
    }
  }
  const all = join(excess, excess, excess, excess);
  v128.store(sums, i32x4.sub(join(a, b, c, d), all));
  v128.store(sums, i32x4.sub(join(e, f, g, h), all), 16);
}

/** Multiplies eight int4 rows of `blocks` blocks of 32 columns by one vector; sums are float32. */
export function oneDenseInt4(row: usize, blocks: i32, scales: usize, x: usize, sums: usize): void {
  const nibbles = nibbleMask(sums);
  while (blocks > 0) {
    const steps = min(blocks, SHARING >> 1);
    blocks -= steps;
    const bytes = <usize>steps * BLOCK;
    aheadOf(row, bytes);
    const end = x + ((<usize>steps) << 5);
    addFourRows(row, x, end, nibbles, sums, scales);
    addFourRows(row + 64, x, end, nibbles, sums + 16, scales + 8);
    x = end;
    row += bytes;
    scales += 16;
  }
}

/** Adds the sums of four rows between two scales. Values are raised by eight, on all processors. */
@inline
function addFourRows(row: usize, x: usize, end: usize, nibbles: v128, to: usize, scales: usize): void {
  const by = v128.and(nibbles, i8x16.splat(8));
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  let c = i32x4.splat(0);
  let d = i32x4.splat(0);
  let excess = i32x4.splat(0);
  for (; x < end; x += 32) {
    const first = v128.load(x);
    const second = v128.load(x, 16);
    const x0 = mixLow(first, second);
    const x1 = mixHigh(first, second);
    a = addBoth(a, v128.load(row), nibbles, by, x0, x1);
    b = addBoth(b, v128.load(row, 16), nibbles, by, x0, x1);
    c = addBoth(c, v128.load(row, 32), nibbles, by, x0, x1);
    d = addBoth(d, v128.load(row, 48), nibbles, by, x0, x1);
    excess = add(add(excess, by, x0), by, x1);
    row += BLOCK;
  }
  const sum = join(i32x4.sub(a, excess), i32x4.sub(b, excess), i32x4.sub(c, excess), i32x4.sub(d, excess));
  v128.store(to, f32x4.add(v128.load(to), f32x4.mul(f32x4.convert_i32x4_s(sum), halves(scales))));
}

/** Adds the products of 32 columns of a row. */
@inline
function addBoth(sum: v128, w: v128, nibbles: v128, by: v128, x0: v128, x1: v128): v128 {
  const low = v128.xor(v128.and(w, nibbles), by);
  const high = v128.xor(v128.and(i16x8.shr_u(w, 4), nibbles), by);
  return add(add(sum, low, x0), high, x1);
}

/** Row groups [from, to) of int8 rows of `width` bytes, for as many tokens as go this way. Returns their number. */
export function bytesDenseInt8(
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
): i32 {
  const blocks = width >> 4;
  const groupBytes = (<usize>width) << 3;
  let done = 0;
  for (let take = takeBytes(tokens, FEW_INT8); take > 0; take = takeBytes(tokens - done, FEW_INT8)) {
    turnBytes(x + <usize>done * stride, stride, take, blocks, sums);
    begin(values + <usize>from * groupBytes, <usize>(to - from) * groupBytes);
    for (let group = from; group < to; group++) {
      const row = values + <usize>group * groupBytes;
      aheadOf(row, groupBytes);
      clearBytes(take, sums);
      addBlocks(false, row, blocks, 0, take, blocks, sums);
      const at = sumsAt(sums);
      for (let i = 0; i < take; i++) scaleRows(at + ((<usize>i) << 5), scales, group);
      finishTokens(at, bias, rows, xScales, y, pitch, done, take, group);
    }
    done += take;
  }
  return done;
}

/** The same for int4 rows of `blocks` blocks of 32 columns. */
export function bytesDenseInt4(
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
): i32 {
  const sixteens = blocks << 1;
  const groupBytes = <usize>blocks * BLOCK;
  const scaleBytes = (<usize>((sixteens + SHARING - 1) / SHARING)) << 4;
  let done = 0;
  for (let take = takeBytes(tokens, FEW_INT4); take > 0; take = takeBytes(tokens - done, FEW_INT4)) {
    turnBytes(x + <usize>done * stride, stride, take, sixteens, sums);
    turnRecords(take, blocks, sums);
    begin(values + <usize>from * groupBytes, <usize>(to - from) * groupBytes);
    for (let group = from; group < to; group++) {
      let row = values + <usize>group * groupBytes;
      let scale = scales + <usize>group * scaleBytes;
      aheadOf(row, groupBytes);
      clearBytes(take, sums);
      for (let block = 0; block < sixteens; block += SHARING) {
        const some = min(sixteens - block, SHARING);
        for (let i = 0; i < some; i += 2) {
          unpackInt4(row, quadsAt(sums) + <usize>i * BLOCK, nibbleMask(sums));
          row += BLOCK;
        }
        v128.store(stepsAt(sums) + SCALES, halves(scale));
        v128.store(stepsAt(sums) + SCALES, halves(scale + 8), 16);
        scale += 16;
        addBlocks(true, quadsAt(sums), some, block, take, sixteens, sums);
      }
      finishTokens(sumsAt(sums), bias, rows, xScales, y, pitch, done, take, group);
    }
    done += take;
  }
  return done;
}

/** Unpacks eight rows of 32 columns. */
@inline
function unpackInt4(row: usize, unpacked: usize, nibbles: v128): void {
  const eights = v128.and(nibbles, i8x16.splat(8));
  for (const end = row + BLOCK; row < end; row += 16) {
    const w = v128.load(row);
    v128.store(unpacked, i8x16.sub(v128.xor(v128.and(w, nibbles), eights), eights));
    v128.store(unpacked, i8x16.sub(v128.xor(v128.and(i16x8.shr_u(w, 4), nibbles), eights), eights), BLOCK);
    unpacked += 16;
  }
}

/** Reorders records to the order of unpacked int4 rows. */
function turnRecords(count: i32, blocks: i32, sums: usize): void {
  let at = recordsAt(sums);
  for (let left = ((count + 7) >> 3) * blocks; left > 0; left--) {
    for (const end = at + 128; at < end; at += 16) {
      const a = v128.load(at);
      const b = v128.load(at, 128);
      v128.store(at, mixLow(a, b));
      v128.store(at, mixHigh(a, b), 128);
    }
    at += 128;
  }
}

/**
 * Adds eight rows of `some` blocks, from `first` on in rows of `blocks`, to the sums of `count` tokens: as integers,
 * or, with scales, as float32.
 */
@inline
export function addBlocks(scaled: bool, row: usize, some: i32, first: i32, count: i32, blocks: i32, sums: usize): void {
  const step = stepsAt(sums);
  const by = raise(sums);
  const rowBytes = <usize>some * BLOCK;
  for (let r: usize = 0; r < 128; r += 16) {
    let excess = i32x4.splat(0);
    for (let at = row + r; at < row + rowBytes; at += BLOCK) excess = add(excess, by, v128.load(at));
    v128.store(step + r, excess);
  }
  const bytes = recordBytes(blocks);
  for (let token = 0; token < count; token += 4) {
    const record = recordsAt(sums) + <usize>(token >> 3) * bytes + recordBytes(first) + ((<usize>(token & 4)) << 4);
    const to = sumsAt(sums) + ((<usize>token) << 5);
    for (let r: usize = 0; r < 8; r += 2) {
      const end = record + recordBytes(some);
      addPair(scaled, row + (r << 4), record, end, step + (r << 4), step + SCALES + (r << 2), to + (r << 2));
    }
  }
}

/** Multiplies two rows by four tokens, whose records end at `end`. */
@inline
function addPair(scaled: bool, row: usize, record: usize, end: usize, excess: usize, scales: usize, to: usize): void {
  let s0 = i32x4.neg(v128.load(excess));
  let s1 = i32x4.neg(v128.load(excess, 16));
  let t0 = s0;
  let t1 = s1;
  let u0 = s0;
  let u1 = s1;
  let v0 = s0;
  let v1 = s1;
  for (; record < end; record += 128) {
    const w0 = v128.load(row);
    const w1 = v128.load(row, 16);
    let x = v128.load(record);
    s0 = add(s0, x, w0);
    s1 = add(s1, x, w1);
    x = v128.load(record, 16);
    t0 = add(t0, x, w0);
    t1 = add(t1, x, w1);
    x = v128.load(record, 32);
    u0 = add(u0, x, w0);
    u1 = add(u1, x, w1);
    x = v128.load(record, 48);
    v0 = add(v0, x, w0);
    v1 = add(v1, x, w1);
    row += BLOCK;
  }
  const scale = scaled ? v128.load64_splat(scales) : s0;
  putPair(to, join(s0, s1, t0, t1), scaled, scale);
  putPair(to + 64, join(u0, u1, v0, v1), scaled, scale);
}

/** Adds the sums of two rows for one token and the next. */
@inline
function putPair(to: usize, sum: v128, scaled: bool, scale: v128): void {
  const old = v128.load64_lane(to + 32, v128.load64_zero(to), 1);
  const all = scaled ? f32x4.add(old, f32x4.mul(f32x4.convert_i32x4_s(sum), scale)) : i32x4.add(old, sum);
  v128.store64_lane(to, all, 0);
  v128.store64_lane(to, all, 1, 32);
}
