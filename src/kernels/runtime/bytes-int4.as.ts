// AssemblyScript: int4 tiles by dot products of bytes (bytes.as.ts). The tiles that share a scale, eight consecutive
// ones or one listed tile, are a step: summed in integers, then scaled into float32, in the order of the tiles.
// Diff against bytes-int8.as.ts; AssemblyScript has no free generics.

import { aheadIn, aheadOf } from './ahead.as';
import { add, addQuads, beginStep, firstFour, joinSlots, lastFour, placesAt, putQuad } from './bytes.as';
import { QUAD, QUADS, quadsAt, STEP, stepsAt } from './bytes.as';
import { addEven, addHigh, addLow, addOdd, evenValues, firstValues, halves } from './steps.as';
import { nibbleMask, oddMask, oddValues, raise, settle, SHARING } from './steps.as';

/** Steps that fit in the scratch at once. */
const STEPS: i32 = 32;

/**
 * Multiplies one vector by a run of tiles; n and listed are constants. Values stay in their high nibbles, sixteen times
 * too large. Slots left over from the fours go as without relaxed SIMD, into sums that are 256 times too large.
 */
@inline
export function oneInt4(
  n: i32,
  listed: bool,
  tiles: usize,
  count: i32,
  order: usize,
  scales: usize,
  x: usize,
  sums: usize,
): void {
  const size: usize = 8 * n;
  const nibbles = nibbleMask(sums);
  const odd = oddMask(sums);
  const by = raise(sums);
  const values = v128.not(nibbles);
  let f0 = v128.load(sums);
  let f1 = v128.load(sums, 16);
  let scale = scales;
  while (count > 0) {
    let at = x;
    let steps = 1;
    if (listed) {
      const tile = <usize>load<u16>(order);
      order += 2;
      at += tile << 4;
      scale = scales + ((tile >> 3) << 4);
      aheadIn(tiles, size);
    } else {
      steps = min(count, SHARING);
      x += <usize>(steps << 4);
      aheadOf(tiles, <usize>steps * size);
    }
    count -= steps;
    let s0 = i32x4.splat(0);
    let s1 = i32x4.splat(0);
    let e0 = i32x4.splat(0);
    let e1 = i32x4.splat(0);
    let t0 = i32x4.splat(0);
    let t1 = i32x4.splat(0);
    let singles = i16x8.splat(0); // at most 8 · 8 · 127 each
    for (const end = tiles + <usize>steps * size; tiles < end; tiles += size) {
      const act = v128.load(at);
      at += 16;
      const raised = v128.xor(act, by);
      if (n >= 4) {
        let slots = v128.load(tiles, 0);
        let w = v128.and(slots, values);
        s0 = add(s0, i8x16.relaxed_swizzle(raised, v128.and(slots, nibbles)), w);
        e0 = add(e0, by, w);
        slots = v128.load(tiles, 16);
        w = v128.and(slots, values);
        s1 = add(s1, i8x16.relaxed_swizzle(raised, v128.and(slots, nibbles)), w);
        e1 = add(e1, by, w);
      }
      if (n >= 8) {
        let slots = v128.load(tiles, 32);
        let w = v128.and(slots, values);
        s0 = add(s0, i8x16.relaxed_swizzle(raised, v128.and(slots, nibbles)), w);
        e0 = add(e0, by, w);
        slots = v128.load(tiles, 48);
        w = v128.and(slots, values);
        s1 = add(s1, i8x16.relaxed_swizzle(raised, v128.and(slots, nibbles)), w);
        e1 = add(e1, by, w);
      }
      if (n >= 12) {
        let slots = v128.load(tiles, 64);
        let w = v128.and(slots, values);
        s0 = add(s0, i8x16.relaxed_swizzle(raised, v128.and(slots, nibbles)), w);
        e0 = add(e0, by, w);
        slots = v128.load(tiles, 80);
        w = v128.and(slots, values);
        s1 = add(s1, i8x16.relaxed_swizzle(raised, v128.and(slots, nibbles)), w);
        e1 = add(e1, by, w);
      }
      if (n >= 16) {
        let slots = v128.load(tiles, 96);
        let w = v128.and(slots, values);
        s0 = add(s0, i8x16.relaxed_swizzle(raised, v128.and(slots, nibbles)), w);
        e0 = add(e0, by, w);
        slots = v128.load(tiles, 112);
        w = v128.and(slots, values);
        s1 = add(s1, i8x16.relaxed_swizzle(raised, v128.and(slots, nibbles)), w);
        e1 = add(e1, by, w);
      }
      const rest = tiles + <usize>(32 * (n >> 2));
      if (n & 2) {
        const slots = v128.load(rest);
        const a = i8x16.relaxed_swizzle(act, v128.and(slots, nibbles));
        t0 = addEven(t0, a, evenValues(slots));
        t1 = addOdd(t1, a, oddValues(slots), odd);
      }
      if (n & 1) {
        const slots = v128.load64_zero(rest + <usize>(8 * (n & 2)));
        const a = i16x8.extend_low_i8x16_s(i8x16.relaxed_swizzle(act, v128.and(slots, nibbles)));
        singles = i16x8.add(singles, i16x8.mul(a, firstValues(slots)));
      }
    }
    if (n & 1) {
      t0 = addLow(t0, singles);
      t1 = addHigh(t1, singles);
    }
    s0 = i32x4.add(settle(t0), i32x4.shr_s(i32x4.sub(s0, e0), 4));
    s1 = i32x4.add(settle(t1), i32x4.shr_s(i32x4.sub(s1, e1), 4));
    f0 = f32x4.add(f0, f32x4.mul(f32x4.convert_i32x4_s(s0), halves(scale)));
    f1 = f32x4.add(f1, f32x4.mul(f32x4.convert_i32x4_s(s1), halves(scale + 8)));
    if (!listed) scale += 16;
  }
  v128.store(sums, f0);
  v128.store(sums, f1, 16);
}

