// What model a packed one is: its config, the names of its tensors, and that they are those the config asks for, in its
// shapes, which kernels trust.

import {
  describeTensors,
  type Layout,
  layoutOf,
  type ModelConfig,
  type ModelTensor,
  readModelConfig,
  storedPair,
} from '../model/portable.js';
import { type PackedModel, readPackedConfig, requireTensors } from '../packed/portable.js';

export type DescribedModel = {
  readonly config: ModelConfig;
  readonly layout: Layout;
  readonly tensors: readonly ModelTensor[];
};

/** @throws CheckpointError E_CHECKPOINT_…; UnsupportedError */
export async function readPackedModel(packed: PackedModel): Promise<DescribedModel> {
  const stated = readModelConfig(await readPackedConfig(packed));
  const has = (name: string): boolean => packed.tensors.has(name);
  // A head that is tied in fact is not packed, whatever the checkpoint stored: one that is there is another.
  const config = storedPair(stated, has) ? { ...stated, tied: false } : stated;
  const layout = layoutOf(config, has);
  const tensors = describeTensors(config, layout);
  requireTensors(packed, tensors);
  return { config, layout, tensors };
}
