// The shape of every value of a graph, as far as it is known before a run (sizes.ts). Sizes that the graph computes as
// int64 vectors (Shape, Slice, Concat) are followed, so Reshape and Expand are known too. What only a run can tell, such as
// the number of an expert's tokens, gets a name of its own.

import { ShapeError, UnsupportedError } from '../base/portable.js';
import { type Graph, type Initializer, type Node, numberOf } from './graph.js';
import { countOf, quotient, type Size, sumOf } from './sizes.js';

export type Shape = readonly Size[];

export type Shapes = {
  /** @throws UnsupportedError E_UNSUPPORTED_GRADIENT where the operator that makes the value is not known here */
  of(value: string): Shape;
  /** The values of an int64 vector of sizes or axes; undefined where only a run can tell. */
  integers(value: string): Shape | undefined;
};

/** What one operator's shapes are made from. */
type Facts = {
  readonly node: Node;
  readonly input: (at: number) => Shape;
  readonly integers: (at: number) => Shape | undefined;
  /** A size that only a run can tell. */
  readonly unknown: (output?: number) => Size;
};

/** The shapes of the outputs, and of an int64 vector also its values. */
type Inferred = { readonly shapes: readonly Shape[]; readonly integers?: Shape | undefined };

const attribute = ({ attributes }: Node, name: string, fallback: number): number =>
  numberOf(attributes[name], fallback);

/** An axis, counted from the front. */
export const axisFrom = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** @throws ShapeError E_SHAPE_OPERATION where two sizes meet that are not known to be equal */
function broadcast(node: Node, shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1).filter((size) => size !== 1);
    if (sizes.some((size) => size !== sizes[0])) {
      throw new ShapeError(
        'E_SHAPE_OPERATION',
        `${node.op} → ${node.outputs[0]}: expected shapes that broadcast, got ${shapes.map((shape) => `[${shape}]`).join(' and ')}. Give the sizes of named dimensions in \`dims\`.`,
        { op: node.op, shapes },
      );
    }
    return sizes[0] ?? 1;
  });
}

const same = ({ node, input }: Facts): Inferred => ({ shapes: node.outputs.map(() => input(0)) });
const broadcasting = ({ node, input }: Facts): Inferred => ({
  shapes: [
    broadcast(
      node,
      node.inputs.map((_, at) => input(at)),
    ),
  ],
});

function reshape({ input, integers, unknown }: Facts): Inferred {
  const [x, asked] = [input(0), integers(1)];
  if (!asked) return { shapes: [Array.from({ length: Number(input(1)[0]) }, () => unknown())] };
  const kept = asked.map((size, axis) => (size === 0 ? x[axis]! : size));
  const known = countOf(kept.filter((size) => size !== -1));
  return { shapes: [kept.map((size) => (size === -1 ? (quotient(countOf(x), known) ?? unknown()) : size))] };
}

/** The part of an axis of `size` values that Slice takes; undefined where it depends on a size that is not known. */
export function sliceOf(size: Size, from: number, to: number): readonly [from: number, to: number] | undefined {
  if (typeof size !== 'number') return undefined;
  const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + size : at, 0), size);
  return [clamp(from), Math.max(clamp(from), clamp(to))];
}

function slice({ node, input, integers, unknown }: Facts): Inferred {
  const shape = [...input(0)];
  const [from, to, steps] = [integers(1), integers(2), node.inputs.length > 4 ? integers(4) : [1]];
  const axes = node.inputs.length > 3 ? integers(3) : from?.map((_, axis) => axis);
  for (const [i, asked] of (axes ?? []).entries()) {
    const axis = axisFrom(Number(asked), shape.length);
    const plain = steps?.every((step) => step === 1);
    const part = plain ? sliceOf(shape[axis]!, Number(from![i]), Number(to![i])) : undefined;
    shape[axis] = part ? part[1] - part[0] : unknown();
  }
  const values = integers(0);
  const part = values && axes?.length === 1 && sliceOf(values.length, Number(from![0]), Number(to![0]));
  return { shapes: [shape], integers: part ? values.slice(part[0], part[1]) : undefined };
}

