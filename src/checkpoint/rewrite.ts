// Writes a checkpoint with other tensors: under new names, left out, or each in place of another. Shards and their order stay;
// a shard that loses all its tensors is left out, and a matching index is written. What one tensor becomes is held at a time.

import { join } from 'node:path';
import { writeFileAtomic } from '../base/index.js';
import { bytesPerElement, elementCount } from '../tensor/index.js';
import { formatIndex, type Outline } from './index-file.js';
import { type Checkpoint, INDEX } from './open.js';
import { readTensor } from './read.js';
import type { TensorInfo } from './safetensors.js';
import {
  copyWhole,
  requireEmpty,
  requireUnchanged,
  syncFolders,
  type TensorToWrite,
  writeSafetensors,
} from './write.js';

/**
 * Writes what `become` makes of each tensor into the existing, empty directory `outDir`: none, one or several. All other
 * files are copied byte for byte, except those in `contents`, which get the text given there. All files are flushed to the
 * disk; the caller renames the directory into place.
 *
 * @throws OptionError E_OPTION_OUT when `outDir` is not an empty directory
 * @throws CheckpointError E_CHECKPOINT_CHANGED when a source file has changed since it was opened
 * @throws InternalError E_INTERNAL_TENSOR where two tensors get one name
 * @throws ResourceError E_RESOURCE_…
 */
export async function writeReplaced(
  source: Checkpoint,
  outDir: string,
  become: (tensor: TensorInfo) => readonly TensorToWrite[],
  contents: Readonly<Record<string, string>>,
): Promise<void> {
  await requireEmpty(outDir);
  for (const shard of source.shards) {
    const own = [...source.tensors.values()].filter(({ file }) => file === shard);
    const { metadata } = await requireUnchanged(join(source.dir, shard), own);
    const made = own.flatMap(become);
    const said = Object.keys(metadata).length > 0 ? metadata : undefined;
    if (made.length > 0) await writeSafetensors(join(outDir, shard), made, said);
  }
  for (const file of source.files) {
    const content =
      file === INDEX ? await formatIndex(source, (tensor) => become(tensor).map(outlineOf)) : contents[file];
    if (content === undefined) await copyWhole(join(source.dir, file), join(outDir, file));
    else await writeFileAtomic(join(outDir, file), content);
  }
  await syncFolders(outDir, source.files);
}

const outlineOf = ({ name, dtype, shape }: TensorToWrite): Outline => ({
  name,
  length: elementCount(shape) * bytesPerElement(dtype),
  shape,
});

/** The tensor itself, read when its turn comes. */
export const keepTensor = (source: Checkpoint, { name, dtype, shape }: TensorInfo): TensorToWrite => ({
  name,
  dtype,
  shape,
  read: () => readTensor(source, name),
});

/** Rows or columns [from, to) that come to lie at `at`. */
export type Move = { readonly from: number; readonly to: number; readonly at: number };

/** The shape of a tensor to make of another's rows and columns, and where these lie in it. A vector is one row. */
export type Moves = {
  readonly shape: readonly number[];
  readonly rows: readonly Move[];
  readonly columns: readonly Move[];
};

/** A tensor made of rows and columns of another; where none comes to lie it is 0. */
export const moveTensor = (tensor: TensorToWrite, { shape, rows, columns }: Moves): TensorToWrite => ({
  ...tensor,
  shape,
  read: async () => {
    const from = await tensor.read();
    const size = bytesPerElement(tensor.dtype);
    const to = new Uint8Array(elementCount(shape) * size);
    const [own, made] = [tensor.shape.at(-1)! * size, shape.at(-1)! * size];
    for (const row of rows) {
      for (let r = row.from; r < row.to; r++) {
        const target = (row.at + r - row.from) * made;
        for (const span of columns) {
          to.set(from.subarray(r * own + span.from * size, r * own + span.to * size), target + span.at * size);
        }
      }
    }
    return to;
  },
});
