// Elementwise ops. Two operands are broadcast as in NumPy.

import { UnsupportedError } from '../../base/index.js';
import type { ElementType } from '../../graph/index.js';
import { expand } from './shapes.js';
import { mismatch, type Op, real, scalar, type Value, word } from './value.js';

const unary = (f: (x: number) => number): Op => ({
  attributes: [],
  inputs: [1, 1],
  run: ([x]) => real(x!.shape, x!.data.map(f)),
});

const binary = (f: (a: number, b: number) => number): Op => ({
  attributes: [],
  inputs: [2, 2],
  run: ([a, b]) => {
    const shape = broadcast(a!.shape, b!.shape);
    const left = expand(a!, shape).data;
    const right = expand(b!, shape).data;
    return real(
      shape,
      left.map((x, i) => f(x, right[i]!)),
    );
  },
});

/** The shape that both operands broadcast to. */
function broadcast(a: readonly number[], b: readonly number[]): readonly number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) mismatch('broadcast', a, b);
    return x === 1 ? y : x;
  });
}

/** onnx.TensorProto.DataType of the supported types. */
const ELEMENT: Readonly<Record<number, ElementType>> = { 1: 'f32', 7: 'i64' };

function cast(x: Value, to: number): Value {
  const type = ELEMENT[to];
  if (!type) {
    throw new UnsupportedError('E_UNSUPPORTED_DTYPE', `Cast to ONNX type ${to}: supported are 1 (f32) and 7 (i64).`, {
      to,
    });
  }
  return { ...x, type, data: type === 'i64' ? x.data.map(Math.trunc) : x.data };
}

/** `yes` where `condition` is not 0, else `no`; all three broadcast. */
function where(condition: Value, yes: Value, no: Value): Value {
  const shape = broadcast(broadcast(condition.shape, yes.shape), no.shape);
  const [c, a, b] = [condition, yes, no].map((x) => expand(x, shape).data);
  return real(
    shape,
    c!.map((chosen, i) => (chosen ? a![i]! : b![i]!)),
  );
}

export const Add = binary((a, b) => a + b);
export const Sub = binary((a, b) => a - b);
export const Mul = binary((a, b) => a * b);
export const Div = binary((a, b) => a / b);
/** Comparisons give 1 and 0: no graph of ours outputs a boolean. */
export const LessOrEqual = binary((a, b) => (a <= b ? 1 : 0));
export const Where: Op = {
  attributes: [],
  inputs: [3, 3],
  run: ([condition, yes, no]) => where(condition!, yes!, no!),
};
export const Exp = unary(Math.exp);
export const Log = unary(Math.log);
export const Neg = unary((x) => -x);
export const Sigmoid = unary((x) => 1 / (1 + Math.exp(-x)));
export const Relu = unary((x) => Math.max(x, 0));
export const Tanh = unary(Math.tanh);
export const Sqrt = unary(Math.sqrt);
export const Reciprocal = unary((x) => 1 / x);
export const Sign = unary(Math.sign);
/** To the nearest whole number, half to even. */
export const Round = unary((x) => {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
});
/** Into [low, high]; either may be left out. */
export const Clip: Op = {
  attributes: [],
  inputs: [1, 3],
  run: ([x, low, high]) => {
    const [least, most] = [low?.data[0] ?? Number.NEGATIVE_INFINITY, high?.data[0] ?? Number.POSITIVE_INFINITY];
    return real(
      x!.shape,
      x!.data.map((value) => Math.min(Math.max(value, least), most)),
    );
  },
};
/** x·Φ(x), or 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) with the approximation `tanh`. */
export const Gelu: Op = {
  attributes: ['approximate'],
  inputs: [1, 1],
  run: ([x], attributes) => {
    const tanh = word(attributes, 'approximate', ['none', 'tanh']) === 'tanh';
    const phi = (v: number): number =>
      0.5 * (1 + (tanh ? Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)) : erf(v * Math.SQRT1_2)));
    return real(
      x!.shape,
      x!.data.map((v) => v * phi(v)),
    );
  },
};

/** erf to the last few bits of a double: a series near 0, and the continued fraction of 1 − erf further out. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  const scale = 2 / Math.sqrt(Math.PI);
  if (size < 2.5) {
    // e^(−x²)·Σ 2ⁿ·x^(2n + 1)/(1·3·…·(2n + 1)); all terms have one sign.
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return scale * Math.exp(-x * x) * sum;
  }
  let fraction = size;
  for (let n = 60; n >= 1; n--) fraction = size + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction));
}

export const Erf = unary(erf);
export const Identity: Op = { attributes: [], inputs: [1, 1], run: ([x]) => x! };
export const Cast: Op = {
  attributes: ['to'],
  inputs: [1, 1],
  run: ([x], attributes) => cast(x!, scalar(attributes, 'to')),
};
