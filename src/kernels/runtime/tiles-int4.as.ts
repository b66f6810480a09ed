// AssemblyScript: tiles of int4 values times int8 activations. A slot is one byte with its value in the high nibble.
// Shifting 16-bit lanes up and down gives the signed values of even bytes; shifting down gives those of odd bytes. The
// tiles that share a scale, eight consecutive ones or one listed tile, are summed in integers, then scaled into
// float32. The rest is as in tiles-int8.as.ts, including relaxed SIMD (bytes-int4.as.ts); `sums` is f32 [vectors, 8].
// Diff against tiles-int8.as.ts; AssemblyScript has no free generics.

import { aheadIn, aheadOf, aheadSorted, begin, beginSorted } from './ahead.as';
import { oneInt4 } from './bytes-int4.as';
import { severalFixedInt4, severalSortedInt4 } from './several-int4.as';
import { entriesAt, runOf, startOf, tilesAt } from './sorted.as';
import { addBoth, addEven, addHigh, addLow, addOdd, blockOf, clear, evenValues, finishTokens } from './steps.as';
import { firstValues, halves, nibbleMask, oddMask, oddValues, prepare, settle, SHARING } from './steps.as';

/** Adds sixteen slots, four for each of four rows. */
@inline
function addSlots(sum: v128, act: v128, slots: v128, nibbles: v128, odd: v128): v128 {
  return addBoth(sum, i8x16.swizzle(act, v128.and(slots, nibbles)), evenValues(slots), oddValues(slots), odd);
}

/** Adds integer sums to float32 sums, scaled. */
@inline
function addScaled(to: usize, sum: v128, scale: v128): void {
  v128.store(to, f32x4.add(v128.load(to), f32x4.mul(f32x4.convert_i32x4_s(settle(sum)), scale)));
}

/** One vector; n and listed are constants. */
@inline
function run1(n: i32, listed: bool, tiles: usize, count: i32, order: usize, scales: usize, x: usize, sums: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) return oneInt4(n, listed, tiles, count, order, scales, x, sums);
  const size: usize = 8 * n;
  const nibbles = nibbleMask(sums);
  const odd = oddMask(sums);
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
    let singles = i16x8.splat(0); // at most 8 · 8 · 127 each
    for (const end = tiles + <usize>steps * size; tiles < end; tiles += size) {
      const act = v128.load(at);
      at += 16;
      if (n >= 4) {
        s0 = addSlots(s0, act, v128.load(tiles, 0), nibbles, odd);
        s1 = addSlots(s1, act, v128.load(tiles, 16), nibbles, odd);
      }
      if (n >= 8) {
        s0 = addSlots(s0, act, v128.load(tiles, 32), nibbles, odd);
        s1 = addSlots(s1, act, v128.load(tiles, 48), nibbles, odd);
      }
      if (n >= 12) {
        s0 = addSlots(s0, act, v128.load(tiles, 64), nibbles, odd);
        s1 = addSlots(s1, act, v128.load(tiles, 80), nibbles, odd);
      }
      if (n >= 16) {
        s0 = addSlots(s0, act, v128.load(tiles, 96), nibbles, odd);
        s1 = addSlots(s1, act, v128.load(tiles, 112), nibbles, odd);
      }
      const rest = tiles + <usize>(32 * (n >> 2));
      if (n & 2) {
        const slots = v128.load(rest);
        const a = i8x16.swizzle(act, v128.and(slots, nibbles));
        s0 = addEven(s0, a, evenValues(slots));
        s1 = addOdd(s1, a, oddValues(slots), odd);
      }
      if (n & 1) {
        const slots = v128.load64_zero(rest + <usize>(8 * (n & 2)));
        const a = i16x8.extend_low_i8x16_s(i8x16.swizzle(act, v128.and(slots, nibbles)));
        singles = i16x8.add(singles, i16x8.mul(a, firstValues(slots)));
      }
    }
    if (n & 1) {
      s0 = addLow(s0, singles);
      s1 = addHigh(s1, singles);
    }
    f0 = f32x4.add(f0, f32x4.mul(f32x4.convert_i32x4_s(settle(s0)), halves(scale)));
    f1 = f32x4.add(f1, f32x4.mul(f32x4.convert_i32x4_s(settle(s1)), halves(scale + 8)));
    if (!listed) scale += 16;
  }
  v128.store(sums, f0);
  v128.store(sums, f1, 16);
}

