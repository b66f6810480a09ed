// Ops that choose positions: the largest values, the nonzero values, rows by number. Routers, which send each token to
// a few experts, are made of them.

import { elementCount } from '../../tensor/index.js';
import { takeRows } from './shapes.js';
import { around, axisOf, mismatch, type Op, scalar, type Value } from './value.js';

const integers = (shape: readonly number[], data: Float64Array): Value => ({ type: 'i64', shape, data });

/** The k largest values along an axis and their indices, in descending order. Ties go to the lower index. */
function topK(x: Value, k: number, axis: number): readonly [values: Value, indices: Value] {
  const size = x.shape[axis]!;
  if (!(k >= 0 && k <= size)) mismatch('TopK: k', `at most ${size}`, k);
  const { outer, inner } = around(x.shape, axis);
  const shape = x.shape.with(axis, k);
  const [values, indices] = [new Float64Array(elementCount(shape)), new Float64Array(elementCount(shape))];
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const at = (j: number): number => x.data[(o * size + j) * inner + i]!;
      const order = Array.from({ length: size }, (_, j) => j).sort((a, b) => at(b) - at(a) || a - b);
      for (const [rank, j] of order.slice(0, k).entries()) {
        values[(o * k + rank) * inner + i] = at(j);
        indices[(o * k + rank) * inner + i] = j;
      }
    }
  }
  return [{ ...x, shape, data: values }, integers(shape, indices)];
}

/** A new axis of length `depth`: `on` at the index given, `off` elsewhere. */
function oneHot(indices: Value, depth: number, [off, on]: readonly number[], axisAsked: number): Value {
  const axis = axisOf(axisAsked, indices.shape.length + 1);
  const shape = indices.shape.toSpliced(axis, 0, depth);
  const { outer, inner } = around(shape, axis);
  const data = new Float64Array(elementCount(shape)).fill(off!);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const index = indices.data[o * inner + i]!;
      if (!(index >= 0 && index < depth)) mismatch('OneHot: index', `below ${depth}`, index);
      data[(o * depth + index) * inner + i] = on!;
    }
  }
  return { type: 'f32', shape, data };
}

/** Coordinates of the nonzero values, in row-major order: [rank, count]. */
function nonZero({ shape, data }: Value): Value {
  const found = [...data.keys()].filter((i) => data[i] !== 0);
  const result = new Float64Array(shape.length * found.length);
  for (const [j, index] of found.entries()) {
    let rest = index;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const place = rest % shape[axis]!;
      rest = (rest - place) / shape[axis]!;
      result[axis * found.length + j] = place;
    }
  }
  return integers([shape.length, found.length], result);
}

function cumulate(x: Value, axis: number, exclusive: boolean): Value {
  const { outer, inner } = around(x.shape, axis);
  const size = x.shape[axis]!;
  const data = new Float64Array(x.data.length);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let sum = 0;
      for (let j = 0; j < size; j++) {
        const at = (o * size + j) * inner + i;
        if (exclusive) data[at] = sum;
        sum += x.data[at]!;
        if (!exclusive) data[at] = sum;
      }
    }
  }
  return { ...x, data };
}

/** Rows of an axis by number; the axes of `indices` replace that axis. */
function gather(x: Value, indices: Value, axisAsked: number): Value {
  const axis = axisOf(axisAsked, x.shape.length);
  const size = x.shape[axis]!;
  const rows = Array.from(indices.data, (index) => {
    if (!(index >= -size && index < size)) mismatch('Gather: index', `[−${size}, ${size})`, index);
    return index < 0 ? index + size : index;
  });
  const taken = takeRows(x, axis, rows);
  return { ...taken, shape: x.shape.toSpliced(axis, 1, ...indices.shape) };
}

function split(x: Value, sizes: readonly number[], axisAsked: number): readonly Value[] {
  const axis = axisOf(axisAsked, x.shape.length);
  const total = sizes.reduce((a, b) => a + b, 0);
  if (total !== x.shape[axis]) mismatch('Split', `sizes that add up to ${x.shape[axis]}`, sizes);
  let end = 0;
  return sizes.map((size) => {
    const begin = end;
    end += size;
    return takeRows(
      x,
      axis,
      Array.from({ length: size }, (_, i) => begin + i),
    );
  });
}

export const TopK: Op = {
  attributes: ['axis'],
  inputs: [2, 2],
  outputs: [2, 2],
  run: ([x, k], attributes) => topK(x!, k!.data[0]!, axisOf(scalar(attributes, 'axis', -1), x!.shape.length)),
};
export const OneHot: Op = {
  attributes: ['axis'],
  inputs: [3, 3],
  run: ([indices, depth, values], attributes) =>
    oneHot(indices!, depth!.data[0]!, [...values!.data], scalar(attributes, 'axis', -1)),
};
/** The index of the largest value along an axis, the lowest of equals. */
export const ArgMax: Op = {
  attributes: ['axis', 'keepdims'],
  inputs: [1, 1],
  run: ([x], attributes) => {
    const axis = axisOf(scalar(attributes, 'axis', 0), x!.shape.length);
    const [, indices] = topK(x!, 1, axis);
    const keep = scalar(attributes, 'keepdims', 1) !== 0;
    return keep ? indices : { ...indices, shape: indices.shape.toSpliced(axis, 1) };
  },
};
export const NonZero: Op = { attributes: [], inputs: [1, 1], run: ([x]) => nonZero(x!) };
export const CumSum: Op = {
  attributes: ['exclusive'],
  inputs: [2, 2],
  run: ([x, axis], attributes) =>
    cumulate(x!, axisOf(axis!.data[0]!, x!.shape.length), scalar(attributes, 'exclusive', 0) !== 0),
};
export const Gather: Op = {
  attributes: ['axis'],
  inputs: [2, 2],
  run: ([x, indices], attributes) => gather(x!, indices!, scalar(attributes, 'axis', 0)),
};
export const Split: Op = {
  attributes: ['axis'],
  inputs: [2, 2],
  outputs: [1, Number.POSITIVE_INFINITY],
  run: ([x, sizes], attributes) => split(x!, [...sizes!.data], scalar(attributes, 'axis', 0)),
};
