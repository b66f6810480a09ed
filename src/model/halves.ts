// Halves of a block: attention from the residual before the block to the one between, and the MLP from there to the one after the
// block, each a graph with the input `x` and the output `y`, [B, T, D]. Where both read the block's input (gpt_neox), there is
// one piece. A part's tensors are those of a source, or inputs of the graph, by their roles, so that one graph serves every
// version of the block and every block like it.

import { UnsupportedError } from '../base/portable.js';
import { feedInitializers, type Graph, GraphBuilder, keepOutputs, type ValueInfo } from '../graph/index.js';
import { buildWith } from './blocks/architectures.js';
import { type ActivationGrids, GraphBlockBuilder } from './blocks/graph-block-builder.js';
import { type BlockSource, blockGraph, checkpointSource, type Model } from './model.js';
import type { TensorSource } from './nodes.js';
import { blockTensors, tensorsByRole } from './tensor-names.js';

export type BlockPart = 'block' | 'attention' | 'mlp';

/**
 * The graph of a block, or of half of it, for windows of `length` tokens.
 * @throws UnsupportedError E_UNSUPPORTED_HALF for half of a block whose attention and MLP are parallel
 */
export function partGraph(
  model: Model,
  block: number,
  part: BlockPart,
  options: {
    readonly length: number;
    readonly source?: BlockSource;
    /** How linears read what lies at a site. Defaults to the model’s. */
    readonly activations?: ActivationGrids;
  },
): Graph {
  const { config, tensorNames, checkpoint } = model;
  const { length, source = checkpointSource(checkpoint), activations = model.activations?.[block] } = options;
  if (part === 'block') {
    const read = { ...model, activations: Array.from({ length: block + 1 }, () => activations ?? new Map()) };
    return blockGraph(read, block, { length, outputs: 'hidden', source });
  }
  if (config.parallel) {
    throw new UnsupportedError(
      'E_UNSUPPORTED_HALF',
      `In blocks of ${config.family} attention and MLP read the same residual and have no halves; take whole blocks.`,
      { family: config.family, part },
    );
  }
  const place = { block, length, name: `block ${block}, ${part}`, folder: source.folder, activations };
  const { halves } = buildParts(model, place, tensorsByRole(config, tensorNames, block, source.find));
  return halves![part];
}

export type Half = {
  readonly name: BlockPart;
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

/** The graphs of block `block` for windows of `length` tokens, with its tensors as inputs. */
export function blockGraphs(model: Model, block: number, length: number): BlockGraphs {
  const all = blockTensors(model.config, model.tensorNames, block);
  const shapes = new Map(all.map(({ role, shape }) => [role, shape]));
  const place = { block, length, name: 'block', folder: undefined };
  const { whole, halves } = buildParts(model, place, (role) => {
    const shape = shapes.get(role);
    return shape && { name: role, dtype: 'F32', shape, source: { kind: 'bytes', bytes: new Uint8Array() } };
  });
  const half = (name: BlockPart, part: Graph): Half => {
    const read = part.initializers.map((tensor) => tensor.name).filter((tensor) => shapes.has(tensor));
    const tensors = new Map(all.filter(({ role }) => read.includes(role)).map(({ role, name }) => [role, name]));
    return {
      name,
      tensors,
      graph: { ...feedInitializers(part, read), name: name === 'block' ? name : `${name} half of a block` },
    };
  };
  const one = half('block', whole);
  return { whole: one, halves: halves ? [half('attention', halves.attention), half('mlp', halves.mlp)] : [one] };
}

type PartPlace = {
  readonly block: number;
  readonly length: number;
  readonly name: string;
  readonly folder: string | undefined;
  readonly activations?: ActivationGrids | undefined;
};

/** A block's graph, and its halves where it has some. */
function buildParts(
  { config }: Model,
  { block, length, name, folder, activations }: PartPlace,
  tensor: (role: string) => TensorSource | undefined,
): { readonly whole: Graph; readonly halves: Readonly<Record<'attention' | 'mlp', Graph>> | undefined } {
  const graph = new GraphBuilder();
  const builder = new GraphBlockBuilder({ config, block, length, outputs: 'nothing', tensor, graph, activations });
  buildWith(config, builder);
  const { middle, y } = builder.values;
  const shape = ['B', length, config.hidden];
  graph.output(y!, 'y', shape);
  const whole = graph.build(name, folder);
  if (config.parallel || middle === undefined) return { whole, halves: undefined };
  const cut: Graph = {
    ...whole,
    nodes: [
      ...whole.nodes.filter(({ outputs }) => !outputs.includes('y')),
      { op: 'Identity', inputs: [middle], outputs: ['y'], attributes: {} },
    ],
  };
  const x: ValueInfo = { name: 'x', type: 'f32', shape };
  return {
    whole,
    halves: { attention: keepOutputs(cut, ['y']), mlp: keepOutputs(whole, ['y'], new Map([[middle, x]])) },
  };
}
