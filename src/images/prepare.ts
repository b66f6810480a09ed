// Images drawn from a set and made into the bytes a model takes. Which ones, and in which order, depends on the seed alone. The
// record holds what is needed to get the same bytes again, and their hash.

import { createHash } from 'node:crypto';
import { type OnProgress, OptionError, ResourceError, shuffled, silent } from '../base/index.js';
import type { Size } from './crop.js';
import { DECODERS, decodeImage, type Orientation } from './decode.js';
import { outputSize } from './preprocess.js';
import type { Preprocessing } from './preprocessing.js';
import { RESAMPLER } from './resize.js';
import type { ImageItem, ImageSet } from './sets/set.js';
import { type Grid, preprocessTiled } from './tiles.js';

export type DrawOptions = {
  /** How many. Defaults to all that there are. */
  readonly count?: number;
  /** `all`: from the beginning; `random`: distinct ones by the seed. */
  readonly order: 'all' | 'random';
  readonly seed: number;
  /** With `random`: as many of each class as possible. Defaults to true where items have labels. */
  readonly balanced?: boolean;
};

export type PrepareOptions = DrawOptions & {
  /** Defaults to `ignore`. */
  readonly orientation?: Orientation;
  /** The model's label of each class; defaults to the place of the class. */
  readonly labelIds?: Int32Array;
  readonly onProgress?: OnProgress;
};

export type ImageRecord = {
  readonly name: string;
  /** SHA-256 over the uint8 pixels, image after image. */
  readonly hash: string;
  readonly set: { readonly hash: string; readonly layout: string; readonly items: number };
  readonly images: number;
  readonly height: number;
  readonly width: number;
  readonly order: 'all' | 'random';
  readonly seed: number | null;
  readonly balanced: boolean;
  readonly orientation: Orientation;
  readonly decoders: typeof DECODERS;
  readonly resampler: typeof RESAMPLER;
  readonly preprocessing: Preprocessing;
  /** How many classes came, and how many images of the rarest and the most frequent of them. */
  readonly labels: { readonly classes: number; readonly fewest: number; readonly most: number } | null;
};

export type PreparedImages = {
  /** Of each image [height, width, 3]; of one that is cut into tiles, as many squares as its grid says. */
  readonly pixels: readonly Uint8Array[];
  readonly grids: readonly Grid[];
  readonly height: number;
  readonly width: number;
  /** The items, in the same order: their questions and names. */
  readonly items: readonly ImageItem[];
  readonly labels: Int32Array | undefined;
  readonly record: ImageRecord;
};

/** The most that prepared images may take. */
const MAX_BYTES = 4 * 2 ** 30;

/**
 * The places of the items that are drawn; items without an image are left out.
 * @throws OptionError E_OPTION_IMAGES where there are fewer than asked for
 */
export function drawImages({ items, path }: Pick<ImageSet, 'items' | 'path'>, options: DrawOptions): number[] {
  const { count, order, seed } = options;
  const all = [...items.keys()].filter((place) => items[place]!.image !== undefined);
  if (count !== undefined && !(Number.isInteger(count) && count > 0 && count <= all.length)) {
    throw new OptionError(
      'E_OPTION_IMAGES',
      `${path}: expected a number of images from 1 to ${all.length}, got ${count}.`,
      {
        got: count,
        expected: all.length,
      },
    );
  }
  if (all.length === 0)
    throw new OptionError('E_OPTION_IMAGES', `${path}: expected images, got text alone.`, { got: path });
  const wanted = count ?? all.length;
  if (order === 'all') return all.slice(0, wanted);
  const mixed = shuffled(all.length, seed).map((at) => all[at]!);
  if (!isBalanced(items, options)) return mixed.slice(0, wanted);
  const classes = new Map<number, number[]>();
  for (const place of mixed) {
    const label = items[place]!.label!;
    const one = classes.get(label);
    if (one) one.push(place);
    else classes.set(label, [place]);
  }
  // One of each class in turn: classes come in the order in which the shuffled images show them.
  const drawn: number[] = [];
  for (let round = 0; drawn.length < wanted; round++) {
    for (const one of classes.values()) if (round < one.length && drawn.length < wanted) drawn.push(one[round]!);
  }
  return drawn;
}

const isBalanced = (items: readonly ImageItem[], { order, balanced = true }: DrawOptions): boolean =>
  order === 'random' && balanced && items.some(({ image, label }) => image !== undefined && label !== undefined);

