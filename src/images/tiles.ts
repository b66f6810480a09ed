// Idefics3's and SmolVLM's image processor: an image as square tiles of the size that the vision trunk reads, row by row, and the whole
// image last, squashed to the same square. An image that is no larger than a tile, or that is not to be split, is one square alone.
//   resized to whole tiles: (⌈w/s⌉·s, ⌈⌊that/(w/h)⌋/s⌉·s) for a wide image, and the other way round for a tall one
// All squares are full, so the pixel mask of transformers is all ones, and its padding only evens out the images of a batch.
// As everywhere here the pixels are those of transformers' PIL backend; each of up to three resizings is rounded to bytes.

import type { Size } from './crop.js';
import type { Image } from './pixels.js';
import { preprocess } from './preprocess.js';
import type { Preprocessing } from './preprocessing.js';
import { resize } from './resize.js';

/** How many rows and columns of tiles an image became; none where it is one square alone. */
export type Grid = { readonly rows: number; readonly columns: number };

/** An image that is not split. */
export const WHOLE: Grid = { rows: 0, columns: 0 };

export type Tiled = { readonly squares: readonly Image[]; readonly grid: Grid };

/** Both sides as multiples of the tile's. The longer side is rounded up first, in float64, as transformers does it. */
function wholeTiles({ width, height }: Size, side: number): Size {
  const up = (length: number): number => Math.ceil(length / side) * side;
  const aspect = width / height;
  if (width >= height) return { width: up(width), height: up(Math.trunc(up(width) / aspect)) };
  return { width: up(Math.trunc(up(height) * aspect)), height: up(height) };
}

function cropAt({ width, pixels }: Image, left: number, top: number, side: number): Image {
  const tile = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++) {
    const from = ((top + y) * width + left) * 3;
    tile.set(pixels.subarray(from, from + side * 3), y * side * 3);
  }
  return { width: side, height: side, pixels: tile };
}

/** What a model reads of an image: one square, or its tiles and the whole. @throws as `preprocess` */
export function preprocessTiled(image: Image, preprocessing: Preprocessing, name?: string): Tiled {
  const { tiles, filter } = preprocessing;
  const resized = preprocess(image, preprocessing, name);
  if (!tiles) return { squares: [resized], grid: WHOLE };
  const { side, split } = tiles;
  const square = { width: side, height: side, filter };
  if (!split) return { squares: [resize(resized, square)], grid: WHOLE };
  const whole = resize(resized, { ...wholeTiles(resized, side), filter });
  if (whole.width === side && whole.height === side) return { squares: [whole], grid: WHOLE };
  const grid = { rows: whole.height / side, columns: whole.width / side };
  const squares: Image[] = [];
  for (let row = 0; row < grid.rows; row++) {
    for (let column = 0; column < grid.columns; column++) squares.push(cropAt(whole, column * side, row * side, side));
  }
  return { squares: [...squares, resize(whole, square)], grid };
}
