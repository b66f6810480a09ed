// One pass of the dense model over a text that only shows every block's input and output. (runDense shows them too,
// while it collects measures.)

import { type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import { passBlock, type Samples, sameShape, showMove, type VisitResidual } from '../stream/index.js';

/** Runs the model over `text` and shows `visit` the residual around each block. */
export async function visitResiduals(
  engine: Engine,
  model: Model,
  text: Samples,
  visit: VisitResidual,
  onProgress: OnProgress,
): Promise<void> {
  const { blocks } = model.config;
  await withResources(async (own) => {
    const stores = [await own(sameShape(text.embedded)), await own(sameShape(text.embedded))] as const;
    let from = text.embedded;
    for (let block = 0; block < blocks; block++) {
      const to = stores[block % 2]!;
      await passBlock(engine, model, block, [[from, to]]);
      await showMove(block, [from, to], visit);
      from = to;
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${blocks}` });
    }
  });
}