/** Two vectors, `stride` apart. */
@inline
function run2(
  n: i32,
  listed: bool,
  tiles: usize,
  count: i32,
  order: usize,
  scales: usize,
  x: usize,
  stride: usize,
  sums: usize,
): void {
  const size: usize = 8 * n;
  const nibbles = nibbleMask(sums);
  const odd = oddMask(sums);
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
    let t0 = i32x4.splat(0);
    let t1 = i32x4.splat(0);
    for (; steps > 0; steps--) {
      for (const fours = tiles + <usize>(32 * (n >> 2)); tiles < fours; tiles += 32) {
        let slots = v128.load(tiles);
        let c = v128.and(slots, nibbles);
        let w0 = evenValues(slots);
        let w1 = oddValues(slots);
        s0 = addBoth(s0, i8x16.swizzle(v128.load(at), c), w0, w1, odd);
        t0 = addBoth(t0, i8x16.swizzle(v128.load(at + stride), c), w0, w1, odd);
        slots = v128.load(tiles, 16);
        c = v128.and(slots, nibbles);
        w0 = evenValues(slots);
        w1 = oddValues(slots);
        s1 = addBoth(s1, i8x16.swizzle(v128.load(at), c), w0, w1, odd);
        t1 = addBoth(t1, i8x16.swizzle(v128.load(at + stride), c), w0, w1, odd);
      }
      if (n & 2) {
        const slots = v128.load(tiles);
        const c = v128.and(slots, nibbles);
        const w0 = evenValues(slots);
        const w1 = oddValues(slots);
        let a = i8x16.swizzle(v128.load(at), c);
        s0 = addEven(s0, a, w0);
        s1 = addOdd(s1, a, w1, odd);
        a = i8x16.swizzle(v128.load(at + stride), c);
        t0 = addEven(t0, a, w0);
        t1 = addOdd(t1, a, w1, odd);
        tiles += 16;
      }
      if (n & 1) {
        const slots = v128.load64_zero(tiles);
        const c = v128.and(slots, nibbles);
        const w = firstValues(slots);
        let p = i16x8.mul(i16x8.extend_low_i8x16_s(i8x16.swizzle(v128.load(at), c)), w);
        s0 = addLow(s0, p);
        s1 = addHigh(s1, p);
        p = i16x8.mul(i16x8.extend_low_i8x16_s(i8x16.swizzle(v128.load(at + stride), c)), w);
        t0 = addLow(t0, p);
        t1 = addHigh(t1, p);
        tiles += 8;
      }
      at += 16;
    }
    const scale0 = halves(scale);
    const scale1 = halves(scale + 8);
    addScaled(sums, s0, scale0);
    addScaled(sums + 16, s1, scale1);
    addScaled(sums + 32, t0, scale0);
    addScaled(sums + 48, t1, scale1);
    if (!listed) scale += 16;
  }
}

/** Four vectors, `stride` apart. */
@inline
function run4(
  n: i32,
  listed: bool,
  tiles: usize,
  count: i32,
  order: usize,
  scales: usize,
  x: usize,
  stride: usize,
  sums: usize,
): void {
  const size: usize = 8 * n;
  const nibbles = nibbleMask(sums);
  const odd = oddMask(sums);
  let scale = scales;
  const stride3 = stride * 3;
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
    let t0 = i32x4.splat(0);
    let t1 = i32x4.splat(0);
    let u0 = i32x4.splat(0);
    let u1 = i32x4.splat(0);
    let v0 = i32x4.splat(0);
    let v1 = i32x4.splat(0);
    for (; steps > 0; steps--) {
      for (const fours = tiles + <usize>(32 * (n >> 2)); tiles < fours; tiles += 32) {
        let slots = v128.load(tiles);
        let c = v128.and(slots, nibbles);
        let w0 = evenValues(slots);
        let w1 = oddValues(slots);
        s0 = addBoth(s0, i8x16.swizzle(v128.load(at), c), w0, w1, odd);
        t0 = addBoth(t0, i8x16.swizzle(v128.load(at + stride), c), w0, w1, odd);
        u0 = addBoth(u0, i8x16.swizzle(v128.load(at + 2 * stride), c), w0, w1, odd);
        v0 = addBoth(v0, i8x16.swizzle(v128.load(at + stride3), c), w0, w1, odd);
        slots = v128.load(tiles, 16);
        c = v128.and(slots, nibbles);
        w0 = evenValues(slots);
        w1 = oddValues(slots);
        s1 = addBoth(s1, i8x16.swizzle(v128.load(at), c), w0, w1, odd);
        t1 = addBoth(t1, i8x16.swizzle(v128.load(at + stride), c), w0, w1, odd);
        u1 = addBoth(u1, i8x16.swizzle(v128.load(at + 2 * stride), c), w0, w1, odd);
        v1 = addBoth(v1, i8x16.swizzle(v128.load(at + stride3), c), w0, w1, odd);
      }
      if (n & 2) {
        const slots = v128.load(tiles);
        const c = v128.and(slots, nibbles);
        const w0 = evenValues(slots);
        const w1 = oddValues(slots);
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
        tiles += 16;
      }
      if (n & 1) {
        const slots = v128.load64_zero(tiles);
        const c = v128.and(slots, nibbles);
        const w = firstValues(slots);
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
        tiles += 8;
      }
      at += 16;
    }
    const scale0 = halves(scale);
    const scale1 = halves(scale + 8);
    addScaled(sums, s0, scale0);
    addScaled(sums + 16, s1, scale1);
    addScaled(sums + 32, t0, scale0);
    addScaled(sums + 48, t1, scale1);
    addScaled(sums + 64, u0, scale0);
    addScaled(sums + 80, u1, scale1);
    addScaled(sums + 96, v0, scale0);
    addScaled(sums + 112, v1, scale1);
    if (!listed) scale += 16;
  }
}

