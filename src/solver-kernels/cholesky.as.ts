// AssemblyScript, compiled to dist/kernels/cholesky.wasm: the diagonal blocks of a blocked factorisation A = R·Rᵀ with
// R upper triangular. Matrices are [n, n] float32 at an address, rows `stride` floats apart. `stride` is a multiple of
// 4, and columns beyond n hold zeros. Only the upper triangle of A is read. Scalar twin: plain.ts.

/** Σ x[k]·y[k] for k in [from, stride), in four lanes. */
function dot(x: usize, y: usize, from: i32, stride: i32): f32 {
  let sum: f32 = 0;
  let k = from;
  for (; k < stride && (k & 3) !== 0; k++) {
    sum += load<f32>(x + ((<usize>k) << 2)) * load<f32>(y + ((<usize>k) << 2));
  }
  let lanes = f32x4.splat(0);
  for (; k < stride; k += 4) {
    const at = (<usize>k) << 2;
    lanes = f32x4.add(lanes, f32x4.mul(v128.load(x + at), v128.load(y + at)));
  }
  const pairs =
    f32x4.extract_lane(lanes, 0) +
    f32x4.extract_lane(lanes, 1) +
    (f32x4.extract_lane(lanes, 2) + f32x4.extract_lane(lanes, 3));
  return sum + pairs;
}

/**
 * A → R in place, from the last column to the first. Returns −1, or the column whose pivot is not positive and finite.
 * Leaves A below the diagonal unchanged.
 */
export function factorUpper(a: usize, n: i32, stride: i32): i32 {
  const pitch = (<usize>stride) << 2;
  for (let j = n - 1; j >= 0; j--) {
    const rowJ = a + <usize>j * pitch;
    const place = (<usize>j) << 2;
    const pivot = load<f32>(rowJ + place) - dot(rowJ, rowJ, j + 1, stride);
    if (!(pivot > 0 && pivot < f32.POSITIVE_INFINITY)) return j;
    const r = sqrt<f32>(pivot);
    store<f32>(rowJ + place, r);
    for (let i = 0; i < j; i++) {
      const rowI = a + <usize>i * pitch;
      store<f32>(rowI + place, (load<f32>(rowI + place) - dot(rowI, rowJ, j + 1, stride)) / r);
    }
  }
  return -1;
}

/** V = R⁻¹ for R upper triangular. Writes all of V, with zeros below the diagonal and beyond column n. */
export function invertUpper(r: usize, v: usize, n: i32, stride: i32): void {
  const pitch = (<usize>stride) << 2;
  for (let i = n - 1; i >= 0; i--) {
    const rowR = r + <usize>i * pitch;
    const rowV = v + <usize>i * pitch;
    memory.fill(rowV, 0, pitch);
    for (let k = i + 1; k < n; k++) {
      const factor = f32x4.splat(load<f32>(rowR + ((<usize>k) << 2)));
      const rowK = v + <usize>k * pitch;
      // Row k is zero left of column k, so the loop can start at a multiple of four.
      for (let j = (<usize>(k & ~3)) << 2; j < pitch; j += 16) {
        v128.store(rowV + j, f32x4.add(v128.load(rowV + j), f32x4.mul(factor, v128.load(rowK + j))));
      }
    }
    const place = (<usize>i) << 2;
    const inverse: f32 = <f32>1 / load<f32>(rowR + place);
    const scale = f32x4.splat(-inverse);
    for (let j = (<usize>(i & ~3)) << 2; j < pitch; j += 16) {
      v128.store(rowV + j, f32x4.mul(v128.load(rowV + j), scale));
    }
    store<f32>(rowV + place, inverse);
    // The multiplication by −1 left −0 before the diagonal; store +0 instead.
    for (let j = i & ~3; j < i; j++) store<f32>(rowV + ((<usize>j) << 2), 0);
    for (let j = n; j < stride; j++) store<f32>(rowV + ((<usize>j) << 2), 0);
  }
}
