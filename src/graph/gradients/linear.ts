// Gemm: y = A′B′ + C with A′ = A or Aᵀ, B′ = B or Bᵀ. dA′ = dy·B′ᵀ and dB′ = A′ᵀ·dy, each as one Gemm whose flags spare a
// transposition; dC is the sum over the axes along which C was broadcast.

import { int, numberOf } from '../graph.js';
import type { Rule } from './backward.js';

export const Gemm: Rule = {
  attributes: ['transA', 'transB'],
  apply: (back, { inputs: [a, b, c], outputs: [y], attributes }, [dy]) => {
    const [transA, transB] = [numberOf(attributes.transA, 0), numberOf(attributes.transB, 0)];
    const product = (left: string, right: string, leftFlag: number, rightFlag: number): string =>
      back.op('Gemm', [left, right], { transA: int(leftFlag), transB: int(rightFlag) });
    back.give(a, () => (transA ? product(b!, dy!, transB, 1) : product(dy!, b!, 0, 1 - transB)));
    back.give(b, () => (transB ? product(dy!, a!, 1, transA) : product(a!, dy!, 1 - transA, 0)));
    back.give(c, () => back.unbroadcast(dy!, back.shapeOf(y!), c!));
  },
};
