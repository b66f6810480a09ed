// AssemblyScript: operations on four float32 lanes.

/** The sum of the four lanes. */
@inline
export function total(sum: v128): f32 {
  return (
    f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1) + (f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3))
  );
}

/** The sums of the lanes of each of four vectors, added in the order of `total`. */
@inline
export function totals(a: v128, b: v128, c: v128, d: v128): v128 {
  // First lanes 0 and 2, then 1 and 3: of a and b, and of c and d.
  const ab = f32x4.add(i32x4.shuffle(a, b, 0, 2, 4, 6), i32x4.shuffle(a, b, 1, 3, 5, 7));
  const cd = f32x4.add(i32x4.shuffle(c, d, 0, 2, 4, 6), i32x4.shuffle(c, d, 1, 3, 5, 7));
  return f32x4.add(i32x4.shuffle(ab, cd, 0, 2, 4, 6), i32x4.shuffle(ab, cd, 1, 3, 5, 7));
}

/** a · b over `bytes` bytes: one running sum of four lanes. Numbers beyond a multiple of four are added one by one. */
@inline
export function dot(a: usize, b: usize, bytes: usize): f32 {
  let sum = f32x4.splat(0);
  const whole = bytes & ~15;
  for (let at: usize = 0; at < whole; at += 16) sum = f32x4.add(sum, f32x4.mul(v128.load(a + at), v128.load(b + at)));
  let rest: f32 = 0;
  for (let at = whole; at < bytes; at += 4) rest += load<f32>(a + at) * load<f32>(b + at);
  return total(sum) + rest;
}

/** Four consecutive rows of `bytes` bytes, each · x. The same sums as in `dot`, one per lane. */
@inline
export function dots(row: usize, x: usize, bytes: usize): v128 {
  let a = f32x4.splat(0);
  let b = f32x4.splat(0);
  let c = f32x4.splat(0);
  let d = f32x4.splat(0);
  const whole = bytes & ~15;
  const row1 = row + bytes;
  const row2 = row1 + bytes;
  const row3 = row2 + bytes;
  for (let at: usize = 0; at < whole; at += 16) {
    const v = v128.load(x + at);
    a = f32x4.add(a, f32x4.mul(v128.load(row + at), v));
    b = f32x4.add(b, f32x4.mul(v128.load(row1 + at), v));
    c = f32x4.add(c, f32x4.mul(v128.load(row2 + at), v));
    d = f32x4.add(d, f32x4.mul(v128.load(row3 + at), v));
  }
  let rest = f32x4.splat(0);
  for (let at = whole; at < bytes; at += 4) {
    let four = v128.load32_zero(row + at);
    four = v128.load32_lane(row1 + at, four, 1);
    four = v128.load32_lane(row2 + at, four, 2);
    four = v128.load32_lane(row3 + at, four, 3);
    rest = f32x4.add(rest, f32x4.mul(four, v128.load32_splat(x + at)));
  }
  return f32x4.add(totals(a, b, c, d), rest);
}

/**
 * eˣ to a few units in the last place: 2ⁿ · e^r, where n is the nearest integer to x / ln 2 and e^r a polynomial of
 * degree 6 (the Taylor series: |r| ≤ 0.35, so the next term is below 2⁻²⁶). Below −87 it is e⁻⁸⁷, above 88 e⁸⁸.
 */
@inline
export function exp4(x: v128): v128 {
  const t = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-87)), f32x4.splat(88));
  const n = f32x4.nearest(f32x4.mul(t, f32x4.splat(1.4426950408889634)));
  // ln 2 in two parts; the first has so few bits that n times it is exact.
  let r = f32x4.sub(t, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.add(r, f32x4.mul(n, f32x4.splat(2.12194440054690583e-4)));
  let p = f32x4.splat(1.0 / 720.0);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 120.0));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 24.0));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 6.0));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return f32x4.mul(p, power);
}
