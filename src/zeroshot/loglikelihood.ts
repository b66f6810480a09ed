// The log-probability of each sequence’s scored tokens, from the residual stream of a batch after the last block. Only
// places that predict a scored token go through the head.

import { NumericError, withResources } from '../base/index.js';
import type { Engine, HostTensor } from '../engine/index.js';
import { LOGITS_PER_RUN } from '../evaluate/index.js';
import { headGraph, type Model } from '../model/index.js';
import { type Activations, inParallel } from '../stream/index.js';
import type { EncodedRequest } from './encode.js';
import type { PrefixTreeBatch } from './prefix-tree.js';

/** Σ log p of the scored tokens, in nats, their number, and whether every one of them is the model’s first choice. */
export type Likelihood = { readonly logProbability: number; readonly tokens: number; readonly greedy: boolean };

/** Writes the likelihood of each sequence of `batch` into `results`. @throws NumericError E_NUMERIC_LOSS */
export async function scoreBatch(
  engine: Engine,
  model: Model,
  stream: Activations,
  batch: PrefixTreeBatch,
  sequences: readonly EncodedRequest[],
  results: Likelihood[],
): Promise<void> {
  const { length: T, width: D } = stream;
  const perRun = Math.max(1, Math.floor(LOGITS_PER_RUN / model.config.vocabulary));
  const firstRow: number[] = [];
  const chunkOfRow: number[] = [];
  for (const [chunk, count] of stream.chunks.entries()) {
    firstRow.push(chunkOfRow.length);
    for (let row = 0; row < count; row++) chunkOfRow.push(chunk);
  }
  const scoredIn: PrefixTreeBatch['scored'][number][][] = stream.chunks.map(() => []);
  for (const one of batch.scored) scoredIn[chunkOfRow[Math.floor(one.places[0]! / T)]!]!.push(one);
  await withResources(async (own) => {
    const session = await own(engine.load(headGraph(model, 'choices')));
    await inParallel(engine.concurrency, stream.chunks.length, async (chunk) => {
      const here = scoredIn[chunk]!;
      const start = firstRow[chunk]! * T;
      const places = here.flatMap((one) => Array.from(one.places, (place) => place - start));
      const targets = here.flatMap(({ sequence }) => Array.from(sequences[sequence]!.targets));
      const nll = new Float32Array(places.length);
      const lead = new Float32Array(places.length);
      const data = await stream.read(chunk);
      for (let from = 0; from < places.length; from += perRun) {
        const to = Math.min(from + perRun, places.length);
        const x = new Float32Array((to - from) * D);
        for (let i = from; i < to; i++) x.set(data.subarray(places[i]! * D, (places[i]! + 1) * D), (i - from) * D);
        const target = BigInt64Array.from(targets.slice(from, to), BigInt);
        const feeds: Record<string, HostTensor> = {
          x: { type: 'f32', shape: [to - from, D], data: x },
          target: { type: 'i64', shape: [to - from, 1], data: target },
        };
        const result = await session.run(feeds, true);
        nll.set(result.nll!.data as Float32Array, from);
        lead.set(result.lead!.data as Float32Array, from);
      }
      let at = 0;
      for (const { sequence, places: scored } of here) {
        let sum = 0;
        let greedy = true;
        for (const end = at + scored.length; at < end; at++) {
          sum -= nll[at]!;
          greedy &&= lead[at] === 0;
        }
        if (!Number.isFinite(sum)) refuseLikelihood(sequence, sum);
        results[sequence] = { logProbability: sum, tokens: scored.length, greedy };
      }
    });
  });
}

/** @throws NumericError E_NUMERIC_LOSS: the log-probability of a request is not a finite number */
export function refuseLikelihood(sequence: number, got: number): never {
  throw new NumericError(
    'E_NUMERIC_LOSS',
    `The model's log-probability of request ${sequence} is ${got}; its weights are broken.`,
    { sequence, got },
  );
}
