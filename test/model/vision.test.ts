// Image models against transformers: the residual after the stem and after every block, and the logits, on weights and pixels that
// a rule makes (test/golden/vision).

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withResources } from '../../src/base/index.js';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import { readOut } from '../../src/evaluate/index.js';
import { headGraph, type Model, openModel, residualShape, resizeModel } from '../../src/model/index.js';
import { type Activations, embedSamples, type Images, passBlock, sameShape } from '../../src/stream/index.js';
import { goldenPixels, readVisionGolden, writeGoldenModel } from '../vision-golden.js';

const TOLERANCE = 2e-4;
const FAMILIES = ['vit', 'deit', 'deit-teacher', 'dinov2', 'dinov2-swiglu', 'convnext', 'convnextv2'];

let root: string;
let ort: Engine;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'layerwise-vision-'));
  ort = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(async () => {
  await ort.close();
  await rm(root, { recursive: true, force: true });
});

function imagesOf(model: Model, shape: readonly number[]): Images {
  const [count, channels, height, width] = shape as [number, number, number, number];
  const values = goldenPixels(shape);
  const size = channels * height * width;
  const pixels = Array.from({ length: count }, (_, n) => values.subarray(n * size, (n + 1) * size));
  return {
    length: residualShape(model.config, -1, 0).length,
    height,
    width,
    pixels,
    rescale: 1,
    mean: [0, 0, 0],
    std: [1, 1, 1],
  };
}

/** The first numbers of rows 0, 1 and the last of the first sample. */
async function corners(stream: Activations): Promise<number[][]> {
  const data = await stream.read(0);
  const { length: T, width: D } = stream;
  return [0, 1, T - 1].map((row) => [...data.subarray(row * D, row * D + 8)]);
}

async function logitsOf(engine: Engine, model: Model, stream: Activations): Promise<Float32Array> {
  return await withResources(async (own) => {
    const rows = await readOut(own, engine, model, stream);
    const session = await own(engine.load(headGraph(model, 'logits')));
    const shape = [rows.chunks[0]!, rows.width];
    return (await session.run({ x: { type: 'f32', shape, data: await rows.read(0) } })).logits!.data as Float32Array;
  });
}

describe.each(FAMILIES)('%s', (family) => {
  const golden = readVisionGolden(family);
  let opened: Model;
  beforeAll(async () => {
    opened = await openModel(await writeGoldenModel(golden, join(root, family)));
  });

  test.each(
    [...golden.runs.keys()].flatMap((run) => (['ort', 'reference'] as const).map((engine) => [run, engine] as const)),
  )('run %i on %s gives the residuals and logits of transformers', async (at, name) => {
    const { input, residuals, outputs } = golden.runs[at]!;
    const engine = name === 'ort' ? ort : createReferenceEngine();
    const [, , height, width] = input.pixels!;
    const model = resizeModel(opened, height!, width!, input.interpolate);
    await withResources(async (own) => {
      const { embedded } = await embedSamples(own, engine, model, imagesOf(model, input.pixels!));
      const stream = await own(sameShape(embedded));
      for (const [place, { rows }] of residuals.vision!.entries()) {
        if (place > 0) await passBlock(engine, model, place - 1, [[place === 1 ? embedded : stream, stream]]);
        const got = await corners(place === 0 ? embedded : stream);
        for (const [row, wanted] of rows.entries()) {
          for (const [i, value] of wanted.entries()) expect(Math.abs(got[row]![i]! - value)).toBeLessThan(TOLERANCE);
        }
      }
      const got = await logitsOf(engine, model, stream);
      const wanted = outputs.logits!.flat();
      expect(got.length).toBe(wanted.length);
      for (const [i, value] of wanted.entries()) expect(Math.abs(got[i]! - value)).toBeLessThan(TOLERANCE);
    });
  });
});
