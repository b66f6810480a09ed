// What a gradient rule works with: the graph that is being made, the shapes of the forward's values, and the cotangents found
// so far. A cotangent of a value v is ∂L/∂v, of v's shape, where L is the sum of the seeds times their outputs. A rule gives
// each input of its node the part that comes through the node; parts of several nodes are added up.

import { UnsupportedError } from '../../base/portable.js';
import { type Attribute, type GraphBuilder, int, type Node } from '../graph.js';
import type { Shape, Shapes } from '../infer.js';
import { isStatic } from '../sizes.js';

/** One operator's rule: the cotangents of its outputs (undefined where nothing reads one) → those of its inputs. */
export type Rule = {
  /** The attributes that the rule knows. A node with any other is refused. */
  readonly attributes: readonly string[];
  readonly apply: (back: Backward, node: Node, cotangents: readonly (string | undefined)[]) => void;
};

export class Backward {
  private readonly g: GraphBuilder;
  private readonly shapes: Shapes;
  private readonly live: ReadonlySet<string>;
  private readonly cotangents = new Map<string, string>();

  /** `live` are the values whose cotangents are wanted, or needed for others. */
  constructor(g: GraphBuilder, shapes: Shapes, live: ReadonlySet<string>) {
    this.g = g;
    this.shapes = shapes;
    this.live = live;
  }

  /** The cotangent of a value, complete once all nodes that read it are done. */
  of(value: string): string | undefined {
    return this.cotangents.get(value);
  }

  isLive(value: string | undefined): value is string {
    return value !== undefined && this.live.has(value);
  }

  /** Adds what `make` returns to the cotangent of `value`; `make` is not called where that is not wanted. */
  give(value: string | undefined, make: () => string): void {
    this.accumulate(value, (sum) => (sum === undefined ? make() : this.op('Add', [sum, make()])));
  }

  /** Replaces the cotangent of `value` by one to which something was added. */
  accumulate(value: string | undefined, add: (sum: string | undefined) => string): void {
    if (this.isLive(value)) this.cotangents.set(value, add(this.cotangents.get(value)));
  }

  op(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.g.op(op, inputs, attributes);
  }

  ops(
    op: string,
    inputs: readonly string[],
    count: number,
    attributes: Readonly<Record<string, Attribute>>,
  ): readonly string[] {
    return this.g.ops(op, inputs, count, attributes);
  }

  multiply(...factors: readonly [string, string, ...string[]]): string {
    return factors.reduce((product, factor) => this.op('Mul', [product, factor]));
  }

  scalar(value: number): string {
    return this.g.constant(`float32[${value}]`, Float32Array.of(value), [1]);
  }

  constant(name: string, values: Float32Array, shape: readonly number[]): string {
    return this.g.constant(name, values, shape);
  }

  ints(values: readonly number[]): string {
    return this.g.shape(values);
  }

  shapeOf(value: string): Shape {
    return this.shapes.of(value);
  }

  /** The values of an int64 vector, which must be known. @throws UnsupportedError E_UNSUPPORTED_GRADIENT */
  integersOf(node: Node, input: number): readonly number[] {
    const values = this.shapes.integers(node.inputs[input]!);
    if (values && isStatic(values)) return values;
    throw refusal(node, `its input ${input} is computed at run time, and the rule has to know it`);
  }

  /** The int64 vector of a value's sizes. */
  sizesOf(value: string): string {
    const shape = this.shapeOf(value);
    return isStatic(shape) ? this.ints(shape) : this.op('Shape', [value]);
  }

  /** x in another shape of as many elements. */
  reshape(x: string, shape: Shape, sizes?: () => string): string {
    const named = shape.filter((size) => typeof size !== 'number');
    if (named.length > 1 && sizes) return this.op('Reshape', [x, sizes()]);
    return this.op('Reshape', [x, this.ints(shape.map((size) => (typeof size === 'number' ? size : -1)))]);
  }

  /** x in the shape of a value of the forward. */
  like(x: string, value: string): string {
    return this.reshape(x, this.shapeOf(value), () => this.sizesOf(value));
  }

  /** 0 in the shape of a value of the forward. */
  zerosLike(value: string): string {
    return this.op('ConstantOfShape', [this.sizesOf(value)]);
  }

  sum(x: string, axes: readonly number[], keep: boolean): string {
    return this.op('ReduceSum', [x, this.ints(axes)], { keepdims: int(keep ? 1 : 0) });
  }

  mean(x: string): string {
    return this.op('ReduceMean', [x, this.ints([-1])], { keepdims: int(1) });
  }

  /** A cotangent `dy` of shape `from` as that of an operand which was broadcast to it. */
  unbroadcast(dy: string, from: Shape, operand: string): string {
    const shape = this.shapeOf(operand);
    const missing = from.length - shape.length;
    const axes = [...from.keys()].filter((axis) => axis < missing || (shape[axis - missing] === 1 && from[axis] !== 1));
    if (axes.length === 0) return dy;
    if (axes.length === missing) return this.sum(dy, axes, false);
    const summed = this.sum(dy, axes, true);
    return missing === 0 ? summed : this.like(summed, operand);
  }
}

/** @returns the error that a rule throws for a node it cannot differentiate */
export const refusal = (node: Node, why: string): UnsupportedError =>
  new UnsupportedError('E_UNSUPPORTED_GRADIENT', `No gradient of ${node.op} → ${node.outputs[0]}: ${why}.`, {
    op: node.op,
    output: node.outputs[0],
  });
