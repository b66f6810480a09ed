// Σ x² of the input of every linear of a block, over all calibration tokens: Wanda's ‖X_j‖₂ is its root. The engine
// sums within each run. The runs' sums are added here in the order of the chunks, in double precision, so they do not
// depend on the number of workers or on which finishes first.

import type { Engine, HostTensor, Session } from '../engine/index.js';
import { type Activations, type Feed, inParallel, runChunks } from '../stream/index.js';

/** Σ x² over all tokens, [in] for each tap site. In a block with experts, also the number of tokens per expert. */
export type SquareSums = Readonly<Record<string, Float64Array>>;

/** Runs only a block's taps over all chunks of `from` and adds up the results. Weighted taps need more `feeds`. */
export function measureSquareSums(
  engine: Engine,
  session: Session,
  from: Activations,
  feeds: Readonly<Record<string, Feed>> = { x: { from } },
): Promise<SquareSums> {
  return sumInDouble(engine, from.chunks.length, (chunk) => runChunks(session, feeds, chunk));
}

/** Adds up the outputs of `chunks` runs, by name, in the order of the chunks and in double precision. */
export async function sumInDouble(
  engine: Engine,
  chunks: number,
  run: (chunk: number) => Promise<Readonly<Record<string, HostTensor>>>,
): Promise<Readonly<Record<string, Float64Array>>> {
  const outputs = await inParallel(engine.concurrency, chunks, run);
  const sums: Record<string, Float64Array> = {};
  for (const output of outputs) {
    for (const [name, { data }] of Object.entries(output)) {
      const values = data as Float32Array;
      sums[name] ??= new Float64Array(values.length);
      const sum = sums[name];
      for (let j = 0; j < sum.length; j++) sum[j]! += values[j]!;
    }
  }
  return sums;
}
