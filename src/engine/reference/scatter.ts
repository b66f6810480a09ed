// Ops that place values in a larger tensor, and that turn or fill one: the transposes of slices, gathers and sums.

import { elementCount } from '../../tensor/index.js';
import { axisOf, mismatch, numbers, type Op, real, scalar, type Value, word } from './value.js';

/** Visits all places of `shape` in order, each as its indices. */
function forEachPlace(shape: readonly number[], visit: (place: readonly number[], at: number) => void): void {
  const place = new Array<number>(shape.length).fill(0);
  for (let at = 0; at < elementCount(shape); at++) {
    visit(place, at);
    for (let axis = shape.length - 1; axis >= 0 && ++place[axis]! === shape[axis]; axis--) place[axis] = 0;
  }
}

/** The number of a place among those of `shape`, in order. */
const numberOf = (place: readonly number[], shape: readonly number[]): number =>
  place.reduce((at, index, axis) => at * shape[axis]! + index, 0);

function transpose(x: Value, order: readonly number[]): Value {
  if ([...order].sort((a, b) => a - b).join() !== [...x.shape.keys()].join()) mismatch('Transpose', x.shape, order);
  const shape = order.map((axis) => x.shape[axis]!);
  const data = new Float64Array(x.data.length);
  forEachPlace(x.shape, (place, at) => {
    const to = order.map((axis) => place[axis]!);
    data[numberOf(to, shape)] = x.data[at]!;
  });
  return { ...x, shape, data };
}

/** Puts zeros around x; `pads` has the counts before each axis, then those after. */
function pad(x: Value, pads: readonly number[]): Value {
  const rank = x.shape.length;
  if (pads.length !== 2 * rank || pads.some((count) => count < 0)) mismatch('Pad', `${2 * rank} counts`, pads);
  const shape = x.shape.map((size, axis) => pads[axis]! + size + pads[rank + axis]!);
  const data = new Float64Array(elementCount(shape));
  forEachPlace(x.shape, (place, at) => {
    const to = place.map((index, axis) => index + pads[axis]!);
    data[numberOf(to, shape)] = x.data[at]!;
  });
  return { ...x, shape, data };
}

/** x with the updates put at, or added to, the places that `indices` names on the axis. */
function scatterElements(x: Value, indices: Value, updates: Value, axis: number, adds: boolean): Value {
  if (indices.shape.join() !== updates.shape.join()) mismatch('ScatterElements', indices.shape, updates.shape);
  const data = x.data.slice();
  forEachPlace(updates.shape, (place, at) => {
    const index = indices.data[at]!;
    const size = x.shape[axis]!;
    if (!(index >= -size && index < size)) mismatch('ScatterElements: index', `[−${size}, ${size})`, index);
    const to = numberOf(place.with(axis, index < 0 ? index + size : index), x.shape);
    data[to] = adds ? data[to]! + updates.data[at]! : updates.data[at]!;
  });
  return { ...x, data };
}

/** x with slices put at, or added to, the places that the last axis of `indices` names. */
function scatterSlices(x: Value, indices: Value, updates: Value, adds: boolean): Value {
  const depth = indices.shape.at(-1)!;
  const outer = indices.shape.slice(0, -1);
  const inner = x.shape.slice(depth);
  if ([...outer, ...inner].join() !== updates.shape.join()) mismatch('ScatterND', [...outer, ...inner], updates.shape);
  const size = elementCount(inner);
  const data = x.data.slice();
  for (let i = 0; i < elementCount(outer); i++) {
    const place = Array.from(indices.data.subarray(i * depth, (i + 1) * depth), (index, axis) => {
      const count = x.shape[axis]!;
      if (!(index >= -count && index < count)) mismatch('ScatterND: index', `[−${count}, ${count})`, index);
      return index < 0 ? index + count : index;
    });
    const to = numberOf(place, x.shape.slice(0, depth)) * size;
    for (let j = 0; j < size; j++) data[to + j] = (adds ? data[to + j]! : 0) + updates.data[i * size + j]!;
  }
  return { ...x, data };
}

function unsqueeze(x: Value, axes: readonly number[]): Value {
  const rank = x.shape.length + axes.length;
  const added = new Set(axes.map((axis) => axisOf(axis, rank)));
  const sizes = [...x.shape];
  return { ...x, shape: Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : sizes.shift()!)) };
}

export const Transpose: Op = {
  attributes: ['perm'],
  inputs: [1, 1],
  run: ([x], attributes) => transpose(x!, numbers(attributes, 'perm')),
};
export const Pad: Op = { attributes: [], inputs: [2, 2], run: ([x, pads]) => pad(x!, [...pads!.data]) };
export const ScatterElements: Op = {
  attributes: ['axis', 'reduction'],
  inputs: [3, 3],
  run: ([x, indices, updates], attributes) => {
    const axis = axisOf(scalar(attributes, 'axis', 0), x!.shape.length);
    return scatterElements(x!, indices!, updates!, axis, word(attributes, 'reduction', ['none', 'add']) === 'add');
  },
};
export const ScatterND: Op = {
  attributes: ['reduction'],
  inputs: [3, 3],
  run: ([x, indices, updates], attributes) =>
    scatterSlices(x!, indices!, updates!, word(attributes, 'reduction', ['none', 'add']) === 'add'),
};
export const Unsqueeze: Op = { attributes: [], inputs: [2, 2], run: ([x, axes]) => unsqueeze(x!, [...axes!.data]) };
/** Zeros: no graph of ours asks for another constant. */
export const ConstantOfShape: Op = { attributes: [], inputs: [1, 1], run: ([shape]) => real([...shape!.data]) };
