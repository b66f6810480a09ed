// The cost of removing each block: scores the model without it, for every block that is left. The blocks before the
// removed one give the same residual as in the whole model. So one stream walks through the blocks, and for each
// removal a second one starts from it and runs the rest: half the work of whole passes, and two streams at any depth.
// (variants.ts keeps one stream per variant, to load each graph once. Here a variant is a whole model, and as many
// streams as blocks would be too much for the disk.)

import { type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { scoreSamples } from '../evaluate/index.js';
import type { Model } from '../model/index.js';
import { passBlock, type Samples, sameShape } from '../stream/index.js';

/** The mean negative log-likelihood of each window of `text` without each of the blocks `left`, in their order. */
export async function scoreRemovals(
  engine: Engine,
  model: Model,
  left: readonly number[],
  text: Samples,
  onProgress: OnProgress,
): Promise<number[][]> {
  return await withResources(async (own) => {
    const prefix = await own(sameShape(text.embedded));
    const suffix = await own(sameShape(text.embedded));
    const scores: number[][] = [];
    let before = text.embedded;
    for (const [i, block] of left.entries()) {
      let stream = before;
      for (const next of left.slice(i + 1)) {
        await passBlock(engine, model, next, [[stream, suffix]]);
        stream = suffix;
      }
      scores.push(await scoreSamples(engine, model, stream, text.content));
      if (i < left.length - 1) await passBlock(engine, model, block, [[before, prefix]]);
      before = prefix;
      onProgress({ kind: 'advance', detail: `without block ${block}` });
    }
    return scores;
  });
}
