import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeImage,
  normalise,
  outputSize,
  type Preprocessing,
  preprocess,
  readPreprocessing,
} from '../../src/images/index.js';
import { runs } from '../scale.js';
import { testWith } from '../shared.js';
import { golden, imageBytes, type Processed, sha256 } from './golden.js';

async function check(bytes: Uint8Array, name: string, config: object, expected: Processed): Promise<void> {
  const preprocessing = readPreprocessing(config, { modelType: 'none' });
  const { width, height, pixels } = preprocess(await decodeImage(bytes, name), preprocessing);
  expect([3, height, width]).toEqual(expected.shape);
  expect(sha256(pixels)).toBe(expected.pixels);
  const tensor = normalise(pixels, preprocessing);
  const mean = tensor.reduce((sum, value) => sum + value, 0) / tensor.length;
  const variance = tensor.reduce((sum, value) => sum + (value - mean) ** 2, 0) / tensor.length;
  expect(mean).toBeCloseTo(expected.mean, 5);
  expect(Math.sqrt(variance)).toBeCloseTo(expected.std, 5);
  expect(sha256(tensor)).toBe(expected.tensor);
  const last = normalise(pixels, preprocessing, 'channels-last');
  expect([last[0], last[1], last[5]]).toEqual([tensor[0], tensor[width * height], tensor[2 * width * height + 1]]);
}

describe.each(Object.entries(golden.processors))('%s', (_, { config, images }) => {
  const own = Object.entries(images).filter(([name]) => name.startsWith('jpeg-'));
  test.each(own)('%s becomes what transformers makes of it', async (name, expected) => {
    await check(imageBytes(name), name, config, expected);
  });

  test('the description survives JSON', () => {
    const preprocessing = readPreprocessing(config, { modelType: 'none' });
    expect(JSON.parse(JSON.stringify(preprocessing))).toEqual(preprocessing);
  });
});

// LAYERWISE_PHOTOS names the folder datasets/images of the Python package scikit-learn.
const photos = process.env.LAYERWISE_PHOTOS;
testWith(photos && existsSync(photos) ? photos : undefined, 'scikit-learn’s photos (LAYERWISE_PHOTOS)')(
  'two photos become what transformers makes of them',
  async () => {
    for (const { config, images } of Object.values(golden.processors)) {
      for (const name of ['china.jpg', 'flower.jpg']) {
        await check(readFileSync(`${photos}/${name}`), name, config, images[name]!);
      }
    }
  },
);

