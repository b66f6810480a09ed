// Half of a block as a graph of its own: attention from the residual before the block to the one between, or the MLP from there
// to the one after the block. Input `x` and output `y`, both [B, T, D], as those of a block.

import { UnsupportedError } from '../base/portable.js';
import { type Graph, GraphBuilder, keepOutputs } from '../graph/index.js';
import { buildWith } from './blocks/architectures.js';
import { GraphBlockBuilder } from './blocks/graph-block-builder.js';
import { type BlockSource, blockGraph, checkpointSource, type Model } from './model.js';
import { blockTensors } from './tensor-names.js';

export type BlockPart = 'block' | 'attention' | 'mlp';

/**
 * The graph of a block, or of half of it, for windows of `length` tokens.
 * @throws UnsupportedError E_UNSUPPORTED_HALF for half of a block whose attention and MLP are parallel
 */
export function partGraph(
  model: Model,
  block: number,
  part: BlockPart,
  options: { readonly length: number; readonly source?: BlockSource },
): Graph {
  const { config, tensorNames, checkpoint } = model;
  const { length, source = checkpointSource(checkpoint) } = options;
  if (part === 'block') return blockGraph(model, block, { length, outputs: 'hidden', source });
  if (config.parallel) {
    throw new UnsupportedError(
      'E_UNSUPPORTED_HALF',
      `In blocks of ${config.family} attention and MLP read the same residual and have no halves; take whole blocks.`,
      { family: config.family, part },
    );
  }
  const names = new Map(blockTensors(config, tensorNames, block).map(({ role, name }) => [role, name]));
  const tensor = (role: string) => {
    const name = names.get(role);
    return name === undefined ? undefined : source.find(name);
  };
  const g = new GraphBuilder();
  const builder = new GraphBlockBuilder({ config, block, length, outputs: 'nothing', tensor, graph: g });
  buildWith(config, builder);
  const { middle, y } = builder.values;
  const shape = ['B', length, config.hidden];
  g.output((part === 'attention' ? middle : y)!, 'y', shape);
  const whole = g.build(`block ${block}, ${part}`, source.folder);
  if (part === 'attention') return keepOutputs(whole, ['y']);
  return keepOutputs(whole, ['y'], new Map([[middle!, { name: 'x', type: 'f32', shape }]]));
}
