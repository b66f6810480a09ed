// Linear equations by elimination in double precision: what operators are judged by.

/** X with A·X = B, by Gauss and Jordan with pivots. */
export function solve(A: readonly (readonly number[])[], B: readonly (readonly number[])[]): number[][] {
  const rows = A.map((row, i) => [...row, ...B[i]!]);
  for (let k = 0; k < rows.length; k++) {
    const best = rows.reduce((top, row, i) => (i > k && Math.abs(row[k]!) > Math.abs(rows[top]![k]!) ? i : top), k);
    [rows[k], rows[best]] = [rows[best]!, rows[k]!];
    const pivot = rows[k]![k]!;
    rows[k] = rows[k]!.map((value) => value / pivot);
    for (let i = 0; i < rows.length; i++) {
      if (i === k) continue;
      const factor = rows[i]![k]!;
      rows[i] = rows[i]!.map((value, j) => value - factor * rows[k]![j]!);
    }
  }
  return rows.map((row) => row.slice(A.length));
}

/** The inverse of a row-major [n, n] matrix, row-major. */
export function invert(A: readonly number[], n: number): Float64Array {
  const rows = Array.from({ length: n }, (_, i) => A.slice(i * n, (i + 1) * n));
  const unit = rows.map((_, i) => rows.map((__, j) => (i === j ? 1 : 0)));
  return Float64Array.from(solve(rows, unit).flat());
}
