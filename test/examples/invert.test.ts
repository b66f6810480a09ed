// examples/invert: the projection against golden vectors and its definition, cuts that change nothing, gradients of the parts,
// and a small inversion in which intermediate layers find what the latent alone cannot.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { createOrtEngine } from 'layerwise';
import { afterAll, describe, expect, test } from 'vitest';
import { createAdam, ramp } from '../../examples/invert/adam.js';
import { openDecoder } from '../../examples/invert/decoder.js';
import { readFashion } from '../../examples/invert/fashion.js';
import { invert, pass, psnr, type Round } from '../../examples/invert/ilo.js';
import { cut } from '../../examples/invert/layers.js';
import {
  compressedSensing,
  inpainting,
  maskOf,
  measure,
  scatteredMask,
  superResolution,
} from '../../examples/invert/measure.js';
import { readImages, writePicture } from '../../examples/invert/pictures.js';
import { projectL1 } from '../../examples/invert/project.js';
import { openTaef2 } from '../../examples/invert/taef2.js';
import { writeSafetensors } from '../../src/checkpoint/index.js';
import { createReferenceEngine } from '../../src/engine/index.js';
import { elementCount } from '../../src/tensor/index.js';
import { excess, f32, randomBytes, randomTensor, rngOf } from '../engine/numbers.js';
import { slopeErrors } from '../graph/slopes.js';
import { limit, runs } from '../scale.js';
import { ENGINE, SLOPE } from '../tolerances.js';

const folder = new URL('../../demo/generator/', import.meta.url).pathname;
const decoder = await openDecoder(join(folder, 'model.safetensors'));
const { data: all, shape, count } = await readImages(join(folder, 'images.safetensors'));
const [BATCH, PIXELS] = [4, 256];
const images = all.slice(0, BATCH * PIXELS);
const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
const reference = createReferenceEngine();
const dir = await mkdtemp(join(tmpdir(), 'layerwise-invert-'));
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

const projected = (values: readonly number[], radius: number): number[] => {
  const x = Float32Array.from(values);
  projectL1(x, radius);
  return Array.from(x, (value) => value + 0);
};

describe('the l1 ball', () => {
  test.each([
    [[3, -1, 0.5, 0], 2, [2, 0, 0, 0]],
    [[0.3, -0.2], 2, [Math.fround(0.3), Math.fround(-0.2)]],
    [[1, 1, -1, 1], 2, [0.5, 0.5, -0.5, 0.5]],
    [[4, -3, 1], 5, [3, -2, 0]],
    [[1, 2], 0, [0, 0]],
    [[1, 2], Number.POSITIVE_INFINITY, [1, 2]],
    [[], 1, []],
  ])('%j, radius %d', (values, radius, expected) => expect(projected(values, radius)).toEqual(expected));

  test('the nearest point: what stays shrank by one threshold, and nothing above it went', () => {
    const value = fc.float({ min: -100, max: 100, noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 40 }),
        fc.float({ min: Math.fround(0.01), max: 300, noNaN: true }),
        (x, radius) => {
          const y = projected(x, radius);
          const size = (values: readonly number[]): number => values.reduce((sum, one) => sum + Math.abs(one), 0);
          if (size(x) <= radius) {
            expect(y).toEqual(x.map((one) => one + 0));
            return;
          }
          expect(Math.abs(size(y) - radius)).toBeLessThan(1e-4 * (1 + radius));
          const threshold = Math.max(...x.map((one, i) => Math.abs(one) - Math.abs(y[i]!)));
          for (const [i, one] of x.entries()) {
            expect(Math.abs(y[i]! - Math.sign(one) * Math.max(0, Math.abs(one) - threshold))).toBeLessThan(1e-4);
          }
        },
      ),
      { numRuns: runs(200) },
    );
  });

  test.each([-1, Number.NaN])('no radius: %d', (radius) => expect(() => projected([1], radius)).toThrow(RangeError));
});

describe('the optimiser', () => {
  test('Adam against its equations, two steps', () => {
    const values = Float32Array.of(1, -2);
    const adam = createAdam(2);
    adam(values, Float32Array.of(0.5, -4), 0.1);
    expect(Array.from(values)).toEqual([Math.fround(0.9), Math.fround(-1.9)]); // the first step has the size of the rate
    adam(values, Float32Array.of(-0.5, 0), 0.1);
    const step = (m: number, v: number): number => (0.1 * (m / (1 - 0.9 ** 2))) / Math.sqrt(v / (1 - 0.999 ** 2));
    expect(values[0]).toBeCloseTo(0.9 - step(0.9 * 0.05 - 0.05, 0.999 * 0.00025 + 0.00025), 6);
    expect(values[1]).toBeCloseTo(-1.9 - step(0.9 * -0.4, 0.999 * 0.016), 6);
  });

  test('the rate goes up in a twentieth of the steps, and down by a cosine over three quarters', () => {
    const course = Array.from({ length: 100 }, (_, at) => ramp(at, 100));
    expect(course.slice(0, 5)).toEqual([0.2, 0.4, 0.6, 0.8, 1].map((share) => expect.closeTo(share)));
    expect(Math.min(...course.slice(5, 25))).toBe(1);
    expect(course[62]! + course[63]!).toBeCloseTo(1, 1);
    expect(course[99]!).toBeLessThan(0.001);
  });
});

