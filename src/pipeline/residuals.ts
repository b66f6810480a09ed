// One pass of the dense model over a text in which every block's input and output can be looked at: chunk after chunk, in
// their order, so that sums over chunks do not depend on the number of threads.

import type { OnProgress } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { type Model, sameShape } from '../model/index.js';
import type { Text } from './dense.js';
import { passBlock } from './pass.js';

/** The residual before and after a block, [windows, length, width] of one chunk. */
export type VisitResidual = (block: number, before: Float32Array, after: Float32Array) => void;

/** Runs the model over `text` and shows `visit` the residual around each block. */
export async function visitResiduals(
  engine: Engine,
  model: Model,
  text: Text,
  visit: VisitResidual,
  onProgress: OnProgress,
): Promise<void> {
  const { blocks } = model.config;
  const stores = [await sameShape(text.embedded), await sameShape(text.embedded)] as const;
  try {
    let from = text.embedded;
    for (let block = 0; block < blocks; block++) {
      const to = stores[block % 2]!;
      await passBlock(engine, model, block, [[from, to]]);
      for (let chunk = 0; chunk < from.chunks.length; chunk++) {
        visit(block, await from.read(chunk), await to.read(chunk));
      }
      from = to;
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${blocks}` });
    }
  } finally {
    for (const store of stores) await store.close();
  }
}
