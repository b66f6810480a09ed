// AssemblyScript: tiles of int8 values times int8 activations. A *run* is tiles of one row group with the same number
// of slots, n. For one vector, each n has its own loop, so that no branch in it needs prediction. Two or four vectors
// share a decoded tile; more of them go to several-int8.as.ts. Relaxed SIMD uses bytes-int8.as.ts instead of these
// loops. `sums`, i32 [vectors, 8], holds the row sums. Where `listed`, `order` says which sixteen activations a tile
// reads; otherwise tiles are consecutive.
// Diff against tiles-int4.as.ts; AssemblyScript has no free generics.

import { ahead, aheadIn, aheadSorted, begin, beginSorted, STEP } from './ahead.as';
import { oneInt8 } from './bytes-int8.as';
import { severalFixedInt8, severalSortedInt8 } from './several-int8.as';
import { entriesAt, runOf, startOf, tilesAt } from './sorted.as';
import { addBoth, addEven, addHigh, addLow, addOdd, blockOf, clear, finishTokens, nibbleMask } from './steps.as';
import { oddMask, prepare, scaleRows, SEGMENT, settle, spread } from './steps.as';

/** One vector; n and listed are constants. */
@inline
function run1(n: i32, listed: bool, tiles: usize, count: i32, order: usize, x: usize, sums: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) return oneInt8(n, listed, tiles, count, order, x, sums);
  const size: usize = 12 * n;
  const nibbles = nibbleMask(sums);
  const odd = oddMask(sums);
  const segment = SEGMENT / n;
  const some = max(<i32>STEP / (12 * n), 1);
  while (count > 0) {
    let left = min(count, segment);
    count -= left;
    let s0 = i32x4.splat(0);
    let s1 = i32x4.splat(0);
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
        if (n >= 4) {
          const c = v128.load(tiles, 0);
          const low = i8x16.swizzle(act, v128.and(c, nibbles));
          const high = i8x16.swizzle(act, v128.and(i16x8.shr_u(c, 4), nibbles));
          s0 = addBoth(s0, low, v128.load8x8_s(tiles, 16), v128.load8x8_s(tiles, 24), odd);
          s1 = addBoth(s1, high, v128.load8x8_s(tiles, 32), v128.load8x8_s(tiles, 40), odd);
        }
        if (n >= 8) {
          const c = v128.load(tiles, 48);
          const low = i8x16.swizzle(act, v128.and(c, nibbles));
          const high = i8x16.swizzle(act, v128.and(i16x8.shr_u(c, 4), nibbles));
          s0 = addBoth(s0, low, v128.load8x8_s(tiles, 64), v128.load8x8_s(tiles, 72), odd);
          s1 = addBoth(s1, high, v128.load8x8_s(tiles, 80), v128.load8x8_s(tiles, 88), odd);
        }
        if (n >= 12) {
          const c = v128.load(tiles, 96);
          const low = i8x16.swizzle(act, v128.and(c, nibbles));
          const high = i8x16.swizzle(act, v128.and(i16x8.shr_u(c, 4), nibbles));
          s0 = addBoth(s0, low, v128.load8x8_s(tiles, 112), v128.load8x8_s(tiles, 120), odd);
          s1 = addBoth(s1, high, v128.load8x8_s(tiles, 128), v128.load8x8_s(tiles, 136), odd);
        }
        if (n >= 16) {
          const c = v128.load(tiles, 144);
          const low = i8x16.swizzle(act, v128.and(c, nibbles));
          const high = i8x16.swizzle(act, v128.and(i16x8.shr_u(c, 4), nibbles));
          s0 = addBoth(s0, low, v128.load8x8_s(tiles, 160), v128.load8x8_s(tiles, 168), odd);
          s1 = addBoth(s1, high, v128.load8x8_s(tiles, 176), v128.load8x8_s(tiles, 184), odd);
        }
        const rest = tiles + <usize>(48 * (n >> 2));
        if (n & 2) {
          const a = i8x16.swizzle(act, spread(v128.load64_zero(rest), nibbles));
          s0 = addEven(s0, a, v128.load8x8_s(rest, 8));
          s1 = addOdd(s1, a, v128.load8x8_s(rest, 16), odd);
        }
        if (n & 1) {
          const last = rest + <usize>(12 * (n & 2));
          const a = i8x16.swizzle(act, spread(v128.load32_zero(last), nibbles));
          const p = i16x8.mul(i16x8.extend_low_i8x16_s(a), v128.load8x8_s(last, 4));
          s0 = addLow(s0, p);
          s1 = addHigh(s1, p);
        }
      }
    }
    v128.store(sums, i32x4.add(v128.load(sums), settle(s0)));
    v128.store(sums, i32x4.add(v128.load(sums, 16), settle(s1)), 16);
  }
}

