// Reads which model a packed file holds: its config and the names of its tensors. Checks that the tensors and their
// shapes are those the config requires, because kernels rely on them.

import {
  describeTensors,
  type ModelConfig,
  type ModelTensor,
  readModelConfig,
  storedPair,
  type TensorNames,
  tensorNamesOf,
} from '../model/portable.js';
import { type PackedModel, readPackedConfig, requireTensors } from '../packed/portable.js';

export type DescribedModel = {
  readonly config: ModelConfig;
  readonly layout: TensorNames;
  readonly tensors: readonly ModelTensor[];
};

/** @throws CheckpointError E_CHECKPOINT_…; UnsupportedError */
export async function readPackedModel(packed: PackedModel): Promise<DescribedModel> {
  const stated = readModelConfig(await readPackedConfig(packed));
  const has = (name: string): boolean => packed.tensors.has(name);
  // A head equal to the embeddings is never packed, whatever the checkpoint stored. A head that is present is another
  // one.
  const config = storedPair(stated, has) ? { ...stated, tied: false } : stated;
  const layout = tensorNamesOf(config, has);
  const tensors = describeTensors(config, layout);
  requireTensors(packed, tensors);
  return { config, layout, tensors };
}
