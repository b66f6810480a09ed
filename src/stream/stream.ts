// Streams windows through the model, one graph at a time. As many runs proceed side by side as the engine has workers.

import { settleAll } from '../base/index.js';
import type { Engine, HostTensor, Lent, Session } from '../engine/index.js';
import { type Activations, createActivations } from './activations.js';

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
export async function sameShape({ chunks, length, width, ends, isLeaf }: Activations): Promise<Activations> {
  const more = { ...(ends ? { ends } : {}), ...(isLeaf ? { isLeaf } : {}) };
  return Object.assign(await createActivations(chunks, length, width), more);
}

/** Copies all chunks of a store into another of its shape. */
export async function copyStream(from: Activations, to: Activations): Promise<void> {
  for (let chunk = 0; chunk < from.chunks.length; chunk++) await to.write(chunk, (await from.read(chunk)).slice());
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
export const runChunk = (session: Session, from: Activations, chunk: number): Promise<Record<string, HostTensor>> =>
  runChunks(session, { x: { from } }, chunk);

/** What a graph reads besides or instead of `x`: a store, and whether its windows lie one after another, [B·T, width]. */
export type Feed = { readonly from: Activations; readonly flat?: boolean };

/** Runs a graph on the same chunk of several stores, by the names of its inputs. The values are lent and come back. */
export async function runChunks(
  session: Session,
  feeds: Readonly<Record<string, Feed>>,
  chunk: number,
): Promise<Record<string, HostTensor>> {
  const names = Object.keys(feeds);
  const lend = async (at: number, inputs: Record<string, HostTensor>): Promise<Lent> => {
    const name = names[at];
    if (name === undefined) return await session.lend(inputs);
    const { from, flat } = feeds[name]!;
    const tensorOf = (data: Float32Array): HostTensor => {
      const [windows, length, width] = [from.chunks[chunk]!, from.length, from.width];
      return { type: 'f32', shape: flat ? [windows * length, width] : [windows, length, width], data };
    };
    // A store that is read under two names lends its buffer once.
    const again = names.slice(0, at).find((other) => feeds[other]!.from === from);
    if (again !== undefined) {
      return await lend(at + 1, { ...inputs, [name]: tensorOf((inputs[again]!.data as Float32Array).slice()) });
    }
    return await from.lend(chunk, async (data) => {
      const lent = await lend(at + 1, { ...inputs, [name]: tensorOf(data) });
      return [lent.inputs[name]!.data as Float32Array, lent];
    });
  };
  return (await lend(0, {})).outputs;
}
