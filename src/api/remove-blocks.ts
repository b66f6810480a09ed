// Writes a checkpoint without some of its blocks: the others renumbered, config.json mended, and the scales of quantised
// linears under their new names.

import type { OnProgress } from '../base/index.js';
import {
  keepTensor,
  type ScalesFile,
  type TensorEdit,
  type TensorInfo,
  type TensorToWrite,
} from '../checkpoint/index.js';
import { type Model, mendConfig, mendingOf, openModel, renumberTensor } from '../model/index.js';
import { carryScales } from '../runs/index.js';
import { writeMended } from './write-mended.js';

export type Removal = {
  readonly model: Model;
  /** The scales of a quantised model. */
  readonly grids: ScalesFile | undefined;
  /** Changed tensors of the blocks that stay, by the source's names. */
  readonly edits?: ReadonlyMap<string, TensorEdit>;
  readonly onProgress: OnProgress;
};

/** Writes it into `dir`, which is made anew. */
export async function removeBlocks(
  { model, grids, edits, onProgress }: Removal,
  dir: string,
  removed: ReadonlySet<number>,
): Promise<void> {
  const rename = (name: string): string | undefined => renumberTensor(name, removed, model.tensorNames.blocks);
  const become = (tensor: TensorInfo): readonly TensorToWrite[] => {
    const name = rename(tensor.name);
    if (name === undefined) return [];
    const edit = edits?.get(tensor.name) ?? keepTensor(model.checkpoint, tensor);
    return 'remove' in edit ? [] : [{ ...edit, name }];
  };
  await writeMended(model, dir, become, (config) => mendConfig(config, removed, mendingOf(model.checkpoint.config)));
  if (grids) await carryScales({ grids, written: await openModel(dir), rename, onProgress });
}
