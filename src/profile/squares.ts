// Σ x² of the input of every linear of a block, over all calibration tokens: Wanda's ‖X_j‖₂ is its root. The engine
// sums within each run. The runs' sums are added here in the order of the chunks, in double precision, so they do not
// depend on the number of workers or on which finishes first.

import type { Engine, Session } from '../engine/index.js';
import { type Activations, type Feed, inParallel, runChunks } from '../stream/index.js';

/** Σ x² over all tokens, [in] for each tap site. In a block with experts, also the number of tokens per expert. */
export type SquareSums = Readonly<Record<string, Float64Array>>;

/**
 * Runs only a block's taps over all chunks of `from` and adds the results in the order of the chunks, in double
 * precision. Weighted taps need more `feeds`.
 */
export async function measureSquareSums(
  engine: Engine,
  session: Session,
  from: Activations,
  feeds: Readonly<Record<string, Feed>> = { x: { from } },
): Promise<SquareSums> {
  const outputs = await inParallel(engine.concurrency, from.chunks.length, (chunk) => runChunks(session, feeds, chunk));
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
