// AssemblyScript: int8 tiles by dot products of bytes (bytes.as.ts). For several tokens this takes two instructions per
// sixteen products of a token; without relaxed SIMD it takes six. A scale belongs to a row, so a step is any number of
// quads unpacked at once.
// Diff against bytes-int4.as.ts; AssemblyScript has no free generics.

import { ahead, aheadIn, STEP as AHEAD } from './ahead.as';
import { add, addQuads, beginStep, firstFour, joinSlots, lastFour, placesAt, putQuad } from './bytes.as';
import { QUAD, QUADS, quadsAt, stepsAt, sumsAt } from './bytes.as';
import { addEven, addHigh, addLow, addOdd, finishTokens, mixLow, nibbleMask, oddMask, scaleRows } from './steps.as';
import { raise, SEGMENT, settle, spread } from './steps.as';

/**
 * Multiplies one vector by a run of tiles; n and listed are constants. Slots left over from the fours go as without
 * relaxed SIMD, into sums that are 256 times too large.
 */
@inline
export function oneInt8(n: i32, listed: bool, tiles: usize, count: i32, order: usize, x: usize, sums: usize): void {
  const size: usize = 12 * n;
  const nibbles = nibbleMask(sums);
  const odd = oddMask(sums);
  const by = raise(sums);
  const segment = SEGMENT / n;
  const some = max(<i32>AHEAD / (12 * n), 1);
  while (count > 0) {
    let left = min(count, segment);
    count -= left;
    let s0 = i32x4.splat(0);
    let s1 = i32x4.splat(0);
    let e0 = i32x4.splat(0);
    let e1 = i32x4.splat(0);
    let t0 = i32x4.splat(0);
    let t1 = i32x4.splat(0);
    while (left > 0) {
      const steps = min(left, some);
      left -= steps;
      ahead(tiles);
      for (const end = tiles + <usize>steps * size; tiles < end; tiles += size) {
        let act: v128;
        if (listed) {
          act = v128.load(x + ((<usize>load<u16>(order)) << 4));
          order += 2;
        } else {
          act = v128.load(x);
          x += 16;
        }
        const raised = v128.xor(act, by);
        if (n >= 4) {
          const c = v128.load(tiles, 0);
          let w = inTurn(tiles + 16);
          s0 = add(s0, i8x16.relaxed_swizzle(raised, v128.and(c, nibbles)), w);
          e0 = add(e0, by, w);
          w = inTurn(tiles + 32);
          s1 = add(s1, i8x16.relaxed_swizzle(raised, v128.and(i16x8.shr_u(c, 4), nibbles)), w);
          e1 = add(e1, by, w);
        }
        if (n >= 8) {
          const c = v128.load(tiles, 48);
          let w = inTurn(tiles + 64);
          s0 = add(s0, i8x16.relaxed_swizzle(raised, v128.and(c, nibbles)), w);
          e0 = add(e0, by, w);
          w = inTurn(tiles + 80);
          s1 = add(s1, i8x16.relaxed_swizzle(raised, v128.and(i16x8.shr_u(c, 4), nibbles)), w);
          e1 = add(e1, by, w);
        }
        if (n >= 12) {
          const c = v128.load(tiles, 96);
          let w = inTurn(tiles + 112);
          s0 = add(s0, i8x16.relaxed_swizzle(raised, v128.and(c, nibbles)), w);
          e0 = add(e0, by, w);
          w = inTurn(tiles + 128);
          s1 = add(s1, i8x16.relaxed_swizzle(raised, v128.and(i16x8.shr_u(c, 4), nibbles)), w);
          e1 = add(e1, by, w);
        }
        if (n >= 16) {
          const c = v128.load(tiles, 144);
          let w = inTurn(tiles + 160);
          s0 = add(s0, i8x16.relaxed_swizzle(raised, v128.and(c, nibbles)), w);
          e0 = add(e0, by, w);
          w = inTurn(tiles + 176);
          s1 = add(s1, i8x16.relaxed_swizzle(raised, v128.and(i16x8.shr_u(c, 4), nibbles)), w);
          e1 = add(e1, by, w);
        }
        const rest = tiles + <usize>(48 * (n >> 2));
        if (n & 2) {
          const a = i8x16.relaxed_swizzle(act, spread(v128.load64_zero(rest), nibbles));
          t0 = addEven(t0, a, v128.load8x8_s(rest, 8));
          t1 = addOdd(t1, a, v128.load8x8_s(rest, 16), odd);
        }
        if (n & 1) {
          const last = rest + <usize>(12 * (n & 2));
          const a = i8x16.relaxed_swizzle(act, spread(v128.load32_zero(last), nibbles));
          const p = i16x8.mul(i16x8.extend_low_i8x16_s(a), v128.load8x8_s(last, 4));
          t0 = addLow(t0, p);
          t1 = addHigh(t1, p);
        }
      }
    }
    v128.store(sums, i32x4.add(v128.load(sums), i32x4.add(i32x4.sub(s0, e0), settle(t0))));
    v128.store(sums, i32x4.add(v128.load(sums, 16), i32x4.add(i32x4.sub(s1, e1), settle(t1))), 16);
  }
}

