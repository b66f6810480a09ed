// All eigenvalues of a symmetric matrix A [n, n], in float64, without eigenvectors. Householder reflections make A
// tridiagonal (4/3·n³ operations, from the last row to the first, on the lower triangle only). Implicit QL with
// Wilkinson's shift (O(n²)) then takes the off-diagonal to zero. Golub & Van Loan, Matrix Computations, §8.3. The
// absolute error is a few n·2⁻⁵³ of the largest eigenvalue. On one thread: seconds up to n = 1,000, minutes past 4,000.

import { NumericError } from '../base/index.js';

/** The limit of sweeps per eigenvalue; two or three are usual. */
const MOST_SWEEPS = 60;

/**
 * The eigenvalues in ascending order. `A` is row-major; its lower triangle is read and overwritten.
 * @throws NumericError E_NUMERIC_EIGENVALUES where it does not converge, because A holds NaN or infinities
 */
export function symmetricEigenvalues(A: Float64Array, n: number): Float64Array {
  const { diagonal, beside } = tridiagonalise(A, n);
  convergeQl(diagonal, beside);
  return diagonal.sort();
}

type Tridiagonal = {
  readonly diagonal: Float64Array;
  /** [i] couples i and i + 1; the last is 0. */
  readonly beside: Float64Array;
};

function tridiagonalise(A: Float64Array, n: number): Tridiagonal {
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(n);
  const p = new Float64Array(n);
  for (let k = n - 1; k > 0; k--) {
    // v = row k left of the diagonal; I − v·vᵀ/h takes it to (0, …, 0, coupling).
    const v = A.subarray(k * n, k * n + k);
    diagonal[k] = A[k * n + k]!;
    const last = v[k - 1]!;
    let tail = 0;
    for (let j = 0; j < k - 1; j++) tail += v[j]! * v[j]!;
    if (tail === 0) {
      beside[k - 1] = last;
      continue;
    }
    const norm = Math.sqrt(tail + last * last);
    const coupling = last >= 0 ? -norm : norm;
    beside[k - 1] = coupling;
    const h = norm * norm - last * coupling;
    v[k - 1] = last - coupling;
    multiplySymmetric(A, n, k, v, p);
    let inner = 0;
    for (let j = 0; j < k; j++) inner += v[j]! * p[j]!;
    const half = inner / (2 * h * h);
    for (let j = 0; j < k; j++) p[j] = p[j]! / h - half * v[j]!;
    // A ← A − v·pᵀ − p·vᵀ on the leading k × k.
    for (let i = 0; i < k; i++) {
      const [vi, pi, at] = [v[i]!, p[i]!, i * n];
      for (let j = 0; j <= i; j++) A[at + j]! -= vi * p[j]! + pi * v[j]!;
    }
  }
  diagonal[0] = A[0]!;
  return { diagonal, beside };
}

/** p = A·v for the leading k × k of A, from its lower triangle. */
function multiplySymmetric(A: Float64Array, n: number, k: number, v: Float64Array, p: Float64Array): void {
  for (let i = 0; i < k; i++) {
    const [vi, at] = [v[i]!, i * n];
    let sum = A[at + i]! * vi;
    for (let j = 0; j < i; j++) {
      const a = A[at + j]!;
      sum += a * v[j]!;
      p[j]! += a * vi;
    }
    p[i] = sum;
  }
}

function convergeQl(d: Float64Array, e: Float64Array): void {
  const n = d.length;
  for (let low = 0; low < n; low++) {
    for (let sweeps = 0; ; sweeps++) {
      let end = low;
      while (end < n - 1) {
        const size = Math.abs(d[end]!) + Math.abs(d[end + 1]!);
        if (Math.abs(e[end]!) <= Number.EPSILON * size) break;
        end++;
      }
      if (end === low) break;
      if (sweeps === MOST_SWEEPS) {
        throw new NumericError('E_NUMERIC_EIGENVALUES', 'Eigenvalues did not converge. Check the checkpoint.', { n });
      }
      sweepQl(d, e, low, end);
    }
  }
}

/** One implicit QL sweep over rows low … end, shifted by the eigenvalue of the upper 2 × 2 that is nearer to d[low]. */
function sweepQl(d: Float64Array, e: Float64Array, low: number, end: number): void {
  const ratio = (d[low + 1]! - d[low]!) / (2 * e[low]!);
  const radius = Math.hypot(ratio, 1);
  const shift = d[low]! - e[low]! / (ratio + (ratio >= 0 ? radius : -radius));
  let g = d[end]! - shift;
  let [sine, cosine, moved] = [1, 1, 0];
  for (let i = end - 1; i >= low; i--) {
    const f = sine * e[i]!;
    const b = cosine * e[i]!;
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      // The matrix splits here; the next sweep takes the rest.
      d[i + 1]! -= moved;
      e[end] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    g = d[i + 1]! - moved;
    const q = (d[i]! - g) * sine + 2 * cosine * b;
    moved = sine * q;
    d[i + 1] = g + moved;
    g = cosine * q - b;
  }
  d[low]! -= moved;
  e[low] = g;
  e[end] = 0;
}
