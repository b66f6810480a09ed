// AssemblyScript: tiles times several tokens with i32x4.relaxed_dot_i8x16_i7x16_add_s, what int8 and int4 share. A quad (four
// slots of eight rows) is unpacked once for all tokens, rows 0–3 first; a token's activations are shuffled and multiplied.
// Where the second factor has no sign (x86), activations are raised by 128 and the excess is subtracted again, so the bits
// are those of the kernels without relaxed SIMD. Only for processors that hasByteDots approves (../runtime-module.ts).
// The reasons: docs/lab/kernels.md.

import { mixLow, raise } from './steps.as';

/** Tokens whose sums are in registers at once; also the tokens of a record. */
const EIGHT: i32 = 8;
/** At most so many tokens share unpacked quads. */
const MOST: i32 = 128;
/** Quads that are unpacked at once, and the bytes of one. */
export const QUADS: i32 = 64;
export const QUAD: usize = 64;
export const STEP: usize = 64;

// Scratch memory of a thread, in bytes from `sums` (runtime-kernels.ts says how many there are):
//   SUMS      32 bits [128 tokens, 8 rows]
//   STEPS     excess i32 [8 rows] and scales f32 [8 rows], 32 of them
//   PLACES    where the activations of a quad lie in a record, u32 [64 quads]
//   UNPACKED  quads, 64 bytes each
//   RECORDS   [tokens / 8, tiles, 8 tokens, 16 columns], from the next multiple of 64 on
const SUMS: usize = 192;
const STEPS: usize = 4288;
const PLACES: usize = 6336;
const UNPACKED: usize = 6592;
const RECORDS: usize = 10688;

@inline
export function sumsAt(sums: usize): usize {
  return sums + SUMS;
}

@inline
export function stepsAt(sums: usize): usize {
  return sums + STEPS;
}

@inline
export function placesAt(sums: usize): usize {
  return sums + PLACES;
}

@inline
export function quadsAt(sums: usize): usize {
  return sums + UNPACKED;
}

@inline
export function recordsAt(sums: usize): usize {
  return (sums + RECORDS + 63) & ~63;
}

/** Bytes of the records of eight tokens, with `tiles` tiles per row. */
@inline
export function recordBytes(tiles: i32): usize {
  return (<usize>tiles) << 7;
}

/** How many of the remaining tokens to take at once; 0 where they are too `few` to make up for unpacking. */
@inline
export function takeBytes(left: i32, few: i32): i32 {
  return left <= few ? 0 : min(left, MOST);
}

/** Copies `count` rows of int8 into records, raised. Missing tokens are zeros. */
export function turnBytes(x: usize, stride: usize, count: i32, tiles: i32, sums: usize): void {
  const bytes = recordBytes(tiles);
  const records = recordsAt(sums);
  const all = (count + EIGHT - 1) & ~(EIGHT - 1);
  const raised = raise(sums);
  for (let token = 0; token < all; token++) {
    let to = records + <usize>(token >> 3) * bytes + ((<usize>(token & 7)) << 4);
    let from = x + <usize>token * stride;
    for (let tile = 0; tile < tiles; tile++) {
      v128.store(to, token < count ? v128.xor(v128.load(from), raised) : raised);
      from += 16;
      to += 128;
    }
  }
}

/** Clears the sums of `count` tokens, in eights. */
@inline
export function clearBytes(count: i32, sums: usize): void {
  memory.fill(sums + SUMS, 0, <usize>((count + EIGHT - 1) & ~(EIGHT - 1)) << 5);
}

/** Clears a step's excess. */
@inline
export function beginStep(step: usize): void {
  v128.store(step, i32x4.splat(0));
  v128.store(step, i32x4.splat(0), 16);
}

/** Writes a quad, the columns and weights of rows 0–3 and of rows 4–7, and adds its excess to its step's. */
@inline
export function putQuad(to: usize, step: usize, c0: v128, w0: v128, c1: v128, w1: v128, raised: v128): void {
  v128.store(to, c0);
  v128.store(to, w0, 16);
  v128.store(to, c1, 32);
  v128.store(to, w1, 48);
  v128.store(step, add(v128.load(step), raised, w0));
  v128.store(step, add(v128.load(step, 16), raised, w1), 16);
}

/**
 * Joins two slots of each of four rows, as 16-bit pairs of bytes, with one more slot of each, into four bytes per row.
 */
@inline
export function joinSlots(two: v128, one: v128): v128 {
  return v128.or(i32x4.extend_low_i16x8_u(two), i32x4.shl(one, 16));
}

/** The first or the last four of eight bytes, as four numbers. */
@inline
export function firstFour(bytes: v128): v128 {
  return i32x4.extend_low_i16x8_u(mixLow(bytes, i8x16.splat(0)));
}

@inline
export function lastFour(bytes: v128): v128 {
  return i32x4.extend_high_i16x8_u(mixLow(bytes, i8x16.splat(0)));
}

/** Adds sixteen products of weights and raised activations, four to a sum. */
@inline
export function add(sum: v128, x: v128, w: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum);
}

/** Adds four slots of four rows to a token's four sums. */
@inline
function addSlots(sum: v128, x: v128, columns: v128, w: v128): v128 {
  return add(sum, i8x16.relaxed_swizzle(x, columns), w);
}

