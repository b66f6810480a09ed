// Tiles of Idefics3's and SmolVLM's images against transformers: every pixel and every number of the tensors; and what is refused.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normalise, outputSize, preprocessTiled, readPreprocessing } from '../../src/images/index.js';
import { runs } from '../scale.js';
import { picture, tilesGolden } from '../tiles-golden.js';
import { sha256 } from './golden.js';

const read = (json: object, modelType = 'idefics3_vision') =>
  readPreprocessing({ image_processor_type: 'Idefics3ImageProcessor', ...json }, { modelType });

const failure = (json: object, modelType?: string): unknown => {
  try {
    read(json, modelType);
  } catch (error) {
    return error;
  }
  return undefined;
};

describe.each(Object.entries(tilesGolden.pixels))('%s', (_, { config, images }) => {
  test.each(images)('an image of %i×%i becomes %i×%i tiles', (width, height, rows, columns, pixels, tensor) => {
    const preprocessing = read(config);
    const { squares, grid } = preprocessTiled(picture(width, height), preprocessing);
    expect(grid).toEqual({ rows, columns });
    expect(squares).toHaveLength(rows * columns + 1);
    for (const square of squares) expect(square).toMatchObject(outputSize(preprocessing)!);
    expect(sha256(Buffer.concat(squares.map((square) => square.pixels)))).toBe(pixels);
    const size = squares[0]!.pixels.length;
    const all = new Float32Array(squares.length * size);
    for (const [at, square] of squares.entries()) all.set(normalise(square.pixels, preprocessing), at * size);
    expect(sha256(all)).toBe(tensor);
  });
});

test('the golden has squares, wide, tall and tiny images, and grids of many shapes', () => {
  const grids = Object.values(tilesGolden.pixels).flatMap(({ images }) => images.map((one) => `${one[2]}×${one[3]}`));
  expect(new Set(grids).size).toBeGreaterThan(7);
});

describe('reading preprocessor_config.json', () => {
  test('the model’s class and its values count where the file says nothing', () => {
    const { processor, resize, filter, tiles } = readPreprocessing({}, { modelType: 'smolvlm_vision' });
    expect({ processor, resize, filter, tiles }).toEqual({
      processor: 'SmolVLMImageProcessor',
      resize: { mode: 'longest', edge: 1456 },
      filter: 'lanczos',
      tiles: { side: 364, split: true },
    });
    expect(readPreprocessing({ image_processor_type: 'ViTImageProcessor' }, { modelType: 'vit' })).not.toHaveProperty(
      'tiles',
    );
  });

  test.each<[object, RegExp]>([
    [{ size: { shortest_edge: 30 } }, /size by shortest_edge.*longest_edge, are/],
    [{ size: { longest_edge: 30, shortest_edge: 3 } }, /longest_edge and shortest_edge/],
    [{ do_center_crop: true }, /do_center_crop of Idefics3ImageProcessor/],
  ])('%j is refused by name', (json, says) => {
    expect(failure(json)).toMatchObject({ code: 'E_UNSUPPORTED_PREPROCESSOR', message: expect.stringMatching(says) });
  });

  test.each<[object, RegExp]>([
    [{ max_image_size: { height: 32, width: 32 } }, /max_image_size: expected longest_edge/],
    [{ max_image_size: { longest_edge: 0 } }, /max_image_size/],
    [{ do_image_splitting: 'yes' }, /do_image_splitting: expected true or false/],
    [{ do_pad: 2 }, /do_pad/],
  ])('%j is not what the file may say', (json, says) => {
    expect(failure(json)).toMatchObject({ code: 'E_CHECKPOINT_PREPROCESSOR', message: expect.stringMatching(says) });
  });

  test('a model that reads one image for one cannot have it', () => {
    for (const modelType of ['vit', 'clip', 'llava', 'siglip_vision_model']) {
      expect(failure({}, modelType)).toMatchObject({
        code: 'E_UNSUPPORTED_PREPROCESSOR',
        message: expect.stringContaining('for idefics3 and smolvlm it is'),
      });
    }
  });
});

test('whatever the size, tiles fill the grid', () => {
  const side = fc.integer({ min: 1, max: 80 });
  const config = fc.record({ edge: fc.integer({ min: 1, max: 90 }), tile: fc.integer({ min: 1, max: 40 }) });
  fc.assert(
    fc.property(side, side, config, (width, height, { edge, tile }) => {
      const image = { width, height, pixels: new Uint8Array(width * height * 3).fill(7) };
      const sizes = { size: { longest_edge: edge }, max_image_size: { longest_edge: tile } };
      const { squares, grid } = preprocessTiled(image, read(sizes));
      expect(squares).toHaveLength(grid.rows * grid.columns + 1);
      for (const square of squares) {
        expect([square.width, square.height]).toEqual([tile, tile]);
        expect(square.pixels.every((value) => value === 7)).toBe(true);
      }
    }),
    { numRuns: runs(100) },
  );
});
