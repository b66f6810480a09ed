import { describe, expect, test } from 'vitest';
import { centerCrop, decodeImage, type Filter, type Image, resize } from '../../src/images/index.js';
import { coefficientsOf } from '../../src/images/resize.js';
import { golden, imageBytes, sha256 } from './golden.js';

const grey = (width: number, height: number, value: (i: number) => number): Image => ({
  width,
  height,
  pixels: Uint8Array.from({ length: width * height * 3 }, (_, i) => value(Math.floor(i / 3))),
});
const reds = ({ pixels }: Image): number[] => Array.from(pixels).filter((_, i) => i % 3 === 0);

// Made with Pillow 12: a grey image of 6 × 4 pixels, value i = (37 i + 11 i²) mod 256.
describe('a small image by hand', () => {
  const image = grey(6, 4, (i) => (37 * i + 11 * i * i) % 256);
  const cases: readonly (readonly [number, number, Filter, readonly number[]])[] = [
    [3, 2, 'bilinear', [74, 160, 170, 108, 147, 161]],
    [3, 2, 'bicubic', [63, 168, 172, 107, 147, 162]],
    [3, 2, 'lanczos', [63, 165, 174, 103, 147, 170]],
    [4, 4, 'bicubic', [12, 107, 156, 151, 70, 161, 206, 197, 162, 90, 162, 169, 111, 43, 248, 97]],
    [
      9,
      5,
      'bicubic',
      [
        0, 16, 58, 101, 175, 197, 73, 129, 213, 70, 41, 53, 188, 218, 197, 166, 181, 204, 194, 102, 40, 165, 209, 196,
        136,
      ].concat([177, 232, 228, 134, 38, 65, 161, 217, 128, 138, 170, 133, 104, 55, 7, 131, 255, 255, 124, 0]),
    ],
  ];
  test.each(cases)('%i × %i %s', (width, height, filter, expected) => {
    expect(reds(resize(image, { width, height, filter }))).toEqual(expected);
  });

  test('the coefficients of 6 → 4', () => {
    const { first, count, weights, taps } = coefficientsOf(6, 4, 'bicubic');
    expect(Array.from(first.subarray(0, 2))).toEqual([0, 0]);
    expect(Array.from(weights.subarray(0, count[0]))).toEqual([2748694, 1649217, -169672, -33934]);
    expect(Array.from(weights.subarray(taps, taps + count[1]!))).toEqual([-160578, 1560821, 2601368, 366118, -173425]);
  });
});

describe('Pillow’s pixels, whatever the size and filter', () => {
  const images = new Map<string, Promise<Image>>();
  const load = (name: string): Promise<Image> => {
    if (!images.has(name)) images.set(name, decodeImage(imageBytes(name), name));
    return images.get(name)!;
  };
  test.each(golden.resize)('%s to %i × %i by %s', async (name, width, height, filter, expected) => {
    const image = resize(await load(name), { width, height, filter });
    expect([image.width, image.height]).toEqual([width, height]);
    expect(sha256(image.pixels)).toBe(expected);
  });

  test.each(golden.crop)('a crop of %i × %i', async (width, height, expected) => {
    expect(sha256(centerCrop(await load('png-rgb.png'), { width, height }).pixels)).toBe(expected);
  });
});

test('an odd crop begins at the lower offset', () => {
  // transformers and Pillow's users: ⌊(H − h) / 2⌋; torchvision's center_crop would begin at element 20.
  expect(
    reds(
      centerCrop(
        grey(9, 7, (i) => i),
        { width: 4, height: 4 },
      ),
    )[0],
  ).toBe(11);
});