/** Stores four sums; with a scale, adds them as float32 to the stored ones. */
@inline
function put(to: usize, sum: v128, scaled: bool, scale: v128): void {
  if (scaled) v128.store(to, f32x4.add(v128.load(to), f32x4.mul(f32x4.convert_i32x4_s(sum), scale)));
  else v128.store(to, sum);
}

/**
 * Adds a step's quads, at places from `place` to `end`, to the sums of eight tokens, four rows each: as integers, or,
 * with scales, as float32.
 */
@inline
function addEight(scaled: bool, place: usize, end: usize, quad: usize, step: usize, record: usize, to: usize): void {
  const excess = v128.load(step);
  const none = i32x4.splat(0);
  let s0 = i32x4.sub(scaled ? none : v128.load(to), excess);
  let s1 = i32x4.sub(scaled ? none : v128.load(to, 32), excess);
  let s2 = i32x4.sub(scaled ? none : v128.load(to, 64), excess);
  let s3 = i32x4.sub(scaled ? none : v128.load(to, 96), excess);
  let s4 = i32x4.sub(scaled ? none : v128.load(to, 128), excess);
  let s5 = i32x4.sub(scaled ? none : v128.load(to, 160), excess);
  let s6 = i32x4.sub(scaled ? none : v128.load(to, 192), excess);
  let s7 = i32x4.sub(scaled ? none : v128.load(to, 224), excess);
  for (; place < end; place += 4) {
    const at = record + <usize>load<u32>(place);
    const columns = v128.load(quad);
    const w = v128.load(quad, 16);
    s0 = addSlots(s0, v128.load(at), columns, w);
    s1 = addSlots(s1, v128.load(at, 16), columns, w);
    s2 = addSlots(s2, v128.load(at, 32), columns, w);
    s3 = addSlots(s3, v128.load(at, 48), columns, w);
    s4 = addSlots(s4, v128.load(at, 64), columns, w);
    s5 = addSlots(s5, v128.load(at, 80), columns, w);
    s6 = addSlots(s6, v128.load(at, 96), columns, w);
    s7 = addSlots(s7, v128.load(at, 112), columns, w);
    quad += QUAD;
  }
  const scale = scaled ? v128.load(step, 32) : none;
  put(to, s0, scaled, scale);
  put(to + 32, s1, scaled, scale);
  put(to + 64, s2, scaled, scale);
  put(to + 96, s3, scaled, scale);
  put(to + 128, s4, scaled, scale);
  put(to + 160, s5, scaled, scale);
  put(to + 192, s6, scaled, scale);
  put(to + 224, s7, scaled, scale);
}

/** The same for the first four tokens of a record. One function for both, with a constant flag, is a tenth slower. */
@inline
function addFour(scaled: bool, place: usize, end: usize, quad: usize, step: usize, record: usize, to: usize): void {
  const excess = v128.load(step);
  const none = i32x4.splat(0);
  let s0 = i32x4.sub(scaled ? none : v128.load(to), excess);
  let s1 = i32x4.sub(scaled ? none : v128.load(to, 32), excess);
  let s2 = i32x4.sub(scaled ? none : v128.load(to, 64), excess);
  let s3 = i32x4.sub(scaled ? none : v128.load(to, 96), excess);
  for (; place < end; place += 4) {
    const at = record + <usize>load<u32>(place);
    const columns = v128.load(quad);
    const w = v128.load(quad, 16);
    s0 = addSlots(s0, v128.load(at), columns, w);
    s1 = addSlots(s1, v128.load(at, 16), columns, w);
    s2 = addSlots(s2, v128.load(at, 32), columns, w);
    s3 = addSlots(s3, v128.load(at, 48), columns, w);
    quad += QUAD;
  }
  const scale = scaled ? v128.load(step, 32) : none;
  put(to, s0, scaled, scale);
  put(to + 32, s1, scaled, scale);
  put(to + 64, s2, scaled, scale);
  put(to + 96, s3, scaled, scale);
}

/** Adds `quads` unpacked quads, in steps of `perStep`, to the sums of `count` tokens. */
@inline
export function addQuads(scaled: bool, quads: i32, perStep: i32, count: i32, tiles: i32, sums: usize): void {
  const bytes = recordBytes(tiles);
  let record = recordsAt(sums);
  let to = sums + SUMS;
  for (let left = count; left > 0; left -= EIGHT) {
    let place = sums + PLACES;
    let quad = sums + UNPACKED;
    let step = sums + STEPS;
    for (const end = place + ((<usize>quads) << 2); place < end; ) {
      const next = min<usize>(end, place + ((<usize>perStep) << 2));
      if (left > 4) {
        addEight(scaled, place, next, quad, step, record, to);
        addEight(scaled, place, next, quad + 32, step + 16, record, to + 16);
      } else {
        addFour(scaled, place, next, quad, step, record, to);
        addFour(scaled, place, next, quad + 32, step + 16, record, to + 16);
      }
      quad += <usize>perStep * QUAD;
      step += STEP;
      place = next;
    }
    record += bytes;
    to += 256;
  }
}
