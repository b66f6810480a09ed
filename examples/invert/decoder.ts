// The small generator that ships with the project (demo/generator): a transformer that decodes a latent of 16 numbers into
// 16 tokens of width 64, and each token into a patch of 4 × 4 grey pixels. scripts/invert/train.ts trained it on Fashion-MNIST.

import { float, type GraphBuilder, int, ints } from 'layerwise';
import { type Generator, type Layer, openWeights, type Weights } from './layers.js';

export const LATENT = 16;
const BLOCKS = 4;
const WIDTH = 64;
const HEADS = 4;
const MLP = 256;
/** Patches along a side, and pixels along a patch's side. */
const [GRID, PATCH] = [4, 4];
const TOKENS = GRID * GRID;
const PIXELS = PATCH * PATCH;
export const SIDE = GRID * PATCH;

const EPSILON = 1e-5;

/** The shapes of the weights: (out, in) of linears, whose bias has (out). */
export const SHAPES: Readonly<Record<string, readonly number[]>> = {
  ...linear('embed', TOKENS * WIDTH, LATENT),
  ...Object.fromEntries(
    Array.from({ length: BLOCKS }, (_, block) =>
      Object.entries({
        'norm1.weight': [WIDTH],
        ...linear('q', WIDTH, WIDTH),
        ...linear('k', WIDTH, WIDTH),
        ...linear('v', WIDTH, WIDTH),
        ...linear('o', WIDTH, WIDTH),
        'norm2.weight': [WIDTH],
        ...linear('up', MLP, WIDTH),
        ...linear('down', WIDTH, MLP),
      }).map(([name, shape]) => [`blocks.${block}.${name}`, shape] as const),
    ).flat(),
  ),
  'norm.weight': [WIDTH],
  ...linear('pixels', PIXELS, WIDTH),
};

function linear(name: string, out: number, input: number): Record<string, readonly number[]> {
  return { [`${name}.weight`]: [out, input], [`${name}.bias`]: [out] };
}

/** The generator over given weights; `folder` is that of their files. */
export function decoderOf(weights: Weights, folder: string | undefined): Generator {
  const norm = (g: GraphBuilder, x: string, name: string): string =>
    g.op('RMSNormalization', [x, weights(g, `${name}.weight`)], { axis: int(-1), epsilon: float(EPSILON) });
  const project = (g: GraphBuilder, x: string, name: string): string =>
    g.op('Gemm', [x, weights(g, `${name}.weight`), weights(g, `${name}.bias`)], { transB: int(1) });
  const shaped = (g: GraphBuilder, x: string, ...shape: readonly number[]): string =>
    g.op('Reshape', [x, g.shape(shape)]);

  const embed: Layer = {
    name: 'latent',
    shape: [LATENT],
    apply: (g, z, batch) => shaped(g, project(g, z, 'embed'), batch, TOKENS, WIDTH),
  };
  const block = (at: number): Layer => ({
    name: `block ${at}`,
    shape: [TOKENS, WIDTH],
    apply: (g, x, batch) => {
      const name = (part: string): string => `blocks.${at}.${part}`;
      const rows = (value: string, width = WIDTH): string => shaped(g, value, batch * TOKENS, width);
      const tokens = (value: string): string => shaped(g, value, batch, TOKENS, WIDTH);
      const normed = rows(norm(g, x, name('norm1')));
      const [q, k, v] = ['q', 'k', 'v'].map((part) => tokens(project(g, normed, name(part))));
      const attended = g.op('Attention', [q!, k!, v!], { q_num_heads: int(HEADS), kv_num_heads: int(HEADS) });
      const middle = g.op('Add', [x, tokens(project(g, rows(attended), name('o')))]);
      const hidden = g.op('Gelu', [project(g, rows(norm(g, middle, name('norm2'))), name('up'))]);
      return g.op('Add', [middle, tokens(project(g, hidden, name('down')))]);
    },
  });
  const head: Layer = {
    name: 'pixels',
    shape: [TOKENS, WIDTH],
    apply: (g, x, batch) => {
      const values = project(g, shaped(g, norm(g, x, 'norm'), batch * TOKENS, WIDTH), 'pixels');
      const patches = shaped(g, g.op('Sigmoid', [values]), batch, GRID, GRID, PATCH, PATCH);
      return shaped(g, g.op('Transpose', [patches], { perm: ints([0, 1, 3, 2, 4]) }), batch, 1, SIDE, SIDE);
    },
  };
  const layers = [embed, ...Array.from({ length: BLOCKS }, (_, at) => block(at)), head];
  return { name: 'decoder', layers, image: [1, SIDE, SIDE], folder };
}

/** The generator of a safetensors file. */
export async function openDecoder(path: string): Promise<Generator> {
  const { weights, folder } = await openWeights(path);
  return decoderOf(weights, folder);
}