/** Two vectors, `stride` apart. */
@inline
function run2(n: i32, listed: bool, tiles: usize, count: i32, order: usize, x: usize, stride: usize, sums: usize): void {
  const size: usize = 12 * n;
  const nibbles = nibbleMask(sums);
  const odd = oddMask(sums);
  const segment = SEGMENT / n;
  while (count > 0) {
    const steps = min(count, segment);
    count -= steps;
    let s0 = i32x4.splat(0);
    let s1 = i32x4.splat(0);
    let t0 = i32x4.splat(0);
    let t1 = i32x4.splat(0);
    for (let i = 0; i < steps; i++) {
      aheadIn(tiles, size);
      let at = x;
      if (listed) {
        at += (<usize>load<u16>(order)) << 4;
        order += 2;
      } else {
        x += 16;
      }
      const actS = v128.load(at);
      const actT = v128.load(at + stride);
      for (const fours = tiles + <usize>(48 * (n >> 2)); tiles < fours; tiles += 48) {
        const c = v128.load(tiles);
        const low = v128.and(c, nibbles);
        let w0 = v128.load8x8_s(tiles, 16);
        let w1 = v128.load8x8_s(tiles, 24);
        s0 = addBoth(s0, i8x16.swizzle(actS, low), w0, w1, odd);
        t0 = addBoth(t0, i8x16.swizzle(actT, low), w0, w1, odd);
        const high = v128.and(i16x8.shr_u(c, 4), nibbles);
        w0 = v128.load8x8_s(tiles, 32);
        w1 = v128.load8x8_s(tiles, 40);
        s1 = addBoth(s1, i8x16.swizzle(actS, high), w0, w1, odd);
        t1 = addBoth(t1, i8x16.swizzle(actT, high), w0, w1, odd);
      }
      if (n & 2) {
        const c = spread(v128.load64_zero(tiles), nibbles);
        const w0 = v128.load8x8_s(tiles, 8);
        const w1 = v128.load8x8_s(tiles, 16);
        const a = i8x16.swizzle(actS, c);
        s0 = addEven(s0, a, w0);
        s1 = addOdd(s1, a, w1, odd);
        const b = i8x16.swizzle(actT, c);
        t0 = addEven(t0, b, w0);
        t1 = addOdd(t1, b, w1, odd);
        tiles += 24;
      }
      if (n & 1) {
        const c = spread(v128.load32_zero(tiles), nibbles);
        const w = v128.load8x8_s(tiles, 4);
        const p = i16x8.mul(i16x8.extend_low_i8x16_s(i8x16.swizzle(actS, c)), w);
        s0 = addLow(s0, p);
        s1 = addHigh(s1, p);
        const q = i16x8.mul(i16x8.extend_low_i8x16_s(i8x16.swizzle(actT, c)), w);
        t0 = addLow(t0, q);
        t1 = addHigh(t1, q);
        tiles += 12;
      }
    }
    v128.store(sums, i32x4.add(v128.load(sums), settle(s0)));
    v128.store(sums, i32x4.add(v128.load(sums, 16), settle(s1)), 16);
    v128.store(sums, i32x4.add(v128.load(sums, 32), settle(t0)), 32);
    v128.store(sums, i32x4.add(v128.load(sums, 48), settle(t1)), 48);
  }
}

