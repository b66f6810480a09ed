// AssemblyScript: int4 tiles times many tokens (many.as.ts). Products of int4 and int8 are so small that 32 of them fit
// in 16 bits, so a slot takes one multiplication and one addition for eight tokens. The tiles that share a scale, eight
// consecutive ones or one listed tile, are a *step*: summed in integers, then scaled into float32, in the order of the
// tiles, as in the kernels for few tokens.
// Diff against many-int8.as.ts; AssemblyScript has no free generics.

import { ADDRESSES, addressesAt, blockBytes, MANY, moveOn, PITCH, putFours, putTwos } from './many.as';
import { recordsAt, STREAM, scalesAt, sumsOf, TOGETHER, turnSums, WEIGHTS, weightsAt } from './many.as';
import { evenValues, finishTokens, halves, highHalves, lowHalves, mixHigh, mixLow, nibbleMask } from './steps.as';
import { oddValues, SHARING } from './steps.as';

/** Bytes from a slot's address to its weight. */
const APART: usize = WEIGHTS - ADDRESSES;
/** Slots whose products sum up in 16 bits: 32 · 8 · 127. */
const SMALL: i32 = 32;

/** Adds a run of tiles of n slots per row to the sums of `many` tokens. Where `order` is 0, tiles are consecutive. */
export function addManyInt4(
  n: i32,
  tiles: usize,
  run: i32,
  order: usize,
  scales: usize,
  many: i32,
  perRow: i32,
  sums: usize,
): void {
  const block = blockBytes(perRow);
  const step = order ? n : n * SHARING;
  const most = order ? min(STREAM / n, TOGETHER) : n > 8 ? SHARING : TOGETHER;
  let tile = 0;
  while (run > 0) {
    const together = min(run, most);
    run -= together;
    let at = addressesAt(sums);
    let w = weightsAt(sums);
    let scale = scalesAt(sums);
    for (let i = 0; i < together; i++) {
      const place = order ? <i32>load<u16>(order) : tile++;
      if (order || (place & (SHARING - 1)) === 0) {
        const from = scales + ((<usize>(place >> 3)) << 4);
        v128.store(scale, halves(from));
        v128.store(scale, halves(from + 8), 16);
        scale += 32;
      }
      if (order) order += 2;
      unpack(n, tiles, recordsAt(sums) + ((<usize>place) << 10), at, w, sums);
      tiles += <usize>(8 * n);
      at += (<usize>n) << 2;
      w += (<usize>n) << 2;
    }
    for (let first = 0; first < many; first += MANY) {
      if (first > 0) moveOn(n * together, block, sums);
      addRows(n * together, step, sumsOf(sums) + ((<usize>first) << 5), sums);
    }
  }
}

/** Unpacks one tile into the next n slots of each row's stream. */
@inline
function unpack(n: i32, tile: usize, record: usize, at: usize, w: usize, sums: usize): void {
  const nibbles = nibbleMask(sums);
  const base = i32x4.splat(<i32>record);
  for (let left = n >> 2; left > 0; left--) {
    putFourSlots(at, w, v128.load(tile), nibbles, base);
    putFourSlots(at + 4 * PITCH, w + 4 * PITCH, v128.load(tile, 16), nibbles, base);
    tile += 32;
    at += 16;
    w += 16;
  }
  if (n & 2) {
    const slots = v128.load(tile);
    const columns = v128.and(slots, nibbles);
    putTwos(at, v128.and(columns, i16x8.splat(0xff)), base);
    putTwos(at + 4 * PITCH, i16x8.shr_u(columns, 8), base);
    putTwoWeights(w, evenValues(slots));
    putTwoWeights(w + 4 * PITCH, oddValues(slots));
    tile += 16;
    at += 8;
    w += 8;
  }
  if (n & 1) {
    for (let row: usize = 0; row < 8; row++) {
      const slot = <i32>load<i8>(tile + row);
      const value = slot >> 4;
      store<u32>(at + row * PITCH, <u32>(record + ((<usize>(slot & 15)) << 6)));
      store<i32>(w + row * PITCH, (value << 16) | (value & 0xffff));
    }
  }
}

