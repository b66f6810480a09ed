// Σ x² of the input of every linear of a block, over all calibration tokens: what Wanda's ‖X_j‖₂ is made of. The sums are
// taken inside the engine per run and added here in the order of the chunks, in double precision, so they do not depend
// on how many workers there are or which finishes first.

import type { Engine, Session } from '../engine/index.js';
import { type Activations, inParallel, runChunk } from '../stream/index.js';

/** Σ x² over all tokens, for each tap site: [in]; where a block has experts, how many tokens each was given, too. */
export type SquareSums = Readonly<Record<string, Float64Array>>;

/** Runs a block's taps, and no other outputs, over all chunks of `from` and adds them up, in the chunks' order, in double precision. */
export async function measureSquareSums(engine: Engine, session: Session, from: Activations): Promise<SquareSums> {
  const outputs = await inParallel(engine.concurrency, from.chunks.length, (chunk) => runChunk(session, from, chunk));
  const sums = Object.fromEntries(
    Object.entries(outputs[0]!).map(([site, { data }]) => [site, new Float64Array(data.length)]),
  );
  for (const output of outputs) {
    for (const [site, sum] of Object.entries(sums)) {
      const values = output[site]!.data as Float32Array;
      for (let j = 0; j < sum.length; j++) sum[j]! += values[j]!;
    }
  }
  return sums;
}
