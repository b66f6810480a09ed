// Writes a checkpoint without some of its blocks: the others renumbered, config.json mended, and the scales of quantised
// linears under their new names.

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, type OnProgress } from '../base/index.js';
import {
  keepTensor,
  type ScalesFile,
  type TensorEdit,
  type TensorInfo,
  type TensorToWrite,
  writeReplaced,
} from '../checkpoint/index.js';
import { type Model, mendConfig, mendingOf, openModel, renumberTensor } from '../model/index.js';
import { carryScales } from '../runs/index.js';

export type Removal = {
  readonly model: Model;
  /** The scales of a quantised model. */
  readonly grids: ScalesFile | undefined;
  /** Changed tensors of the blocks that stay, by the source's names. */
  readonly edits?: ReadonlyMap<string, TensorEdit>;
  readonly onProgress: OnProgress;
};

/** Writes it into `dir`, which it makes. */
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
  const config = join(model.checkpoint.dir, 'config.json');
  try {
    await mkdir(dir);
    const contents = {
      'config.json': mendConfig(await readFile(config, 'utf8'), removed, mendingOf(model.checkpoint.config)),
    };
    await writeReplaced(model.checkpoint, dir, become, contents);
  } catch (error) {
    throw fileError(error, dir);
  }
  if (grids) await carryScales({ grids, written: await openModel(dir), rename, onProgress });
}
