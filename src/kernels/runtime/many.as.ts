// AssemblyScript: tiles times many tokens, what int8 and int4 share, where there are no dot products of bytes (bytes.as.ts).
// Activations become records (for each column 32 tokens as int16), tiles become streams (for each row addresses of records
// and weights), and rows are added up with 32 sums in registers. The reasons: docs/lab/kernels.md.

import { highHalves, lowHalves, mixHigh, mixLow, turnFour } from './steps.as';

/** Tokens of a block. */
export const MANY: i32 = 32;
/**
 * From so many remaining tokens on, they make a block, as if there were 32; fewer are faster by four
 * (bench/layouts.ts).
 */
const FEWEST: i32 = 24;
/**
 * Limits of the blocks that share unpacked tiles: their number, and the bytes of their records, which should stay in a
 * cache.
 */
const BLOCKS: i32 = 4;
const NEAR: i32 = 262144;
/** Slots of a row in a stream. Four zeros follow, so that a loop may take several slots at once. */
export const STREAM: i32 = 128;
/** Tiles whose streams are made at once, so that their records stay near. */
export const TOGETHER: i32 = 16;
/** Bytes from one row's addresses to the next row's. */
export const PITCH: usize = 528;

// Scratch memory of a thread, in bytes from `sums` (runtime-kernels.ts says how many there are):
//   SUMS       32 bits [blocks of 32 tokens, 8 rows, 32]
//   TURNED     the sums of one block, [32 tokens, 8 rows]
//   SCALES     of int4, f32 [16 steps, 8 rows]
//   ADDRESSES  u32 [8 rows, 132]
//   WEIGHTS    int16 or pairs of int16 [8 rows, 132]
//   RECORDS    [blocks, columns, 32], from the next multiple of 64 on
const SUMS: usize = 192;
const TURNED: usize = 4288;
const SCALES: usize = 5312;
export const ADDRESSES: usize = 5824;
export const WEIGHTS: usize = 10048;
const RECORDS: usize = 14272;

@inline
export function sumsOf(sums: usize): usize {
  return sums + SUMS;
}

@inline
export function scalesAt(sums: usize): usize {
  return sums + SCALES;
}

@inline
export function addressesAt(sums: usize): usize {
  return sums + ADDRESSES;
}

@inline
export function weightsAt(sums: usize): usize {
  return sums + WEIGHTS;
}

@inline
export function recordsAt(sums: usize): usize {
  return (sums + RECORDS + 63) & ~63;
}

/** How many of the remaining tokens to take at once, 0 for none; `tiles` tiles per row. */
export function takeMany(left: i32, tiles: i32): i32 {
  const take = min(left, MANY * max(1, min(BLOCKS, NEAR / <i32>blockBytes(tiles))));
  const beyond = take % MANY;
  return beyond < FEWEST ? take - beyond : take;
}

/** Bytes of a block's records. */
@inline
export function blockBytes(tiles: i32): usize {
  return (<usize>tiles) << 10;
}

/** Transposes `count` rows of int8 into records of `tiles` times sixteen columns. Missing tokens are zeros. */
export function turnMany(x: usize, stride: usize, count: i32, tiles: i32, sums: usize): void {
  let records = recordsAt(sums);
  for (let first = 0; first < count; first += MANY) {
    for (let eight = 0; eight < MANY; eight += 8) {
      const rows = x + <usize>(first + eight) * stride;
      const to = records + ((<usize>eight) << 1);
      for (let tile = 0; tile < tiles; tile++) {
        turnEight(rows + ((<usize>tile) << 4), stride, count - first - eight, to + ((<usize>tile) << 10));
      }
    }
    records += blockBytes(tiles);
  }
}

/** A row, or zeros in place of a missing one. */
@inline
function rowOr(x: usize, stride: usize, row: i32, count: i32): v128 {
  return row < count ? v128.load(x + <usize>row * stride) : i8x16.splat(0);
}

