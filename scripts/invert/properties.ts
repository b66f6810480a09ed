// The three properties of intermediate layer optimisation, on the generator of demo/generator and test images, by compressed sensing:
// CSGM saturates as measurements grow, ILO does not, and a ball of a radius between 0 and ∞ is best. Prints the table of
// docs/lab/invert.md: median relative error ‖x̂ − x‖/‖x‖ over
// the images and two draws of the sums, and of the best column, for how many of them it is better than the first and the last.
//
//   npm run build:scripts && node build/scripts/invert/properties.js [noise] [measurements]
//
// `noise` is its size as a share of that of the sums, 0 unless given.

import { createOrtEngine } from 'layerwise';
import { openDecoder } from '../../examples/invert/decoder.js';
import { invert } from '../../examples/invert/ilo.js';
import { compressedSensing, measure } from '../../examples/invert/measure.js';
import { readImages } from '../../examples/invert/pictures.js';
import { normals } from '../../examples/invert/random.js';

const MEASUREMENTS = '16,24,32,48,64,128,256';
/** Of the ball at each layer, Σ |h|; 0 is CSGM. An activation has 1,024 numbers. */
const RADII = [0, 3, 10, 30, 100, 300, Number.POSITIVE_INFINITY];
const SEEDS = [1, 2];
const LATENT_STEPS = 600;

const LAYERS = [1, 2, 3];
const LAYER_STEPS = 100;

const noise = Number(process.argv[2] ?? 0);
const measurements = (process.argv[3] ?? MEASUREMENTS).split(',').map(Number);
const generator = await openDecoder('demo/generator/model.safetensors');
const { data: images, count, shape } = await readImages('demo/generator/images.safetensors');
const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });

console.log(
  `| measurements | ${RADII.map((radius) => (radius === 0 ? 'CSGM' : `r = ${radius === Number.POSITIVE_INFINITY ? '∞' : radius}`)).join(' | ')} | better than CSGM, and than r = ∞ |`,
);
console.log(`| --- |${' --- |'.repeat(RADII.length + 1)}`);
for (const number of measurements) {
  const errors = RADII.map((): number[] => []);
  for (const seed of SEEDS) {
    const measurement = compressedSensing(shape, number, seed);
    const y = noisy(await measure(engine, measurement, shape, images), noise, seed);
    const start = new Float32Array(count * generator.layers[0]!.shape[0]!);
    const latent = { layer: 0, steps: LATENT_STEPS, rate: 0.1 };
    const { images: plain, latents } = await invert(engine, generator, { measurement, y, start, rounds: [latent] });
    for (const [i, radius] of RADII.entries()) {
      const rounds = LAYERS.map((layer) => ({ layer, steps: LAYER_STEPS, rate: 0.02, radius }));
      const problem = { measurement, y, start: latents, rounds };
      const found = radius === 0 ? plain : (await invert(engine, generator, problem)).images;
      errors[i]!.push(...errorsOf(found, images, count));
    }
  }
  const medians = errors.map(median);
  const least = Math.min(...medians);
  const best = errors[medians.indexOf(least)]!;
  const wins = [errors[0]!, errors.at(-1)!].map((others) => others.filter((error, i) => best[i]! < error).length);
  const cells = medians.map((one) => (one === least ? `**${one.toFixed(4)}**` : one.toFixed(4)));
  console.log(`| ${[number, ...cells, `${wins.join(' and ')} of ${best.length}`].join(' | ')} |`);
}
await engine.close();

/** With normal noise of a share of the size of the numbers. */
function noisy(y: Float32Array, share: number, seed: number): Float32Array {
  const size = share * Math.sqrt(y.reduce((sum, value) => sum + value * value, 0) / y.length);
  const noise = normals(y.length, 1000 + seed);
  return y.map((value, i) => value + size * noise[i]!);
}

function errorsOf(found: Float32Array, truth: Float32Array, batch: number): readonly number[] {
  const size = truth.length / batch;
  return Array.from({ length: batch }, (_, item) => {
    let [error, norm] = [0, 0];
    for (let i = item * size; i < (item + 1) * size; i++) {
      error += (found[i]! - truth[i]!) ** 2;
      norm += truth[i]! ** 2;
    }
    return Math.sqrt(error / norm);
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
