// Ops that move values without computing.

import { elementCount } from '../../tensor/index.js';
import { around, axisOf, mismatch, type Op, scalar, type Value } from './value.js';

/** Repeats `x` to `shape` with NumPy's broadcasting: aligned at the last axis, where x has size 1 or no axis. */
export function expand(x: Value, shape: readonly number[]): Value {
  if (x.shape.join() === shape.join()) return x;
  const missing = shape.length - x.shape.length;
  const data = new Float64Array(elementCount(shape));
  for (let i = 0; i < data.length; i++) {
    let rest = i;
    let from = 0;
    let stride = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const place = rest % shape[axis]!;
      rest = (rest - place) / shape[axis]!;
      const size = axis < missing ? 1 : x.shape[axis - missing]!;
      if (size !== 1) from += place * stride;
      stride *= size;
    }
    data[i] = x.data[from]!;
  }
  return { ...x, shape, data };
}

/** 0 keeps an axis; one −1 takes the remaining size. */
function reshape(x: Value, asked: readonly number[]): Value {
  const kept = asked.map((size, axis) => (size === 0 ? (x.shape[axis] ?? mismatch('Reshape', x.shape, asked)) : size));
  const known = kept.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const shape = kept.map((size) => (size === -1 ? x.data.length / known : size));
  if (shape.reduce((product, size) => product * size, 1) !== x.data.length || !shape.every(Number.isInteger)) {
    mismatch('Reshape', `${x.data.length} elements`, asked);
  }
  return { ...x, shape };
}

/** Rows of axis `axis`, in the order of `rows`. */
export function takeRows(x: Value, axis: number, rows: readonly number[]): Value {
  const { outer, inner } = around(x.shape, axis);
  const size = x.shape[axis]!;
  const data = new Float64Array(outer * rows.length * inner);
  for (let o = 0; o < outer; o++) {
    for (const [to, from] of rows.entries()) {
      const start = (o * size + from) * inner;
      data.set(x.data.subarray(start, start + inner), (o * rows.length + to) * inner);
    }
  }
  return { ...x, shape: x.shape.with(axis, rows.length), data };
}

function slice(x: Value, starts: Value, ends: Value, axes?: Value, steps?: Value): Value {
  let result = x;
  for (let i = 0; i < starts.data.length; i++) {
    const axis = axisOf(axes?.data[i] ?? i, x.shape.length);
    const size = x.shape[axis]!;
    const step = steps?.data[i] ?? 1;
    if (step <= 0) mismatch('Slice: step', 'a positive step', step);
    const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + size : at, 0), size);
    const rows: number[] = [];
    for (let at = clamp(starts.data[i]!); at < clamp(ends.data[i]!); at += step) rows.push(at);
    result = takeRows(result, axis, rows);
  }
  return result;
}

function concat(parts: readonly Value[], axisAsked: number): Value {
  const axis = axisOf(axisAsked, parts[0]!.shape.length);
  for (const { shape } of parts) {
    if (shape.with(axis, 0).join() !== parts[0]!.shape.with(axis, 0).join()) mismatch('Concat', parts[0]!.shape, shape);
  }
  const size = parts.reduce((sum, part) => sum + part.shape[axis]!, 0);
  const shape = parts[0]!.shape.with(axis, size);
  const { outer, inner } = around(shape, axis);
  const data = new Float64Array(elementCount(shape));
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const part of parts) {
      const width = part.shape[axis]! * inner;
      data.set(part.data.subarray(o * width, (o + 1) * width), at);
      at += width;
    }
  }
  return { ...parts[0]!, shape, data };
}

/** out[i, j, k] = x[i, index[i, j, k], k] on the named axis; the other axes of `index` have the sizes of x. */
function gatherElements(x: Value, index: Value, axisAsked: number): Value {
  const axis = axisOf(axisAsked, x.shape.length);
  const size = x.shape[axis]!;
  const count = index.shape[axis]!;
  if (x.shape.with(axis, count).join() !== index.shape.join()) mismatch('GatherElements', x.shape, index.shape);
  const { outer, inner } = around(x.shape, axis);
  const data = new Float64Array(index.data.length);
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < count; j++) {
      for (let k = 0; k < inner; k++) {
        const to = (o * count + j) * inner + k;
        const asked = index.data[to]!;
        if (asked < -size || asked >= size) mismatch('GatherElements: index', `[−${size}, ${size})`, asked);
        const from = asked < 0 ? asked + size : asked;
        data[to] = x.data[(o * size + from) * inner + k]!;
      }
    }
  }
  return { ...x, shape: index.shape, data };
}

export const Reshape: Op = {
  attributes: [],
  inputs: [2, 2],
  run: ([x, shape]) => reshape(x!, [...shape!.data]),
};
export const Shape: Op = {
  attributes: [],
  inputs: [1, 1],
  run: ([x]) => ({ type: 'i64', shape: [x!.shape.length], data: Float64Array.from(x!.shape) }),
};
export const Slice: Op = {
  attributes: [],
  inputs: [3, 5],
  run: ([x, starts, ends, axes, steps]) => slice(x!, starts!, ends!, axes, steps),
};
/** Broadcasts both ways, as ONNX does: a size of 1 in the requested shape keeps the size of x. */
export const Expand: Op = {
  attributes: [],
  inputs: [2, 2],
  run: ([x, shape]) => {
    const rank = Math.max(shape!.data.length, x!.shape.length);
    const at = (sizes: ArrayLike<number>, axis: number): number => sizes[axis - rank + sizes.length] ?? 1;
    const wanted = Array.from({ length: rank }, (_, axis) => {
      const size = at(shape!.data, axis);
      return size === 1 ? at(x!.shape, axis) : size;
    });
    return expand(x!, wanted);
  },
};
export const Concat: Op = {
  attributes: ['axis'],
  inputs: [1, Number.POSITIVE_INFINITY],
  run: (parts, attributes) => concat(parts as readonly Value[], scalar(attributes, 'axis')),
};
export const GatherElements: Op = {
  attributes: ['axis'],
  inputs: [2, 2],
  run: ([x, index], attributes) => gatherElements(x!, index!, scalar(attributes, 'axis', 0)),
};
