// Scores a model without some of its blocks, and with some of them changed, without writing it: blocks are read where they are.

import { silent } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import type { Samples } from '../stream/index.js';
import type { BlockShelf } from './block-shelf.js';
import { scoreBlocks } from './sequential.js';

/** The mean negative log-likelihood of each window of `text` without the blocks `removed`, some but not all. */
export async function scoreKept(
  engine: Engine,
  model: Model,
  removed: ReadonlySet<number>,
  text: Samples,
  shelf?: BlockShelf,
): Promise<number[]> {
  const kept = [...model.linears.keys()].filter((block) => !removed.has(block));
  return await scoreBlocks(engine, model, text, silent, shelf?.read, kept);
}