/** @throws OptionError E_OPTION_PREPROCESSING where images would get different sizes */
function sizeOf(path: string, preprocessing: Preprocessing): Size {
  const size = outputSize(preprocessing);
  if (size) return size;
  throw new OptionError(
    'E_OPTION_PREPROCESSING',
    `${path}: expected preprocessing that gives all images one size, got one without a crop or a square. Set do_center_crop in preprocessor_config.json.`,
    { preprocessing },
  );
}

type ReadImage = { readonly pixels: readonly Uint8Array[]; readonly grid: Grid };

/** Reads one item after another; equal images of questions that follow each other are decoded once. */
function imageReader(set: ImageSet, preprocessing: Preprocessing, orientation: Orientation) {
  let last: (ReadImage & { readonly source: string }) | undefined;
  return async (item: ImageItem): Promise<ReadImage> => {
    const source = JSON.stringify(item.image);
    if (last?.source !== source) {
      const image = await decodeImage(await set.read(item), item.name, { orientation });
      const { squares, grid } = preprocessTiled(image, preprocessing, item.name);
      last = { source, pixels: squares.map(({ pixels }) => pixels), grid };
    }
    return last;
  };
}

const labelOf = ({ label }: ImageItem, ids: Int32Array | undefined): number | undefined =>
  label === undefined ? undefined : ids ? ids[label] : label;

/**
 * Draws, decodes and preprocesses. An image that cannot be read ends it with an error that names the image.
 * @throws as `drawImages`, `ImageSet.read`, `decodeImage` and `preprocess`; OptionError E_OPTION_PREPROCESSING for images of
 * different sizes; ResourceError E_RESOURCE_IMAGES
 */
export async function prepareImages(
  set: ImageSet,
  preprocessing: Preprocessing,
  options: PrepareOptions,
): Promise<PreparedImages> {
  const { orientation = 'ignore', labelIds, onProgress = silent } = options;
  const { width, height } = sizeOf(set.path, preprocessing);
  const places = drawImages(set, options);
  const requireRoom = (images: number): void => {
    const bytes = images * width * height * 3;
    if (bytes <= MAX_BYTES) return;
    throw new ResourceError(
      'E_RESOURCE_IMAGES',
      `${set.path}: expected prepared images of at most ${MAX_BYTES} bytes, ${images} of ${width}×${height} take ${bytes}. Use fewer.`,
      { bytes },
    );
  };
  requireRoom(places.length);
  onProgress({ kind: 'stage', stage: `reading images of ${set.name}`, total: places.length, unit: 'step' });
  const read = imageReader(set, preprocessing, orientation);
  const images = new Array<ReadImage>(places.length);
  let taken = 0;
  // In the order of the set, so that each part of a file is read once.
  for (const at of [...places.keys()].sort((a, b) => places[a]! - places[b]!)) {
    images[at] = await read(set.items[places[at]!]!);
    taken += images[at].pixels.length;
    requireRoom(taken);
    onProgress({ kind: 'advance' });
  }
  const items = places.map((place) => set.items[place]!);
  const pixels = images.flatMap((image) => image.pixels);
  const hash = createHash('sha256');
  for (const one of pixels) hash.update(one);
  const labels = set.classNames && Int32Array.from(items, (item) => labelOf(item, labelIds)!);
  return {
    pixels,
    grids: images.map(({ grid }) => grid),
    height,
    width,
    items,
    labels,
    record: recordOf(set, preprocessing, options, items, hash.digest('hex')),
  };
}

function recordOf(
  set: ImageSet,
  preprocessing: Preprocessing,
  options: PrepareOptions,
  items: readonly ImageItem[],
  hash: string,
): ImageRecord {
  const { order, seed, orientation = 'ignore' } = options;
  const { width, height } = sizeOf(set.path, preprocessing);
  return {
    name: set.name,
    hash,
    set: { hash: set.hash, layout: set.layout, items: set.count },
    images: items.length,
    height,
    width,
    order,
    seed: order === 'random' ? seed : null,
    balanced: isBalanced(set.items, options),
    orientation,
    decoders: DECODERS,
    resampler: RESAMPLER,
    preprocessing,
    labels: countLabels(items),
  };
}

function countLabels(items: readonly ImageItem[]): ImageRecord['labels'] {
  const counts = new Map<number, number>();
  for (const { label } of items) if (label !== undefined) counts.set(label, (counts.get(label) ?? 0) + 1);
  if (counts.size === 0) return null;
  return { classes: counts.size, fewest: Math.min(...counts.values()), most: Math.max(...counts.values()) };
}
