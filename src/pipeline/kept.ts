// Scores a model without some of its blocks, and with some of them changed, without writing it: blocks are read where they are.

import { withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { scoreSamples } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { passBlock, type Samples, sameShape } from '../stream/index.js';
import type { BlockShelf } from './block-shelf.js';

/** The mean negative log-likelihood of each window of `text` without the blocks `removed`. */
export async function scoreKept(
  engine: Engine,
  model: Model,
  removed: ReadonlySet<number>,
  text: Samples,
  shelf?: BlockShelf,
): Promise<number[]> {
  return await withResources(async (own) => {
    const store = await own(sameShape(text.embedded));
    let from = text.embedded;
    for (let block = 0; block < model.config.blocks; block++) {
      if (removed.has(block)) continue;
      const moves = [[from, store]] as const;
      if (shelf) await shelf.read(block, (source) => passBlock(engine, model, block, moves, source));
      else await passBlock(engine, model, block, moves);
      from = store;
    }
    return await scoreSamples(engine, model, from, text.content);
  });
}
