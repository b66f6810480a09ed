// AssemblyScript: int8 tiles times many tokens (many.as.ts). Two slots of a row are taken at a time: their activations
// are put side by side, and a pairwise dot product multiplies them by both weights. This takes six instructions for
// sixteen products, besides loads; the kernels that shuffle take eight.
// Diff against many-int4.as.ts; AssemblyScript has no free generics.

import { addressesAt, blockBytes, MANY, moveOn, PITCH, putFours } from './many.as';
import { putTwos, recordsAt, STREAM, sumsOf, TOGETHER, turnSums, weightsAt } from './many.as';
import { finishTokens, highHalves, lowHalves, nibbleMask, scaleRows } from './steps.as';

/** Bytes from one row's weights to the next row's. */
const WIDTH: usize = PITCH / 2;

/** Adds a run of tiles of n slots per row to the sums of `many` tokens. Where `order` is 0, tiles are consecutive. */
export function addManyInt8(n: i32, tiles: usize, run: i32, order: usize, many: i32, perRow: i32, sums: usize): void {
  const block = blockBytes(perRow);
  const most = min(STREAM / n, TOGETHER);
  let tile = 0;
  while (run > 0) {
    const together = min(run, most);
    run -= together;
    let at = addressesAt(sums);
    let w = weightsAt(sums);
    for (let i = 0; i < together; i++) {
      const place = order ? <i32>load<u16>(order) : tile++;
      if (order) order += 2;
      unpack(n, tiles, recordsAt(sums) + ((<usize>place) << 10), at, w, sums);
      tiles += <usize>(12 * n);
      at += (<usize>n) << 2;
      w += (<usize>n) << 1;
    }
    pad(at, w, sums);
    for (let first = 0; first < many; first += MANY) {
      if (first > 0) moveOn(n * together, block, sums);
      addRows(w, sumsOf(sums) + ((<usize>first) << 5), sums);
    }
  }
}

/** Unpacks one tile into the next n slots of each row's stream. */
@inline
function unpack(n: i32, tile: usize, record: usize, at: usize, w: usize, sums: usize): void {
  const nibbles = nibbleMask(sums);
  const base = i32x4.splat(<i32>record);
  for (let left = n >> 2; left > 0; left--) {
    const c = v128.load(tile);
    putFours(at, inOrder(v128.and(c, nibbles)), base);
    putFours(at + 4 * PITCH, inOrder(v128.and(i16x8.shr_u(c, 4), nibbles)), base);
    putFourWeights(w, v128.load8x8_s(tile, 16), v128.load8x8_s(tile, 24));
    putFourWeights(w + 4 * WIDTH, v128.load8x8_s(tile, 32), v128.load8x8_s(tile, 40));
    tile += 48;
    at += 16;
    w += 8;
  }
  if (n & 2) {
    const c = v128.load64_zero(tile);
    putTwos(at, i16x8.extend_low_i8x16_u(v128.and(c, nibbles)), base);
    putTwos(at + 4 * PITCH, i16x8.extend_low_i8x16_u(v128.and(i16x8.shr_u(c, 4), nibbles)), base);
    putTwoWeights(w, v128.load8x8_s(tile, 8));
    putTwoWeights(w + 4 * WIDTH, v128.load8x8_s(tile, 16));
    tile += 24;
    at += 8;
    w += 4;
  }
  if (n & 1) {
    for (let row: usize = 0; row < 8; row++) {
      const column = (load<u8>(tile + (row >> 1)) >> <u8>((row & 1) << 2)) & 15;
      store<u32>(at + row * PITCH, <u32>(record + ((<usize>column) << 6)));
      store<i16>(w + row * WIDTH, <i16>load<i8>(tile + row, 4));
    }
  }
}

