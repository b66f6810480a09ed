// The rows that a head reads. A language model's reads every row of the residual. A classifier's reads one row of a sample, which
// is made of the sample's rows: that of the class token, or a mean. A text tower's reads the row of each text's end.

import { handOver, InternalError, type Own, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { type Classes, type Model, poolGraph, requireEmbeds } from '../model/index.js';
import {
  type Activations,
  type Content,
  continueDialogues,
  createActivations,
  inParallel,
  runChunk,
} from '../stream/index.js';

/** The residual after the last block as the head reads it: itself, or one row for each sample, which `own` closes. */
export async function readOut(own: Own, engine: Engine, model: Model, last: Activations): Promise<Activations> {
  const row = model.config.embeds?.spec.row;
  if (row) return await own(takeRows(last, row));
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

/** One row of each text. */
async function takeRows(
  { chunks, length: T, width: D, ends, read }: Activations,
  row: 'end' | 'last',
): Promise<Activations> {
  if (row === 'end' && !ends)
    throw new InternalError('E_INTERNAL_ENDS', 'A stream of texts has lost the places of their ends.');
  return await handOver(await createActivations(chunks, 1, D), async (rows) => {
    let first = 0;
    for (const [chunk, count] of chunks.entries()) {
      const data = await read(chunk);
      const taken = new Float32Array(count * D);
      for (let i = 0; i < count; i++) {
        const at = (i * T + (row === 'end' ? ends![first + i]! : T - 1)) * D;
        taken.set(data.subarray(at, at + D), i * D);
      }
      await rows.write(chunk, taken);
      first += count;
    }
    return rows;
  });
}

/** The rows that a head reads, and the model whose head it is. */
export type HeadRows = { readonly reader: Model; readonly rows: Activations };

/** A trunk that makes vectors, with classes that these are compared with. @throws UnsupportedError E_UNSUPPORTED_HEAD */
export function compareWith(model: Model, classes: Classes): Model {
  const { config } = model;
  const { labels } = classes;
  const image = config.image && { ...config.image, labels };
  const embeds = { ...requireEmbeds(config), classes };
  return { ...model, config: { ...config, vocabulary: labels.length, image, embeds } };
}

/**
 * As `readOut`; captions are compared with the images of their own set. The residual of a trunk that reads the images of dialogues first
 * goes through the language model, which answers.
 */
export async function headRowsOf(
  own: Own,
  engine: Engine,
  model: Model,
  last: Activations,
  content: Content | undefined,
): Promise<HeadRows> {
  if (content !== undefined && 'classes' in content)
    return { reader: compareWith(model, content.classes), rows: await readOut(own, engine, model, last) };
  if (content === undefined || !('tokens' in content) || !model.config.image)
    return { reader: model, rows: await readOut(own, engine, model, last) };
  const { language, stream } = await continueDialogues(own, engine, model, last, content);
  return { reader: language, rows: stream };
}

/** The rows of a sample that are scored, of `length` rows: those before the tokens of an answer; else all but the last, or the one. */
export function scoredPlaces(content: Content | undefined, length: number): (sample: number) => ArrayLike<number> {
  if (content !== undefined && 'tokens' in content) {
    const places = content.answers.map((answer) => answer.map((place) => place - 1));
    return (sample) => places[sample]!;
  }
  const all = Int32Array.from({ length: Math.max(1, length - 1) }, (_, row) => row);
  return () => all;
}
