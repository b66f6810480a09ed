// Linear assignment: which row goes with which column so that the sum of their values is largest. Shortest augmenting paths
// with dual prices (Jonker and Volgenant 1987, in the form for dense matrices): O(n³) time, O(n) memory besides the matrix.

import { NumericError } from '../base/index.js';

/**
 * For each row of `values` [n, n], row-major, its column: a permutation with the largest sum.
 * @throws NumericError E_NUMERIC_ASSIGNMENT where a value is not finite
 */
export function assignMost(values: Float32Array, n: number): Int32Array {
  if (!values.every(Number.isFinite)) {
    throw new NumericError(
      'E_NUMERIC_ASSIGNMENT',
      'The similarities to assign by are not finite. Check the checkpoint.',
    );
  }
  // Row n is a start outside the matrix; column n stands for "no column".
  const [rowPrice, columnPrice] = [new Float64Array(n + 1), new Float64Array(n + 1)];
  const rowOf = new Int32Array(n + 1).fill(-1);
  const before = new Int32Array(n + 1);
  const distance = new Float64Array(n + 1);
  const done = new Uint8Array(n + 1);
  for (let start = 0; start < n; start++) {
    rowOf[n] = start;
    distance.fill(Number.POSITIVE_INFINITY);
    done.fill(0);
    let column = n;
    while (rowOf[column] !== -1) {
      done[column] = 1;
      const row = rowOf[column]!;
      let [next, least] = [-1, Number.POSITIVE_INFINITY];
      for (let j = 0; j < n; j++) {
        if (done[j]) continue;
        const reduced = -values[row * n + j]! - rowPrice[row]! - columnPrice[j]!;
        if (reduced < distance[j]!) {
          distance[j] = reduced;
          before[j] = column;
        }
        if (distance[j]! < least) {
          least = distance[j]!;
          next = j;
        }
      }
      for (let j = 0; j <= n; j++) {
        if (done[j]) {
          rowPrice[rowOf[j]!]! += least;
          columnPrice[j]! -= least;
        } else distance[j]! -= least;
      }
      column = next;
    }
    while (column !== n) {
      const last = before[column]!;
      rowOf[column] = rowOf[last]!;
      column = last;
    }
  }
  const columnOf = new Int32Array(n);
  for (let j = 0; j < n; j++) columnOf[rowOf[j]!] = j;
  return columnOf;
}
