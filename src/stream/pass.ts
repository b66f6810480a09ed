// Passes residual streams through one block: its graph is loaded, run over each stream, and released, also after an error.

import { withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { type BlockSource, blockGraph, type Model, residualShape } from '../model/index.js';
import type { Activations } from './activations.js';
import { runBlock } from './stream.js';

/** Gives a store the shape that a block’s output has. */
function reshapeAfter({ config }: Model, block: number, to: Activations): void {
  const { length, width } = residualShape(config, block, to.length);
  to.reshape(length, width);
}

/** A stream before the block, and the store for its output; both may be the same store. */
export type Move = readonly [from: Activations, to: Activations];

/** Sees one chunk’s residual before and after a block, [windows, length, width]. The arrays are valid until it returns. */
export type VisitResidual = (block: number, before: Float32Array, after: Float32Array) => void;

/**
 * Shows `visit` a block's input and output from two stores, chunk by chunk in order, so sums over them do not depend on
 * threads.
 */
export async function showMove(block: number, [from, to]: Move, visit: VisitResidual): Promise<void> {
  for (let chunk = 0; chunk < from.chunks.length; chunk++) visit(block, await from.read(chunk), await to.read(chunk));
}

/** Runs all `moves` through a block, which comes from `source` or else from the checkpoint. All windows have one length. */
export async function passBlock(
  engine: Engine,
  model: Model,
  block: number,
  moves: readonly Move[],
  source?: BlockSource,
): Promise<void> {
  const length = moves[0]?.[0].length;
  if (length === undefined) return;
  const graph = blockGraph(model, block, { length, outputs: 'hidden', ...(source ? { source } : {}) });
  await withResources(async (own) => {
    const session = await own(engine.load(graph));
    for (const [from, to] of moves) {
      await runBlock(engine, session, from, to);
      reshapeAfter(model, block, to);
    }
  });
}

/** Runs a stream through all blocks of the checkpoint, into `to`, which may be the same store. */
export async function passBlocks(engine: Engine, model: Model, from: Activations, to: Activations): Promise<void> {
  for (let block = 0; block < model.config.blocks; block++)
    await passBlock(engine, model, block, [[block === 0 ? from : to, to]]);
}