describe('reading preprocessor_config.json', () => {
  const read = (json: unknown, modelType = 'vit'): Preprocessing => readPreprocessing(json, { modelType });
  const failure = (json: unknown, modelType = 'vit'): unknown => {
    try {
      read(json, modelType);
    } catch (error) {
      return error;
    }
    return undefined;
  };

  test('without a processor’s name the model decides', () => {
    expect(read({}, 'vit')).toMatchObject({ processor: 'ViTImageProcessor', filter: 'bilinear', crop: null });
    expect(read({}, 'deit')).toMatchObject({ resize: { mode: 'squash', height: 256, width: 256 }, filter: 'bicubic' });
    expect(read({ size: 224 }, 'convnextv2')).toMatchObject({
      resize: { mode: 'shortest', edge: 256 },
      crop: { height: 224, width: 224 },
    });
    expect(read({}, 'llava')).toMatchObject({ processor: 'LlavaImageProcessor', pad: null });
    expect(read({}, 'dinov2').processor).toBe('BitImageProcessor');
    expect(failure({}, 'resnet')).toMatchObject({ code: 'E_UNSUPPORTED_PREPROCESSOR' });
  });

  test.each(['ViTFeatureExtractor', 'ViTImageProcessor', 'ViTImageProcessorFast', 'ViTImageProcessorPil'])(
    '%s',
    (name) => {
      expect(read({ image_processor_type: name }, 'clip').processor).toBe('ViTImageProcessor');
      expect(read({ feature_extractor_type: name }, 'clip').processor).toBe('ViTImageProcessor');
    },
  );

  test('a whole number for a size means what the class says', () => {
    expect(read({ size: 99 }, 'vit').resize).toEqual({ mode: 'squash', height: 99, width: 99 });
    expect(read({ size: 99 }, 'clip').resize).toEqual({ mode: 'shortest', edge: 99 });
    expect(read({ crop_size: 7 }, 'clip').crop).toEqual({ height: 7, width: 7 });
  });

  test('what is absent or null has the class’s default', () => {
    expect(read({ resample: null, rescale_factor: null, do_rescale: null, image_mean: null })).toEqual(read({}));
    expect(read({}).rescale).toBe(1 / 255);
    expect(read({ do_rescale: false }).rescale).toBeNull();
    expect(read({ do_normalize: false })).toMatchObject({ mean: null, std: null });
    expect(read({ do_resize: false }).resize).toBeNull();
    expect(read({ do_center_crop: false }, 'clip').crop).toBeNull();
  });

  test('processor_config.json holds it inside', () => {
    expect(
      read({ processor_class: 'LlavaProcessor', image_processor: { image_processor_type: 'CLIPImageProcessor' } }),
    ).toEqual(read({ image_processor_type: 'CLIPImageProcessor' }));
  });

  test('the size of the output is known where it does not depend on the image', () => {
    expect(outputSize(read({}))).toEqual({ width: 224, height: 224 });
    expect(outputSize(read({}, 'clip'))).toEqual({ width: 224, height: 224 });
    expect(outputSize(read({ do_center_crop: false }, 'clip'))).toBeUndefined();
    expect(outputSize(read({ do_center_crop: false, do_pad: true }, 'llava'))).toEqual({ width: 224, height: 224 });
  });

  test.each<[object, RegExp]>([
    [
      { image_processor_type: 'Idefics3ImageProcessor' },
      /Idefics3ImageProcessor for model type "vit" is not implemented/,
    ],
    [{ image_processor_type: 'TimmWrapperImageProcessor' }, /TimmWrapper/],
    [{ auto_map: { AutoImageProcessor: 'x.Y' } }, /auto_map/],
    [{ size: { shortest_edge: 3, longest_edge: 4 } }, /longest_edge and shortest_edge/],
    [{ size: { longest_edge: 4 } }, /longest_edge/],
    [{ max_size: 1333 }, /max_size/],
    [{ use_square_size: true }, /use_square_size/],
    [{ do_pad: true }, /do_pad of ViTImageProcessor/],
    [{ image_processor_type: 'constructor' }, /constructor/],
  ])('%j is refused by name', (json, says) => {
    expect(failure(json)).toMatchObject({ code: 'E_UNSUPPORTED_PREPROCESSOR', message: expect.stringMatching(says) });
  });

  test.each<[unknown, RegExp]>([
    [[], /JSON object/],
    [{ size: -3 }, /size/],
    [{ size: 1e9 }, /size/],
    [{ size: 'large' }, /size/],
    [{ resample: 9 }, /resample/],
    [{ image_mean: [1, 2] }, /three numbers/],
    [{ image_std: [0, 1, 1] }, /zero/],
    [{ do_resize: 1 }, /true or false/],
    [{ rescale_factor: 0 }, /positive/],
    [{ image_processor_type: 7 }, /a name/],
    [{ image_processor_type: 'ConvNextImageProcessor', size: { height: 3, width: 3 } }, /shortest_edge/],
    [{ image_processor_type: 'CLIPImageProcessor', crop_size: { shortest_edge: 3 } }, /crop_size/],
  ])('%j is not what the file may say', (json, says) => {
    expect(failure(json)).toMatchObject({ code: 'E_CHECKPOINT_PREPROCESSOR', message: expect.stringMatching(says) });
  });

  test('an image far longer than wide is not stretched without bound', () => {
    const image = { width: 1, height: 60_000, pixels: new Uint8Array(180_000) };
    expect(() => preprocess(image, read({}, 'clip'))).toThrow(expect.objectContaining({ code: 'E_SHAPE_IMAGE' }));
  });

  test('whatever the file says, it is a description or a typed error', () => {
    const keys = ['size', 'crop_size', 'resample', 'image_mean', 'image_std', 'do_resize', 'do_pad', 'do_center_crop'];
    const key = fc.constantFrom(
      ...keys,
      'image_processor_type',
      'feature_extractor_type',
      'crop_pct',
      'rescale_factor',
    );
    const size = fc.dictionary(fc.constantFrom('height', 'width', 'shortest_edge'), fc.integer({ min: -1, max: 500 }));
    const value = fc.oneof(
      fc.jsonValue(),
      fc.nat(500),
      fc.boolean(),
      size,
      fc.array(
        fc.double().map((one) => one + 0),
        { maxLength: 4 },
      ),
    );
    const file = fc.oneof(fc.jsonValue(), fc.dictionary(key, value));
    fc.assert(
      fc.property(file, fc.constantFrom('vit', 'clip', 'convnext', 'llava', 'other'), (json, modelType) => {
        try {
          const preprocessing = read(json, modelType);
          expect(JSON.parse(JSON.stringify(preprocessing))).toEqual(preprocessing);
        } catch (error) {
          expect((error as { code?: string }).code, String(error)).toMatch(/^E_(CHECKPOINT|UNSUPPORTED)_PREPROCESSOR$/);
        }
      }),
      { numRuns: runs(500) },
    );
  });
});
