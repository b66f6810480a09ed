// Image models and images for whole jobs: the golden models with the file that says how images are read, and folders of noise of two
// colours, so that there is something to learn of the first and to lose.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRng } from '../../src/base/index.js';
import { encodePng } from '../../src/images/index.js';
import { readVisionGolden, type WriteGoldenOptions, writeGoldenModel } from '../vision-golden.js';

export type ImageSets = { readonly images: string; readonly validation: string; readonly test: string };

/** Images to calibrate on, to choose by, and to score once. */
export async function makeSets(folder: string): Promise<ImageSets> {
  const make = (name: string, each: number, seed: number) => makeSet(join(folder, name), each, seed);
  return { images: await make('train', 4, 1), validation: await make('held', 4, 2), test: await make('test', 5, 3) };
}

/** A folder for each of the golden models' five classes, with `each` images of 24×20 pixels. */
async function makeSet(path: string, each: number, seed: number): Promise<string> {
  const rng = createRng(seed);
  for (let label = 0; label < 5; label++) {
    await mkdir(join(path, `LABEL_${label}`), { recursive: true });
    for (let i = 0; i < each; i++) {
      const pixels = Uint8Array.from(
        { length: 24 * 20 * 3 },
        (_, at) => (at % 3 === label % 3 ? 40 : 160) + rng.below(90),
      );
      await writeFile(join(path, `LABEL_${label}`, `${i}.png`), encodePng({ width: 24, height: 20, pixels }));
    }
  }
  return path;
}

/** A golden model with the file that says how images are read, in a folder `dir`, or without that file. */
export async function makeImageModel(
  dir: string,
  family: string,
  { processor = true, ...options }: WriteGoldenOptions & { readonly processor?: boolean } = {},
): Promise<string> {
  const golden = readVisionGolden(family);
  await writeGoldenModel(golden, dir, options);
  const side = golden.runs[0]!.input.pixels![2]!;
  const config = {
    image_processor_type: 'ViTImageProcessor',
    ...{ do_resize: true, size: { height: side, width: side }, resample: 2 },
    ...{ do_rescale: true, rescale_factor: 1 / 255, do_normalize: true },
    ...{ image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] },
  };
  if (processor) await writeFile(join(dir, 'preprocessor_config.json'), JSON.stringify(config));
  return dir;
}