/** The slots of a four are stored as 0, 2, 1, 3; their weights as 0, 1 of each row, then 2, 3. */
@inline
function inOrder(columns: v128): v128 {
  return i8x16.shuffle(columns, columns, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
}

@inline
function putFourWeights(to: usize, w0: v128, w1: v128): void {
  const low = i32x4.shuffle(w0, w1, 0, 4, 1, 5);
  const high = i32x4.shuffle(w0, w1, 2, 6, 3, 7);
  v128.store64_lane(to, low, 0);
  v128.store64_lane(to + WIDTH, low, 1);
  v128.store64_lane(to + 2 * WIDTH, high, 0);
  v128.store64_lane(to + 3 * WIDTH, high, 1);
}

@inline
function putTwoWeights(to: usize, w: v128): void {
  v128.store32_lane(to, w, 0);
  v128.store32_lane(to + WIDTH, w, 1);
  v128.store32_lane(to + 2 * WIDTH, w, 2);
  v128.store32_lane(to + 3 * WIDTH, w, 3);
}

/** Appends three slots of zeros, so that rows can be added by four. */
@inline
function pad(at: usize, w: usize, sums: usize): void {
  const base = i32x4.splat(<i32>recordsAt(sums));
  for (let row = 0; row < 8; row++) {
    v128.store(at, base);
    store<u64>(w, 0);
    at += PITCH;
    w += WIDTH;
  }
}

/** Adds all rows' streams, up to `end` in the first row's weights, to a block's sums. */
function addRows(end: usize, to: usize, sums: usize): void {
  let at = addressesAt(sums);
  let w = weightsAt(sums);
  for (let row = 0; row < 8; row++) {
    addRow(at, w, end, to);
    at += PITCH;
    w += WIDTH;
    end += WIDTH;
    to += 4 * MANY;
  }
}

/** Adds one row for all tokens; `end` is where its weights end. */
@inline
function addRow(at: usize, w: usize, end: usize, to: usize): void {
  let s0 = v128.load(to);
  let s1 = v128.load(to, 16);
  let s2 = v128.load(to, 32);
  let s3 = v128.load(to, 48);
  let s4 = v128.load(to, 64);
  let s5 = v128.load(to, 80);
  let s6 = v128.load(to, 96);
  let s7 = v128.load(to, 112);
  for (; w < end; w += 8) {
    let weights = v128.load32_splat(w);
    let p = <usize>load<u32>(at);
    let q = <usize>load<u32>(at, 4);
    let a = v128.load(p);
    let b = v128.load(q);
    s0 = addLow(s0, a, b, weights);
    s1 = addHigh(s1, a, b, weights);
    a = v128.load(p, 16);
    b = v128.load(q, 16);
    s2 = addLow(s2, a, b, weights);
    s3 = addHigh(s3, a, b, weights);
    a = v128.load(p, 32);
    b = v128.load(q, 32);
    s4 = addLow(s4, a, b, weights);
    s5 = addHigh(s5, a, b, weights);
    a = v128.load(p, 48);
    b = v128.load(q, 48);
    s6 = addLow(s6, a, b, weights);
    s7 = addHigh(s7, a, b, weights);
    weights = v128.load32_splat(w, 4);
    p = <usize>load<u32>(at, 8);
    q = <usize>load<u32>(at, 12);
    a = v128.load(p);
    b = v128.load(q);
    s0 = addLow(s0, a, b, weights);
    s1 = addHigh(s1, a, b, weights);
    a = v128.load(p, 16);
    b = v128.load(q, 16);
    s2 = addLow(s2, a, b, weights);
    s3 = addHigh(s3, a, b, weights);
    a = v128.load(p, 32);
    b = v128.load(q, 32);
    s4 = addLow(s4, a, b, weights);
    s5 = addHigh(s5, a, b, weights);
    a = v128.load(p, 48);
    b = v128.load(q, 48);
    s6 = addLow(s6, a, b, weights);
    s7 = addHigh(s7, a, b, weights);
    at += 16;
  }
  v128.store(to, s0);
  v128.store(to, s1, 16);
  v128.store(to, s2, 32);
  v128.store(to, s3, 48);
  v128.store(to, s4, 64);
  v128.store(to, s5, 80);
  v128.store(to, s6, 96);
  v128.store(to, s7, 112);
}

/** Adds the first four of eight tokens, two slots of each. */
@inline
function addLow(sum: v128, a: v128, b: v128, weights: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(lowHalves(a, b), weights));
}

/** Adds the last four. */
@inline
function addHigh(sum: v128, a: v128, b: v128, weights: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(highHalves(a, b), weights));
}

/** Converts the sums of blocks to outputs. */
export function settleManyInt8(
  sums: usize,
  scales: usize,
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
    const count = min(MANY, many - first);
    for (let i = 0; i < count; i++) scaleRows(turned + ((<usize>i) << 5), scales, group);
    finishTokens(turned, bias, rows, xScales, y, pitch, token + first, count, group);
  }
}