function concat({ node, input, integers, unknown }: Facts): Inferred {
  const parts = node.inputs.map((_, at) => input(at));
  const axis = axisFrom(attribute(node, 'axis', 0), parts[0]!.length);
  const values = node.inputs.map((_, at) => integers(at));
  return {
    shapes: [parts[0]!.with(axis, sumOf(parts.map((part) => part[axis]!)) ?? unknown())],
    integers: values.every((value) => value !== undefined) ? values.flat() : undefined,
  };
}

function split({ node, input, integers, unknown }: Facts): Inferred {
  const shape = input(0);
  const axis = axisFrom(attribute(node, 'axis', 0), shape.length);
  const sizes = integers(1);
  return { shapes: node.outputs.map((_, i) => shape.with(axis, sizes?.[i] ?? unknown(i))) };
}

function reduce({ node, input, integers }: Facts): Inferred {
  const shape = input(0);
  const axes = node.inputs.length > 1 ? integers(1)! : shape.map((_, axis) => axis);
  const gone = new Set(axes.map((axis) => axisFrom(Number(axis), shape.length)));
  const keep = attribute(node, 'keepdims', 1) !== 0;
  return {
    shapes: [
      keep ? shape.map((size, axis) => (gone.has(axis) ? 1 : size)) : shape.filter((_, axis) => !gone.has(axis)),
    ],
  };
}

/** The numbers of a convolution over `axes` axes: `pads` before each axis, then after each. */
export function convolutionOf({ attributes }: Node, axes: number) {
  const numbers = (name: string, count: number, fallback: number): readonly number[] => {
    const found = attributes[name];
    return found?.kind === 'ints' ? found.value : new Array<number>(count).fill(fallback);
  };
  return {
    pads: numbers('pads', 2 * axes, 0),
    strides: numbers('strides', axes, 1),
    dilations: numbers('dilations', axes, 1),
  };
}

function conv({ node, input, unknown }: Facts): Inferred {
  const [[batch, , ...sizes], [channels, , ...kernel]] = [input(0), input(1)];
  const { pads, strides, dilations } = convolutionOf(node, sizes.length);
  const out = sizes.map((size, i) => {
    const [window, steps] = [kernel[i], strides[i]!];
    if (typeof size !== 'number' || typeof window !== 'number') return unknown();
    const reach = size + pads[i]! + pads[i + sizes.length]! - dilations[i]! * (window - 1) - 1;
    return Math.floor(reach / steps) + 1;
  });
  return { shapes: [[batch!, channels!, ...out]] };
}