/** Four vectors, `stride` apart. */
@inline
function run4(n: i32, listed: bool, tiles: usize, count: i32, order: usize, x: usize, stride: usize, sums: usize): void {
  const size: usize = 12 * n;
  const nibbles = nibbleMask(sums);
  const odd = oddMask(sums);
  const segment = SEGMENT / n;
  const stride3 = stride * 3;
  while (count > 0) {
    const steps = min(count, segment);
    count -= steps;
    let s0 = i32x4.splat(0);
    let s1 = i32x4.splat(0);
    let t0 = i32x4.splat(0);
    let t1 = i32x4.splat(0);
    let u0 = i32x4.splat(0);
    let u1 = i32x4.splat(0);
    let v0 = i32x4.splat(0);
    let v1 = i32x4.splat(0);
    for (let i = 0; i < steps; i++) {
      aheadIn(tiles, size);
      let at = x;
      if (listed) {
        at += (<usize>load<u16>(order)) << 4;
        order += 2;
      } else {
        x += 16;
      }
      for (const fours = tiles + <usize>(48 * (n >> 2)); tiles < fours; tiles += 48) {
        const low = v128.and(v128.load(tiles), nibbles);
        let w0 = v128.load8x8_s(tiles, 16);
        let w1 = v128.load8x8_s(tiles, 24);
        s0 = addBoth(s0, i8x16.swizzle(v128.load(at), low), w0, w1, odd);
        t0 = addBoth(t0, i8x16.swizzle(v128.load(at + stride), low), w0, w1, odd);
        u0 = addBoth(u0, i8x16.swizzle(v128.load(at + 2 * stride), low), w0, w1, odd);
        v0 = addBoth(v0, i8x16.swizzle(v128.load(at + stride3), low), w0, w1, odd);
        const high = v128.and(i16x8.shr_u(v128.load(tiles), 4), nibbles);
        w0 = v128.load8x8_s(tiles, 32);
        w1 = v128.load8x8_s(tiles, 40);
        s1 = addBoth(s1, i8x16.swizzle(v128.load(at), high), w0, w1, odd);
        t1 = addBoth(t1, i8x16.swizzle(v128.load(at + stride), high), w0, w1, odd);
        u1 = addBoth(u1, i8x16.swizzle(v128.load(at + 2 * stride), high), w0, w1, odd);
        v1 = addBoth(v1, i8x16.swizzle(v128.load(at + stride3), high), w0, w1, odd);
      }
      if (n & 2) {
        const c = spread(v128.load64_zero(tiles), nibbles);
        const w0 = v128.load8x8_s(tiles, 8);
        const w1 = v128.load8x8_s(tiles, 16);
        let a = i8x16.swizzle(v128.load(at), c);
        s0 = addEven(s0, a, w0);
        s1 = addOdd(s1, a, w1, odd);
        a = i8x16.swizzle(v128.load(at + stride), c);
        t0 = addEven(t0, a, w0);
        t1 = addOdd(t1, a, w1, odd);
        a = i8x16.swizzle(v128.load(at + 2 * stride), c);
        u0 = addEven(u0, a, w0);
        u1 = addOdd(u1, a, w1, odd);
        a = i8x16.swizzle(v128.load(at + stride3), c);
        v0 = addEven(v0, a, w0);
        v1 = addOdd(v1, a, w1, odd);
        tiles += 24;
      }
      if (n & 1) {
        const c = spread(v128.load32_zero(tiles), nibbles);
        const w = v128.load8x8_s(tiles, 4);
        let p = i16x8.mul(i16x8.extend_low_i8x16_s(i8x16.swizzle(v128.load(at), c)), w);
        s0 = addLow(s0, p);
        s1 = addHigh(s1, p);
        p = i16x8.mul(i16x8.extend_low_i8x16_s(i8x16.swizzle(v128.load(at + stride), c)), w);
        t0 = addLow(t0, p);
        t1 = addHigh(t1, p);
        p = i16x8.mul(i16x8.extend_low_i8x16_s(i8x16.swizzle(v128.load(at + 2 * stride), c)), w);
        u0 = addLow(u0, p);
        u1 = addHigh(u1, p);
        p = i16x8.mul(i16x8.extend_low_i8x16_s(i8x16.swizzle(v128.load(at + stride3), c)), w);
        v0 = addLow(v0, p);
        v1 = addHigh(v1, p);
        tiles += 12;
      }
    }
    v128.store(sums, i32x4.add(v128.load(sums), settle(s0)));
    v128.store(sums, i32x4.add(v128.load(sums, 16), settle(s1)), 16);
    v128.store(sums, i32x4.add(v128.load(sums, 32), settle(t0)), 32);
    v128.store(sums, i32x4.add(v128.load(sums, 48), settle(t1)), 48);
    v128.store(sums, i32x4.add(v128.load(sums, 64), settle(u0)), 64);
    v128.store(sums, i32x4.add(v128.load(sums, 80), settle(u1)), 80);
    v128.store(sums, i32x4.add(v128.load(sums, 96), settle(v0)), 96);
    v128.store(sums, i32x4.add(v128.load(sums, 112), settle(v1)), 112);
  }
}

