// Residual streams through one block: its graph is loaded, run over each stream, and released whatever happens.

import type { Engine } from '../engine/index.js';
import { type Activations, type BlockSource, blockGraph, type Model, runBlock } from '../model/index.js';

/** A stream before the block, and where it goes after it; the two may be the same store. */
export type Move = readonly [from: Activations, to: Activations];

/** Runs all `moves` through a block, of the checkpoint unless `source` gives another. All windows have one length. */
export async function passBlock(
  engine: Engine,
  model: Model,
  block: number,
  moves: readonly Move[],
  source?: BlockSource,
): Promise<void> {
  const length = moves[0]?.[0].length;
  if (length === undefined) return;
  const session = await engine.load(
    blockGraph(model, block, { length, outputs: 'hidden', ...(source ? { source } : {}) }),
  );
  try {
    for (const [from, to] of moves) await runBlock(engine, session, from, to);
  } finally {
    await session.release();
  }
}
