// AssemblyScript: int4 tiles whose columns are masks (layouts/masks.ts): sixteen bits for each row, and the values in
// nibbles, four bytes for each row; six slots have three, which become four with a zero. As a mask has as many bits as
// there are slots, its second byte says where the columns of that byte begin. So the columns are two entries of tables
// of 256, at the start of the memory (../arena.ts), put together. One token is multiplied at once; for more, the tiles
// of a row group are expanded to eight slots with column numbers, which all tokens share (tiles-int4.as.ts). The
// expanded tiles are at the start of the scratch, and all else that the scratch is for comes after them.

import { add } from './bytes.as';
import { addRun, FEW_FIXED, settle as settleSeveral } from './several-int4.as';
import { clear as clearSeveral, take, turn } from './several.as';
import { addBoth, blockOf, clear, evenValues, finishTokens, halves, nibbleMask, oddMask, oddValues } from './steps.as';
import { prepare, raise, settle, SHARING } from './steps.as';
import { runTiles } from './tiles-int4.as';

/** Where the tables are: of the first byte, and of the second with six slots and with eight. */
const FIRST: usize = 1024;
const SECOND_6: usize = 2048;
const SECOND_8: usize = 3072;
/** Bytes of a tile's masks, and of an expanded tile. */
const MASKS: usize = 16;
const EXPANDED: usize = 64;

/** The columns of a row, a nibble each. */
@inline
function columnsOf(slots: i32, mask: usize): u64 {
  const second = slots === 8 ? SECOND_8 : SECOND_6;
  return (
    <u64>load<u32>(FIRST + ((<usize>load<u8>(mask)) << 2)) | <u64>load<u32>(second + ((<usize>load<u8>(mask, 1)) << 2))
  );
}

/** Those of four rows. */
@inline
function columnsOfFour(slots: i32, masks: usize): v128 {
  const first = columnsOf(slots, masks) | (columnsOf(slots, masks + 2) << 32);
  const second = columnsOf(slots, masks + 4) | (columnsOf(slots, masks + 6) << 32);
  return i64x2.replace_lane(i64x2.splat(first), 1, second);
}

/** Eight values of each of four rows, a nibble each; `half` is 0 or 1. */
@inline
function valuesOfFour(slots: i32, tile: usize, half: usize): v128 {
  if (slots === 8) return v128.load(tile + MASKS + (half << 4));
  const rows = v128.load(tile + MASKS + 12 * half);
  return i8x16.shuffle(rows, i8x16.splat(0), 0, 1, 2, 16, 3, 4, 5, 16, 6, 7, 8, 16, 9, 10, 11, 16);
}

/** Multiplies one token by a row group; `slots` is a constant. */
@inline
function one(slots: i32, tiles: usize, count: i32, scales: usize, x: usize, sums: usize): void {
  const size: usize = MASKS + 4 * <usize>slots;
  const nibbles = nibbleMask(sums);
  const odd = oddMask(sums);
  const by = ASC_FEATURE_RELAXED_SIMD ? raise(sums) : nibbles;
  const high = v128.not(nibbles);
  let f0 = v128.load(sums);
  let f1 = v128.load(sums, 16);
  while (count > 0) {
    const steps = min(count, SHARING);
    count -= steps;
    let s0 = i32x4.splat(0);
    let s1 = s0;
    let e0 = s0;
    let e1 = s0;
    for (const end = tiles + <usize>steps * size; tiles < end; tiles += size) {
      const act = v128.load(x);
      x += 16;
      const c0 = columnsOfFour(slots, tiles);
      const c1 = columnsOfFour(slots, tiles + 8);
      const v0 = valuesOfFour(slots, tiles, 0);
      const v1 = valuesOfFour(slots, tiles, 1);
      if (ASC_FEATURE_RELAXED_SIMD) {
        const raised = v128.xor(act, by);
        let w = v128.and(i16x8.shl(v0, 4), high);
        s0 = add(s0, i8x16.relaxed_swizzle(raised, v128.and(c0, nibbles)), w);
        e0 = add(e0, by, w);
        w = v128.and(v0, high);
        s0 = add(s0, i8x16.relaxed_swizzle(raised, v128.and(i16x8.shr_u(c0, 4), nibbles)), w);
        e0 = add(e0, by, w);
        w = v128.and(i16x8.shl(v1, 4), high);
        s1 = add(s1, i8x16.relaxed_swizzle(raised, v128.and(c1, nibbles)), w);
        e1 = add(e1, by, w);
        w = v128.and(v1, high);
        s1 = add(s1, i8x16.relaxed_swizzle(raised, v128.and(i16x8.shr_u(c1, 4), nibbles)), w);
        e1 = add(e1, by, w);
      } else {
        s0 = addLows(s0, i8x16.swizzle(act, v128.and(c0, nibbles)), v0, odd);
        s0 = addHighs(s0, i8x16.swizzle(act, v128.and(i16x8.shr_u(c0, 4), nibbles)), v0, odd);
        s1 = addLows(s1, i8x16.swizzle(act, v128.and(c1, nibbles)), v1, odd);
        s1 = addHighs(s1, i8x16.swizzle(act, v128.and(i16x8.shr_u(c1, 4), nibbles)), v1, odd);
      }
    }
    if (ASC_FEATURE_RELAXED_SIMD) {
      s0 = i32x4.shr_s(i32x4.sub(s0, e0), 4);
      s1 = i32x4.shr_s(i32x4.sub(s1, e1), 4);
    } else {
      s0 = settle(s0);
      s1 = settle(s1);
    }
    f0 = f32x4.add(f0, f32x4.mul(f32x4.convert_i32x4_s(s0), halves(scales)));
    f1 = f32x4.add(f1, f32x4.mul(f32x4.convert_i32x4_s(s1), halves(scales + 8)));
    scales += 16;
  }
  v128.store(sums, f0);
  v128.store(sums, f1, 16);
}

