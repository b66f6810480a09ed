// One decoder block as a graph: the block file of the model's shape, over tensors from wherever they lie. Input `x`
// [B, T, D]; outputs `y` [B, T, D] and, as asked, a tap per site: `[in]` or (`gram`) `[in, in]`, summed over the B·T tokens of
// the run, or (`inputs`) `[B·T, in]`. Asking for taps alone leaves out what only `y` needs.

import type { Graph } from '../graph/index.js';
import { BlockKit, type BlockOutputs, type Fed, type TreeRows } from './blocks/kit.js';
import { buildWith } from './blocks/shapes.js';
import type { ModelConfig } from './config.js';
import type { TensorSource } from './nodes.js';
import { blockTensors, type Layout } from './tensor-names.js';

export type BlockGraphOptions = {
  readonly folder: string;
  readonly find: (name: string) => TensorSource;
  /** Tokens of each window. */
  readonly length: number;
  readonly outputs: BlockOutputs;
  readonly trees?: TreeRows | undefined;
  /** The linear whose weights are an input, `w` [out, in]. */
  readonly fed?: Fed | undefined;
};

/** The graph of block `block`. */
export function buildBlockGraph(config: ModelConfig, layout: Layout, block: number, options: BlockGraphOptions): Graph {
  const { folder, find, length, outputs, trees, fed } = options;
  const names = new Map(blockTensors(config, layout, block).map(({ role, name }) => [role, name]));
  const tensor = (role: string): TensorSource | undefined => {
    const name = names.get(role);
    return name === undefined ? undefined : find(name);
  };
  const kit = new BlockKit({ config, block, length, outputs, trees, fed, tensor });
  buildWith(config, kit);
  return kit.build(`block ${block}`, folder);
}
