// AssemblyScript: takes dense int3 and int2 rows apart (layouts/dense-few.ts): fields of four columns of four rows, and
// those of four steps put into rows.

/** The fields of one step of the eight of 32 columns, a constant: four columns of each of four rows. */
@inline
export function fieldsOf(
  bits: i32,
  step: i32,
  w0: v128,
  w1: v128,
  w2: v128,
  two: v128,
  three: v128,
  four: v128,
): v128 {
  if (bits === 2) {
    const w = step < 4 ? w0 : w1;
    return v128.and(step & 3 ? i16x8.shr_u(w, 2 * (step & 3)) : w, two);
  }
  if (step < 6) {
    const w = step < 2 ? w0 : step < 4 ? w1 : w2;
    return v128.and(step & 1 ? i16x8.shr_u(w, 3) : w, three);
  }
  const low = v128.and(i16x8.shr_u(step === 6 ? w0 : w1, 6), two);
  return v128.or(low, v128.and(i16x8.shr_u(w2, step - 2), four));
}

/** The first or last two rows, `high`, of four transposed vectors of four 32-bit lanes. */
@inline
export function firstRows(a: v128, b: v128, high: bool): v128 {
  return high ? i32x4.shuffle(a, b, 2, 6, 3, 7) : i32x4.shuffle(a, b, 0, 4, 1, 5);
}

@inline
export function rowOfTwo(ab: v128, cd: v128, second: bool): v128 {
  return second ? i64x2.shuffle(ab, cd, 1, 3) : i64x2.shuffle(ab, cd, 0, 2);
}
