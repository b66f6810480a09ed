// Where changed blocks of a model are while its other blocks are read from the checkpoint in place: in a directory, a file for
// each, by which an interrupted run knows what is done; or in memory, for a trial that writes nothing.

import { type BlockSource, checkpointSource, type Model } from '../model/index.js';
import { blockFileSource, blockPath, isWholeBlock, type TreatedBlock, writeBlockFile } from './block-file.js';
import { withTreatedBlock } from './treated-block.js';

export interface BlockShelf {
  has(block: number): Promise<boolean>;
  put(block: number, treated: TreatedBlock): Promise<void>;
  /** Calls `use` with the block as it was put here, or else with the checkpoint's. */
  read<T>(block: number, use: (source: BlockSource) => Promise<T>): Promise<T>;
}

/** A shelf of files in `dir`, which exists. */
export function fileShelf(model: Model, dir: string): BlockShelf {
  const pathOf = (block: number): string => blockPath(dir, block);
  const has = (block: number): Promise<boolean> => isWholeBlock(model, block, pathOf(block));
  return {
    has,
    put: (block, treated) => writeBlockFile(model, block, treated, pathOf(block)),
    read: async (block, use) =>
      await use((await has(block)) ? await blockFileSource(pathOf(block)) : checkpointSource(model.checkpoint)),
  };
}

/** A shelf in memory. A block too large for a graph in memory is written to `dir` while it is read. */
export function memoryShelf(model: Model, dir: string): BlockShelf {
  const blocks = new Map<number, TreatedBlock>();
  return {
    has: async (block) => blocks.has(block),
    put: async (block, treated) => {
      blocks.set(block, treated);
    },
    read: async (block, use) => {
      const treated = blocks.get(block);
      if (!treated) return await use(checkpointSource(model.checkpoint));
      return await withTreatedBlock(model, block, treated, dir, use);
    },
  };
}
