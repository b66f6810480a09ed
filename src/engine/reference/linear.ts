// Y = A·B + C with A [M, K] and B [K, N]. With transA, A is [K, M]; with transB, B is [N, K]. C broadcasts to [M, N].

import { expand } from './shapes.js';
import { mismatch, type Op, real, scalar, type Value } from './value.js';

function gemm(a: Value, b: Value, c: Value | undefined, transA: boolean, transB: boolean): Value {
  const [M, K] = (transA ? a.shape.toReversed() : a.shape) as [number, number];
  const [N, inner] = (transB ? b.shape : b.shape.toReversed()) as [number, number];
  if (a.shape.length !== 2 || b.shape.length !== 2 || inner !== K) mismatch('Gemm', a.shape, b.shape);
  const y = real([M, N], c ? expand(c, [M, N]).data.slice() : undefined);
  const [down, across] = transA ? [1, M] : [K, 1];
  const [rowStep, columnStep] = transB ? [1, K] : [N, 1];
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += a.data[m * down + k * across]! * b.data[k * rowStep + n * columnStep]!;
      y.data[m * N + n]! += sum;
    }
  }
  return y;
}

export const Gemm: Op = {
  attributes: ['transA', 'transB'],
  inputs: [2, 3],
  run: ([a, b, c], attributes) =>
    gemm(a!, b!, c, scalar(attributes, 'transA', 0) !== 0, scalar(attributes, 'transB', 0) !== 0),
};