/** Four slots of each of four rows. */
@inline
function putFourSlots(at: usize, w: usize, slots: v128, nibbles: v128, base: v128): void {
  putFours(at, v128.and(slots, nibbles), base);
  const low = i16x8.shr_s(mixLow(slots, slots), 12);
  const high = i16x8.shr_s(mixHigh(slots, slots), 12);
  v128.store(w, lowHalves(low, low));
  v128.store(w + PITCH, highHalves(low, low));
  v128.store(w + 2 * PITCH, lowHalves(high, high));
  v128.store(w + 3 * PITCH, highHalves(high, high));
}

@inline
function putTwoWeights(to: usize, w: v128): void {
  const low = lowHalves(w, w);
  const high = highHalves(w, w);
  v128.store64_lane(to, low, 0);
  v128.store64_lane(to + PITCH, low, 1);
  v128.store64_lane(to + 2 * PITCH, high, 0);
  v128.store64_lane(to + 3 * PITCH, high, 1);
}

/** Adds all rows' streams of `slots` slots, in steps of `step`, to the sums of a block. */
function addRows(slots: i32, step: i32, to: usize, sums: usize): void {
  for (let row: usize = 0; row < 8; row++) {
    let at = addressesAt(sums) + row * PITCH;
    let scale = scalesAt(sums) + (row << 2);
    for (let left = slots; left > 0; left -= step) {
      const count = min(left, step);
      if (count <= SMALL) addShort(at, count, v128.load32_splat(scale), to);
      else addLong(at, count, v128.load32_splat(scale), to);
      at += (<usize>count) << 2;
      scale += 32;
    }
    to += 4 * MANY;
  }
}

/** Adds one row's step of up to 32 slots. By way of `addLong`, 4:16 takes a twentieth longer, sorted tiles an eighth. */
@inline
function addShort(at: usize, count: i32, scale: v128, to: usize): void {
  let s0 = i16x8.splat(0);
  let s1 = i16x8.splat(0);
  let s2 = i16x8.splat(0);
  let s3 = i16x8.splat(0);
  const end = at + ((<usize>count) << 2);
  for (; at + 4 < end; at += 8) {
    let weight = v128.load32_splat(at, APART);
    let x = <usize>load<u32>(at);
    s0 = i16x8.add(s0, i16x8.mul(v128.load(x), weight));
    s1 = i16x8.add(s1, i16x8.mul(v128.load(x, 16), weight));
    s2 = i16x8.add(s2, i16x8.mul(v128.load(x, 32), weight));
    s3 = i16x8.add(s3, i16x8.mul(v128.load(x, 48), weight));
    weight = v128.load32_splat(at, APART + 4);
    x = <usize>load<u32>(at, 4);
    s0 = i16x8.add(s0, i16x8.mul(v128.load(x), weight));
    s1 = i16x8.add(s1, i16x8.mul(v128.load(x, 16), weight));
    s2 = i16x8.add(s2, i16x8.mul(v128.load(x, 32), weight));
    s3 = i16x8.add(s3, i16x8.mul(v128.load(x, 48), weight));
  }
  if (at < end) {
    const weight = v128.load32_splat(at, APART);
    const x = <usize>load<u32>(at);
    s0 = i16x8.add(s0, i16x8.mul(v128.load(x), weight));
    s1 = i16x8.add(s1, i16x8.mul(v128.load(x, 16), weight));
    s2 = i16x8.add(s2, i16x8.mul(v128.load(x, 32), weight));
    s3 = i16x8.add(s3, i16x8.mul(v128.load(x, 48), weight));
    at += 4;
  }
  addScaled(to, i32x4.extend_low_i16x8_s(s0), scale);
  addScaled(to + 16, i32x4.extend_high_i16x8_s(s0), scale);
  addScaled(to + 32, i32x4.extend_low_i16x8_s(s1), scale);
  addScaled(to + 48, i32x4.extend_high_i16x8_s(s1), scale);
  addScaled(to + 64, i32x4.extend_low_i16x8_s(s2), scale);
  addScaled(to + 80, i32x4.extend_high_i16x8_s(s2), scale);
  addScaled(to + 96, i32x4.extend_low_i16x8_s(s3), scale);
  addScaled(to + 112, i32x4.extend_high_i16x8_s(s3), scale);
}

