// An image as a model sees it: padded, resized and cropped in 8 bits, then normalised in float32, value by value as
// transformers computes it: rescaled in float64, rounded to float32, mean subtracted and divided by std in float32.

import { ShapeError } from '../base/index.js';
import { centerCrop, padToSquare, type Size } from './crop.js';
import type { Image } from './pixels.js';
import type { Preprocessing } from './preprocessing.js';
import { resize } from './resize.js';

/** The size all images get, or the tiles of all; undefined where it depends on the image. */
export function outputSize({ crop, resize: resizing, pad, tiles }: Preprocessing): Size | undefined {
  if (tiles) return { width: tiles.side, height: tiles.side };
  if (crop) return { width: crop.width, height: crop.height };
  if (resizing?.mode === 'squash') return { width: resizing.width, height: resizing.height };
  return resizing && pad ? { width: resizing.edge, height: resizing.edge } : undefined;
}

/** The most that an Idefics3 processor makes of the longer side, whatever its file says. */
const MAX_LONGEST = 4096;

/** The longer side gets its length; the other is rounded down in float64. */
function scaledTo({ width, height }: Size, longest: number): Size {
  const aspect = width / height;
  return width >= height
    ? { width: longest, height: Math.trunc(longest / aspect) }
    : { width: Math.trunc(longest * aspect), height: longest };
}

/** As Idefics3 does it: the shorter side becomes even, which may make it the longer one, and none is above the most. */
function longestTo(size: Size, edge: number): Size {
  const { width, height } = scaledTo(size, edge);
  const even = (side: number): number => Math.max(1, side + (side % 2));
  const made = size.width >= size.height ? { width, height: even(height) } : { width: even(width), height };
  if (Math.max(made.width, made.height) <= MAX_LONGEST) return made;
  const shrunk = scaledTo(made, MAX_LONGEST);
  return { width: Math.max(1, shrunk.width), height: Math.max(1, shrunk.height) };
}

/** transformers rounds the longer side down, in float64. */
function resizedTo({ width, height }: Size, resizing: NonNullable<Preprocessing['resize']>): Size {
  if (resizing.mode === 'squash') return { width: resizing.width, height: resizing.height };
  const { edge } = resizing;
  if (resizing.mode === 'longest') return longestTo({ width, height }, edge);
  return width <= height
    ? { width: edge, height: Math.trunc((edge * height) / width) }
    : { width: Math.trunc((edge * width) / height), height: edge };
}

/** The largest side that resizing may make of an image, for one far longer than wide. */
const MAX_SIDE = 65_536;

/** Pads, resizes and crops, and leaves tiles to tiles.ts; the pixels stay bytes. @throws ShapeError E_SHAPE_IMAGE for an image too narrow for its resizing */
export function preprocess(image: Image, preprocessing: Preprocessing, name = 'image'): Image {
  const { pad, resize: resizing, filter, crop } = preprocessing;
  let result = pad ? padToSquare(image, pad) : image;
  if (resizing) {
    const size = resizedTo(result, resizing);
    if (Math.max(size.width, size.height) > MAX_SIDE) {
      throw new ShapeError(
        'E_SHAPE_IMAGE',
        `${name}: its ${image.width}×${image.height} pixels would become ${size.width}×${size.height}; expected sides of at most ${MAX_SIDE}. Leave it out.`,
        { file: name, ...size },
      );
    }
    result = resize(result, { ...size, filter });
  }
  return crop ? centerCrop(result, crop) : result;
}

export type ChannelOrder = 'channels-first' | 'channels-last';

/** Bytes to what the model takes, [3, H, W] or [H, W, 3]. */
export function normalise(
  pixels: Uint8Array,
  { rescale, mean, std }: Pick<Preprocessing, 'rescale' | 'mean' | 'std'>,
  order: ChannelOrder = 'channels-first',
  into = new Float32Array(pixels.length),
): Float32Array {
  const plane = pixels.length / 3;
  for (let channel = 0; channel < 3; channel++) {
    const table = Float32Array.from({ length: 256 }, (_, value) => {
      const scaled = Math.fround(rescale === null ? value : value * rescale);
      if (!mean || !std) return scaled;
      return Math.fround(scaled - Math.fround(mean[channel]!)) / Math.fround(std[channel]!);
    });
    const [start, step] = order === 'channels-first' ? [channel * plane, 1] : [channel, 3];
    for (let pixel = 0; pixel < plane; pixel++) into[start + pixel * step] = table[pixels[pixel * 3 + channel]!]!;
  }
  return into;
}
