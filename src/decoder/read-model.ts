// What model a packed one is: its config, the names of its tensors, and that they are those the config asks for, in its
// shapes, which kernels trust.

import {
  describeTensors,
  type Layout,
  layoutOf,
  type ModelConfig,
  type ModelTensor,
  readModelConfig,
} from '../model/portable.js';
import { type PackedModel, readPackedConfig, requireTensors } from '../packed/portable.js';

export type DescribedModel = {
  readonly config: ModelConfig;
  readonly layout: Layout;
  readonly tensors: readonly ModelTensor[];
};

/** @throws CheckpointError E_CHECKPOINT_…; UnsupportedError */
export async function readPackedModel(packed: PackedModel): Promise<DescribedModel> {
  const config = readModelConfig(await readPackedConfig(packed));
  const layout = layoutOf(config, (name) => packed.tensors.has(name));
  const tensors = describeTensors(config, layout);
  requireTensors(packed, tensors);
  return { config, layout, tensors };
}
