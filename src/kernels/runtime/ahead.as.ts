// AssemblyScript: touches memory before it is needed, since WebAssembly has no prefetch instruction. While weights are
// multiplied, lines 16 KiB later are loaded, from four pages in turn, so that reading and multiplying overlap.
// dense-float.as.ts and many.as.ts need none of it. Some processors read faster without it, so callers can switch it
// off, for all that an instance computes. Why this works: docs/lab/kernels.md.

import { entriesAt, startOf, tilesAt } from './sorted.as';

/** Bytes of a line, of a page, and of the four pages whose lines are touched in turn. */
const LINE: usize = 64;
const PAGE: usize = 4096;
const STRIP: usize = 4 * PAGE;

/** At most so many bytes of weights between two calls of `ahead`. */
export const STEP: usize = 4 * LINE;

/** Computed from the touched bytes and exported, so that no compiler may drop the loads. */
export let touched: i32 = 0;

let asking: bool = true;

/** Switches the functions below on or off; results do not depend on it. */
export function askAhead(on: bool): void {
  asking = on;
}

/**
 * Touches four lines of the strip after that of `at`, one in each page; the offset of `at` in its strip decides which.
 * Reads less than 32 KiB beyond `at`, whatever is there (BEYOND in ../runtime-module.ts).
 */
@inline
export function ahead(at: usize): void {
  if (!asking) return;
  const line = (at & ~(STRIP - 1)) + ((at & (STRIP - 1)) >> 2);
  touched ^=
    load<i32>(line, STRIP) ^
    load<i32>(line, STRIP + PAGE) ^
    load<i32>(line, STRIP + 2 * PAGE) ^
    load<i32>(line, STRIP + 3 * PAGE);
}

/** Calls `ahead` if it is due in the next `bytes` bytes, at most STEP. */
@inline
export function aheadIn(at: usize, bytes: usize): void {
  if ((at & (STEP - 1)) < bytes) ahead(at);
}

/** Calls `ahead` for all of `bytes` bytes from `at` on. */
@inline
export function aheadOf(at: usize, bytes: usize): void {
  if (!asking) return;
  for (const end = at + bytes; at < end; at += STEP) ahead(at);
}

/** Calls `ahead` for the tile numbers of the row group with this `start`. */
@inline
export function aheadSorted(start: usize, order: usize): void {
  const entries = entriesAt(start);
  aheadOf(order + entries, entriesAt(startOf(start, 1)) - entries);
}

/** Touches what is left of the first strip of `bytes` bytes from `at` on, which no `ahead` has touched. */
export function begin(at: usize, bytes: usize): void {
  if (!asking) return;
  let all = touched;
  for (const end = at + min(bytes, STRIP - (at & (STRIP - 1))); at < end; at += LINE) all ^= load<i32>(at);
  touched = all;
}

/** Calls `begin` for row groups [from, to) of sorted tiles and their numbers. */
export function beginSorted(starts: usize, from: i32, to: i32, order: usize, tiles: usize): void {
  const first = startOf(starts, from);
  const end = startOf(starts, to);
  begin(order + entriesAt(first), entriesAt(end) - entriesAt(first));
  begin(tiles + tilesAt(first), tilesAt(end) - tilesAt(first));
}

/** Touches `count` rows of `bytes` bytes, `stride` apart. */
export function touchRows(at: usize, bytes: usize, stride: usize, count: i32): void {
  let all = touched;
  for (; count > 0; count--) {
    for (let line = at; line < at + bytes; line += LINE) all ^= load<i32>(line);
    at += stride;
  }
  touched = all;
}
