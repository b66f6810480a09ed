// AssemblyScript: int8 tiles times several tokens at once (several.as.ts).
// Diff against several-int4.as.ts; AssemblyScript has no free generics.

import { aheadSorted, begin, beginSorted } from './ahead.as';
import { addBytesInt8, settleBytesInt8 } from './bytes-int8.as';
import { addManyInt8, settleManyInt8 } from './many-int8.as';
import { clear, take, turn } from './several.as';
import { entriesAt, runOf, startOf, tilesAt } from './sorted.as';

/** Up to so many tokens are faster one by one than by dot products of bytes: for fixed tiles, and for sorted ones. */
const FEW_FIXED: i32 = 4;
const FEW_SORTED: i32 = 3;

/** Row groups [from, to) of fixed tiles, for as many tokens as go at once. Returns their number. */
export function severalFixedInt8(
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
  const groupBytes = <usize>perRow * <usize>(12 * slots);
  let done = 0;
  for (let some = take(tokens, FEW_FIXED, perRow); some > 0; some = take(tokens - done, FEW_FIXED, perRow)) {
    turn(x + <usize>done * stride, stride, some, perRow, sums);
    let tile = tiles + <usize>from * groupBytes;
    begin(tile, <usize>(to - from) * groupBytes);
    for (let group = from; group < to; group++) {
      clear(some, sums);
      addRun(slots, tile, perRow, 0, some, perRow, sums);
      settle(sums, scales, bias, rows, xScales, y, pitch, done, some, group);
      tile += groupBytes;
    }
    done += some;
  }
  return done;
}

/** The same for sorted tiles. */
export function severalSortedInt8(
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
  let done = 0;
  for (let some = take(tokens, FEW_SORTED, perRow); some > 0; some = take(tokens - done, FEW_SORTED, perRow)) {
    turn(x + <usize>done * stride, stride, some, perRow, sums);
    beginSorted(starts, from, to, order, tiles);
    for (let group = from; group < to; group++) {
      const start = startOf(starts, group);
      aheadSorted(start, order);
      clear(some, sums);
      let entry = order + entriesAt(start);
      let tile = tiles + tilesAt(start);
      for (let n = 1; n <= 16; n++) {
        const run = runOf(counts, group, n);
        if (run === 0) continue;
        addRun(n, tile, run, entry, some, perRow, sums);
        entry += (<usize>run) << 1;
        tile += <usize>run * <usize>(12 * n);
      }
      settle(sums, scales, bias, rows, xScales, y, pitch, done, some, group);
    }
    done += some;
  }
  return done;
}

@inline
function addRun(n: i32, tiles: usize, run: i32, order: usize, count: i32, perRow: i32, sums: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) addBytesInt8(n, tiles, run, order, count, perRow, sums);
  else addManyInt8(n, tiles, run, order, count, perRow, sums);
}

/** Converts sums to outputs. */
@inline
function settle(
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
  if (ASC_FEATURE_RELAXED_SIMD) settleBytesInt8(sums, scales, bias, rows, xScales, y, pitch, token, count, group);
  else settleManyInt8(sums, scales, bias, rows, xScales, y, pitch, token, count, group);
}
