// Elementwise operators. Two operands are broadcast; a cotangent is summed over the axes along which its operand was.
//   Gelu: x·Φ(x) → dy·(Φ + x·φ);  by tanh, with t = tanh(c·x(1 + a·x²)), c = √(2/π), a = 0.044715:
//   ½x(1 + t) → dy·(½(1 + t) + ½x(1 − t²)·c·(1 + 3a·x²))

import type { Node } from '../graph.js';
import { type Backward, type Rule, refusal } from './backward.js';

/** A rule of an operator with one output and no attributes that matter; `dy` is its cotangent, of y's shape. */
const plain = (apply: (back: Backward, node: Node, dy: string) => void, attributes: readonly string[] = []): Rule => ({
  attributes,
  apply: (back, node, [dy]) => apply(back, node, dy!),
});

/** A rule of an operator y = f(x): `derivative` gives dy·f′(x). */
const unary = (derivative: (back: Backward, dy: string, x: string, y: string) => string): Rule =>
  plain((back, { inputs: [x], outputs: [y] }, dy) => back.give(x, () => derivative(back, dy, x!, y!)));

/** A rule of an operator of two operands: what each gets, before the sum over the axes along which it was broadcast. */
const binary = (
  left: (back: Backward, dy: string, a: string, b: string) => string,
  right: (back: Backward, dy: string, a: string, b: string, y: string) => string,
): Rule =>
  plain((back, { inputs: [a, b], outputs: [y] }, dy) => {
    const shape = back.shapeOf(y!);
    back.give(a, () => back.unbroadcast(left(back, dy, a!, b!), shape, a!));
    back.give(b, () => back.unbroadcast(right(back, dy, a!, b!, y!), shape, b!));
  });

const negative = (back: Backward, x: string): string => back.op('Neg', [x]);
const oneMinus = (back: Backward, x: string): string => back.op('Sub', [back.scalar(1), x]);

export const Add = binary(
  (_, dy) => dy,
  (_, dy) => dy,
);
export const Sub = binary(
  (_, dy) => dy,
  (back, dy) => negative(back, dy),
);
export const Mul = binary(
  (back, dy, _, b) => back.multiply(dy, b),
  (back, dy, a) => back.multiply(dy, a),
);
export const Div = binary(
  (back, dy, _, b) => back.op('Div', [dy, b]),
  (back, dy, _, b, y) => negative(back, back.multiply(back.op('Div', [dy, b]), y)),
);
export const Identity = unary((_, dy) => dy);
export const Neg = unary((back, dy) => negative(back, dy));
export const Exp = unary((back, dy, _, y) => back.multiply(dy, y));
export const Log = unary((back, dy, x) => back.op('Div', [dy, x]));
/** Without bound at 0, as in PyTorch. */
export const Sqrt = unary((back, dy, _, y) => back.op('Div', [back.multiply(dy, back.scalar(0.5)), y]));
export const Tanh = unary((back, dy, _, y) => back.multiply(dy, oneMinus(back, back.multiply(y, y))));
export const Sigmoid = unary((back, dy, _, y) => back.multiply(dy, back.multiply(y, oneMinus(back, y))));
/** 0 at 0, as in PyTorch. */
export const Relu = unary((back, dy, _, y) => back.multiply(dy, back.op('Sign', [y])));

/** To float32: of stored weights, whose float32 view is what is differentiated. Other casts are refused. */
export const Cast = plain(
  (back, node, dy) => {
    const to = node.attributes.to;
    if (to?.kind !== 'int' || to.value !== 1) throw refusal(node, 'only casts to float32 have one');
    back.give(node.inputs[0], () => dy);
  },
  ['to'],
);

export const Where = plain((back, { inputs: [condition, yes, no], outputs: [y] }, dy) => {
  const shape = back.shapeOf(y!);
  const zero = back.scalar(0);
  back.give(yes, () => back.unbroadcast(back.op('Where', [condition!, dy, zero]), shape, yes!));
  back.give(no, () => back.unbroadcast(back.op('Where', [condition!, zero, dy]), shape, no!));
});

export const Gelu = plain(
  (back, { inputs: [x], attributes }, dy) => {
    const tanh = attributes.approximate?.kind === 'text' && attributes.approximate.value === 'tanh';
    back.give(x, () => back.multiply(dy, (tanh ? tanhGeluSlope : geluSlope)(back, x!)));
  },
  ['approximate'],
);

function geluSlope(back: Backward, x: string): string {
  const density = back.op('Exp', [back.multiply(back.multiply(x, x), back.scalar(-0.5))]);
  const cumulative = back.op('Add', [back.op('Erf', [back.multiply(x, back.scalar(Math.SQRT1_2))]), back.scalar(1)]);
  return back.op('Add', [
    back.multiply(cumulative, back.scalar(0.5)),
    back.multiply(x, density, back.scalar(1 / Math.sqrt(2 * Math.PI))),
  ]);
}

function tanhGeluSlope(back: Backward, x: string): string {
  const [c, a] = [Math.sqrt(2 / Math.PI), 0.044715];
  const square = back.multiply(x, x);
  const onePlus = (factor: number): string =>
    back.op('Add', [back.multiply(square, back.scalar(factor)), back.scalar(1)]);
  const t = back.op('Tanh', [back.multiply(back.multiply(x, onePlus(a)), back.scalar(c))]);
  const outer = back.multiply(back.op('Add', [t, back.scalar(1)]), back.scalar(0.5));
  const inner = back.multiply(x, oneMinus(back, back.multiply(t, t)), onePlus(3 * a), back.scalar(0.5 * c));
  return back.op('Add', [outer, inner]);
}