describe('measurements', () => {
  const picture = Float32Array.from({ length: 16 }, (_, i) => i);
  const small = [1, 4, 4] as const;

  test('inpainting', async () => {
    const mask = maskOf(small, 1, 3, 0, 2);
    const measurement = inpainting(small, mask);
    expect(measurement.count).toBe(12);
    expect(Array.from(await measure(engine, measurement, small, picture))).toEqual([
      0, 1, 2, 3, 0, 0, 6, 7, 0, 0, 10, 11, 12, 13, 14, 15,
    ]);
  });

  test('scattered pixels', () => {
    const mask = scatteredMask([3, 50, 40], 0.25, 1);
    expect(mask).toEqual(scatteredMask([1, 50, 40], 0.25, 1));
    expect(mask.reduce((sum, value) => sum + value, 0) / 2000).toBeCloseTo(0.25, 1);
  });

  test('super-resolution', async () => {
    const y = await measure(engine, superResolution(small, 2), small, picture);
    expect(Array.from(y)).toEqual([2.5, 4.5, 10.5, 12.5]);
    expect(() => superResolution(small, 3)).toThrow(/do not fill/);
  });

  test('compressed sensing keeps sizes, and is the same for a seed', async () => {
    const [a, b, c] = await Promise.all(
      [1, 1, 2].map((seed) => measure(engine, compressedSensing(small, 400, seed), small, picture)),
    );
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
    const squares = (x: Float32Array): number => x.reduce((sum, value) => sum + value * value, 0);
    expect(squares(a!) / squares(picture)).toBeCloseTo(1, 0);
  });
});

describe('the generator that ships', () => {
  const z = (randomTensor(rngOf(7), [2, 16]).data as Float32Array).slice();

  test('cut anywhere, it gives the same image', async () => {
    const whole = await pass(engine, decoder, 0, decoder.layers.length, z, 2);
    for (let at = 1; at < decoder.layers.length; at++) {
      const h = await pass(engine, decoder, 0, at, z, 2);
      const image = await pass(engine, decoder, at, decoder.layers.length, h, 2);
      expect(excess(f32([image.length], image), f32([whole.length], whole), ENGINE), `layer ${at}`).toBeLessThanOrEqual(
        1,
      );
    }
  });

  test('gradients of its parts, against finite differences', { timeout: limit(60_000) }, async () => {
    for (const at of [0, 3, 5]) {
      const graph = cut(decoder, at, decoder.layers.length, 1);
      const h = randomTensor(rngOf(8), [1, ...decoder.layers[at]!.shape]);
      const errors = await slopeErrors(graph, { h }, { seeds: ['out'], wrt: ['h'] }, { directions: 1 });
      expect(errors.h).toBeLessThan(SLOPE);
    }
  });
});

describe('inversion', () => {
  const latent: Round = { layer: 0, steps: 150, rate: 0.1 };
  const deeper = [1, 2].map((layer): Round => ({ layer, steps: 60, rate: 0.02, radius: 100 }));
  const measurement = compressedSensing(shape, 128, 1);
  const start = new Float32Array(BATCH * 16);
  const run = async (rounds: readonly Round[], from: Float32Array = start) => {
    const y = await measure(engine, measurement, shape, images);
    return invert(engine, decoder, { measurement, y, start: from, rounds });
  };

  test('intermediate layers find what the latent alone cannot', { timeout: limit(60_000) }, async () => {
    const [csgm, ilo] = [await run([{ ...latent, steps: 270 }]), await run([latent, ...deeper])];
    const [plain, found] = [psnr(csgm.images, images, BATCH), psnr(ilo.images, images, BATCH)];
    for (const [item, decibels] of found.entries()) expect(decibels, `image ${item}`).toBeGreaterThan(plain[item]! + 2);
    // No round ends above its start, for any item.
    for (const [i, losses] of ilo.losses.slice(1).entries()) {
      for (const [item, loss] of losses.entries()) expect(loss).toBeLessThanOrEqual(ilo.losses[i]![item]!);
    }
    // From the latents that were found, the same rounds go on to the same images.
    expect((await run(deeper, ilo.latents)).images).toEqual(ilo.images);
  });

  test('the same bytes again', { timeout: limit(60_000) }, async () => {
    const rounds = [
      { ...latent, steps: 20 },
      { ...deeper[0]!, steps: 10 },
    ];
    const [once, again] = [await run(rounds), await run(rounds)];
    expect(again).toEqual(once);
  });

  test('a ball of radius 0 moves nothing', async () => {
    const few = { ...latent, steps: 20 };
    const [plain, held] = [await run([few]), await run([few, { ...deeper[0]!, steps: 5, radius: 0 }])];
    const image = (x: Float32Array) => f32([x.length], x);
    expect(excess(image(held.images), image(plain.images), ENGINE)).toBeLessThanOrEqual(1);
  });

  test('a penalty keeps the latent small', async () => {
    const few = { ...latent, steps: 40 };
    const [plain, held] = [await run([few]), await run([{ ...few, penalty: 10 }])];
    const size = (x: Float32Array): number => x.reduce((sum, value) => sum + value * value, 0);
    expect(size(held.latents)).toBeLessThan(size(plain.latents) / 10);
    expect(Math.min(...held.losses[0]!)).toBeGreaterThan(Math.max(...plain.losses[0]!) / 10);
  });

  test('rounds that go back are refused', async () => {
    await expect(run([{ ...deeper[1]!, steps: 0 }, latent])).rejects.toThrow(/comes after one at layer 2/);
  });
});

