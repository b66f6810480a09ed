// A text on its way through the model: its windows of tokens and their embeddings, the residual before block 0.

import type { Model } from '../model/index.js';
import type { Windows } from '../text/index.js';
import type { Activations } from './activations.js';
import { embedWindows } from './embed.js';

/** A text's windows and their embeddings. All texts of a run have windows of one length. */
export type Text = { readonly windows: Windows; readonly embedded: Activations };

/** `count` windows spread evenly over a text. */
export async function sampleText(
  model: Model,
  from: Text,
  count: number,
): Promise<{ readonly text: Text; readonly indices: readonly number[] }> {
  const all = from.windows.windows;
  const taken = Math.min(count, all.length);
  const indices = Array.from({ length: taken }, (_, i) => Math.floor((i * all.length) / taken));
  const windows = { ...from.windows, windows: indices.map((i) => all[i]!) };
  return { text: { windows, embedded: await embedWindows(model, windows) }, indices };
}
