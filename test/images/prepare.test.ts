import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  decodeImage,
  drawImages,
  openImageSet,
  type PrepareOptions,
  prepareImages,
  preprocess,
  readPreprocessing,
} from '../../src/images/index.js';
import { testWith } from '../shared.js';
import { golden, imageBytes, imagePath } from './golden.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'layerwise-prepare-'));
  const files = {
    cat: ['jpeg-444.jpg', 'png-rgb.png', 'webp-lossy.webp'],
    dog: ['jpeg-grey.jpg', 'jpeg-exif-6.jpg'],
    eel: ['jpeg-tall.jpg'],
  };
  for (const [name, images] of Object.entries(files)) {
    await mkdir(join(root, 'set', name), { recursive: true });
    for (const image of images) await copyFile(imagePath(image), join(root, 'set', name, image));
  }
});
afterAll(() => rm(root, { recursive: true, force: true }));

const preprocessing = readPreprocessing({ size: 8 }, { modelType: 'vit' });
const prepare = async (options: Partial<PrepareOptions> = {}) =>
  prepareImages(await openImageSet(join(root, 'set')), preprocessing, { order: 'all', seed: 1, ...options });

describe('prepared images', () => {
  test('in order: pixels, labels and a record', async () => {
    const { pixels, labels, height, width, items, record } = await prepare();
    expect([height, width, pixels.length]).toEqual([8, 8, 6]);
    expect(Array.from(labels!)).toEqual([0, 0, 0, 1, 1, 2]);
    for (const [place, item] of items.entries()) {
      const image = await decodeImage(imageBytes(item.name.split('/')[1]!), item.name);
      expect(pixels[place]).toEqual(preprocess(image, preprocessing).pixels);
    }
    const hash = createHash('sha256').update(Buffer.concat(pixels)).digest('hex');
    expect(record).toMatchObject({
      name: 'set',
      hash,
      images: 6,
      order: 'all',
      seed: null,
      orientation: 'ignore',
      preprocessing,
    });
    expect(record.labels).toEqual({ classes: 3, fewest: 1, most: 3 });
    expect(JSON.parse(JSON.stringify(record))).toEqual(record);
  });

  test('the seed decides', async () => {
    const one = await prepare({ order: 'random', count: 5 });
    expect((await prepare({ order: 'random', count: 5 })).record).toEqual(one.record);
    const others = await Promise.all([2, 3, 4, 5].map((seed) => prepare({ order: 'random', count: 5, seed })));
    expect(new Set([one, ...others].map(({ record }) => record.hash)).size).toBeGreaterThan(1);
  });

  test('EXIF’s orientation counts where it is asked for', async () => {
    const [stored, turned] = [await prepare(), await prepare({ orientation: 'apply' })];
    const changed = stored.items.filter(
      (_, place) => !Buffer.from(stored.pixels[place]!).equals(turned.pixels[place]!),
    );
    expect(changed.map(({ name }) => name)).toEqual(['dog/jpeg-exif-6.jpg']);
  });

  test('labels are the model’s where they are given', async () => {
    expect(Array.from((await prepare({ labelIds: Int32Array.of(7, 5, 3) })).labels!)).toEqual([7, 7, 7, 5, 5, 3]);
  });

  test('an image that cannot be read ends it by name', async () => {
    await mkdir(join(root, 'bad'));
    await copyFile(imagePath('jpeg-truncated.jpg'), join(root, 'bad', 'broken.jpg'));
    const set = await openImageSet(join(root, 'bad'));
    await expect(prepareImages(set, preprocessing, { order: 'all', seed: 1 })).rejects.toMatchObject({
      code: 'E_IMAGE_INVALID',
      message: expect.stringContaining('broken.jpg'),
    });
  });

  test('images of different sizes are refused before any is read', async () => {
    const set = await openImageSet(join(root, 'bad'));
    const open = readPreprocessing({ do_center_crop: false }, { modelType: 'clip' });
    await expect(prepareImages(set, open, { order: 'all', seed: 1 })).rejects.toMatchObject({
      code: 'E_OPTION_PREPROCESSING',
    });
  });
});

describe('drawing', () => {
  const image = { kind: 'file', path: 'x' } as const;
  const set = (labels: readonly (number | undefined)[]) => ({
    path: 'set',
    items: labels.map((label, place) => ({ name: `${place}`, image, ...(label === undefined ? {} : { label }) })),
  });
  const many = set(Array.from({ length: 1000 }, (_, i) => (i < 900 ? 0 : i < 990 ? 1 : 2)));

  test('distinct images, as many of each class as there are', () => {
    for (let seed = 0; seed < 20; seed++) {
      const drawn = drawImages(many, { count: 60, order: 'random', seed });
      expect(new Set(drawn).size).toBe(60);
      const counts = [0, 0, 0];
      for (const place of drawn) counts[many.items[place]!.label!]!++;
      expect(counts).toEqual([25, 25, 10]);
    }
  });

  test('without balance as they come', () => {
    const drawn = drawImages(many, { count: 60, order: 'random', seed: 3, balanced: false });
    expect(drawn.filter((place) => place < 900).length).toBeGreaterThan(45);
  });

  test('all of them is a permutation; in order the first', () => {
    const all = drawImages(many, { order: 'random', seed: 1 });
    expect([...all].sort((a, b) => a - b)).toEqual([...many.items.keys()]);
    expect(drawImages(many, { order: 'all', seed: 1, count: 3 })).toEqual([0, 1, 2]);
  });

  test('items without an image are left out', () => {
    const mixed = {
      path: 'x',
      items: [
        { name: 'a', image: undefined },
        { name: 'b', image },
      ],
    };
    expect(drawImages(mixed, { order: 'all', seed: 1 })).toEqual([1]);
    expect(() =>
      drawImages({ path: 'x', items: [{ name: 'a', image: undefined }] }, { order: 'all', seed: 1 }),
    ).toThrow(/text alone/);
  });

  test.each([0, 1001, 1.5, Number.NaN])('%f images are refused', (count) => {
    expect(() => drawImages(many, { order: 'all', seed: 1, count })).toThrow(
      expect.objectContaining({ code: 'E_OPTION_IMAGES' }),
    );
  });
});

// LAYERWISE_IMAGENET_SAMPLE names a folder of github.com/EliSchwartz/imagenet-sample-images.
const sample = process.env.LAYERWISE_IMAGENET_SAMPLE;
testWith(sample && existsSync(sample) ? sample : undefined, 'photographs of ImageNet (LAYERWISE_IMAGENET_SAMPLE)')(
  'a hundred photographs are Pillow’s to the last bit',
  async () => {
    const all = await openImageSet(sample!, { labels: 'name' });
    expect([all.count, all.classNames?.length]).toEqual([1000, 1000]);
    const some = { ...all, items: all.items.filter((_, place) => place % 10 === 3) };
    const { record } = await prepareImages(
      some,
      readPreprocessing({ size: { shortest_edge: 256 }, crop_size: 224 }, { modelType: 'dinov2' }),
      { order: 'all', seed: 0 },
    );
    expect({ images: record.images, sha256: record.hash }).toEqual(golden.imagenet);
  },
);
