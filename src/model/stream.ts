// Streams windows through the model, one graph at a time: embed, then block after block. As many runs proceed side by side
// as the engine has lanes.

import { readRows } from '../checkpoint/index.js';
import type { Engine, Session } from '../engine/index.js';
import type { Windows } from '../text/index.js';
import { type Activations, chunksOf, chunkTensor, createActivations } from './activations.js';
import { EMBEDDING } from './layout.js';
import type { Model } from './model.js';

/** Calls `work` for 0 … count−1, `lanes` at a time; results in order. The first error ends it. */
export async function inLanes<T>(lanes: number, count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results = new Array<T>(count);
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
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
  const settled = await Promise.allSettled(Array.from({ length: Math.min(lanes, count) }, lane));
  for (const lane of settled) if (lane.status === 'rejected') throw lane.reason;
  return results;
}

/** The embeddings of `windows`: the residual stream before block 0. */
export async function embedWindows(model: Model, windows: Windows): Promise<Activations> {
  const { length } = windows;
  const D = model.config.hidden;
  const activations = await createActivations(chunksOf(windows.windows.length, length), length, D);
  // Where each token stands, so that the table is read once, in order, slab by slab.
  const needed = new Map<number, Float32Array>();
  for (const window of windows.windows) for (const token of window) needed.set(token, EMPTY);
  await readRows(model.checkpoint, EMBEDDING, (first, rows, width) => {
    for (let row = 0; row * width < rows.length; row++) {
      if (needed.has(first + row)) needed.set(first + row, rows.slice(row * width, (row + 1) * width));
    }
  });
  let at = 0;
  for (const [chunk, count] of activations.chunks.entries()) {
    const data = new Float32Array(count * length * D);
    for (let w = 0; w < count; w++, at++) {
      const window = windows.windows[at]!;
      for (let t = 0; t < length; t++) data.set(needed.get(window[t]!)!, (w * length + t) * D);
    }
    await activations.write(chunk, data);
  }
  return activations;
}
const EMPTY = new Float32Array(0);

/** An empty store of the same shape. */
export function sameShape(activations: Activations): Promise<Activations> {
  return createActivations(activations.chunks, activations.length, activations.width);
}

/** Runs a block over all chunks: `from` → `to` (which may be the same store). Only the first `chunks` of them if given. */
export async function runBlock(
  engine: Engine,
  session: Session,
  from: Activations,
  to: Activations,
  chunks = from.chunks.length,
): Promise<void> {
  await inLanes(engine.lanes, chunks, async (chunk) => {
    const x = chunkTensor(from, chunk, await from.read(chunk));
    const { y } = await session.run({ x });
    await to.write(chunk, y!.data as Float32Array);
  });
}
