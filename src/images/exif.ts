// EXIF orientation: read from the TIFF block of a file, and applied as Pillow's exif_transpose does. A block that cannot be
// read counts as absent, as it does there: it says nothing about the pixels.

import type { Image } from './pixels.js';

const ORIENTATION = 0x112;

/** 1 to 8; 1 where the block is absent or damaged. */
export function readOrientation(tiff: Uint8Array): number {
  const start = tiff[0] === 0x45 && tiff[4] === 0 && tiff[5] === 0 ? 6 : 0; // "Exif\0\0"
  const view = new DataView(tiff.buffer, tiff.byteOffset + start, Math.max(0, tiff.length - start));
  if (view.byteLength < 8) return 1;
  const order = view.getUint16(0);
  const little = order === 0x4949;
  if ((!little && order !== 0x4d4d) || view.getUint16(2, little) !== 42) return 1;
  const directory = view.getUint32(4, little);
  if (directory + 2 > view.byteLength) return 1;
  const entries = view.getUint16(directory, little);
  for (let index = 0; index < entries; index++) {
    const entry = directory + 2 + index * 12;
    if (entry + 12 > view.byteLength) return 1;
    if (view.getUint16(entry, little) !== ORIENTATION) continue;
    const isShort = view.getUint16(entry + 2, little) === 3 && view.getUint32(entry + 4, little) === 1;
    const value = isShort ? view.getUint16(entry + 8, little) : 1;
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** For each orientation: are the axes exchanged, and is the source read backwards along x and y. */
const TURNS: readonly (readonly [swap: boolean, flipX: boolean, flipY: boolean])[] = [
  [false, false, false],
  [false, true, false],
  [false, true, true],
  [false, false, true],
  [true, false, false],
  [true, false, true],
  [true, true, true],
  [true, true, false],
];

/** The image as it is meant to be seen. */
export function orient(image: Image, orientation: number): Image {
  if (orientation === 1) return image;
  const [swap, flipX, flipY] = TURNS[orientation - 1]!;
  const [width, height] = swap ? [image.height, image.width] : [image.width, image.height];
  const pixels = new Uint8Array(image.pixels.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const [a, b] = swap ? [y, x] : [x, y];
      const [sx, sy] = [flipX ? image.width - 1 - a : a, flipY ? image.height - 1 - b : b];
      const from = (sy * image.width + sx) * 3;
      pixels[to] = image.pixels[from]!;
      pixels[to + 1] = image.pixels[from + 1]!;
      pixels[to + 2] = image.pixels[from + 2]!;
    }
  }
  return { width, height, pixels };
}