/** Adds a run of tiles of n slots per row to the sums of `count` tokens. Where `order` is 0, tiles are consecutive. */
export function addBytesInt8(n: i32, tiles: usize, run: i32, order: usize, count: i32, perRow: i32, sums: usize): void {
  const perTile = (n + 3) >> 2;
  const most = QUADS / perTile;
  const step = stepsAt(sums);
  let tile = 0;
  while (run > 0) {
    const together = min(run, most);
    run -= together;
    let place = placesAt(sums);
    let quad = quadsAt(sums);
    beginStep(step);
    for (let i = 0; i < together; i++) {
      const at = order ? <i32>load<u16>(order) : tile++;
      if (order) order += 2;
      aheadIn(tiles, <usize>(12 * n));
      unpack(n, tiles, quad, step, sums);
      for (let left = perTile; left > 0; left--) {
        store<u32>(place, at << 7);
        place += 4;
        quad += QUAD;
      }
      tiles += <usize>(12 * n);
    }
    addQuads(false, together * perTile, together * perTile, count, perRow, sums);
  }
}

/** Unpacks one tile into ⌈n / 4⌉ quads. */
@inline
function unpack(n: i32, tile: usize, quad: usize, step: usize, sums: usize): void {
  const nibbles = nibbleMask(sums);
  const by = raise(sums);
  for (let left = n >> 2; left > 0; left--) {
    const c = v128.load(tile);
    const c1 = v128.and(i16x8.shr_u(c, 4), nibbles);
    putQuad(quad, step, v128.and(c, nibbles), inTurn(tile + 16), c1, inTurn(tile + 32), by);
    tile += 48;
    quad += QUAD;
  }
  if ((n & 3) === 0) return;
  const zero = i8x16.splat(0);
  let c0 = zero;
  let c1 = zero;
  let w0 = zero;
  let w1 = zero;
  if (n & 2) {
    const c = v128.load64_zero(tile);
    c0 = v128.and(c, nibbles);
    c1 = v128.and(i16x8.shr_u(c, 4), nibbles);
    w0 = v128.load64_zero(tile, 8);
    w1 = v128.load64_zero(tile, 16);
    tile += 24;
  }
  let c = zero;
  let w = zero;
  if (n & 1) {
    c = spread(v128.load32_zero(tile), nibbles);
    w = v128.load64_zero(tile, 4);
  }
  putQuad(
    quad,
    step,
    joinSlots(c0, firstFour(c)),
    joinSlots(w0, firstFour(w)),
    joinSlots(c1, lastFour(c)),
    joinSlots(w1, lastFour(w)),
    by,
  );
}

/** Interleaves eight weights of even bytes with eight of odd bytes. */
@inline
function inTurn(at: usize): v128 {
  return mixLow(v128.load64_zero(at), v128.load64_zero(at, 8));
}

/** Converts sums to outputs. */
export function settleBytesInt8(
  sums: usize,
  scales: usize,
  bias: usize,
  rows: i32,
  xScales: usize,
  y: usize,
  pitch: usize,
  token: i32,
  count: i32,
  group: i32,
): void {
  const at = sumsAt(sums);
  for (let i = 0; i < count; i++) scaleRows(at + ((<usize>i) << 5), scales, group);
  finishTokens(at, bias, rows, xScales, y, pitch, token, count, group);
}
