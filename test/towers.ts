// Tiny checkpoints of CLIP and SigLIP, with the images and texts of their goldens (vision-golden.ts).

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Own } from '../src/base/index.js';
import type { Engine } from '../src/engine/index.js';
import { type Model, openModel, residualShape, type TrunkName } from '../src/model/index.js';
import {
  type Activations,
  type Content,
  embedSamples,
  type Images,
  passBlock,
  sameShape,
} from '../src/stream/index.js';
import type { Windows } from '../src/text/index.js';
import {
  type GoldenRun,
  goldenPixels,
  readVisionGolden,
  type WriteGoldenOptions,
  writeGoldenModel,
} from './vision-golden.js';

export const TOLERANCE = 2e-4;

let root: string;
let written = 0;

/** Makes the folder of the checkpoints for the tests of a file, and removes it after them. */
export function useTowers(): void {
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'layerwise-towers-'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));
}

export const write = (family: string, options?: WriteGoldenOptions): Promise<string> =>
  writeGoldenModel(readVisionGolden(family), join(root, `${family}-${written++}`), options);
export const open = async (family: string, trunk: TrunkName, options?: WriteGoldenOptions): Promise<Model> =>
  await openModel(await write(family, options), undefined, trunk);

export function imagesOf(model: Model, { input }: GoldenRun): Images {
  const shape = input.pixels!;
  const [count, channels, height, width] = shape as [number, number, number, number];
  const values = goldenPixels(shape);
  const size = channels * height * width;
  return {
    length: residualShape(model.config, -1, 0).length,
    ...{ height, width, rescale: 1, mean: [0, 0, 0], std: [1, 1, 1] },
    pixels: Array.from({ length: count }, (_, n) => values.subarray(n * size, (n + 1) * size)),
  };
}

export const textsOf = (ids: readonly (readonly number[])[]): Windows => ({
  length: ids[0]!.length,
  windows: ids.map((row) => Int32Array.from(row)),
});

export const runOf = (family: string): GoldenRun => readVisionGolden(family).runs[0]!;
export const contentOf = (model: Model, run: GoldenRun): Content =>
  model.config.image ? imagesOf(model, run) : textsOf(run.input.ids!);

/** The first numbers of rows 0, 1 and the last of the first sample. */
export async function corners(stream: Activations): Promise<number[][]> {
  const data = await stream.read(0);
  const { length: T, width: D } = stream;
  return [0, 1, T - 1].map((row) => [...data.subarray(row * D, row * D + 8)]);
}

export function expectClose(got: ArrayLike<number>, wanted: readonly number[], tolerance = TOLERANCE): void {
  expect(got.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(got[i]! - value)).toBeLessThan(tolerance);
}

/** The error of a promise that fails. */
export const failure = async (work: Promise<unknown>): Promise<{ code: string; message: string }> =>
  (await work.then(
    () => ({ code: 'none', message: 'no error' }),
    (error: unknown) => error,
  )) as { code: string; message: string };

/** The residual of a content after the last block. */
export async function lastOf(own: Own, engine: Engine, model: Model, content: Content): Promise<Activations> {
  const { embedded } = await embedSamples(own, engine, model, content);
  const stream = await own(sameShape(embedded));
  for (let block = 0; block < model.config.blocks; block++)
    await passBlock(engine, model, block, [[block === 0 ? embedded : stream, stream]]);
  return stream;
}
