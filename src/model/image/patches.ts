// An image as rows of patches, so that the convolution that embeds patches is a product of matrices: row n = r·⌊W/p⌋ + c holds
// the p × p pixels of a patch in the order (channel, i, j), which is that of a weight [D, C, p, p] read as [D, C·p²].

import { ShapeError } from '../../base/portable.js';

export type ImageSize = { readonly height: number; readonly width: number };

/** How bytes become what a model takes: times `rescale`, minus the channel's mean, divided by its deviation. */
export type Normalisation = {
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
};

export type PatchOptions = {
  /** Pixels beyond the last whole patch: an error, or not read, as a convolution with strides does. Defaults to `refuse`. */
  readonly rest?: 'refuse' | 'drop';
};

const CHANNELS = 3;

/**
 * Calls `visit(to, channel, pixel)` for every number of the rows, in order; `pixel` counts the pixels of the image.
 * @throws ShapeError E_SHAPE_PATCHES where the image is not whole patches, or not as many values as its size says
 */
function walk(
  length: number,
  { height, width }: ImageSize,
  patch: number,
  { rest = 'refuse' }: PatchOptions,
  visit: (to: number, channel: number, pixel: number) => void,
): void {
  const [rows, columns] = [Math.floor(height / patch), Math.floor(width / patch)];
  const whole = rows * patch === height && columns * patch === width;
  if (rows * columns === 0 || (rest === 'refuse' && !whole)) {
    throw new ShapeError(
      'E_SHAPE_PATCHES',
      `Image of ${height}×${width} pixels: expected whole patches of ${patch}×${patch}. Resize or crop it.`,
      { height, width, patch },
    );
  }
  if (length !== CHANNELS * height * width) {
    throw new ShapeError(
      'E_SHAPE_PATCHES',
      `Image of ${height}×${width} pixels: expected ${CHANNELS * height * width} values, got ${length}. Check the order of height and width.`,
      { height, width, length },
    );
  }
  let to = 0;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      for (let channel = 0; channel < CHANNELS; channel++) {
        for (let i = 0; i < patch; i++) {
          const start = (r * patch + i) * width + c * patch;
          for (let j = 0; j < patch; j++) visit(to++, channel, start + j);
        }
      }
    }
  }
}

const rowsLength = ({ height, width }: ImageSize, patch: number): number =>
  Math.floor(height / patch) * Math.floor(width / patch) * CHANNELS * patch * patch;

/** Rows [N, 3p²] of an image whose values are ready, [3, H, W]. @throws ShapeError E_SHAPE_PATCHES */
export function patchRows(
  planes: Float32Array,
  size: ImageSize,
  patch: number,
  options: PatchOptions = {},
): Float32Array {
  const into = new Float32Array(rowsLength(size, patch));
  const plane = size.height * size.width;
  walk(planes.length, size, patch, options, (to, channel, pixel) => {
    into[to] = planes[channel * plane + pixel]!;
  });
  return into;
}

/**
 * The same of bytes [H, W, 3], normalised as transformers does it: rescaled in float64, then float32 throughout.
 * @throws ShapeError E_SHAPE_PATCHES
 */
export function patchRowsOfBytes(
  bytes: Uint8Array,
  size: ImageSize,
  patch: number,
  { rescale, mean, std }: Normalisation,
  options: PatchOptions = {},
): Float32Array {
  const into = new Float32Array(rowsLength(size, patch));
  const tables = Array.from({ length: CHANNELS }, (_, channel) =>
    Float32Array.from({ length: 256 }, (_, value) => {
      const centred = Math.fround(Math.fround(value * rescale) - Math.fround(mean[channel]!));
      return centred / Math.fround(std[channel]!);
    }),
  );
  walk(bytes.length, size, patch, options, (to, channel, pixel) => {
    into[to] = tables[channel]![bytes[pixel * CHANNELS + channel]!]!;
  });
  return into;
}
