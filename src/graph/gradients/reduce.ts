// Sums and means along axes, and the logarithm of softmax. A reduced axis is 1 again before the cotangent is spread over it.

import { int, type Node, numberOf } from '../graph.js';
import { axisFrom } from '../infer.js';
import { countOf, isStatic } from '../sizes.js';
import { type Backward, type Rule, refusal } from './backward.js';

/** The axes that a node reduces: all where none are named. */
function axesOf(back: Backward, node: Node): readonly number[] {
  const shape = back.shapeOf(node.inputs[0]!);
  const named = node.inputs.length > 1 ? back.integersOf(node, 1) : [...shape.keys()];
  return named.map((axis) => axisFrom(axis, shape.length));
}

/** The cotangent of a reduction with the reduced axes at size 1. */
function keeping(back: Backward, node: Node, dy: string): string {
  if (numberOf(node.attributes.keepdims, 1) !== 0) return dy;
  return back.op('Unsqueeze', [dy, back.ints(axesOf(back, node))]);
}

export const ReduceSum: Rule = {
  attributes: ['keepdims'],
  apply: (back, node, [dy]) => {
    const [x] = node.inputs;
    back.give(x, () => back.op('Expand', [keeping(back, node, dy!), back.sizesOf(x!)]));
  },
};

export const ReduceMean: Rule = {
  attributes: ['keepdims'],
  apply: (back, node, [dy]) => {
    const [x] = node.inputs;
    back.give(x, () => {
      const shape = back.shapeOf(x!);
      const sizes = axesOf(back, node).map((axis) => shape[axis]!);
      if (!isStatic(sizes)) throw refusal(node, 'only a mean over axes of known sizes has one');
      const share = back.scalar(1 / Number(countOf(sizes)));
      return back.op('Expand', [back.multiply(keeping(back, node, dy!), share), back.sizesOf(x!)]);
    });
  },
};

export const ReduceSumSquare: Rule = {
  attributes: ['keepdims'],
  apply: (back, node, [dy]) => {
    const [x] = node.inputs;
    back.give(x, () => back.multiply(back.multiply(keeping(back, node, dy!), back.scalar(2)), x!));
  },
};

/** dx = dy − e^y·Σ dy. */
export const LogSoftmax: Rule = {
  attributes: ['axis'],
  apply: (back, { inputs: [x], outputs: [y], attributes }, [dy]) =>
    back.give(x, () => {
      const total = back.op('ReduceSum', [dy!, back.ints([numberOf(attributes.axis, -1)])], { keepdims: int(1) });
      return back.op('Sub', [dy!, back.multiply(back.op('Exp', [y!]), total)]);
    }),
};
