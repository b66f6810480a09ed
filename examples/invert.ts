// Images from little: a mask, a small version, or random sums of their pixels, with a generator that knows what images look like.
// The latent alone (CSGM) against intermediate layer optimisation (ILO). On the library's door; nothing of it is a command.
//
//   npm run build:scripts
//   node build/examples/invert.js                                         the generator and the images of demo/generator
//   node build/examples/invert.js --generator taef2.safetensors --images photographs.safetensors --out pictures
//
// docs/lab/invert.md says where these files come from, and what came out. ILO's rounds: the latent, then each layer up to --depth.
// CSGM gets as many steps on the latent as ILO has in all.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createOrtEngine } from 'layerwise';
import { openDecoder } from './invert/decoder.js';
import { invert, psnr, type Round } from './invert/ilo.js';
import type { Generator } from './invert/layers.js';
import {
  compressedSensing,
  inpainting,
  type Measurement,
  maskOf,
  measure,
  scatteredMask,
  superResolution,
} from './invert/measure.js';
import { readImages, writePicture } from './invert/pictures.js';
import { openTaef2 } from './invert/taef2.js';

const { values: given } = parseArgs({
  options: {
    generator: { type: 'string', default: 'demo/generator/model.safetensors' },
    images: { type: 'string', default: 'demo/generator/images.safetensors' },
    out: { type: 'string' },
    /** On the latent, and on each layer after it. */
    steps: { type: 'string', default: '600,100' },
    depth: { type: 'string', default: '3' },
    /** Of the l1 ball, as a share of how many numbers the activation has. */
    radius: { type: 'string', default: '0.03' },
    /** Learning rates, on the latent and after it. */
    rates: { type: 'string', default: '0.1,0.02' },
    tasks: { type: 'string', default: 'inpaint,scatter,resolve,sense' },
    /** λ of λ·mean z² on the latent. */
    penalty: { type: 'string', default: '0' },
    /** Of super-resolution, and the share of pixels that are scattered. */
    factor: { type: 'string', default: '4' },
    share: { type: 'string', default: '0.25' },
    first: { type: 'string' },
  },
});
const { data, count: all, shape } = await readImages(given.images);
const count = Number(given.first ?? all);
const [channels, height, width] = shape;
const images = data.subarray(0, count * channels * height * width);
const small = channels === 1;
const generator: Generator = small
  ? await openDecoder(given.generator)
  : await openTaef2(given.generator, height, width);

/** A square in the middle is missing; most pixels are; one number for a square of pixels; an eighth as many sums as numbers in the image. */
const tasks: Readonly<Record<string, () => Measurement>> = {
  inpaint: () => inpainting(shape, maskOf(shape, height / 4, (3 * height) / 4, width / 4, (3 * width) / 4)),
  scatter: () => inpainting(shape, scatteredMask(shape, Number(given.share), 1)),
  resolve: () => superResolution(shape, Number(given.factor)),
  sense: () => compressedSensing(shape, (channels * height * width) / 8, 1),
};

const pair = (text: string): [number, number] => text.split(',').map(Number) as [number, number];
const [[steps, more], [rate, rateAfter], depth] = [pair(given.steps), pair(given.rates), Number(given.depth)];
const sizeOf = (layer: number): number => generator.layers[layer]!.shape.reduce((a, b) => a * b);
const latent: Round = { layer: 0, steps, rate, penalty: Number(given.penalty) };
const deeper = Array.from({ length: depth }, (_, i): Round => {
  return { layer: i + 1, steps: more, rate: rateAfter, radius: Number(given.radius) * sizeOf(i + 1) };
});
const methods: Readonly<Record<string, readonly Round[]>> = {
  CSGM: [{ ...latent, steps: steps + more * depth }],
  ILO: [latent, ...deeper],
};

const threads = 1;
const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads });
if (given.out !== undefined) await mkdir(given.out, { recursive: true });
console.log('| task | numbers known | CSGM | ILO |\n| --- | --- | --- | --- |');
for (const name of given.tasks.split(',')) {
  const task = tasks[name];
  if (!task) throw new Error(`--tasks: expected some of ${Object.keys(tasks).join(',')}, got ${name}.`);
  const measurement = task();
  const y = await measure(engine, measurement, shape, images);
  const start = new Float32Array(count * sizeOf(0));
  const found: Float32Array[] = [];
  for (const [method, rounds] of Object.entries(methods)) {
    const inverted = await invert(engine, generator, { measurement, y, start, rounds }, (round, step, loss) => {
      if (step % 100 === 0)
        console.error(`${name}, ${method}, layer ${round.layer}, step ${step}: ${loss.toExponential(3)}`);
    });
    found.push(inverted.images);
  }
  const decibels = found.map((one) =>
    psnr(one, images, count)
      .reduce((sum, value) => sum + value / count, 0)
      .toFixed(2),
  );
  console.log(`| ${measurement.name} | ${measurement.count} of ${sizeOfImage()} | ${decibels.join(' dB | ')} dB |`);
  if (given.out !== undefined)
    await writePicture(join(given.out, `${name}.png`), pictures(measurement, y, found), shape, small ? 3 : 1);
}
await engine.close();

function sizeOfImage(): number {
  return channels * height * width;
}

/** A row for each image: the image, what is known of it where that can be seen, what CSGM and ILO make of it. */
function pictures(
  measurement: Measurement,
  y: Float32Array,
  found: readonly Float32Array[],
): readonly (readonly Float32Array[])[] {
  const size = sizeOfImage();
  const known = visible(measurement, y);
  return Array.from({ length: Math.min(count, 4) }, (_, item) =>
    [images, ...(known ? [known] : []), ...found].map((one) => one.subarray(item * size, (item + 1) * size)),
  );
}

/** What is known as an image; random sums are none. */
function visible({ name, count: numbers }: Measurement, y: Float32Array): Float32Array | undefined {
  if (name === 'inpainting') return y;
  if (!name.startsWith('super')) return undefined;
  const factor = Math.sqrt(sizeOfImage() / numbers);
  return Float32Array.from({ length: count * sizeOfImage() }, (_, i) => {
    const [row, x] = [Math.floor(i / width), i % width];
    return y[Math.floor(row / factor) * (width / factor) + Math.floor(x / factor)]!;
  });
}
