// Writes a checkpoint without some of its experts: the others renumbered, their rows of the router kept, config.json mended,
// and the scales of quantised linears under their new names.

import { keepTensor, readTensor, type TensorInfo, type TensorToWrite } from '../checkpoint/index.js';
import { type KeptExperts, mendExperts, openModel, renameExperts } from '../model/index.js';
import { carryScales } from '../runs/index.js';
import type { Removal } from './remove-blocks.js';
import { writeMended } from './write-mended.js';

/** Writes it into `dir`, which is made anew. */
export async function removeExperts(
  { model, grids, edits, onProgress }: Removal,
  dir: string,
  kept: KeptExperts,
): Promise<void> {
  const { checkpoint } = model;
  const changed = renameExperts(model, kept);
  const become = (tensor: TensorInfo): readonly TensorToWrite[] => {
    const change = changed.get(tensor.name);
    const edit = edits?.get(tensor.name) ?? keepTensor(checkpoint, tensor);
    if (!change) return [keepTensor(checkpoint, tensor)];
    if (change.name === undefined || 'remove' in edit) return [];
    return [{ ...(change.rows ? rowsOf(tensor, change.rows) : edit), name: change.name }];
  };
  const rowsOf = (tensor: TensorInfo, rows: readonly number[]): TensorToWrite => ({
    name: tensor.name,
    dtype: tensor.dtype,
    shape: [rows.length, ...tensor.shape.slice(1)],
    read: async () => {
      const bytes = await readTensor(checkpoint, tensor.name);
      const size = bytes.length / tensor.shape[0]!;
      return Buffer.concat(rows.map((row) => bytes.subarray(row * size, (row + 1) * size)));
    },
  });
  await writeMended(model, dir, become, (config) => mendExperts(config, kept));
  const rename = (name: string): string | undefined => (changed.has(name) ? changed.get(name)!.name : name);
  if (grids) await carryScales({ grids, written: await openModel(dir), rename, onProgress });
}
