// The loss of each window, computed from the residual stream after the last block.

import { NumericError, type OnProgress, OptionError, silent, withResources } from '../base/index.js';
import type { Engine, HostTensor, Session } from '../engine/index.js';
import { headGraph, type Model } from '../model/index.js';
import { type Activations, type Content, inParallel, startsOf } from '../stream/index.js';
import type { Windows } from '../text/index.js';
import { headRowsOf, scoredPlaces } from './read-out.js';

/** One run of the head produces at most this many logits (64 MB). */
export const LOGITS_PER_RUN = 1 << 24;

/**
 * The mean negative log-likelihood of each sample: of a window in nats per token, every token but the first; of an image the
 * cross-entropy of its label; of a dialogue in nats per token of the answer.
 * @throws NumericError E_NUMERIC_LOSS where the model's output is not a number
 */
export async function scoreSamples(
  engine: Engine,
  model: Model,
  activations: Activations,
  content: Content,
): Promise<number[]> {
  if (model.config.embeds || (model.config.image && !('tokens' in content))) requireLabels(content);
  return await withResources(async (own) => {
    const { reader, rows } = await headRowsOf(own, engine, model, activations, content);
    const session = await own(engine.load(headGraph(reader, 'nll')));
    const firstOf = startsOf(rows.chunks);
    const scored = scoredPlaces(content, rows.length);
    const parts = await headRows(engine, reader, session, ['nll'], rows, async (chunk) => (row, count) => ({
      target: targetsOf(content, firstOf[chunk]!, row, count),
    }));
    return meansOf(
      parts.map(({ nll }) => nll),
      rows.chunks,
      rows.length,
      scored,
    );
  });
}

/**
 * The mean Kullback–Leibler divergence KL(reference ‖ model) of each window's next-token distributions, in nats per
 * token, for each of several residual streams after the last block. All T positions count; of dialogues, `content`, those
 * that are scored.
 * @throws NumericError E_NUMERIC_LOSS
 */
export async function scoreDivergences(
  engine: Engine,
  model: Model,
  streams: readonly Activations[],
  reference: Activations,
  content?: Content,
  onProgress: OnProgress = silent,
): Promise<number[][]> {
  return await withResources(async (own) => {
    const { reader, rows: wanted } = await headRowsOf(own, engine, model, reference, content);
    const together = Math.min(TOGETHER, streams.length);
    const session = await own(engine.load(headGraph(reader, 'divergence', { streams: together })));
    const { chunks, length: T, width: D } = wanted;
    const all = Int32Array.from({ length: T }, (_, row) => row);
    const scored = content && 'tokens' in content ? scoredPlaces(content, T) : () => all;
    const most = Math.max(1, Math.floor(LOGITS_PER_RUN / (reader.config.vocabulary * together)));
    const scores: number[][] = [];
    for (let first = 0; first < streams.length; first += together) {
      const group: Activations[] = [];
      for (const stream of streams.slice(first, first + together)) {
        group.push((await headRowsOf(own, engine, model, stream, content)).rows);
      }
      const parts = await inParallel(engine.concurrency, chunks.length, async (chunk) => {
        const from = await wanted.read(chunk);
        const each = await Promise.all(group.map((rows) => rows.read(chunk)));
        const rows = chunks[chunk]! * T;
        const values = group.map(() => new Float32Array(rows));
        for (let row = 0; row < rows; row += most) {
          const count = Math.min(most, rows - row);
          // The graph is of `together` streams; the last group may be smaller.
          const data = new Float32Array(together * count * D);
          for (const [i, one] of each.entries()) data.set(one.subarray(row * D, (row + count) * D), i * count * D);
          const x = { type: 'f32', shape: [together * count, D], data } as const;
          const { divergence } = await session.run({ x, reference: slabOf(from, D, row, count) }, true);
          const found = divergence!.data as Float32Array;
          for (const [i, one] of values.entries()) one.set(found.subarray(i * count, (i + 1) * count), row);
        }
        return values;
      });
      for (const i of group.keys()) {
        const ofStream = parts.map((values) => values[i]!);
        scores.push(meansOf(ofStream, chunks, T, scored));
        onProgress({ kind: 'advance' });
      }
    }
    return scores;
  });
}

/** Streams that one run of the head compares with the reference, whose logits are as dear as those of a stream. */
const TOGETHER = 8;