/** Adds one row's step of more slots: sums of 32 slots each are widened. */
@inline
function addLong(at: usize, count: i32, scale: v128, to: usize): void {
  let t0 = i32x4.splat(0);
  let t1 = i32x4.splat(0);
  let t2 = i32x4.splat(0);
  let t3 = i32x4.splat(0);
  let t4 = i32x4.splat(0);
  let t5 = i32x4.splat(0);
  let t6 = i32x4.splat(0);
  let t7 = i32x4.splat(0);
  for (const end = at + ((<usize>count) << 2); at < end; ) {
    let s0 = i16x8.splat(0);
    let s1 = i16x8.splat(0);
    let s2 = i16x8.splat(0);
    let s3 = i16x8.splat(0);
    const part = min<usize>(end, at + 4 * SMALL);
    for (; at + 4 < part; at += 8) {
      let weight = v128.load32_splat(at, APART);
      let x = <usize>load<u32>(at);
      s0 = i16x8.add(s0, i16x8.mul(v128.load(x), weight));
      s1 = i16x8.add(s1, i16x8.mul(v128.load(x, 16), weight));
      s2 = i16x8.add(s2, i16x8.mul(v128.load(x, 32), weight));
      s3 = i16x8.add(s3, i16x8.mul(v128.load(x, 48), weight));
      weight = v128.load32_splat(at, APART + 4);
      x = <usize>load<u32>(at, 4);
      s0 = i16x8.add(s0, i16x8.mul(v128.load(x), weight));
      s1 = i16x8.add(s1, i16x8.mul(v128.load(x, 16), weight));
      s2 = i16x8.add(s2, i16x8.mul(v128.load(x, 32), weight));
      s3 = i16x8.add(s3, i16x8.mul(v128.load(x, 48), weight));
    }
    if (at < part) {
      const weight = v128.load32_splat(at, APART);
      const x = <usize>load<u32>(at);
      s0 = i16x8.add(s0, i16x8.mul(v128.load(x), weight));
      s1 = i16x8.add(s1, i16x8.mul(v128.load(x, 16), weight));
      s2 = i16x8.add(s2, i16x8.mul(v128.load(x, 32), weight));
      s3 = i16x8.add(s3, i16x8.mul(v128.load(x, 48), weight));
      at += 4;
    }
    t0 = i32x4.add(t0, i32x4.extend_low_i16x8_s(s0));
    t1 = i32x4.add(t1, i32x4.extend_high_i16x8_s(s0));
    t2 = i32x4.add(t2, i32x4.extend_low_i16x8_s(s1));
    t3 = i32x4.add(t3, i32x4.extend_high_i16x8_s(s1));
    t4 = i32x4.add(t4, i32x4.extend_low_i16x8_s(s2));
    t5 = i32x4.add(t5, i32x4.extend_high_i16x8_s(s2));
    t6 = i32x4.add(t6, i32x4.extend_low_i16x8_s(s3));
    t7 = i32x4.add(t7, i32x4.extend_high_i16x8_s(s3));
  }
  addScaled(to, t0, scale);
  addScaled(to + 16, t1, scale);
  addScaled(to + 32, t2, scale);
  addScaled(to + 48, t3, scale);
  addScaled(to + 64, t4, scale);
  addScaled(to + 80, t5, scale);
  addScaled(to + 96, t6, scale);
  addScaled(to + 112, t7, scale);
}

/** Adds integer sums to float32 sums, scaled. */
@inline
function addScaled(to: usize, sum: v128, scale: v128): void {
  v128.store(to, f32x4.add(v128.load(to), f32x4.mul(f32x4.convert_i32x4_s(sum), scale)));
}

/** Converts the sums of blocks to outputs. */
export function settleManyInt4(
  sums: usize,
  bias: usize,
  rows: i32,
  xScales: usize,
  y: usize,
  pitch: usize,
  token: i32,
  many: i32,
  group: i32,
): void {
  for (let first = 0; first < many; first += MANY) {
    const turned = turnSums(sums, first / MANY);
    finishTokens(turned, bias, rows, xScales, y, pitch, token + first, min(MANY, many - first), group);
  }
}