/** One rule per operator. */
const RULES: Readonly<Record<string, (facts: Facts) => Inferred>> = {
  ...Object.fromEntries(['Add', 'Sub', 'Mul', 'Div', 'LessOrEqual', 'Where'].map((op) => [op, broadcasting])),
  ...Object.fromEntries(
    ['Exp', 'Log', 'Neg', 'Sqrt', 'Sigmoid', 'Relu', 'Tanh', 'Gelu', 'Identity', 'Cast', 'CumSum']
      .concat(['RMSNormalization', 'LayerNormalization', 'GroupNormalization', 'LogSoftmax', 'RotaryEmbedding'])
      .map((op) => [op, same]),
  ),
  ...Object.fromEntries(['ReduceSum', 'ReduceSumSquare', 'ReduceMean', 'ReduceMax'].map((op) => [op, reduce])),
  Reshape: reshape,
  Slice: slice,
  Concat: concat,
  Conv: conv,
  Split: split,
  Gemm: ({ node, input }) => {
    const rows = input(0)[attribute(node, 'transA', 0) ? 1 : 0]!;
    return { shapes: [[rows, input(1)[attribute(node, 'transB', 0) ? 0 : 1]!]] };
  },
  Shape: ({ input }) => ({ shapes: [[input(0).length]], integers: input(0) }),
  Expand: ({ node, input, integers, unknown }) => {
    const asked = integers(1) ?? Array.from({ length: Number(input(1)[0]) }, () => unknown());
    return { shapes: [broadcast(node, [input(0), asked])] };
  },
  Attention: ({ node, input }) => {
    const [q, v] = [input(0), input(2)];
    const width = Number(v[2]) / attribute(node, 'kv_num_heads', 1);
    return { shapes: [[q[0]!, q[1]!, width * attribute(node, 'q_num_heads', 1)]] };
  },
  Gather: ({ node, input }) => {
    const axis = axisFrom(attribute(node, 'axis', 0), input(0).length);
    return { shapes: [input(0).toSpliced(axis, 1, ...input(1))] };
  },
  GatherElements: ({ input }) => ({ shapes: [input(1)] }),
  ArgMax: ({ node, input }) => {
    const axis = axisFrom(attribute(node, 'axis', 0), input(0).length);
    const kept = attribute(node, 'keepdims', 1) !== 0 ? [1] : [];
    return { shapes: [input(0).toSpliced(axis, 1, ...kept)] };
  },
  TopK: ({ node, input, integers, unknown }) => {
    const axis = axisFrom(attribute(node, 'axis', -1), input(0).length);
    const shape = input(0).with(axis, integers(1)?.[0] ?? unknown());
    return { shapes: [shape, shape] };
  },
  OneHot: ({ node, input, integers, unknown }) => {
    const axis = axisFrom(attribute(node, 'axis', -1), input(0).length + 1);
    return { shapes: [input(0).toSpliced(axis, 0, integers(1)?.[0] ?? unknown())] };
  },
  Transpose: ({ node, input }) => {
    const { perm } = node.attributes;
    const shape = input(0);
    return { shapes: [perm?.kind === 'ints' ? perm.value.map((axis) => shape[axis]!) : shape.toReversed()] };
  },
  NonZero: ({ input, unknown }) => ({ shapes: [[input(0).length, unknown()]] }),
};

/** The values of an int64 vector that lies in the graph. */
function valuesOf({ dtype, source, shape }: Initializer): Shape | undefined {
  if (dtype !== 'I64' || source.kind !== 'bytes' || shape.length > 1) return undefined;
  return Array.from(new BigInt64Array(source.bytes.slice().buffer), Number);
}

/** `dims` are sizes of named dimensions of the inputs; the others stay names. */
export function inferShapes(graph: Graph, dims: Readonly<Record<string, number>> = {}): Shapes {
  const shapes = new Map<string, Shape>();
  const vectors = new Map<string, Shape>();
  for (const { name, shape } of graph.inputs) shapes.set(name, fixShape(shape, dims));
  for (const initializer of graph.initializers) {
    shapes.set(initializer.name, initializer.shape);
    const values = valuesOf(initializer);
    if (values) vectors.set(initializer.name, values);
  }
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const of = (value: string): Shape => {
    const found = shapes.get(value);
    if (found) return found;
    const op = makers.get(value)?.op ?? 'nothing';
    throw new UnsupportedError(
      'E_UNSUPPORTED_GRADIENT',
      `${graph.name}: the shape of ${value}, which ${op} makes, is not known; shapes are known of ${Object.keys(RULES).join(', ')}.`,
      { graph: graph.name, value, op },
    );
  };
  for (const node of graph.nodes) {
    const rule = RULES[node.op];
    if (!rule || !node.inputs.every((input) => shapes.has(input) || input === '')) continue;
    let more = 0;
    const unknown = (output = 0): Size => `?${node.outputs[output]!}${more++ === 0 ? '' : `_${more}`}`;
    const inferred = rule({
      node,
      input: (at) => of(node.inputs[at]!),
      integers: (at) => vectors.get(node.inputs[at]!),
      unknown,
    });
    for (const [i, output] of node.outputs.entries()) shapes.set(output, inferred.shapes[i]!);
    if (inferred.integers) vectors.set(node.outputs[0]!, inferred.integers);
  }
  return { of, integers: (value) => vectors.get(value) };
}

/** A shape with the sizes of those names that are given. */
export const fixShape = (shape: Shape, dims: Readonly<Record<string, number>>): Shape =>
  shape.map((size) => (typeof size === 'number' ? size : (dims[size] ?? size)));