/** Multiplies one vector by a run; each number of slots has its own loop. */
@inline
function runSlots(
  n: i32,
  listed: bool,
  tiles: usize,
  count: i32,
  order: usize,
  scales: usize,
  x: usize,
  sums: usize,
): void {
  switch (n) {
    case 1:
      return run1(1, listed, tiles, count, order, scales, x, sums);
    case 2:
      return run1(2, listed, tiles, count, order, scales, x, sums);
    case 3:
      return run1(3, listed, tiles, count, order, scales, x, sums);
    case 4:
      return run1(4, listed, tiles, count, order, scales, x, sums);
    case 5:
      return run1(5, listed, tiles, count, order, scales, x, sums);
    case 6:
      return run1(6, listed, tiles, count, order, scales, x, sums);
    case 7:
      return run1(7, listed, tiles, count, order, scales, x, sums);
    case 8:
      return run1(8, listed, tiles, count, order, scales, x, sums);
    case 9:
      return run1(9, listed, tiles, count, order, scales, x, sums);
    case 10:
      return run1(10, listed, tiles, count, order, scales, x, sums);
    case 11:
      return run1(11, listed, tiles, count, order, scales, x, sums);
    case 12:
      return run1(12, listed, tiles, count, order, scales, x, sums);
    case 13:
      return run1(13, listed, tiles, count, order, scales, x, sums);
    case 14:
      return run1(14, listed, tiles, count, order, scales, x, sums);
    case 15:
      return run1(15, listed, tiles, count, order, scales, x, sums);
    case 16:
      return run1(16, listed, tiles, count, order, scales, x, sums);
  }
}

/** Multiplies a block of vectors by consecutive tiles of eight slots. */
export function runTiles(
  block: i32,
  tiles: usize,
  perRow: i32,
  scales: usize,
  x: usize,
  stride: usize,
  sums: usize,
): void {
  if (ASC_FEATURE_RELAXED_SIMD || block === 1) run1(8, false, tiles, perRow, 0, scales, x, sums);
  else if (block === 2) run2(8, false, tiles, perRow, 0, scales, x, stride, sums);
  else run4(8, false, tiles, perRow, 0, scales, x, stride, sums);
}

/** Row groups [from, to) of fixed tiles; `perRow` tiles per row. */
export function multiplyFixedInt4(
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
  const groupBytes = <usize>perRow * <usize>(8 * slots);
  prepare(sums);
  const scaleBytes = (<usize>((perRow + SHARING - 1) / SHARING)) << 4;
  const done = severalFixedInt4(
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
  scales += <usize>from * scaleBytes;
  begin(tiles, <usize>(to - from) * groupBytes);
  begin(scales, <usize>(to - from) * scaleBytes);
  for (let group = from; group < to; group++) {
    aheadOf(scales, scaleBytes);
    let block = 1;
    for (let token = done; token < tokens; token += block) {
      block = blockOf(tokens - token);
      clear(sums, block);
      const own = x + <usize>token * stride;
      if (ASC_FEATURE_RELAXED_SIMD || block === 1) runSlots(slots, false, tiles, perRow, 0, scales, own, sums);
      else if (block === 2) run2(slots, false, tiles, perRow, 0, scales, own, stride, sums);
      else run4(slots, false, tiles, perRow, 0, scales, own, stride, sums);
      finishTokens(sums, bias, rows, xScales, y, pitch, token, block, group);
    }
    tiles += groupBytes;
    scales += scaleBytes;
  }
}

/** Row groups [from, to) of sorted tiles; `perRow` tiles per row. */
export function multiplySortedInt4(
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
  const scaleBytes = (<usize>((perRow + SHARING - 1) / SHARING)) << 4;
  const done = severalSortedInt4(
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
  begin(scales + <usize>from * scaleBytes, <usize>(to - from) * scaleBytes);
  for (let group = from; group < to; group++) {
    const start = startOf(starts, group);
    const scale = scales + <usize>group * scaleBytes;
    aheadSorted(start, order);
    aheadOf(scale, scaleBytes);
    let block = 1;
    for (let token = done; token < tokens; token += block) {
      block = blockOf(tokens - token);
      clear(sums, block);
      const own = x + <usize>token * stride;
      let entry = order + entriesAt(start);
      let tile = tiles + tilesAt(start);
      for (let n = 1; n <= 16; n++) {
        const run = runOf(counts, group, n);
        if (run === 0) continue;
        if (ASC_FEATURE_RELAXED_SIMD || block === 1) runSlots(n, true, tile, run, entry, scale, own, sums);
        else if (block === 2) run2(n, true, tile, run, entry, scale, own, stride, sums);
        else run4(n, true, tile, run, entry, scale, own, stride, sums);
        entry += (<usize>run) << 1;
        tile += <usize>run * <usize>(8 * n);
      }
      finishTokens(sums, bias, rows, xScales, y, pitch, token, block, group);
    }
  }
}
