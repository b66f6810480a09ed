// Σ x² of the input of every linear of a block, over all calibration tokens: Wanda's ‖X_j‖₂ is its root. The engine
// sums within each run. The runs' sums are added here in double precision and in the order of the leaves (stream/leaves.ts), so they
// do not depend on the number of workers or on which finishes first.

import type { Engine, HostTensor, Session } from '../engine/index.js';
import { type Activations, createLeafSum, type Feed, inParallel, runChunks, type Summed } from '../stream/index.js';

/** Σ x² over all tokens, [in] for each tap site. In a block with experts, also the number of tokens per expert. */
export type SquareSums = Readonly<Record<string, Float64Array>>;

/** Runs only a block's taps over all chunks of `from` and adds up the results. Weighted taps need more `feeds`. */
export function measureSquareSums(
  engine: Engine,
  session: Session,
  from: Activations,
  feeds: Readonly<Record<string, Feed>> = { x: { from } },
): Promise<SquareSums> {
  return sumInDouble(engine, from, (chunk) => runChunks(session, feeds, chunk));
}

/** Adds up the outputs of a run for each chunk of `of`, by name, in the order of the leaves and in double precision. */
export async function sumInDouble(
  engine: Engine,
  of: Summed,
  run: (chunk: number) => Promise<Readonly<Record<string, HostTensor>>>,
): Promise<Readonly<Record<string, Float64Array>>> {
  const outputs = await inParallel(engine.concurrency, of.chunks.length, run);
  const { add, total } = createLeafSum(of, (values) => Float64Array.from(values));
  for (const output of outputs) add(Object.entries(output).map(([name, { data }]) => [name, data as Float32Array]));
  return Object.fromEntries(total);
}
