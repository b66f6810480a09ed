// The rows that a head reads. A language model's reads every row of the residual. A classifier's reads one row of a sample, which
// is made of the sample's rows: that of the class token, or a mean.

import { handOver, type Own, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { type Model, poolGraph } from '../model/index.js';
import { type Activations, createActivations, inParallel, runChunk } from '../stream/index.js';

/** The residual after the last block as the head reads it: itself, or one row for each sample, which `own` closes. */
export async function readOut(own: Own, engine: Engine, model: Model, last: Activations): Promise<Activations> {
  const graph = poolGraph(model, last.length);
  if (!graph) return last;
  const { chunks } = last;
  const width = graph.outputs[0]!.shape.at(-1) as number;
  return await own(
    handOver(await createActivations(chunks, 1, width), async (rows) => {
      await withResources(async (ownSession) => {
        const session = await ownSession(engine.load(graph));
        await inParallel(engine.concurrency, chunks.length, async (chunk) => {
          const { pooled } = await runChunk(session, last, chunk);
          await rows.write(chunk, pooled!.data as Float32Array);
        });
      });
      return rows;
    }),
  );
}
