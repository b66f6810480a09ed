// AssemblyScript: int4 tiles times several tokens at once (several.as.ts).
// Diff against several-int8.as.ts; AssemblyScript has no free generics.

import { aheadSorted, begin, beginSorted } from './ahead.as';
import { sumsAt } from './bytes.as';
import { addBytesInt4 } from './bytes-int4.as';
import { addManyInt4, settleManyInt4 } from './many-int4.as';
import { clear, take, turn } from './several.as';
import { entriesAt, runOf, startOf, tilesAt } from './sorted.as';
import { finishTokens, SHARING } from './steps.as';

/** Up to so many tokens are faster one by one than by dot products of bytes: for fixed tiles, and for sorted ones. */
export const FEW_FIXED: i32 = 6;
const FEW_SORTED: i32 = 3;

/** Row groups [from, to) of fixed tiles, for as many tokens as go at once. Returns their number. */
export function severalFixedInt4(
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
): i32 {
  const groupBytes = <usize>perRow * <usize>(8 * slots);
  const scaleBytes = (<usize>((perRow + SHARING - 1) / SHARING)) << 4;
  let done = 0;
  for (let some = take(tokens, FEW_FIXED, perRow); some > 0; some = take(tokens - done, FEW_FIXED, perRow)) {
    turn(x + <usize>done * stride, stride, some, perRow, sums);
    let tile = tiles + <usize>from * groupBytes;
    let scale = scales + <usize>from * scaleBytes;
    begin(tile, <usize>(to - from) * groupBytes);
    for (let group = from; group < to; group++) {
      clear(some, sums);
      addRun(slots, tile, perRow, 0, scale, some, perRow, sums);
      settle(sums, bias, rows, xScales, y, pitch, done, some, group);
      tile += groupBytes;
      scale += scaleBytes;
    }
    done += some;
  }
  return done;
}

/** The same for sorted tiles. */
export function severalSortedInt4(
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
): i32 {
  const scaleBytes = (<usize>((perRow + SHARING - 1) / SHARING)) << 4;
  let done = 0;
  for (let some = take(tokens, FEW_SORTED, perRow); some > 0; some = take(tokens - done, FEW_SORTED, perRow)) {
    turn(x + <usize>done * stride, stride, some, perRow, sums);
    beginSorted(starts, from, to, order, tiles);
    for (let group = from; group < to; group++) {
      const start = startOf(starts, group);
      const scale = scales + <usize>group * scaleBytes;
      aheadSorted(start, order);
      clear(some, sums);
      let entry = order + entriesAt(start);
      let tile = tiles + tilesAt(start);
      for (let n = 1; n <= 16; n++) {
        const run = runOf(counts, group, n);
        if (run === 0) continue;
        addRun(n, tile, run, entry, scale, some, perRow, sums);
        entry += (<usize>run) << 1;
        tile += <usize>run * <usize>(8 * n);
      }
      settle(sums, bias, rows, xScales, y, pitch, done, some, group);
    }
    done += some;
  }
  return done;
}

@inline
export function addRun(
  n: i32,
  tiles: usize,
  run: i32,
  order: usize,
  scales: usize,
  count: i32,
  perRow: i32,
  sums: usize,
): void {
  if (ASC_FEATURE_RELAXED_SIMD) addBytesInt4(n, tiles, run, order, scales, count, perRow, sums);
  else addManyInt4(n, tiles, run, order, scales, count, perRow, sums);
}

/** Converts sums to outputs. */
@inline
export function settle(
  sums: usize,
  bias: usize,
  rows: i32,
  xScales: usize,
  y: usize,
  pitch: usize,
  token: i32,
  count: i32,
  group: i32,
): void {
  if (ASC_FEATURE_RELAXED_SIMD) finishTokens(sumsAt(sums), bias, rows, xScales, y, pitch, token, count, group);
  else settleManyInt4(sums, bias, rows, xScales, y, pitch, token, count, group);
}
