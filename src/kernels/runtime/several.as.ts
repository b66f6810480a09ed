// AssemblyScript: several tokens at once, in either of two ways: as lanes (many.as.ts), or, with relaxed SIMD, by dot
// products of bytes (bytes.as.ts). several-int8.as.ts and several-int4.as.ts go through the tiles for both.

import { clearBytes, takeBytes, turnBytes } from './bytes.as';
import { clearMany, takeMany, turnMany } from './many.as';

/** How many of the remaining tokens to take at once, 0 for none. `few` are too few for dot products of bytes. */
@inline
export function take(left: i32, few: i32, tiles: i32): i32 {
  return ASC_FEATURE_RELAXED_SIMD ? takeBytes(left, few) : takeMany(left, tiles);
}

/** Copies `count` rows of int8, `tiles` times sixteen columns, into the order that the kernels need. */
@inline
export function turn(x: usize, stride: usize, count: i32, tiles: i32, sums: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) turnBytes(x, stride, count, tiles, sums);
  else turnMany(x, stride, count, tiles, sums);
}

/** Clears the sums of `count` tokens. */
@inline
export function clear(count: i32, sums: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) clearBytes(count, sums);
  else clearMany(sums);
}
