// A block whose tensors are inputs of the graph, by their roles, so that one graph serves every version of the block and every
// block like it; whole, and cut where the residual passes from attention to the MLP, so that each half can be trained against
// the dense stream by itself. Where both read the block's input (gpt_neox), there is one piece.

import { type Graph, GraphBuilder, keepOutputs, type ValueInfo } from '../graph/index.js';
import { buildWith } from './blocks/architectures.js';
import { GraphBlockBuilder } from './blocks/graph-block-builder.js';
import type { Model } from './model.js';
import type { TensorSource } from './nodes.js';
import { blockTensors } from './tensor-names.js';

export type Half = {
  readonly name: 'attention' | 'mlp' | 'block';
  /** From `x` [B, T, D], the residual before it, to `y`, the one after it; the other inputs are tensors, float32. */
  readonly graph: Graph;
  /** The block's tensors that it reads: role, and name in the checkpoint. */
  readonly tensors: ReadonlyMap<string, string>;
};

export type BlockGraphs = {
  readonly whole: Half;
  /** In the order of the stream; the whole alone where it cannot be cut. */
  readonly halves: readonly Half[];
};

/** The graphs of block `block` for windows of `length` tokens. */
export function blockGraphs(model: Model, block: number, length: number): BlockGraphs {
  const { config, tensorNames } = model;
  const all = blockTensors(config, tensorNames, block);
  const shapes = new Map(all.map(({ role, shape }) => [role, shape]));
  const graph = new GraphBuilder();
  const tensor = (role: string): TensorSource | undefined => {
    const shape = shapes.get(role);
    return shape && { name: role, dtype: 'F32', shape, source: { kind: 'bytes', bytes: new Uint8Array() } };
  };
  const builder = new GraphBlockBuilder({ config, block, length, outputs: 'nothing', tensor, graph });
  buildWith(config, builder);
  const { middle, y } = builder.values;
  const shape = ['B', length, config.hidden];
  graph.output(y!, 'y', shape);
  const before = config.parallel ? undefined : middle;
  const built = withInputs(graph.build('block', undefined), shapes);
  const half = (name: Half['name'], part: Graph): Half => {
    const read = new Set(part.inputs.map((input) => input.name));
    const tensors = new Map(all.filter(({ role }) => read.has(role)).map(({ role, name }) => [role, name]));
    return { name, tensors, graph: { ...part, name: name === 'block' ? name : `${name} half of a block` } };
  };
  const whole = half('block', built);
  if (before === undefined) return { whole, halves: [whole] };
  const x: ValueInfo = { name: 'x', type: 'f32', shape };
  const first: Graph = {
    ...built,
    nodes: [
      ...built.nodes.filter(({ outputs }) => !outputs.includes('y')),
      { op: 'Identity', inputs: [before], outputs: ['y'], attributes: {} },
    ],
  };
  const halves = [
    half('attention', keepOutputs(first, ['y'])),
    half('mlp', keepOutputs(built, ['y'], new Map([[before, x]]))),
  ];
  return { whole, halves };
}

/** The graph with the initialisers of `shapes` as inputs. */
function withInputs(graph: Graph, shapes: ReadonlyMap<string, readonly number[]>): Graph {
  const inputs = graph.initializers.filter(({ name }) => shapes.has(name));
  return {
    ...graph,
    inputs: [...graph.inputs, ...inputs.map(({ name, shape }): ValueInfo => ({ name, type: 'f32', shape }))],
    initializers: graph.initializers.filter(({ name }) => !shapes.has(name)),
  };
}