/** Adds sixteen activations times the values in the low nibbles, and in the high ones. */
@inline
function addLows(sum: v128, a: v128, values: v128, odd: v128): v128 {
  return addBoth(sum, a, i16x8.shr_s(i16x8.shl(values, 12), 12), i16x8.shr_s(i16x8.shl(values, 4), 12), odd);
}

@inline
function addHighs(sum: v128, a: v128, values: v128, odd: v128): v128 {
  return addBoth(sum, a, evenValues(values), oddValues(values), odd);
}

/** Expands `count` tiles to eight slots, each a value and its column. */
@inline
function expand(slots: i32, tiles: usize, count: i32, to: usize, sums: usize): void {
  const size: usize = MASKS + 4 * <usize>slots;
  const nibbles = nibbleMask(sums);
  const high = v128.not(nibbles);
  for (const end = tiles + <usize>count * size; tiles < end; tiles += size) {
    for (let half: usize = 0; half < 2; half++) {
      const columns = columnsOfFour(slots, tiles + (half << 3));
      const values = valuesOfFour(slots, tiles, half);
      // Slots 0, 2, 4, 6 of each row, and 1, 3, 5, 7.
      const even = v128.or(v128.and(columns, nibbles), v128.and(i16x8.shl(values, 4), high));
      const odd = v128.or(v128.and(i16x8.shr_u(columns, 4), nibbles), v128.and(values, high));
      const own = to + (half << 4);
      v128.store(own, i16x8.shuffle(even, odd, 0, 8, 2, 10, 4, 12, 6, 14));
      v128.store(own, i16x8.shuffle(even, odd, 1, 9, 3, 11, 5, 13, 7, 15), 32);
    }
    to += EXPANDED;
  }
}

/** Row groups [from, to) of fixed tiles with masks; `perRow` tiles per row, six or eight slots. */
export function multiplyMasksInt4(
  slots: i32,
  perRow: i32,
  tiles: usize,
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
  scratch: usize,
): void {
  const expanded = scratch;
  const sums = scratch + <usize>perRow * EXPANDED;
  const groupBytes = <usize>perRow * (MASKS + 4 * <usize>slots);
  const scaleBytes = (<usize>((perRow + SHARING - 1) / SHARING)) << 4;
  prepare(sums);
  tiles += <usize>from * groupBytes;
  scales += <usize>from * scaleBytes;
  if (tokens === 1) {
    for (let group = from; group < to; group++) {
      clear(sums, 1);
      if (slots === 8) one(8, tiles, perRow, scales, x, sums);
      else one(6, tiles, perRow, scales, x, sums);
      finishTokens(sums, bias, rows, xScales, y, pitch, 0, 1, group);
      tiles += groupBytes;
      scales += scaleBytes;
    }
    return;
  }
  for (let done = 0; done < tokens; ) {
    const some = take(tokens - done, FEW_FIXED, perRow);
    if (some > 0) turn(x + <usize>done * stride, stride, some, perRow, sums);
    let tile = tiles;
    let scale = scales;
    for (let group = from; group < to; group++) {
      if (slots === 8) expand(8, tile, perRow, expanded, sums);
      else expand(6, tile, perRow, expanded, sums);
      if (some > 0) {
        clearSeveral(some, sums);
        addRun(8, expanded, perRow, 0, scale, some, perRow, sums);
        settleSeveral(sums, bias, rows, xScales, y, pitch, done, some, group);
      } else {
        let block = 1;
        for (let token = done; token < tokens; token += block) {
          block = blockOf(tokens - token);
          clear(sums, block);
          runTiles(block, expanded, perRow, scale, x + <usize>token * stride, stride, sums);
          finishTokens(sums, bias, rows, xScales, y, pitch, token, block, group);
        }
      }
      tile += groupBytes;
      scale += scaleBytes;
    }
    done = some > 0 ? done + some : tokens;
  }
}
