// Trains the generator of examples/invert.ts as the decoder of a variational autoencoder (Kingma, Welling 2014) on Fashion-MNIST,
// with the project's own gradients, and writes its weights in F16. Run by hand; apt install dataset-fashion-mnist has the images.
//
//   npm run build:scripts
//   node build/scripts/invert/train.js /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz demo/generator [steps]
//
// Loss of an image: Σ (x − G(z))² + BETA·KL(q(z|x) ‖ N(0, 1)). The encoder, two linears, is not written.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createOrtEngine, createRng, differentiate, GraphBuilder, gradientOf, int } from 'layerwise';
import { writeSafetensors } from '#src/checkpoint';
import { feedInitializers } from '#src/graph';
import { fromFloat32 } from '#src/tensor';
import { createAdam, ramp } from '../../examples/invert/adam.js';
import { decoderOf, LATENT, SHAPES, SIDE } from '../../examples/invert/decoder.js';
import { readFashion } from '../../examples/invert/fashion.js';
import type { Weights } from '../../examples/invert/layers.js';
import { createNormal } from '../../examples/invert/random.js';

const [BATCH, RATE, BETA, SEED] = [64, 2e-3, 0.02, 1];
const PIXELS = SIDE * SIDE;
const HIDDEN = 256;
const IMAGES = 60_000;

const ENCODER = {
  'encoder.0.weight': [HIDDEN, PIXELS],
  'encoder.0.bias': [HIDDEN],
  'encoder.1.weight': [2 * LATENT, HIDDEN],
  'encoder.1.bias': [2 * LATENT],
} as const;

const [images, out, asked] = process.argv.slice(2);
if (images === undefined || out === undefined)
  throw new Error('usage: train.js <train-images-idx3-ubyte.gz> <folder> [steps]');
const steps = Number(asked ?? 6000);

const shapes: Readonly<Record<string, readonly number[]>> = { ...SHAPES, ...ENCODER };
const normal = createNormal(SEED);
/** Norms at 1, biases at 0, the positions that `embed` has as its bias small, linears at 1/√in. */
const weights = new Map(
  Object.entries(shapes).map(([name, shape]) => {
    const count = shape.reduce((a, b) => a * b);
    const scale = name === 'embed.bias' ? 0.1 : name.endsWith('bias') ? 0 : 1 / Math.sqrt(shape[1] ?? 1);
    const value = (): number => (name.includes('norm') ? 1 : scale * normal());
    return [
      name,
      { shape, data: Float32Array.from({ length: count }, value), adam: createAdam(count, [0.9, 0.98]) },
    ] as const;
  }),
);

function lossGraph() {
  const g = new GraphBuilder();
  const weight: Weights = (_, name) => g.constant(name, weights.get(name)!.data, weights.get(name)!.shape);
  const linear = (x: string, name: string): string =>
    g.op('Gemm', [x, weight(g, `${name}.weight`), weight(g, `${name}.bias`)], { transB: int(1) });
  const number = (value: number): string => g.constant(`constant ${value}`, Float32Array.of(value), [1]);
  const x = g.input('x', 'f32', [BATCH, PIXELS]);
  const noise = g.input('noise', 'f32', [BATCH, LATENT]);
  const code = linear(g.op('Gelu', [linear(x, 'encoder.0')]), 'encoder.1');
  const [mean, logs] = g.ops('Split', [code, g.shape([LATENT, LATENT])], 2, { axis: int(1) }) as [string, string];
  const deviation = g.op('Exp', [g.op('Mul', [logs, number(0.5)])]);
  let value = g.op('Add', [mean, g.op('Mul', [deviation, noise])]);
  for (const layer of decoderOf(weight, undefined).layers) value = layer.apply(g, value, BATCH);
  const difference = g.op('Sub', [g.op('Reshape', [value, g.shape([BATCH, PIXELS])]), x]);
  const error = sumOf(g, g.op('Mul', [difference, difference]));
  // 2·KL = Σ μ² + σ² − ln σ² − 1
  const surplus = g.op('Sub', [g.op('Mul', [deviation, deviation]), g.op('Add', [logs, number(1)])]);
  const twice = sumOf(g, g.op('Add', [g.op('Mul', [mean, mean]), surplus]));
  g.output(error, 'error', [BATCH, 1]);
  g.output(g.op('Add', [error, g.op('Mul', [twice, number(BETA / 2)])]), 'loss', [BATCH, 1]);
  return g.build('autoencoder', undefined);
}

const sumOf = (g: GraphBuilder, x: string): string => g.op('ReduceSum', [x, g.shape([1])], { keepdims: int(1) });

const names = Object.keys(shapes);
const graph = feedInitializers(differentiate(lossGraph(), { seeds: ['loss'], wrt: names, keep: ['error'] }), names);
const all = await readFashion(images, IMAGES);
const rng = createRng(SEED);
const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
const session = await engine.load(graph);
let shown = 0;
for (let step = 0; step < steps; step++) {
  const x = new Float32Array(BATCH * PIXELS);
  for (let i = 0; i < BATCH; i++) {
    const at = rng.below(IMAGES);
    x.set(all.subarray(at * PIXELS, (at + 1) * PIXELS), i * PIXELS);
  }
  const f32 = (shape: readonly number[], data: Float32Array) => ({ type: 'f32', shape, data }) as const;
  const outputs = await session.run({
    x: f32([BATCH, PIXELS], x),
    noise: f32([BATCH, LATENT], Float32Array.from({ length: BATCH * LATENT }, normal)),
    d_loss: f32([BATCH, 1], new Float32Array(BATCH).fill(1 / BATCH)),
    ...Object.fromEntries([...weights].map(([name, { shape, data }]) => [name, f32(shape, data)])),
  });
  for (const [name, { data, adam }] of weights)
    adam(data, outputs[gradientOf(name)]!.data as Float32Array, RATE * ramp(step, steps));
  shown += (outputs.error!.data as Float32Array).reduce((sum, value) => sum + value / BATCH);
  if ((step + 1) % 100 === 0) {
    console.error(`step ${step + 1} of ${steps}: squared error ${(shown / 100).toFixed(3)} an image`);
    shown = 0;
  }
}
await engine.close();

await mkdir(out, { recursive: true });
await writeSafetensors(
  join(out, 'model.safetensors'),
  Object.keys(SHAPES).map((name) => {
    const { shape, data } = weights.get(name)!;
    const bytes = fromFloat32(data, 'F16');
    return { name, dtype: 'F16', shape, read: async () => bytes } as const;
  }),
);
