// AssemblyScript: sparse float32 rows (layouts/rows.ts) times float32 activations: four weights at a time, with a sum each.
// Several vectors go through a row one after the other, while it is in the core's cache.

import { touch } from './touch.as';

/** The activation of column number `i` from `columns` on. */
@inline
function fetch(x: usize, columns: usize): f32 {
  return load<f32>(x + ((<usize>load<u16>(columns)) << 2));
}

/** `count` weights times one vector. */
function row1(columns: usize, values: usize, count: u32, x: usize): f32 {
  let s0: f32 = 0;
  let s1: f32 = 0;
  let s2: f32 = 0;
  let s3: f32 = 0;
  for (; count >= 4; count -= 4) {
    s0 += load<f32>(values) * fetch(x, columns);
    s1 += load<f32>(values, 4) * fetch(x, columns + 2);
    s2 += load<f32>(values, 8) * fetch(x, columns + 4);
    s3 += load<f32>(values, 12) * fetch(x, columns + 6);
    values += 16;
    columns += 8;
  }
  for (; count > 0; count--) {
    s0 += load<f32>(values) * fetch(x, columns);
    values += 4;
    columns += 2;
  }
  return s0 + s1 + (s2 + s3);
}

/** Row groups [from, to). */
export function multiplyRows(
  offsets: usize,
  columns: usize,
  values: usize,
  bias: usize,
  rows: i32,
  x: usize,
  stride: usize,
  y: usize,
  pitch: usize,
  tokens: i32,
  from: i32,
  to: i32,
): void {
  const last = min(to * 8, rows);
  for (let row = from * 8; row < last; row++) {
    const out = (<usize>row) << 2;
    const start = load<u32>(offsets + out);
    const count = load<u32>(offsets + out, 4) - start;
    const where = columns + ((<usize>start) << 1);
    const weights = values + ((<usize>start) << 2);
    // The next row is about as long.
    if (row + 1 < last) {
      touch(where + ((<usize>count) << 1), (<usize>count) << 1);
      touch(weights + ((<usize>count) << 2), (<usize>count) << 2);
    }
    const add: f32 = bias ? load<f32>(bias + out) : 0;
    let own = x;
    let to = y + out;
    for (let token = 0; token < tokens; token++) {
      const sum = row1(where, weights, count, own);
      store<f32>(to, bias ? sum + add : sum);
      own += stride;
      to += pitch;
    }
  }
}
