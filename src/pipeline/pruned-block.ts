// A pruned block that is run and thrown away: its linears are in memory for as long as it is used, all else is the
// checkpoint's, in place. A graph is one protobuf message, which ends at 2 GiB, and is copied on its way to the engine; so a
// block whose linears take more than half of that lies in a file meanwhile, of the same bytes.

import { mkdir, rm } from 'node:fs/promises';
import { fileError, withResources } from '../base/index.js';
import { type BlockSource, checkpointSource, type Model, weightName } from '../model/index.js';
import { type BlockPruning, blockFileSource, blockPath, pruneLinear, writePrunedBlock } from './block-file.js';

const MOST_IN_MEMORY = 1 << 30;

/** Does `use` on a block of the checkpoint, pruned. Nothing stays of it, and nothing in `dir`, where a large one lies. */
export async function withPrunedBlock<T>(
  model: Model,
  block: number,
  pruning: BlockPruning,
  dir: string,
  use: (source: BlockSource) => Promise<T>,
  mostInMemory = MOST_IN_MEMORY,
): Promise<T> {
  const linears = model.linears[block]!;
  const { tensors } = model.checkpoint;
  const bytes = linears.reduce((sum, linear) => sum + tensors.get(weightName(linear))!.length, 0);
  if (bytes > mostInMemory) return await withBlockFile(model, block, pruning, dir, use);
  const pruned = new Map<string, Uint8Array>();
  for (const linear of linears) pruned.set(weightName(linear), await pruneLinear(model, linear, pruning));
  const { folder, find } = checkpointSource(model.checkpoint);
  return await use({
    folder,
    find: (name) => {
      const weights = pruned.get(name);
      return weights ? { ...find(name), source: { kind: 'bytes', bytes: weights } } : find(name);
    },
  });
}

function withBlockFile<T>(
  model: Model,
  block: number,
  pruning: BlockPruning,
  dir: string,
  use: (source: BlockSource) => Promise<T>,
): Promise<T> {
  return withResources(async (own) => {
    await own({ close: () => rm(dir, { recursive: true, force: true }) });
    await mkdir(dir, { recursive: true }).catch((error) => {
      throw fileError(error, dir);
    });
    const path = blockPath(dir, block);
    await writePrunedBlock(model, block, pruning, path);
    return await use(await blockFileSource(path));
  });
}