/** Transposes sixteen columns of eight tokens: three rounds of interleaving the first four vectors with the last four. */
function turnEight(x: usize, stride: usize, count: i32, to: usize): void {
  const a0 = rowOr(x, stride, 0, count);
  const a1 = rowOr(x, stride, 1, count);
  const a2 = rowOr(x, stride, 2, count);
  const a3 = rowOr(x, stride, 3, count);
  const a4 = rowOr(x, stride, 4, count);
  const a5 = rowOr(x, stride, 5, count);
  const a6 = rowOr(x, stride, 6, count);
  const a7 = rowOr(x, stride, 7, count);
  const b0 = mixLow(a0, a4);
  const b1 = mixHigh(a0, a4);
  const b2 = mixLow(a1, a5);
  const b3 = mixHigh(a1, a5);
  const b4 = mixLow(a2, a6);
  const b5 = mixHigh(a2, a6);
  const b6 = mixLow(a3, a7);
  const b7 = mixHigh(a3, a7);
  const c0 = mixLow(b0, b4);
  const c1 = mixHigh(b0, b4);
  const c2 = mixLow(b1, b5);
  const c3 = mixHigh(b1, b5);
  const c4 = mixLow(b2, b6);
  const c5 = mixHigh(b2, b6);
  const c6 = mixLow(b3, b7);
  const c7 = mixHigh(b3, b7);
  storeTwo(to, mixLow(c0, c4));
  storeTwo(to + 128, mixHigh(c0, c4));
  storeTwo(to + 256, mixLow(c1, c5));
  storeTwo(to + 384, mixHigh(c1, c5));
  storeTwo(to + 512, mixLow(c2, c6));
  storeTwo(to + 640, mixHigh(c2, c6));
  storeTwo(to + 768, mixLow(c3, c7));
  storeTwo(to + 896, mixHigh(c3, c7));
}

/** Eight tokens of two columns. */
@inline
function storeTwo(to: usize, columns: v128): void {
  v128.store(to, i16x8.extend_low_i8x16_s(columns));
  v128.store(to, i16x8.extend_high_i8x16_s(columns), 64);
}

/** Clears all sums. */
export function clearMany(sums: usize): void {
  memory.fill(sums + SUMS, 0, 1024 * BLOCKS);
}

/** Transposes one block's sums from [8 rows, 32 tokens] to [32 tokens, 8 rows]. Returns their address. */
export function turnSums(sums: usize, block: i32): usize {
  let from = sums + SUMS + ((<usize>block) << 10);
  let to = sums + TURNED;
  for (let token = 0; token < MANY; token += 4) {
    turnRows(from, to);
    turnRows(from + 512, to + 16);
    from += 16;
    to += 128;
  }
  return sums + TURNED;
}

/** Advances the addresses of all streams, `slots` and padding, by the bytes of a block. */
export function moveOn(slots: i32, block: usize, sums: usize): void {
  const by = i32x4.splat(<i32>block);
  for (let row: usize = 0; row < 8; row++) {
    let at = addressesAt(sums) + row * PITCH;
    for (const end = at + ((<usize>slots) << 2); at <= end; at += 16) v128.store(at, i32x4.add(v128.load(at), by));
  }
}

/** Copies four rows of four numbers, 128 bytes apart, to 32 bytes apart, transposed. */
@inline
function turnRows(from: usize, to: usize): void {
  turnFour(v128.load(from), v128.load(from, 128), v128.load(from, 256), v128.load(from, 384), to);
}

/**
 * Addresses of the records of sixteen columns, four of each of four rows. `columns` are bytes; `base` is where the
 * tile's records begin.
 */
@inline
export function putFours(to: usize, columns: v128, base: v128): void {
  const zero = i8x16.splat(0);
  const low = i16x8.shl(mixLow(columns, zero), 6);
  const high = i16x8.shl(mixHigh(columns, zero), 6);
  v128.store(to, i32x4.add(lowHalves(low, zero), base));
  v128.store(to + PITCH, i32x4.add(highHalves(low, zero), base));
  v128.store(to + 2 * PITCH, i32x4.add(lowHalves(high, zero), base));
  v128.store(to + 3 * PITCH, i32x4.add(highHalves(high, zero), base));
}

/** Addresses of the records of eight columns, two of each of four rows. `columns` are int16. */
@inline
export function putTwos(to: usize, columns: v128, base: v128): void {
  const shifted = i16x8.shl(columns, 6);
  const zero = i8x16.splat(0);
  const low = i32x4.add(lowHalves(shifted, zero), base);
  const high = i32x4.add(highHalves(shifted, zero), base);
  v128.store64_lane(to, low, 0);
  v128.store64_lane(to + PITCH, low, 1);
  v128.store64_lane(to + 2 * PITCH, high, 0);
  v128.store64_lane(to + 3 * PITCH, high, 1);
}
