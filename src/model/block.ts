// One decoder block as a graph: the block file of the model's architecture, over tensors from any source. Input `x` [B, T,
// D]. Outputs: `y` [B, T, D] and, if asked for, a tap per site: `[in]` or (`gram`) `[in, in]`, summed over the B·T tokens
// of the run, or (`inputs`) `[B·T, in]`. With taps alone, the graph leaves out what only `y` needs.

import type { Graph } from '../graph/index.js';
import { buildWith } from './blocks/architectures.js';
import {
  type ActivationGrids,
  type BlockOutputs,
  GraphBlockBuilder,
  type PrefixTreeRows,
  type WeightInput,
} from './blocks/graph-block-builder.js';
import type { ModelConfig } from './config.js';
import type { TensorSource } from './nodes.js';
import { type TensorNames, tensorsByRole } from './tensor-names.js';

export type BlockGraphOptions = {
  readonly folder: string;
  readonly find: (name: string) => TensorSource;
  /** Tokens of each window. */
  readonly length: number;
  readonly outputs: BlockOutputs;
  readonly weighted?: boolean | undefined;
  readonly trees?: PrefixTreeRows | undefined;
  /** The linear whose weights are an input, `w` [out, in]. */
  readonly weightInput?: WeightInput | undefined;
  /** How linears read what lies at a site. */
  readonly activations?: ActivationGrids | undefined;
};

/** The graph of block `block`. */
export function buildBlockGraph(
  config: ModelConfig,
  tensorNames: TensorNames,
  block: number,
  options: BlockGraphOptions,
): Graph {
  const { folder, find, length, outputs, weighted, trees, weightInput, activations } = options;
  const tensor = tensorsByRole(config, tensorNames, block, find);
  const builder = new GraphBlockBuilder({
    ...{ config, block, length, outputs, weighted, trees, weightInput, activations, tensor },
  });
  buildWith(config, builder);
  return builder.build(`block ${block}`, folder);
}