/** Inputs for rows [row, row + count) of a chunk, in addition to `x`. */
type Feeds = (row: number, count: number) => Record<string, HostTensor>;

/** Runs the head over all rows, in parts whose logits fit. Returns the values of its `outputs` for each row of each chunk. */
export async function headRows<K extends string>(
  engine: Engine,
  model: Model,
  session: Session,
  outputs: readonly K[],
  { chunks, length: T, width: D, read }: Activations,
  feedsOf: (chunk: number) => Promise<Feeds>,
): Promise<readonly Readonly<Record<K, Float32Array>>[]> {
  const rowsPerRun = Math.max(1, Math.floor(LOGITS_PER_RUN / model.config.vocabulary));
  return await inParallel(engine.concurrency, chunks.length, async (chunk) => {
    const data = await read(chunk);
    const feeds = await feedsOf(chunk);
    const rows = chunks[chunk]! * T;
    const values = Object.fromEntries(outputs.map((name) => [name, new Float32Array(rows)])) as Record<K, Float32Array>;
    for (let row = 0; row < rows; row += rowsPerRun) {
      const count = Math.min(rowsPerRun, rows - row);
      const result = await session.run({ x: slabOf(data, D, row, count), ...feeds(row, count) }, true);
      for (const name of outputs) values[name].set(result[name]!.data as Float32Array, row);
    }
    return values;
  });
}

/**
 * The mean over the scored rows of each sample, of the values of each chunk's rows.
 * @throws NumericError E_NUMERIC_LOSS
 */
function meansOf(
  parts: readonly Float32Array[],
  chunks: readonly number[],
  T: number,
  scored: (sample: number) => ArrayLike<number>,
): number[] {
  const firstOf = startsOf(chunks);
  const means = parts.flatMap((values, chunk) =>
    Array.from({ length: chunks[chunk]! }, (_, w) => {
      const places = scored(firstOf[chunk]! + w);
      let sum = 0;
      for (let i = 0; i < places.length; i++) sum += values[w * T + places[i]!]!;
      return sum / places.length;
    }),
  );
  const bad = means.findIndex((mean) => !Number.isFinite(mean));
  if (bad >= 0) {
    throw new NumericError(
      'E_NUMERIC_LOSS',
      `The model's loss on window ${bad} is ${means[bad]}. Check the text and the checkpoint.`,
      { window: bad },
    );
  }
  return means;
}

/** @throws OptionError E_OPTION_LABELS */
export function requireLabels(content: Content): Int32Array {
  if (!('tokens' in content) && content.labels) return content.labels;
  const [what, how] =
    'pixels' in content
      ? ['images', 'Give images in one folder per class, or --labels.']
      : ['texts', 'Give each one the number of its class.'];
  throw new OptionError(
    'E_OPTION_LABELS',
    `These ${what} have no labels, so there is no cross-entropy to compute. ${how}`,
  );
}

/** What rows [row, row + count) are scored by, as the head reads it, [count, 1]. @throws OptionError for images without labels */
export function targetsOf(content: Content, first: number, row: number, count: number): HostTensor {
  if ('tokens' in content) return nextTokens({ length: content.length, windows: content.tokens }, first, row, count);
  if ('windows' in content && !content.labels) return nextTokens(content, first, row, count);
  const labels = requireLabels(content);
  return {
    type: 'i64',
    shape: [count, 1],
    data: BigInt64Array.from({ length: count }, (_, r) => BigInt(labels[first + row + r]!)),
  };
}

/**
 * The token after row `row` of the chunk that starts at window `first`; 0 after the last token of a window, which is
 * not scored.
 */
function nextToken(windows: Windows, first: number, row: number): number {
  const T = windows.length;
  const t = row % T;
  return t + 1 < T ? windows.windows[first + Math.floor(row / T)]![t + 1]! : 0;
}

/** The next tokens of rows [row, row + count), as the head reads them, [count, 1]. */
export function nextTokens(windows: Windows, first: number, row: number, count: number): HostTensor {
  const data = new BigInt64Array(count);
  for (let r = 0; r < count; r++) data[r] = BigInt(nextToken(windows, first, row + r));
  return { type: 'i64', shape: [count, 1], data };
}

/** Rows [row, row + count) of a chunk whose rows are `width` wide. */
export const slabOf = (data: Float32Array, width: number, row: number, count: number): HostTensor => ({
  type: 'f32',
  shape: [count, width],
  data: data.slice(row * width, (row + count) * width),
});
