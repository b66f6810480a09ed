// The scalar twin of the WebAssembly kernels, in plain TypeScript. It factorises and inverts in double precision, so it
// is more exact than the kernels. The sweep rounds to float32 after every operation, column by column, and the kernel
// must match it to the last bit, because masks depend on it.

import type { Kernels, SweepPanel } from './kernels.js';

function factorUpper(A: Float32Array, n: number): number {
  const R = Float64Array.from(A);
  for (let j = n - 1; j >= 0; j--) {
    for (let i = j; i >= 0; i--) {
      let sum = R[i * n + j]!;
      for (let k = j + 1; k < n; k++) sum -= R[i * n + k]! * R[j * n + k]!;
      if (i === j && !(sum > 0 && sum < Number.POSITIVE_INFINITY)) return j;
      R[i * n + j] = i === j ? Math.sqrt(sum) : sum / R[j * n + j]!;
    }
  }
  A.set(R);
  return -1;
}

function invertUpper(R: Float32Array, n: number): void {
  const V = new Float64Array(n * n);
  for (let i = n - 1; i >= 0; i--) {
    V[i * n + i] = 1 / R[i * n + i]!;
    for (let j = i + 1; j < n; j++) {
      let sum = 0;
      for (let k = i + 1; k <= j; k++) sum += R[i * n + k]! * V[k * n + j]!;
      V[i * n + j] = -sum / R[i * n + i]!;
    }
  }
  R.set(V);
}

const { fround } = Math;

function sweepPanel(panel: SweepPanel): void {
  const { rows, columns, from, width, W, E, U, mask, choose, round } = panel;
  const pivot = (j: number): number => U[(from + j) * columns + from + j]!;
  for (let row = 0; row < rows; row++) {
    const w = W.subarray(row * columns + from, row * columns + from + width);
    const gone = mask.subarray(row * width, (row + 1) * width);
    for (let j = 0; j < width; j++) {
      if (choose && j % choose.m === 0) chooseSmallest(w, gone, pivot, j, Math.min(j + choose.m, width), choose.n);
      const weight = w[j]!;
      const kept = round ? nearestOnGrid(weight, round.scales[row]!, round.low, round.high) : weight;
      const final = gone[j] ? 0 : kept;
      const error = gone[j] || round ? fround(fround(weight - final) / pivot(j)) : 0;
      E[row * columns + from + j] = error;
      w[j] = final;
      for (let i = j + 1; i < width; i++) w[i] = w[i]! - fround(error * U[(from + j) * columns + from + i]!);
    }
  }
}

/** 1.5·2²³: a float32 of less than 2²² that is added to it loses its fraction, half to even. */
const WHOLE = 12582912;

/** q, the whole number in [low, high] nearest to weight / scale in float32, half to even; 0 where the scale is 0. */
export function nearestCode(weight: number, scale: number, low: number, high: number): number {
  if (scale === 0) return 0;
  return fround(Math.max(low, Math.min(high, fround(weight / scale))) + WHOLE) - WHOLE;
}

/** scale·q in float32 for that q; never −0. */
const nearestOnGrid = (weight: number, scale: number, low: number, high: number): number =>
  fround(nearestCode(weight, scale, low, high) * scale) + 0;

function chooseSmallest(
  w: Float32Array,
  gone: Uint8Array,
  pivot: (j: number) => number,
  from: number,
  to: number,
  n: number,
): void {
  const score = (j: number): number => fround(fround(w[j]! * w[j]!) / fround(pivot(j) * pivot(j)));
  const order = Array.from({ length: to - from }, (_, i) => from + i).sort((a, b) => score(a) - score(b) || a - b);
  for (const [rank, j] of order.entries()) gone[j] = rank < n ? 1 : 0;
}

/** The scalar twin: slow and obvious. */
export const plainKernels: Kernels = { factorUpper, invertUpper, sweepPanel };
