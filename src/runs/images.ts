// Sets of images made into what a model takes, as texts are cut into windows (texts.ts): drawn, decoded, resized and cropped as the
// checkpoint's preprocessor_config.json says, their classes mapped to the model's by name.

import { join } from 'node:path';
import { CheckpointError, type OnProgress, OptionError, readDocument, sha256 } from '../base/index.js';
import {
  type ImageRecord,
  mapLabels,
  openImageSet,
  outputSize,
  type Preprocessing,
  prepareImages,
  readPreprocessing,
} from '../images/index.js';
import { type Model, residualShape, resizeModel } from '../model/index.js';
import type { ManifestText } from '../records/index.js';
import { type Dialogues, type Images, startsOf } from '../stream/index.js';
import { readClassNames } from './class-names.js';
import type { ImageSettings } from './image-options.js';

export type PreparedImages = { readonly content: Images; readonly record: ManifestText };

const FILE = 'preprocessor_config.json';

/** What is done to an image before a model reads it. @throws CheckpointError E_CHECKPOINT_PREPROCESSING without the file; as `readPreprocessing` */
export async function preprocessingOf({ checkpoint, config }: Model): Promise<Preprocessing> {
  const path = join(checkpoint.dir, FILE);
  const text = await readDocument(path).catch((error: unknown) => {
    throw new CheckpointError(
      'E_CHECKPOINT_PREPROCESSING',
      `${path}: expected the file that says how images are resized and normalised; it cannot be read. A wrong mean costs points of accuracy without an error, so there is no default. Copy it from the original checkpoint.`,
      { file: path },
      { cause: error },
    );
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new CheckpointError(
      'E_CHECKPOINT_PREPROCESSING',
      `${path}: expected JSON.`,
      { file: path },
      { cause: error },
    );
  }
  return readPreprocessing(json, { modelType: config.family });
}

/** The model for images of the size that its preprocessing makes; the model itself where it reads text. */
export async function fitToImages(model: Model): Promise<Model> {
  if (!model.config.image) return model;
  const size = outputSize(await preprocessingOf(model));
  return size ? resizeModel(model, size.height, size.width) : model;
}

export type ImageRequest = Pick<ImageSettings, 'labels' | 'orientation'> &
  Partial<Pick<ImageSettings, 'classes' | 'templates'>> & {
    readonly path: string;
    readonly order: 'all' | 'random' | 'sequential';
    readonly count?: number;
    readonly seed: number;
    readonly onProgress: OnProgress;
  };

/** Prepared pixels as samples of a model. */
export function imagesOf(
  { config }: Model,
  { rescale, mean, std }: Preprocessing,
  { pixels, height, width }: Pick<Images, 'pixels' | 'height' | 'width'>,
): Images {
  const { length } = residualShape(config, -1, 0);
  return { length, height, width, pixels, rescale: rescale ?? 1, mean: mean ?? [0, 0, 0], std: std ?? [1, 1, 1] };
}

/** What was done to images, without what a record says of any samples. */
export const howMade = ({
  name: _name,
  hash: _hash,
  images: _images,
  order: _order,
  seed: _seed,
  ...rest
}: ImageRecord) => rest;

/** Reads one set. @throws as `openImageSet`, `mapLabels` and `prepareImages` */
export async function prepareImageSet(model: Model, request: ImageRequest): Promise<PreparedImages> {
  const { path, order, count, seed, labels, orientation, onProgress } = request;
  const preprocessing = await preprocessingOf(model);
  const named = await readClassNames({ classes: request.classes, templates: request.templates });
  const set = await openImageSet(path, labels === undefined ? {} : { labels });
  const id2label = Object.fromEntries(model.config.image!.labels.map((name, id) => [String(id), name]));
  const labelIds = set.classNames ? mapLabels(set.classNames, id2label, set.labelFile).ids : undefined;
  const drawn = await prepareImages(set, preprocessing, {
    order: order === 'random' ? 'random' : 'all',
    // Fewer than asked for is all that there are, as for windows of a short text drawn at random.
    ...(count === undefined ? {} : { count: Math.min(count, set.count) }),
    seed,
    orientation: orientation ?? 'ignore',
    onProgress,
    ...(labelIds ? { labelIds } : {}),
  });
  const { items, labels: classes, record: found } = drawn;
  const images = imagesOf(model, preprocessing, drawn);
  return {
    content: {
      ...images,
      names: items.map((item) => item.name),
      ...(classes ? { labels: classes } : {}),
    },
    record: {
      name: found.name,
      hash: found.hash,
      tokens: found.images * images.length,
      windows: found.images,
      length: images.length,
      order,
      bos: null,
      images: { ...howMade(found), ...(named ? { zeroShot: named.record } : {}) },
    },
  };
}

/** The share of a set that may be among images that chose something. */
const MOST_SHARED = 0.01;

/** Of each image, or of the image of each question that has one: two may have a tile in common. */
function hashImages(set: Images | Dialogues): readonly string[] {
  if ('pixels' in set) return set.pixels.map(sha256);
  const firsts = startsOf(set.counts);
  return set.counts.flatMap((count, at) => {
    const tiles = set.images.pixels.slice(firsts[at]!, firsts[at]! + count).map(sha256);
    return count === 0 ? [] : [tiles.join()];
  });
}

/**
 * Refuses images that are scored at the end and also calibrate or choose.
 * @throws OptionError E_OPTION_TEST
 */
export function refuseShared(
  test: Images | Dialogues,
  others: readonly (Images | Dialogues | undefined)[],
  onProgress: OnProgress,
): void {
  const seen = new Set(others.flatMap((set) => (set ? hashImages(set) : [])));
  const tested = hashImages(test);
  const shared = tested.filter((hash) => seen.has(hash)).length;
  if (shared === 0) return;
  const count = `${shared} of ${tested.length} test images are also calibration or validation images`;
  if (shared <= MOST_SHARED * tested.length) {
    onProgress({ kind: 'note', text: `${count}.` });
    return;
  }
  throw new OptionError('E_OPTION_TEST', `--test: ${count}, so the test would say too much good. Give other images.`, {
    option: 'test',
    shared,
  });
}