/** Adds a run of tiles of n slots per row to the sums of `count` tokens. Where `order` is 0, tiles are consecutive. */
export function addBytesInt4(
  n: i32,
  tiles: usize,
  run: i32,
  order: usize,
  scales: usize,
  count: i32,
  perRow: i32,
  sums: usize,
): void {
  const perTile = (n + 3) >> 2;
  const sharing = order ? 1 : SHARING;
  const most = min((QUADS / perTile) & -sharing, STEPS * sharing);
  let tile = 0;
  while (run > 0) {
    const together = min(run, most);
    run -= together;
    let place = placesAt(sums);
    let quad = quadsAt(sums);
    let step = stepsAt(sums) - STEP;
    for (let i = 0; i < together; i++) {
      const at = order ? <i32>load<u16>(order) : tile++;
      if (order) order += 2;
      if ((i & (sharing - 1)) === 0) {
        step += STEP;
        beginStep(step);
        const from = scales + ((<usize>(at >> 3)) << 4);
        v128.store(step, halves(from), 32);
        v128.store(step, halves(from + 8), 48);
      }
      aheadIn(tiles, <usize>(8 * n));
      unpack(n, tiles, quad, step, sums);
      for (let left = perTile; left > 0; left--) {
        store<u32>(place, at << 7);
        place += 4;
        quad += QUAD;
      }
      tiles += <usize>(8 * n);
    }
    addQuads(true, together * perTile, sharing * perTile, count, perRow, sums);
  }
}

/** Unpacks one tile into ⌈n / 4⌉ quads. */
@inline
function unpack(n: i32, tile: usize, quad: usize, step: usize, sums: usize): void {
  for (let left = n >> 2; left > 0; left--) {
    putSlots(quad, step, v128.load(tile), v128.load(tile, 16), sums);
    tile += 32;
    quad += QUAD;
  }
  if ((n & 3) === 0) return;
  const zero = i8x16.splat(0);
  let low = zero;
  let high = zero;
  if (n & 2) {
    const slots = v128.load(tile);
    low = i8x16.narrow_i16x8_u(v128.and(slots, i16x8.splat(0xff)), zero);
    high = i8x16.narrow_i16x8_u(i16x8.shr_u(slots, 8), zero);
    tile += 16;
  }
  const one = n & 1 ? v128.load64_zero(tile) : zero;
  putSlots(quad, step, joinSlots(low, firstFour(one)), joinSlots(high, lastFour(one)), sums);
}

@inline
function putSlots(quad: usize, step: usize, low: v128, high: v128, sums: usize): void {
  const nibbles = nibbleMask(sums);
  putQuad(quad, step, v128.and(low, nibbles), valuesOf(low), v128.and(high, nibbles), valuesOf(high), raise(sums));
}

/** The high nibbles with their signs. */
@inline
function valuesOf(slots: v128): v128 {
  return i8x16.shr_s(slots, 4);
}
