// A text prepared for the model: its windows of tokens, and their embeddings (the residual before block 0).

import type { Own } from '../base/index.js';
import type { Model } from '../model/index.js';
import type { Windows } from '../text/index.js';
import type { Activations } from './activations.js';
import { embedWindows } from './embed.js';

/** A text's windows and their embeddings. All texts of a run have windows of one length. */
export type Text = { readonly windows: Windows; readonly embedded: Activations };

/** Windows with their embeddings; `own` closes them with its scope. */
export async function embedText(own: Own, model: Model, { windows }: Pick<Text, 'windows'>): Promise<Text> {
  return { windows, embedded: await own(embedWindows(model, windows)) };
}

/** `count` windows spread evenly over a text; `own` closes their embeddings with its scope. */
export async function sampleText(
  own: Own,
  model: Model,
  from: Text,
  count: number,
): Promise<{ readonly text: Text; readonly indices: readonly number[] }> {
  const all = from.windows.windows;
  const taken = Math.min(count, all.length);
  const indices = Array.from({ length: taken }, (_, i) => Math.floor((i * all.length) / taken));
  const windows = { ...from.windows, windows: indices.map((i) => all[i]!) };
  return { text: await embedText(own, model, { windows }), indices };
}
