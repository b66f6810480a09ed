// TAEF2's decoder (madebyollin/taesd, MIT; scripts/invert/taef2.py writes its weights): 32 numbers for each square of 8 × 8 pixels →
// RGB in [0, 1]. Blocks of three convolutions, upsampling by repetition; the first three blocks also mix groups of channels.

import { float, type GraphBuilder, int, ints } from 'layerwise';
import { type Generator, type Layer, openWeights } from './layers.js';

const [LATENT, WIDTH, GROUPS] = [32, 64, 4];

/** The decoder of a safetensors file, for images of `height` × `width` pixels, multiples of 8. */
export async function openTaef2(path: string, height: number, width: number): Promise<Generator> {
  if (height % 8 !== 0 || width % 8 !== 0)
    throw new RangeError(`TAEF2 makes multiples of 8 pixels, not ${height} × ${width}.`);
  const { weights, folder } = await openWeights(path);
  const conv = (g: GraphBuilder, x: string, name: string, biased = true, pad = 1): string => {
    const tensors = [x, weights(g, `${name}.weight`), ...(biased ? [weights(g, `${name}.bias`)] : [])];
    return g.op('Conv', tensors, { pads: ints([pad, pad, pad, pad]) });
  };
  const relu = (g: GraphBuilder, x: string): string => g.op('Relu', [x]);
  const pool = (g: GraphBuilder, x: string, name: string): string => {
    const wide = conv(g, x, `${name}.0`, false, 0);
    const scales = [weights(g, `${name}.1.weight`), weights(g, `${name}.1.bias`)];
    const normed = g.op('GroupNormalization', [wide, ...scales], { num_groups: int(GROUPS), epsilon: float(1e-5) });
    return conv(g, relu(g, normed), `${name}.3`, false, 0);
  };
  const block = (g: GraphBuilder, input: string, name: string, pooled = false): string => {
    const x = pooled ? g.op('Add', [input, pool(g, input, `${name}.pool`)]) : input;
    const inner = relu(g, conv(g, relu(g, conv(g, x, `${name}.conv.0`)), `${name}.conv.2`));
    return relu(g, g.op('Add', [conv(g, inner, `${name}.conv.4`), x]));
  };
  const clamp = (g: GraphBuilder, x: string): string => {
    const three = g.constant('three', Float32Array.of(3), [1]);
    return g.op('Mul', [g.op('Tanh', [g.op('Div', [x, three])]), three]);
  };
  /** Side of a stage's squares in pixels, and the numbers of its modules in the checkpoint. */
  const stage = (side: number, first: number): Layer => {
    const [rows, columns] = [height / side, width / side];
    return {
      name: `squares of ${side}`,
      shape: [WIDTH, rows, columns],
      apply: (g, x, batch) => {
        let value = x;
        for (const at of [first, first + 1, first + 2]) value = block(g, value, `${at}`, side === 8);
        const apart = g.op('Reshape', [value, g.shape([batch, WIDTH, rows, 1, columns, 1])]);
        const repeated = g.op('Expand', [apart, g.shape([batch, WIDTH, rows, 2, columns, 2])]);
        const up = g.op('Reshape', [repeated, g.shape([batch, WIDTH, 2 * rows, 2 * columns])]);
        return conv(g, up, `${first + 4}`, false);
      },
    };
  };
  const layers: readonly Layer[] = [
    {
      name: 'latent',
      shape: [LATENT, height / 8, width / 8],
      apply: (g, z) => relu(g, conv(g, clamp(g, z), '1')),
    },
    stage(8, 3),
    stage(4, 8),
    stage(2, 13),
    { name: 'pixels', shape: [WIDTH, height, width], apply: (g, x) => conv(g, block(g, x, '18'), '19') },
  ];
  return { name: 'taef2', layers, image: [3, height, width], folder };
}
