// AssemblyScript: sparse float32 rows (layouts/rows.ts) times float32 activations. One vector: four weights at a time, with
// a sum each. Four vectors share the weights and columns of a row.

@inline
function at(columns: usize, i: u32): usize {
  return (<usize>load<u16>(columns + ((<usize>i) << 1))) << 2;
}

@inline
function weight(values: usize, i: u32): f32 {
  return load<f32>(values + ((<usize>i) << 2));
}

/** Weights [i, end) times one vector. */
function row1(columns: usize, values: usize, i: u32, end: u32, x: usize): f32 {
  let s0: f32 = 0;
  let s1: f32 = 0;
  let s2: f32 = 0;
  let s3: f32 = 0;
  for (; end - i >= 4; i += 4) {
    s0 += weight(values, i) * load<f32>(x + at(columns, i));
    s1 += weight(values, i + 1) * load<f32>(x + at(columns, i + 1));
    s2 += weight(values, i + 2) * load<f32>(x + at(columns, i + 2));
    s3 += weight(values, i + 3) * load<f32>(x + at(columns, i + 3));
  }
  for (; i < end; i++) s0 += weight(values, i) * load<f32>(x + at(columns, i));
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
    const end = load<u32>(offsets + out, 4);
    const add: f32 = bias ? load<f32>(bias + out) : 0;
    let own = x;
    let to = y + out;
    for (let token = 0; token < tokens; token++) {
      const sum = row1(columns, values, start, end, own);
      store<f32>(to, bias ? sum + add : sum);
      own += stride;
      to += pitch;
    }
  }
}
