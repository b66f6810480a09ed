// A checkpoint together with what its config means: which graph each block is, where its tensors lie, what is prunable.

import { type Checkpoint, openCheckpoint } from '../checkpoint/index.js';
import type { Graph } from '../graph/index.js';
import { elementCount } from '../tensor/index.js';
import { type BlockOutputs, buildBlockGraph } from './block.js';
import { type ModelConfig, readModelConfig } from './config.js';
import { buildHeadGraph, type HeadOutput } from './head.js';
import {
  blockTensorShapes,
  blockTensors,
  checkTensors,
  FINAL_NORM,
  headName,
  inPlace,
  type Linear,
  linearsOf,
  type TensorSource,
} from './layout.js';

export type Model = {
  readonly checkpoint: Checkpoint;
  readonly config: ModelConfig;
  /** Prunable linears of each block. */
  readonly linears: readonly (readonly Linear[])[];
  /** Bytes of the weight tensors. */
  readonly bytes: number;
  /** Number of parameters, tied ones once; of prunable weights; of weights in the largest block. */
  readonly parameters: number;
  readonly prunable: number;
  readonly blockWeights: number;
};

/**
 * Opens a checkpoint directory and checks that it is a model we can run. Reads headers only.
 * @throws CheckpointError E_CHECKPOINT_…, UnsupportedError E_UNSUPPORTED_…, ResourceError E_RESOURCE_…
 */
export async function openModel(dir: string): Promise<Model> {
  const checkpoint = await openCheckpoint(dir);
  const config = readModelConfig(checkpoint.config);
  checkTensors(config, checkpoint);
  const linears = Array.from({ length: config.blocks }, (_, block) => linearsOf(config, block));
  const weights = linears.map((block) => block.reduce((sum, { rows, columns }) => sum + rows * columns, 0));
  let parameters = 0;
  let bytes = 0;
  for (const { shape, length } of checkpoint.tensors.values()) {
    parameters += elementCount(shape);
    bytes += length;
  }
  return {
    checkpoint,
    config,
    linears,
    bytes,
    parameters,
    prunable: weights.reduce((a, b) => a + b, 0),
    blockWeights: Math.max(...weights),
  };
}

/** Where a block's tensors are taken from: the checkpoint itself, or a file that holds the block anew. */
export type BlockSource = { readonly folder: string; readonly find: (name: string) => TensorSource };

/** The checkpoint's own tensors, in place. */
export function checkpointSource(checkpoint: Checkpoint): BlockSource {
  return { folder: checkpoint.dir, find: (name) => inPlace(checkpoint.tensors.get(name)!) };
}

/** The graph of block `block` for windows of `length` tokens, with tensors from `source`. */
export function blockGraph(
  model: Model,
  block: number,
  options: { readonly length: number; readonly outputs: BlockOutputs; readonly source?: BlockSource },
): Graph {
  const source = options.source ?? checkpointSource(model.checkpoint);
  return buildBlockGraph(model.config, blockTensors(model.config, block, source.find), {
    name: `block ${block}`,
    folder: source.folder,
    length: options.length,
    outputs: options.outputs,
  });
}

/** The graph of the final norm and the LM head. */
export function headGraph(model: Model, outputs: HeadOutput): Graph {
  const { find, folder } = checkpointSource(model.checkpoint);
  const tensors = { norm: find(FINAL_NORM), head: find(headName(model.config)) };
  return buildHeadGraph(model.config, tensors, { folder, outputs });
}

/** Names of all tensors of a block. */
export const blockTensorNames = (model: Model, block: number): readonly string[] => [
  ...blockTensorShapes(model.config, block).keys(),
];
