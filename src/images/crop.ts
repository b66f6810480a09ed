// Cropping and padding, as transformers' center_crop and pad_to_square do: offsets are rounded down, and what lies outside the
// image is zero before normalising.

import type { Image } from './pixels.js';

export type Size = { readonly width: number; readonly height: number };

/** Copies the image onto a canvas; `left` and `top` are its place there, and may be negative. */
function place(image: Image, { width, height }: Size, left: number, top: number, colour?: readonly number[]): Image {
  const pixels = new Uint8Array(width * height * 3);
  if (colour) for (let at = 0; at < pixels.length; at += 3) pixels.set(colour, at);
  const [from, to] = [Math.max(0, -left), Math.min(image.width, width - left)];
  for (let y = Math.max(0, -top); y < Math.min(image.height, height - top); y++) {
    const row = y * image.width;
    pixels.set(image.pixels.subarray((row + from) * 3, (row + to) * 3), ((y + top) * width + left + from) * 3);
  }
  return { width, height, pixels };
}

/** Where an image of `inner` pixels lies on `outer` pixels: cropped ones begin at ⌊(H − h)/2⌋, padded ones at ⌈(h − H)/2⌉. */
const offset = (inner: number, outer: number): number => -Math.floor((inner - outer) / 2);

export function centerCrop(image: Image, size: Size): Image {
  if (size.width === image.width && size.height === image.height) return image;
  return place(image, size, offset(image.width, size.width), offset(image.height, size.height));
}

/** The image in the middle of a square of one colour. */
export function padToSquare(image: Image, colour: readonly [red: number, green: number, blue: number]): Image {
  const side = Math.max(image.width, image.height);
  if (image.width === image.height) return image;
  const [left, top] = [Math.floor((side - image.width) / 2), Math.floor((side - image.height) / 2)];
  return place(image, { width: side, height: side }, left, top, colour);
}
