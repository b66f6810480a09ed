// A generator as a chain of layers, cut anywhere: image = L_n(… L_1(L_0(z))). Every layer adds its operators to a graph, so the
// part from layer k on is a graph with the activation at k as its input.

import { dirname } from 'node:path';
import { GraphBuilder, int, readSafetensors } from 'layerwise';

export type Layer = {
  readonly name: string;
  /** The shape of what the layer reads, without the batch. */
  readonly shape: readonly number[];
  /** Adds the layer's operators for `batch` items that are computed at once. */
  readonly apply: (g: GraphBuilder, x: string, batch: number) => string;
};

export type Generator = {
  readonly name: string;
  /** The first one reads the latent. */
  readonly layers: readonly Layer[];
  /** Channels, height and width of what the last one gives. */
  readonly image: readonly [channels: number, height: number, width: number];
  /** The folder of the weights' files. */
  readonly folder: string | undefined;
};

/** Adds a weight to a graph in float32, by its name in the checkpoint. */
export type Weights = (g: GraphBuilder, name: string) => string;

/** The weights of a safetensors file, in place. */
export async function openWeights(path: string): Promise<{ readonly weights: Weights; readonly folder: string }> {
  const { tensors } = await readSafetensors(path);
  const weights: Weights = (g, name) => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`${path} has no tensor ${name}; it has ${[...tensors.keys()].join(', ')}.`);
    const { dtype, shape, file, offset, length } = tensor;
    const stored = g.initializer({ name, dtype, shape, source: { kind: 'file', file, offset, length } });
    return dtype === 'F32' ? stored : g.op('Cast', [stored], { to: int(1) });
  };
  return { weights, folder: dirname(path) };
}

/** The layers from `from` on, up to `to`: a graph from `h` to `out`. */
export function cut({ name, layers, image, folder }: Generator, from: number, to: number, batch: number) {
  const g = new GraphBuilder();
  let value = g.input('h', 'f32', [batch, ...layers[from]!.shape]);
  for (const layer of layers.slice(from, to)) value = layer.apply(g, value, batch);
  g.output(value, 'out', [batch, ...(layers[to]?.shape ?? image)]);
  return g.build(`${name}, layers ${from} to ${to}`, folder);
}
