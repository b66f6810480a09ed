// Streams windows through the model, one graph at a time. As many runs proceed side by side as the engine has workers.

import { settleAll } from '../base/index.js';
import type { Engine, HostTensor, Session } from '../engine/index.js';
import { type Activations, chunkTensor, createActivations } from './activations.js';

/** Calls `work` for 0 … count−1, `limit` at a time; results in order. The first error ends it. */
export async function inParallel<T>(limit: number, count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results = new Array<T>(count);
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < count && !failed) {
      const index = next++;
      try {
        results[index] = await work(index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await settleAll(Array.from({ length: Math.min(limit, count) }, worker));
  return results;
}

/** An empty store of the same shape. */
export function sameShape(activations: Activations): Promise<Activations> {
  return createActivations(activations.chunks, activations.length, activations.width);
}

/** Runs a block over all chunks, `from` → `to` (which may be the same store), or only over the first `chunks` of them. */
export async function runBlock(
  engine: Engine,
  session: Session,
  from: Activations,
  to: Activations,
  chunks = from.chunks.length,
): Promise<void> {
  await inParallel(engine.concurrency, chunks, async (chunk) => {
    const { y } = await runChunk(session, from, chunk);
    await to.write(chunk, y!.data as Float32Array);
  });
}

/** Runs a graph whose only input is a chunk. The values are lent to the engine and come back uncopied. */
export function runChunk(session: Session, from: Activations, chunk: number): Promise<Record<string, HostTensor>> {
  return from.lend(chunk, async (data) => {
    const { inputs, outputs } = await session.lend({ x: chunkTensor(from, chunk, data) });
    return [inputs.x!.data as Float32Array, outputs];
  });
}

/** Runs a graph on the same chunk of two streams, `x` of `from` and `x_dense` of `dense`; a graph may read only one of them. */
export function runPair(
  session: Session,
  from: Activations | undefined,
  dense: Activations | undefined,
  chunk: number,
): Promise<Record<string, HostTensor>> {
  if (!dense) return runChunk(session, from!, chunk);
  if (from === dense) return runTwice(session, dense, chunk);
  return dense.lend(chunk, async (beside) => {
    if (!from) {
      const { inputs, outputs } = await session.lend({ x_dense: chunkTensor(dense, chunk, beside) });
      return [inputs.x_dense!.data as Float32Array, outputs];
    }
    return await from.lend(chunk, async (data) => {
      const { inputs, outputs } = await session.lend({
        x: chunkTensor(from, chunk, data),
        x_dense: chunkTensor(dense, chunk, beside),
      });
      return [inputs.x!.data as Float32Array, [inputs.x_dense!.data as Float32Array, outputs] as const];
    });
  });
}

/** Both streams are one: each input needs a buffer of its own. */
function runTwice(session: Session, from: Activations, chunk: number): Promise<Record<string, HostTensor>> {
  return from.lend(chunk, async (data) => {
    const beside = chunkTensor(from, chunk, data.slice());
    const { inputs, outputs } = await session.lend({ x: chunkTensor(from, chunk, data), x_dense: beside });
    return [inputs.x!.data as Float32Array, outputs];
  });
}
