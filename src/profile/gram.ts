// H = Σ xᵀx of the input of every linear of a block, over all calibration tokens; SparseGPT repairs weights with it.
// Each run sums over its own tokens in float32. The runs' sums are added here in the order of the leaves (stream/leaves.ts), also in
// float32: for c chunks an entry H_ij is off by at most c·2⁻²⁴·√(H_ii·H_jj), which is 8·10⁻⁶ of it for 128 chunks; the
// damping is 10⁻² of the diagonal's mean. The result does not depend on the number of workers or on which finishes
// first.
// Memory: the four sums, as much for the leaf, and as much again for every worker: 0.7 GB each for LLaMA2-7B.

import { InternalError } from '../base/index.js';
import type { Engine, HostTensor, Session } from '../engine/index.js';
import { type Activations, createLeafSum, type Feed, inOrder, runChunks, type Summed } from '../stream/index.js';

/** Σ xᵀx over all tokens, [in, in] for each tap site. In a block with experts, also the number of tokens per expert. */
export type Grams = Readonly<Record<string, Float32Array>>;

/** Runs a block's Gram taps over all chunks of `from` (weighted taps need more `feeds`), and adds the results in their order. */
export const measureGrams = (
  engine: Engine,
  session: Session,
  from: Activations,
  feeds: Readonly<Record<string, Feed>> = { x: { from } },
): Promise<Grams> => sumOverChunks(engine, from, (chunk) => runChunks(session, feeds, chunk));

/** Adds the outputs of a run for each chunk of `of`, in the order of the leaves; no more matrices wait than there are workers. */
export async function sumOverChunks(
  engine: Engine,
  of: Summed,
  run: (chunk: number) => Promise<Readonly<Record<string, HostTensor>>>,
): Promise<Grams> {
  const chunks = of.chunks.length;
  if (chunks === 0) throw new InternalError('E_INTERNAL_GRAM', 'A Gram matrix needs at least one calibration window.');
  const { add, total } = createLeafSum(of, (values) => values);
  await inOrder(engine.workers, chunks, run, (outputs) => {
    add(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
  });
  return Object.fromEntries(total);
}