/** Multiplies one vector by a run; each number of slots has its own loop. */
@inline
function runSlots(n: i32, listed: bool, tiles: usize, count: i32, order: usize, x: usize, sums: usize): void {
  switch (n) {
    case 1:
      return run1(1, listed, tiles, count, order, x, sums);
    case 2:
      return run1(2, listed, tiles, count, order, x, sums);
    case 3:
      return run1(3, listed, tiles, count, order, x, sums);
    case 4:
      return run1(4, listed, tiles, count, order, x, sums);
    case 5:
      return run1(5, listed, tiles, count, order, x, sums);
    case 6:
      return run1(6, listed, tiles, count, order, x, sums);
    case 7:
      return run1(7, listed, tiles, count, order, x, sums);
    case 8:
      return run1(8, listed, tiles, count, order, x, sums);
    case 9:
      return run1(9, listed, tiles, count, order, x, sums);
    case 10:
      return run1(10, listed, tiles, count, order, x, sums);
    case 11:
      return run1(11, listed, tiles, count, order, x, sums);
    case 12:
      return run1(12, listed, tiles, count, order, x, sums);
    case 13:
      return run1(13, listed, tiles, count, order, x, sums);
    case 14:
      return run1(14, listed, tiles, count, order, x, sums);
    case 15:
      return run1(15, listed, tiles, count, order, x, sums);
    case 16:
      return run1(16, listed, tiles, count, order, x, sums);
  }
}

/** Multiplies `block` vectors, 1, 2 or 4, by a run of consecutive tiles. */
function runFixed(n: i32, tiles: usize, count: i32, x: usize, stride: usize, block: i32, sums: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD || block === 1) runSlots(n, false, tiles, count, 0, x, sums);
  else if (block === 2) run2(n, false, tiles, count, 0, x, stride, sums);
  else run4(n, false, tiles, count, 0, x, stride, sums);
}

/** Multiplies `block` vectors, 1, 2 or 4, by a run of listed tiles. */
function runListed(
  n: i32,
  tiles: usize,
  count: i32,
  order: usize,
  x: usize,
  stride: usize,
  block: i32,
  sums: usize,
): void {
  if (ASC_FEATURE_RELAXED_SIMD || block === 1) runSlots(n, true, tiles, count, order, x, sums);
  else if (block === 2) run2(n, true, tiles, count, order, x, stride, sums);
  else run4(n, true, tiles, count, order, x, stride, sums);
}

/** Row groups [from, to) of fixed tiles; `perRow` tiles per row. */
export function multiplyFixedInt8(
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
  sums: usize,
): void {
  const groupBytes = <usize>perRow * <usize>(12 * slots);
  prepare(sums);
  const done = severalFixedInt8(
    slots,
    perRow,
    tiles,
    scales,
    bias,
    rows,
    x,
    stride,
    xScales,
    y,
    pitch,
    tokens,
    from,
    to,
    sums,
  );
  if (done === tokens) return;
  tiles += <usize>from * groupBytes;
  begin(tiles, <usize>(to - from) * groupBytes);
  for (let group = from; group < to; group++) {
    let block = 1;
    for (let token = done; token < tokens; token += block) {
      block = blockOf(tokens - token);
      clear(sums, block);
      runFixed(slots, tiles, perRow, x + <usize>token * stride, stride, block, sums);
      for (let i = 0; i < block; i++) scaleRows(sums + ((<usize>i) << 5), scales, group);
      finishTokens(sums, bias, rows, xScales, y, pitch, token, block, group);
    }
    tiles += groupBytes;
  }
}

/** Row groups [from, to) of sorted tiles; `perRow` tiles per row. */
export function multiplySortedInt8(
  perRow: i32,
  starts: usize,
  counts: usize,
  order: usize,
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
  sums: usize,
): void {
  prepare(sums);
  const done = severalSortedInt8(
    perRow,
    starts,
    counts,
    order,
    tiles,
    scales,
    bias,
    rows,
    x,
    stride,
    xScales,
    y,
    pitch,
    tokens,
    from,
    to,
    sums,
  );
  if (done === tokens) return;
  beginSorted(starts, from, to, order, tiles);
  for (let group = from; group < to; group++) {
    const start = startOf(starts, group);
    aheadSorted(start, order);
    let block = 1;
    for (let token = done; token < tokens; token += block) {
      block = blockOf(tokens - token);
      clear(sums, block);
      let entry = order + entriesAt(start);
      let tile = tiles + tilesAt(start);
      for (let n = 1; n <= 16; n++) {
        const run = runOf(counts, group, n);
        if (run === 0) continue;
        runListed(n, tile, run, entry, x + <usize>token * stride, stride, block, sums);
        entry += (<usize>run) << 1;
        tile += <usize>run * <usize>(12 * n);
      }
      for (let i = 0; i < block; i++) scaleRows(sums + ((<usize>i) << 5), scales, group);
      finishTokens(sums, bias, rows, xScales, y, pitch, token, block, group);
    }
  }
}