describe("TAEF2's graph over random weights", () => {
  const rng = rngOf(11);
  const shapes: Record<string, readonly number[]> = {
    '1.weight': [64, 32, 3, 3],
    '1.bias': [64],
    '19.weight': [3, 64, 3, 3],
    '19.bias': [3],
  };
  for (const at of [3, 4, 5, 8, 9, 10, 13, 14, 15, 18]) {
    for (const part of [0, 2, 4])
      Object.assign(shapes, { [`${at}.conv.${part}.weight`]: [64, 64, 3, 3], [`${at}.conv.${part}.bias`]: [64] });
  }
  for (const at of [7, 12, 17]) shapes[`${at}.weight`] = [64, 64, 3, 3];
  for (const at of [3, 4, 5].map((block) => `${block}.pool`)) {
    Object.assign(shapes, {
      [`${at}.0.weight`]: [256, 64, 1, 1],
      [`${at}.1.weight`]: [256],
      [`${at}.1.bias`]: [256],
      [`${at}.3.weight`]: [64, 256, 1, 1],
    });
  }

  test('ONNX Runtime agrees with the reference, and the gradient with finite differences', {
    timeout: limit(120_000),
  }, async () => {
    const path = join(dir, 'taef2.safetensors');
    const tensors = Object.entries(shapes).map(([name, sizes]) => {
      const bytes = randomBytes(rng, sizes, 'F16', Math.sqrt(3 / elementCount(sizes.slice(1))));
      return { name, dtype: 'F16', shape: sizes, read: async () => bytes } as const;
    });
    await writeSafetensors(path, tensors);
    const taef2 = await openTaef2(path, 8, 8);
    const z = randomTensor(rng, [1, 32, 1, 1]);
    const graph = cut(taef2, 0, taef2.layers.length, 1);
    const [got, expected] = await Promise.all(
      [engine, reference].map(async (one) => {
        const session = await one.load(graph);
        return (await session.run({ h: z })).out!;
      }),
    );
    expect(excess(got!, expected!, ENGINE)).toBeLessThanOrEqual(1);
    const last = cut(taef2, 3, taef2.layers.length, 1);
    const h = randomTensor(rng, [1, 64, 4, 4]);
    const errors = await slopeErrors(last, { h }, { seeds: ['out'], wrt: ['h'] }, { directions: 2 });
    expect(errors.h).toBeLessThan(SLOPE);
    await expect(openTaef2(path, 12, 8)).rejects.toThrow(/multiples of 8/);
  });
});

describe('files', () => {
  test('the images that ship are grey, sixteen, and within [0, 1]', () => {
    expect([count, ...shape]).toEqual([16, 1, 16, 16]);
    expect(Math.min(...all)).toBe(0);
    expect(Math.max(...all)).toBeLessThanOrEqual(1);
  });

  test('IDX images of 28 × 28 are averaged to 16 × 16', async () => {
    const bytes = Buffer.alloc(16 + 28 * 28);
    for (const [at, value] of [0x803, 1, 28, 28].entries()) bytes.writeUInt32BE(value, 4 * at);
    bytes.set([255, 255, 51], 16); // the first row: of columns 0, 1 and 2
    const path = join(dir, 'images.gz');
    await writeFile(path, gzipSync(bytes));
    const image = await readFashion(path, 1);
    expect(image[17]).toBeCloseTo(0.5);
    expect(image[18]).toBeCloseTo(0.05);
    expect(image.reduce((sum, value) => sum + value, 0)).toBeCloseTo(0.55);
    await expect(readFashion(path, 2)).rejects.toThrow(/expected 2 images/);
  });

  test('a picture of two images in PNG', async () => {
    const path = join(dir, 'two.png');
    await writePicture(path, [[Float32Array.of(0, 1), Float32Array.of(0.5, 7)]], [1, 1, 2], 1);
    const bytes = await readFile(path);
    expect(bytes.subarray(1, 4).toString('latin1')).toBe('PNG');
    expect([bytes.readUInt32BE(16), bytes.readUInt32BE(20)]).toEqual([5, 1]);
    const length = bytes.readUInt32BE(33);
    expect([...inflateSync(bytes.subarray(41, 41 + length))]).toEqual([0, 0, 255, 255, 128, 255]);
  });
});
