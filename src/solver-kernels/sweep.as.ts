// AssemblyScript, compiled to dist/kernels/sweep.wasm: the inner loop of SparseGPT (arXiv 2301.00774, algorithm 1) and of GPTQ
// (arXiv 2210.17323) over one panel of columns. For each row, and for each column j in order, a weight gets its final value
// ŵ_j: +0 if it is pruned; where `rounds` is set, the nearest scale·q; else w_j itself. It leaves the error
// e = (w_j − ŵ_j) / U_jj, and the later columns of the panel are updated: w_i -= e·U_ji.
// W and E are [rows, PITCH] float32, mask [rows, PITCH] bytes, U [PITCH, PITCH]; values beyond the width are ignored.
// Columns are taken in groups of eight, so a row is loaded and stored once per group. Each weight still sees the same
// float32 operations in the same order, so the scalar twin (plain.ts) is equal to the last bit.

/** Floats from one row to the next: the width of the widest panel. */
const PITCH: i32 = 128;
const ROW: usize = (<usize>PITCH) << 2;

/** The value of scale·q nearest to `weight`, q whole in [low, high], half to even; +0 where the scale is 0, and never −0. */
// @ts-expect-error: decorator
function nearestOnGrid(weight: f32, scale: f32, low: f32, high: f32): f32 {
  const q: f32 = nearest<f32>(max<f32>(low, min<f32>(high, weight / scale)));
  return select<f32>(0, q * scale + 0, scale === 0);
}

/** The error of column j of a row: zero where the weight stays. */
function takeError(w: usize, e: usize, mask: usize, u: usize, j: i32): f32 {
  const at = (<usize>j) << 2;
  const weight = load<f32>(w + at);
  const pruned = load<u8>(mask + <usize>j) !== 0;
  const error: f32 = select<f32>(weight / load<f32>(u + <usize>j * ROW + at), 0, pruned);
  store<f32>(w + at, select<f32>(0, weight, pruned));
  store<f32>(e + at, error);
  return error;
}

/** The same where the weights that stay are rounded. */
function takeRoundingError(w: usize, e: usize, mask: usize, u: usize, j: i32, scale: f32, low: f32, high: f32): f32 {
  const at = (<usize>j) << 2;
  const weight = load<f32>(w + at);
  const pruned = load<u8>(mask + <usize>j) !== 0;
  const final: f32 = select<f32>(0, nearestOnGrid(weight, scale, low, high), pruned);
  const error: f32 = (weight - final) / load<f32>(u + <usize>j * ROW + at);
  store<f32>(w + at, final);
  store<f32>(e + at, error);
  return error;
}

/** Marks the n of columns [from, to) with the smallest w² / U_jj². Ties go to the lower column. */
function chooseSmallest(w: usize, mask: usize, u: usize, from: i32, to: i32, n: i32): void {
  for (let j = from; j < to; j++) store<u8>(mask + <usize>j, 0);
  for (let count = 0; count < n; count++) {
    let best = -1;
    let least: f32 = f32.POSITIVE_INFINITY;
    for (let j = from; j < to; j++) {
      if (load<u8>(mask + <usize>j) !== 0) continue;
      const at = (<usize>j) << 2;
      const weight = load<f32>(w + at);
      const pivot = load<f32>(u + <usize>j * ROW + at);
      const score: f32 = (weight * weight) / (pivot * pivot);
      if (best < 0 || score < least) {
        best = j;
        least = score;
      }
    }
    store<u8>(mask + <usize>best, 1);
  }
}

/**
 * Sweeps `rows` rows of a panel of `width` columns. Where n ≥ 0, it chooses n of every `group` consecutive columns from
 * the weights as updated so far, and writes the mask; otherwise it reads the mask, and group = width. Where `scales` is not
 * 0, the weights that stay are rounded with the scale of their row, `rows` float32 from there on.
 */
export function sweep(
  w: usize,
  e: usize,
  mask: usize,
  u: usize,
  rows: i32,
  width: i32,
  n: i32,
  group: i32,
  scales: usize,
  low: f32,
  high: f32,
): void {
  const end = (<usize>((width + 3) & ~3)) << 2;
  const rounds = scales !== 0;
  for (let r = 0; r < rows; r++) {
    const scale: f32 = rounds ? load<f32>(scales + ((<usize>r) << 2)) : 0;
    for (let from = 0; from < width; from += group) {
      const to = min(from + group, width);
      if (n >= 0) chooseSmallest(w, mask, u, from, to, n);
      for (let g = from; g < to; g += 8) {
        const next = min(g + 8, to);
        for (let j = g; j < next; j++) {
          const error = rounds ? takeRoundingError(w, e, mask, u, j, scale, low, high) : takeError(w, e, mask, u, j);
          const rowU = u + <usize>j * ROW;
          for (let i = j + 1; i < next; i++) {
            const at = (<usize>i) << 2;
            store<f32>(w + at, load<f32>(w + at) - error * load<f32>(rowU + at));
          }
        }
        applyGroup(w, e, u, g, next, width, end);
      }
    }
    w += ROW;
    e += ROW;
    mask += <usize>PITCH;
  }
}

/** w_i -= Σ e_j·U_ji for i in [next, width), j in [g, next), at most eight of them. */
function applyGroup(w: usize, e: usize, u: usize, g: i32, next: i32, width: i32, end: usize): void {
  let i = next;
  for (; i < width && (i & 3) !== 0; i++) {
    const at = (<usize>i) << 2;
    let weight = load<f32>(w + at);
    for (let j = g; j < next; j++) {
      weight -= load<f32>(e + ((<usize>j) << 2)) * load<f32>(u + <usize>j * ROW + at);
    }
    store<f32>(w + at, weight);
  }
  if (i >= width) return; // a vector from here would reach into the next row
  const first = e + ((<usize>g) << 2);
  const base = u + <usize>g * ROW;
  if (next - g === 8) {
    const e0 = v128.load32_splat(first);
    const e1 = v128.load32_splat(first, 4);
    const e2 = v128.load32_splat(first, 8);
    const e3 = v128.load32_splat(first, 12);
    const e4 = v128.load32_splat(first, 16);
    const e5 = v128.load32_splat(first, 20);
    const e6 = v128.load32_splat(first, 24);
    const e7 = v128.load32_splat(first, 28);
    for (let at = (<usize>i) << 2; at < end; at += 16) {
      const row = base + at;
      let x = v128.load(w + at);
      x = f32x4.sub(x, f32x4.mul(e0, v128.load(row)));
      x = f32x4.sub(x, f32x4.mul(e1, v128.load(row + ROW)));
      x = f32x4.sub(x, f32x4.mul(e2, v128.load(row + 2 * ROW)));
      x = f32x4.sub(x, f32x4.mul(e3, v128.load(row + 3 * ROW)));
      x = f32x4.sub(x, f32x4.mul(e4, v128.load(row + 4 * ROW)));
      x = f32x4.sub(x, f32x4.mul(e5, v128.load(row + 5 * ROW)));
      x = f32x4.sub(x, f32x4.mul(e6, v128.load(row + 6 * ROW)));
      x = f32x4.sub(x, f32x4.mul(e7, v128.load(row + 7 * ROW)));
      v128.store(w + at, x);
    }
    return;
  }
  for (let j = g; j < next; j++) {
    const error = v128.load32_splat(e + ((<usize>j) << 2));
    const rowU = u + <usize>j * ROW;
    for (let at = (<usize>i) << 2; at < end; at += 16) {
      v128.store(w + at, f32x4.sub(v128.load(w + at), f32x4.mul(error, v128.load(rowU + at))));
    }
  }
}
