// A treated block that is run and thrown away: its edits are in memory for as long as it is used, all else is the
// checkpoint's, in place. A graph is one protobuf message, which ends at 2 GiB, and is copied on its way to the engine; so a
// block whose edits take more than half of that lies in a file meanwhile, of the same bytes; so does one with an edit that
// changes a shape or a dtype or removes a tensor, since the checkpoint's header says nothing true of it.

import { mkdir, rm } from 'node:fs/promises';
import { fileError, withResources } from '../base/index.js';
import { type BlockSource, checkpointSource, type Model } from '../model/index.js';
import { blockFileSource, blockPath, type TreatedBlock, writeBlockFile } from './block-file.js';

const MOST_IN_MEMORY = 1 << 30;

/** Does `use` on a treated block. Nothing stays of it, and nothing in `dir`, where a large one lies meanwhile. */
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
  const made = new Map<string, Uint8Array>();
  for (const edit of edits) if (!('remove' in edit)) made.set(edit.name, await edit.read());
  const { folder, find } = checkpointSource(model.checkpoint);
  return await use({
    folder,
    find: (name) => {
      const weights = made.get(name);
      return weights ? { ...find(name), source: { kind: 'bytes', bytes: weights } } : find(name);
    },
  });
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
