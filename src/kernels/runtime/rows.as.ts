// AssemblyScript: sparse float32 rows (layouts/rows.ts) times float32 activations: eight weights at a time, with one
// sum each. Several vectors go through a row one after the other, while the row is in the core's cache.

import { ahead, begin, STEP } from './ahead.as';
import { total } from './lanes.as';

/** The address of the activation of column number `i` from `columns` on. */
@inline
function place(x: usize, columns: usize): usize {
  return x + ((<usize>load<u16>(columns)) << 2);
}

/** Four activations. */
@inline
function fetch(x: usize, columns: usize): v128 {
  let four = v128.load32_zero(place(x, columns));
  four = v128.load32_lane(place(x, columns + 2), four, 1);
  four = v128.load32_lane(place(x, columns + 4), four, 2);
  return v128.load32_lane(place(x, columns + 6), four, 3);
}

/** Multiplies `count` weights by one vector. `first` is set where the row comes from memory. */
@inline
function row1(first: bool, columns: usize, values: usize, count: u32, x: usize): f32 {
  let s = f32x4.splat(0);
  let t = f32x4.splat(0);
  while (count >= 8) {
    if (first) {
      ahead(values);
      ahead(columns);
    }
    for (const next = values + STEP; count >= 8 && values < next; count -= 8) {
      s = f32x4.add(s, f32x4.mul(v128.load(values), fetch(x, columns)));
      t = f32x4.add(t, f32x4.mul(v128.load(values, 16), fetch(x, columns + 8)));
      values += 32;
      columns += 16;
    }
  }
  let sum = total(f32x4.add(s, t));
  for (; count > 0; count--) {
    sum += load<f32>(values) * load<f32>(place(x, columns));
    values += 4;
    columns += 2;
  }
  return sum;
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
  if (from * 8 < last) {
    const first = <usize>load<u32>(offsets + ((<usize>from) << 5));
    const count = <usize>load<u32>(offsets + ((<usize>last) << 2)) - first;
    begin(columns + (first << 1), count << 1);
    begin(values + (first << 2), count << 2);
  }
  for (let row = from * 8; row < last; row++) {
    const out = (<usize>row) << 2;
    const start = load<u32>(offsets + out);
    const count = load<u32>(offsets + out, 4) - start;
    const where = columns + ((<usize>start) << 1);
    const weights = values + ((<usize>start) << 2);
    const add: f32 = bias ? load<f32>(bias + out) : 0;
    let own = x;
    let to = y + out;
    for (let token = 0; token < tokens; token++) {
      const sum = token === 0 ? row1(true, where, weights, count, own) : row1(false, where, weights, count, own);
      store<f32>(to, bias ? sum + add : sum);
      own += stride;
      to += pitch;
    }
  }
}
