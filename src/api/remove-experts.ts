// Writes a checkpoint without some of its experts: the others renumbered, their rows of the router kept, config.json mended,
// and the scales of quantised linears under their new names.

import { keepTensor, moveTensor, type TensorInfo, type TensorToWrite } from '../checkpoint/index.js';
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
  const rowsOf = (tensor: TensorInfo, rows: readonly number[]): TensorToWrite => {
    const [, width] = tensor.shape as [number, number];
    return moveTensor(keepTensor(checkpoint, tensor), {
      shape: [rows.length, width],
      rows: rows.map((row, at) => ({ from: row, to: row + 1, at })),
      columns: [{ from: 0, to: width, at: 0 }],
    });
  };
  await writeMended(model, dir, become, (config) => mendExperts(config, kept));
  const rename = (name: string): string | undefined => (changed.has(name) ? changed.get(name)!.name : name);
  if (grids) await carryScales({ grids, written: await openModel(dir), rename, onProgress });
}
