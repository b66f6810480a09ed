// The layers of a search of clips (Q-VLM): the linears of a block that read one value, in the order of the data, such as q, k and
// v; o; gate and up; down. Of experts, all that read tokens are one layer, and all `down` another. Layers lie in pieces, halves
// of blocks, from residual to residual; where attention and MLP are parallel a block is one piece.

import { type ActivationGrid, type ActivationGrids, type BlockPart, expertOf, type Model } from '../model/index.js';
import type { Activations } from '../stream/index.js';

export type ClipLayer = {
  /** Its place among all layers of the model. */
  readonly index: number;
  readonly block: number;
  /** The site it reads, or `experts_in`, `experts_out`. */
  readonly name: string;
  readonly sites: readonly string[];
  /** Whether its linears write into the residual. */
  readonly writes: boolean;
};

export type ClipPiece = { readonly block: number; readonly part: BlockPart; readonly layers: readonly ClipLayer[] };

/** The number of a layer, where it has one. Later layers than `to` of a search have none yet. */
export type ClipAt = (layer: ClipLayer) => ActivationGrid['clip'] | undefined;

/** By site of a block, the range that clips shrink; undefined where every token has its own. */
export type ClipRanges = readonly ReadonlyMap<string, { readonly low: number; readonly high: number }>[];

/** The pieces of a model in the order of the data. */
export function clipPieces({ config, linears }: Model): readonly ClipPiece[] {
  let index = 0;
  return linears.flatMap((all, block): ClipPiece[] => {
    const groups = new Map<string, { sites: Set<string>; writes: boolean }>();
    for (const { site, feeds } of all) {
      const name = expertOf(site) === undefined ? site : site.replace(/^expert_\d+/, 'experts');
      const group = groups.get(name) ?? { sites: new Set(), writes: feeds === 'residual' };
      groups.set(name, group);
      group.sites.add(site);
    }
    const layers = [...groups].map(
      ([name, { sites, writes }]): ClipLayer => ({ index: index++, block, name, sites: [...sites], writes }),
    );
    if (config.parallel) return [{ block, part: 'block', layers }];
    const isAttention = ({ name }: ClipLayer): boolean => name.startsWith('attention');
    return [
      { block, part: 'attention', layers: layers.filter(isAttention) },
      { block, part: 'mlp', layers: layers.filter((layer) => !isAttention(layer)) },
    ];
  });
}

/** The grids of the sites of some layers. */
export function gridsOf(
  layers: readonly ClipLayer[],
  bits: number,
  ranges: ClipRanges | undefined,
  clipAt: ClipAt,
): ActivationGrids {
  const grids = new Map<string, ActivationGrid>();
  for (const layer of layers) {
    const clip = clipAt(layer);
    if (clip === undefined) continue;
    for (const site of layer.sites) {
      grids.set(site, { bits, range: ranges ? ranges[layer.block]!.get(site)! : 'token', clip });
    }
  }
  return grids;
}

/** The model with a clip for each of its layers: `clips` by their index. */
export function withClips(model: Model, bits: number, ranges: ClipRanges | undefined, clips: readonly number[]): Model {
  const grids = model.linears.map(() => new Map<string, ActivationGrid>());
  for (const { block, layers } of clipPieces(model)) {
    for (const [site, grid] of gridsOf(layers, bits, ranges, ({ index }) => clips[index]))
      grids[block]!.set(site, grid);
  }
  return { ...model, activations: grids };
}

/** A copy of a stream's values, chunk by chunk. */
export async function valuesOf(stream: Activations): Promise<Float32Array[]> {
  const values: Float32Array[] = [];
  for (const chunk of stream.chunks.keys()) values.push((await stream.read(chunk)).slice());
  return values;
}
