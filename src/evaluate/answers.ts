// Answers that a model writes to questions about images: its likeliest token, of equals the first, after all before it, until a token
// that ends a text. Nothing of generation_config.json but those tokens counts. Every token is a pass over the questions that are
// still open; images are read once.

import { type OnProgress, withResources } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import {
  type Activations,
  type Dialogues,
  embedSamples,
  embedWindows,
  passBlocks,
  startsOf,
  takeSamples,
} from '../stream/index.js';
import { openLogits } from './fidelity.js';

export type AnswerOptions = {
  /** The most tokens of an answer; each prompt has as many places behind it. */
  readonly most: number;
  /** Tokens that end an answer, and are no part of it. */
  readonly ends: ReadonlySet<number>;
  readonly onProgress: OnProgress;
};

/** An answer's tokens, and whether it came to its end. */
export type WrittenAnswer = { readonly tokens: readonly number[]; readonly ended: boolean };

/**
 * Writes an answer to each prompt with the language trunk `model`. The first place behind a prompt is the one whose token is scored,
 * so `lengths` counts it.
 * @throws as `checkDialogues`
 */
export async function writeAnswers(
  engine: Engine,
  model: Model,
  prompts: Dialogues,
  { most, ends, onProgress }: AnswerOptions,
): Promise<readonly WrittenAnswer[]> {
  const written = prompts.tokens.map(() => ({ tokens: [] as number[], ended: false }));
  await withResources(async (own) => {
    const { embedded } = await embedSamples(own, engine, model, prompts, onProgress);
    onProgress({ kind: 'stage', stage: 'answers, token by token', total: most });
    for (let step = 0; step < most; step++) {
      const open = [...written.keys()].filter((at) => !written[at]!.ended);
      if (open.length === 0) break;
      const places = open.map((at) => prompts.lengths[at]! - 1 + step);
      const next = await likeliestTokens(engine, model, embedded, open, places);
      for (const [i, at] of open.entries()) {
        if (ends.has(next[i]!)) written[at]!.ended = true;
        else written[at]!.tokens.push(next[i]!);
      }
      onProgress({ kind: 'advance', detail: `token ${step + 1} of at most ${most}` });
      if (step < most - 1) await placeTokens(model, embedded, open, places, next);
    }
  });
  return written;
}

/** The likeliest token at a place of each sample, after those before it. */
async function likeliestTokens(
  engine: Engine,
  model: Model,
  embedded: Activations,
  samples: readonly number[],
  places: readonly number[],
): Promise<readonly number[]> {
  return await withResources(async (own) => {
    const stream = await own(takeSamples(embedded, samples));
    await passBlocks(engine, model, stream, stream);
    const logitsAt = await openLogits(own, engine, model, stream);
    const found: number[] = [];
    for (const [i, place] of places.entries()) {
      const logits = await logitsAt(i, place - 1, 1);
      let best = 0;
      for (let token = 1; token < logits.length; token++) if (logits[token]! > logits[best]!) best = token;
      found.push(best);
    }
    return found;
  });
}

/** Puts tokens in their places of the residual before block 0. */
async function placeTokens(
  model: Model,
  embedded: Activations,
  samples: readonly number[],
  places: readonly number[],
  tokens: readonly number[],
): Promise<void> {
  const { length, width, chunks } = embedded;
  const firsts = startsOf(chunks);
  await withResources(async (own) => {
    const windows = tokens.map((token) => Int32Array.of(token));
    const rows = await own(embedWindows(model, { length: 1, windows }));
    const starts = startsOf(rows.chunks);
    for (const [chunk, first] of firsts.entries()) {
      const inside = samples.flatMap((at, i) => (at >= first && at < first + chunks[chunk]! ? [i] : []));
      if (inside.length === 0) continue;
      const data = (await embedded.read(chunk)).slice();
      for (const i of inside) {
        const of = starts.findLastIndex((start) => start <= i);
        const from = (i - starts[of]!) * width;
        const row = (await rows.read(of)).subarray(from, from + width);
        data.set(row, ((samples[i]! - first) * length + places[i]!) * width);
      }
      await embedded.write(chunk, data);
    }
  });
}
