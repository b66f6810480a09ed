// Operators that move values without computing. A value's cotangent goes back to where the value came from; what was left out
// gets 0, and what was taken more than once gets the sum.

import { int, ints, numberOf, text } from '../graph.js';
import { axisFrom, sliceOf } from '../infer.js';
import { isStatic, type Size } from '../sizes.js';
import { type Backward, type Rule, refusal } from './backward.js';

export const Reshape: Rule = {
  attributes: [],
  apply: (back, { inputs: [x] }, [dy]) => back.give(x, () => back.like(dy!, x!)),
};

/** Back by the inverse order. */
export const Transpose: Rule = {
  attributes: ['perm'],
  apply: (back, node, [dy]) => {
    const [x] = node.inputs;
    const { perm } = node.attributes;
    if (perm?.kind !== 'ints') throw refusal(node, 'only one with an order of axes has one');
    const inverse = perm.value.map((_, axis) => perm.value.indexOf(axis));
    back.give(x, () => back.op('Transpose', [dy!], { perm: ints(inverse) }));
  },
};

export const Expand: Rule = {
  attributes: [],
  apply: (back, { inputs: [x], outputs: [y] }, [dy]) => back.give(x, () => back.unbroadcast(dy!, back.shapeOf(y!), x!)),
};

export const Slice: Rule = {
  attributes: [],
  apply: (back, node, [dy]) => {
    const [x] = node.inputs;
    if (!back.isLive(x)) return;
    const shape = back.shapeOf(x);
    const [from, to] = [back.integersOf(node, 1), back.integersOf(node, 2)];
    const axes = node.inputs.length > 3 ? back.integersOf(node, 3) : from.map((_, axis) => axis);
    if (node.inputs.length > 4 && back.integersOf(node, 4).some((step) => step !== 1)) {
      throw refusal(node, 'only slices with step 1 have one');
    }
    const [before, after] = [shape.map(() => 0), shape.map(() => 0)];
    for (const [i, asked] of axes.entries()) {
      const axis = axisFrom(asked, shape.length);
      const size = shape[axis]!;
      const part = sliceOf(size, from[i]!, to[i]!);
      if (typeof size !== 'number' || !part) throw refusal(node, `the size of axis ${axis} is known at run time only`);
      before[axis] = part[0];
      after[axis] = size - part[1];
    }
    back.give(x, () => back.op('Pad', [dy!, back.ints([...before, ...after])]));
  },
};

/** The parts that nothing reads count as 0. */
export const Split: Rule = {
  attributes: ['axis'],
  apply: (back, { inputs: [x], outputs, attributes }, cotangents) =>
    back.give(x, () => {
      const parts = outputs.map((output, i) => cotangents[i] ?? back.zerosLike(output));
      return back.op('Concat', parts, { axis: int(numberOf(attributes.axis, 0)) });
    }),
};

export const Concat: Rule = {
  attributes: ['axis'],
  apply: (back, { inputs, attributes }, [dy]) => {
    const axis = axisFrom(numberOf(attributes.axis, 0), back.shapeOf(inputs[0]!).length);
    const sizes: readonly Size[] = inputs.map((input) => back.shapeOf(input)[axis]!);
    // Where each part ends is a number, or a sum at run time of the sizes so far.
    const computed = !isStatic(sizes);
    let [end, at] = [back.ints([0]), 0];
    for (const [i, input] of inputs.entries()) {
      const start = end;
      at += computed ? 0 : Number(sizes[i]);
      end = computed ? back.op('Add', [start, lengthOf(back, input, axis)]) : back.ints([at]);
      const stop = end;
      back.give(input, () => back.op('Slice', [dy!, start, stop, back.ints([axis])]));
    }
  },
};

/** The size of an axis, as an int64 vector. */
const lengthOf = (back: Backward, value: string, axis: number): string =>
  back.op('Slice', [back.op('Shape', [value]), back.ints([axis]), back.ints([axis + 1])]);

/** Rows by number, along axis 0. A row that was taken more than once gets the sum. */
export const Gather: Rule = {
  attributes: ['axis'],
  apply: (back, node, [dy]) => {
    const [x, rows] = node.inputs as [string, string];
    if (numberOf(node.attributes.axis, 0) !== 0) throw refusal(node, 'only rows along axis 0 have one');
    back.accumulate(x, (sum) => {
      const places = back.shapeOf(rows);
      const indices = back.reshape(rows, [...places, 1], () =>
        back.op('Concat', [back.op('Shape', [rows]), back.ints([1])], { axis: int(0) }),
      );
      // Into the sum of the others, where there is one: experts are many, and each touches few rows.
      return back.op('ScatterND', [sum ?? back.zerosLike(x), indices, dy!], { reduction: text('add') });
    });
  },
};

export const GatherElements: Rule = {
  attributes: ['axis'],
  apply: (back, { inputs: [x, indices], attributes }, [dy]) =>
    back.give(x, () =>
      back.op('ScatterElements', [back.zerosLike(x!), indices!, dy!], {
        axis: int(numberOf(attributes.axis, 0)),
        reduction: text('add'),
      }),
    ),
};

/** The places of the values are constants: their cotangents go where the values came from. */
export const TopK: Rule = {
  attributes: ['axis'],
  apply: (back, { inputs: [x], outputs: [, places], attributes }, [values]) =>
    back.give(x, () =>
      back.op('ScatterElements', [back.zerosLike(x!), places!, values!], { axis: int(numberOf(attributes.axis, -1)) }),
    ),
};
