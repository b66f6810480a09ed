// A text prepared for the model: its windows of tokens, and their embeddings (the residual before block 0).

import type { Own } from '../base/index.js';
import type { Model } from '../model/index.js';
import type { Windows } from '../text/index.js';
import type { Activations } from './activations.js';
import { embedWindows } from './embed.js';
import { type Importance, sampleImportance } from './importance.js';

/** A text's windows and their embeddings. All texts of a run have windows of one length. */
export type Text = {
  readonly windows: Windows;
  readonly embedded: Activations;
  /** How much its tokens count in statistics; absent where all count alike. */
  readonly importance?: Importance | undefined;
};

/** Windows with their embeddings; `own` closes them with its scope. */
export async function embedText(own: Own, model: Model, { windows }: Pick<Text, 'windows'>): Promise<Text> {
  return { windows, embedded: await own(embedWindows(model, windows)) };
}

/** The places of `count` things spread evenly over `of`, or of all of them if there are fewer. */
export function spreadEvenly(count: number, of: number): readonly number[] {
  const taken = Math.min(count, of);
  return Array.from({ length: taken }, (_, i) => Math.floor((i * of) / taken));
}

/** `count` windows spread evenly over a text, whose tokens count as they do there. The scope that `own` belongs to closes their embeddings. */
export async function sampleText(own: Own, model: Model, from: Text, count: number): Promise<Text> {
  const all = from.windows.windows;
  const taken = spreadEvenly(count, all.length);
  const windows = { ...from.windows, windows: taken.map((i) => all[i]!) };
  const sample = await embedText(own, model, { windows });
  const { importance } = from;
  if (!importance) return sample;
  return { ...sample, importance: await sampleImportance(own, importance, taken, sample.embedded.chunks) };
}
