// How much each token of a text counts in the statistics of the linears that read it (profile/importance.ts measures it): the
// root of a weight per token and tap site, so that XᵀDX is the Gram matrix of the rows of √D·X.

import type { Own } from '../base/index.js';
import { type Model, rootOf } from '../model/index.js';
import { type Activations, createActivations, takeSamples } from './activations.js';
import type { Feed } from './stream.js';

/** By block and tap site: stores [windows, T, 1] in the chunks of the text. */
export type Importance = readonly Readonly<Record<string, Activations>>[];

/** The inputs of a graph of block `block` with weighted taps; `x` alone where all tokens count alike. */
export function tapFeeds(from: Activations, block: number, importance: Importance | undefined): Record<string, Feed> {
  return { x: { from }, ...rootFeeds(block, importance) };
}

export function rootFeeds(block: number, importance: Importance | undefined): Record<string, Feed> {
  const roots = Object.entries(importance?.[block] ?? {});
  return Object.fromEntries(roots.map(([site, store]) => [rootOf(site), { from: store, flat: true }]));
}

/** A weight of 1 for the first `counts[i]` rows of sample i and of 0 for those after them, at every tap. `own` closes the store. */
export async function countFirst(
  own: Own,
  model: Model,
  chunks: readonly number[],
  length: number,
  counts: ArrayLike<number>,
): Promise<Importance> {
  const roots = await own(createActivations(chunks, length, 1));
  let sample = 0;
  for (const [chunk, count] of chunks.entries()) {
    const data = new Float32Array(count * length);
    for (let i = 0; i < count; i++, sample++) data.fill(1, i * length, i * length + counts[sample]!);
    await roots.write(chunk, data);
  }
  return model.linears.map((linears) => Object.fromEntries(linears.map(({ site }) => [site, roots])));
}

/** The windows `taken`; `own` closes them. */
export async function sampleImportance(
  own: Own,
  importance: Importance,
  taken: readonly number[],
): Promise<Importance> {
  const sampled: Record<string, Activations>[] = [];
  const made = new Map<Activations, Activations>(); // padding is one store under many names
  for (const roots of importance) {
    const block: Record<string, Activations> = {};
    for (const [site, from] of Object.entries(roots)) {
      const some = made.get(from) ?? (await own(takeSamples(from, taken)));
      made.set(from, some);
      block[site] = some;
    }
    sampled.push(block);
  }
  return sampled;
}
