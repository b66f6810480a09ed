// Ops that work along axes: sums, sums of squares, maxima, norms, log softmax.

import { elementCount } from '../../tensor/index.js';
import { around, axisOf, mismatch, type Op, real, scalar, type Value } from './value.js';

/** Calls `row(values)` for every vector along `axis` and writes back its result. */
function alongAxis(x: Value, axis: number, row: (values: Float64Array) => Float64Array): Value {
  const { outer, inner } = around(x.shape, axis);
  const size = x.shape[axis]!;
  const y = real(x.shape);
  const values = new Float64Array(size);
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < inner; k++) {
      for (let j = 0; j < size; j++) values[j] = x.data[(o * size + j) * inner + k]!;
      const result = row(values);
      for (let j = 0; j < size; j++) y.data[(o * size + j) * inner + k] = result[j]!;
    }
  }
  return y;
}

/** log softmax. Subtracts the largest value first, so that nothing overflows. */
export function logSoftmax(values: Float64Array): Float64Array {
  const largest = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const log = Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  return values.map((value) => value - largest - log);
}

/** Folds the named axes, which become 1 or disappear. */
function reduce(
  x: Value,
  axes: readonly number[],
  keep: boolean,
  start: number,
  fold: (sum: number, value: number) => number,
): Value {
  const reduced = new Set(axes.map((axis) => axisOf(axis, x.shape.length)));
  const kept = x.shape.map((size, axis) => (reduced.has(axis) ? 1 : size));
  const y = real(kept);
  y.data.fill(start);
  for (let i = 0; i < x.data.length; i++) {
    let rest = i;
    let to = 0;
    let stride = 1;
    for (let axis = kept.length - 1; axis >= 0; axis--) {
      const place = rest % x.shape[axis]!;
      rest = (rest - place) / x.shape[axis]!;
      if (!reduced.has(axis)) to += place * stride;
      stride *= kept[axis]!;
    }
    y.data[to] = fold(y.data[to]!, x.data[i]!);
  }
  return keep ? y : { ...y, shape: kept.filter((_, axis) => !reduced.has(axis)) };
}

/** Reduces all axes where none are named. */
const reduction = (start: number, fold: (sum: number, value: number) => number): Op => ({
  attributes: ['keepdims'],
  inputs: [1, 2],
  run: ([x, axes], attributes) => {
    const named = axes ? [...axes.data] : x!.shape.map((_, axis) => axis);
    return reduce(x!, named, scalar(attributes, 'keepdims', 1) !== 0, start, fold);
  },
});

export const RMSNormalization: Op = {
  attributes: ['axis', 'epsilon'],
  inputs: [2, 2],
  run: ([x, scale], attributes) => {
    const axis = axisOf(scalar(attributes, 'axis', -1), x!.shape.length);
    const epsilon = scalar(attributes, 'epsilon', 1e-5);
    if (axis !== x!.shape.length - 1) mismatch('RMSNormalization: axis', 'the last axis', axis);
    if (elementCount(scale!.shape) !== x!.shape[axis]) mismatch('RMSNormalization', x!.shape, scale!.shape);
    return alongAxis(x!, axis, (values) => {
      const mean = values.reduce((sum, value) => sum + value * value, 0) / values.length;
      return values.map((value, j) => (value / Math.sqrt(mean + epsilon)) * scale!.data[j]!);
    });
  },
};
/** (x − mean)/√(variance + ε)·scale + bias, with the population variance. */
export const LayerNormalization: Op = {
  attributes: ['axis', 'epsilon'],
  inputs: [2, 3],
  run: ([x, scale, bias], attributes) => {
    const axis = axisOf(scalar(attributes, 'axis', -1), x!.shape.length);
    const epsilon = scalar(attributes, 'epsilon', 1e-5);
    const size = x!.shape[axis]!;
    if (axis !== x!.shape.length - 1) mismatch('LayerNormalization: axis', 'the last axis', axis);
    if (scale!.data.length !== size) mismatch('LayerNormalization', x!.shape, scale!.shape);
    if (bias && bias.data.length !== size) mismatch('LayerNormalization: bias', x!.shape, bias.shape);
    return alongAxis(x!, axis, (values) => {
      const mean = values.reduce((sum, value) => sum + value, 0) / size;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
      const deviation = Math.sqrt(variance + epsilon);
      return values.map((value, j) => ((value - mean) / deviation) * scale!.data[j]! + (bias?.data[j] ?? 0));
    });
  },
};
export const LogSoftmax: Op = {
  attributes: ['axis'],
  inputs: [1, 1],
  run: ([x], attributes) => alongAxis(x!, axisOf(scalar(attributes, 'axis', -1), x!.shape.length), logSoftmax),
};
export const Softmax: Op = {
  attributes: ['axis'],
  inputs: [1, 1],
  run: ([x], attributes) =>
    alongAxis(x!, axisOf(scalar(attributes, 'axis', -1), x!.shape.length), (values) =>
      logSoftmax(values).map(Math.exp),
    ),
};
export const ReduceMax = reduction(Number.NEGATIVE_INFINITY, Math.max);
export const ReduceSum = reduction(0, (sum, value) => sum + value);
export const ReduceMean: Op = {
  ...ReduceSum,
  run: (inputs, attributes) => {
    const sums = ReduceSum.run(inputs, attributes) as Value;
    const terms = inputs[0]!.data.length / sums.data.length;
    return { ...sums, data: sums.data.map((sum) => sum / terms) };
  },
};
export const ReduceSumSquare = reduction(0, (sum, value) => sum + value * value);
