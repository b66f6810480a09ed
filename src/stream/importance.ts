// How much each token of a text counts in the statistics of the linears that read it (profile/importance.ts measures it): the
// root of a weight per token and tap site, so that XᵀDX is the Gram matrix of the rows of √D·X.

import type { Own } from '../base/index.js';
import { rootOf } from '../model/index.js';
import { type Activations, createActivations } from './activations.js';
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

/** The windows `taken`, in chunks of the given numbers of windows. */
export async function sampleImportance(
  own: Own,
  importance: Importance,
  taken: readonly number[],
  chunks: readonly number[],
): Promise<Importance> {
  const pick = async (from: Activations): Promise<Activations> => {
    const all: Float32Array[] = [];
    for (const [chunk, windows] of from.chunks.entries()) {
      const data = await from.read(chunk);
      for (let w = 0; w < windows; w++) all.push(data.slice(w * from.length, (w + 1) * from.length));
    }
    const to = await own(createActivations(chunks, from.length, 1));
    let at = 0;
    for (const [chunk, windows] of chunks.entries()) {
      const data = new Float32Array(windows * from.length);
      for (let w = 0; w < windows; w++) data.set(all[taken[at++]!]!, w * from.length);
      await to.write(chunk, data);
    }
    return to;
  };
  const sampled: Record<string, Activations>[] = [];
  for (const roots of importance) {
    const block: Record<string, Activations> = {};
    for (const [site, from] of Object.entries(roots)) block[site] = await pick(from);
    sampled.push(block);
  }
  return sampled;
}
