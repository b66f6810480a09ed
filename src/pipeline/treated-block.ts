// Runs a treated block and discards it. Its edits are held in memory while it runs; all other tensors are read from the
// checkpoint in place. A graph is one protobuf message of at most 2 GiB, and the engine copies it. So a block whose edits
// take more than half of that is written to a temporary file with the same bytes. So is a block with an edit that removes a
// tensor or changes its shape or dtype, because the checkpoint's header no longer describes it.

import { mkdir, rm } from 'node:fs/promises';
import { fileError, withResources } from '../base/index.js';
import { type BlockSource, checkpointSource, type Model } from '../model/index.js';
import { blockFileSource, blockPath, type TreatedBlock, writeBlockFile } from './block-file.js';

const MOST_IN_MEMORY = 1 << 30;

/** Calls `use` with a treated block. A large block is written to `dir`, which is removed afterwards. */
export async function withTreatedBlock<T>(
  model: Model,
  block: number,
  treated: TreatedBlock,
  dir: string,
  use: (source: BlockSource) => Promise<T>,
  mostInMemory = MOST_IN_MEMORY,
): Promise<T> {
  const edits = [...treated.edits.values()];
  const { tensors } = model.checkpoint;
  const bytes = edits.reduce((sum, { name }) => sum + tensors.get(name)!.length, 0);
  const keepsOutlines = edits.every((edit) => {
    const { dtype, shape } = tensors.get(edit.name)!;
    return !('remove' in edit) && edit.dtype === dtype && String(edit.shape) === String(shape);
  });
  if (bytes > mostInMemory || !keepsOutlines) return await withBlockFile(model, block, treated, dir, use);
  return await use(await editedSource(model, treated.edits));
}

/** The checkpoint's tensors in place, and those of `edits` in memory. No edit changes a dtype or a shape, or removes a tensor. */
export async function editedSource(model: Model, edits: TreatedBlock['edits']): Promise<BlockSource> {
  const made = new Map<string, Uint8Array>();
  for (const edit of edits.values()) if (!('remove' in edit)) made.set(edit.name, await edit.read());
  const { folder, find } = checkpointSource(model.checkpoint);
  return {
    folder,
    find: (name) => {
      const weights = made.get(name);
      return weights ? { ...find(name), source: { kind: 'bytes', bytes: weights } } : find(name);
    },
  };
}

function withBlockFile<T>(
  model: Model,
  block: number,
  treated: TreatedBlock,
  dir: string,
  use: (source: BlockSource) => Promise<T>,
): Promise<T> {
  return withResources(async (own) => {
    await own({ close: () => rm(dir, { recursive: true, force: true }) });
    await mkdir(dir, { recursive: true }).catch((error) => {
      throw fileError(error, dir);
    });
    const path = blockPath(dir, block);
    await writeBlockFile(model, block, treated, path);
    return await use(await blockFileSource(path));
  });
}
