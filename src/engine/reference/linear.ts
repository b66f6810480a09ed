// Gemm: Y = A·B + C with A [M, K] and B [K, N]. With transA, A is [K, M]; with transB, B is [N, K]. C broadcasts to [M, N].
// MatMul: the same of every pair of matrices of A [..., M, K] and B [..., K, N]; the axes before are equal.

import { elementCount } from '../../tensor/index.js';
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

function matMul(a: Value, b: Value): Value {
  const [M, K] = a.shape.slice(-2) as [number, number];
  const [inner, N] = b.shape.slice(-2) as [number, number];
  const outer = a.shape.slice(0, -2);
  if (a.shape.length < 2 || inner !== K || outer.join() !== b.shape.slice(0, -2).join()) {
    mismatch('MatMul', a.shape, b.shape);
  }
  const y = real([...outer, M, N]);
  for (let at = 0; at < elementCount(outer); at++) {
    const part = (x: Value, size: number, shape: readonly number[]): Value => {
      return { ...x, shape, data: x.data.subarray(at * size, (at + 1) * size) };
    };
    const product = gemm(part(a, M * K, [M, K]), part(b, K * N, [K, N]), undefined, false, false);
    y.data.set(product.data, at * M * N);
  }
  return y;
}

export const MatMul: Op = { attributes: [], inputs: [2, 2], run: ([a, b]) => matMul(a!, b!) };
export const Gemm: Op = {
  attributes: ['transA', 'transB'],
  inputs: [2, 3],
  run: ([a, b, c], attributes) =>
    gemm(a!, b!, c, scalar(attributes, 'transA', 0) !== 0, scalar(attributes, 'transB', 0) !== 0),
};
