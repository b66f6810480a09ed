// Sets of images with captions, and what a text trunk is measured on: the captions of a set, each of which is to find its image among
// those of the set. The images are as the checkpoint's own image trunk sees them, which a run for the text trunk leaves as it is.

import { createHash } from 'node:crypto';
import { type OnProgress, withResources } from '../base/index.js';
import { captionsOf } from '../evaluate/index.js';
import { type ImageItem, type ImageSet, openImageSet, prepareImages } from '../images/index.js';
import { type Model, openTrunk } from '../model/index.js';
import type { ManifestText } from '../records/index.js';
import type { Captions, Images } from '../stream/index.js';
import { loadTokenizer } from '../text/index.js';
import { refuseValue } from './checks.js';
import { openEngine } from './engine.js';
import type { ImageSettings } from './image-options.js';
import { howMade, imagesOf, preprocessingOf, refuseShared } from './images.js';
import type { RunSettings } from './settings.js';

export type Pairs = {
  readonly set: ImageSet;
  readonly items: readonly ImageItem[];
  readonly texts: readonly string[];
  /** By text, its image's place among the items. */
  readonly imageOf: Int32Array;
};

/** @throws OptionError E_OPTION_… where an image has none */
export function readPairs(option: 'captions' | CaptionSet['option'], path: string, set: ImageSet): Pairs {
  const items = set.items.filter(({ image }) => image !== undefined);
  const bare = items.find(({ captions }) => captions === undefined || captions.length === 0);
  if (items.length < 2 || bare) {
    refuseValue(
      option,
      'two or more images, each with "caption" or "captions" (or a .txt beside it in a tar)',
      `${path}: ${bare ? `none for ${bare.name}` : `${items.length} images`}`,
    );
  }
  const texts = items.flatMap(({ captions }) => captions!);
  return { set, items, texts, imageOf: Int32Array.from(items.flatMap(({ captions }, at) => captions!.map(() => at))) };
}

export type CaptionSet = {
  readonly option: 'calibration' | 'validation' | 'test';
  readonly path: string;
  readonly order: 'all' | 'random' | 'sequential';
  /** Of images; fewer where the set has fewer. */
  readonly count?: number;
};

type Read = {
  readonly order: CaptionSet['order'];
  readonly texts: readonly string[];
  readonly imageOf: Int32Array;
  readonly images: Images;
  readonly drawn: Awaited<ReturnType<typeof prepareImages>>;
};

/** Reads the sets of a run for a text trunk, all of one length. @throws as `readPairs`, `prepareImages`, `captionsOf` and `refuseShared` */
export async function prepareCaptions(
  model: Model,
  sets: readonly CaptionSet[],
  settings: RunSettings & Pick<ImageSettings, 'orientation'> & { readonly seed: number },
): Promise<readonly { readonly content: Captions; readonly record: ManifestText }[]> {
  const { seed, onProgress } = settings;
  const vision = await openTrunk(model.checkpoint, 'vision');
  const tokenizer = await loadTokenizer(model.checkpoint.dir, onProgress);
  const read: Read[] = [];
  for (const set of sets) {
    read.push(await readCaptions(vision, set, { seed, orientation: settings.orientation ?? 'ignore', onProgress }));
  }
  const test = read[sets.findIndex(({ option }) => option === 'test')];
  const others = read.filter((one) => one !== test).map(({ images }) => images);
  if (test) refuseShared(test.images, others, onProgress);
  // A text that is too long is refused when it is cut into windows; until then the longest says how long all are.
  const longest = Math.max(...read.flatMap(({ texts }) => texts.map((text) => tokenizer.encode(text).length)));
  const to = Math.min(longest, model.config.maxPositions);
  return await withResources(async (own) => {
    const engine = await own(openEngine(vision, settings));
    onProgress({ kind: 'stage', stage: 'images of captions', total: read.length });
    const prepared: { readonly content: Captions; readonly record: ManifestText }[] = [];
    for (const { texts, imageOf, images, drawn, order } of read) {
      const content = await captionsOf(engine, model, { tokenizer, texts, imageOf }, images, to);
      const hash = createHash('sha256').update(drawn.record.hash);
      for (const tokens of content.windows) hash.update(JSON.stringify([...tokens]));
      prepared.push({
        content,
        record: {
          ...{ name: drawn.record.name, hash: hash.digest('hex'), tokens: texts.length * content.length },
          ...{ windows: texts.length, length: content.length, order, bos: null },
          captions: { images: drawn.record.images, pixels: howMade(drawn.record) },
        },
      });
      onProgress({ kind: 'advance' });
    }
    return prepared;
  });
}

async function readCaptions(
  vision: Model,
  { option, path, order, count }: CaptionSet,
  how: { readonly seed: number; readonly orientation: 'ignore' | 'apply'; readonly onProgress: OnProgress },
): Promise<Read> {
  const { set, items } = readPairs(option, path, await openImageSet(path, {}));
  const preprocessing = await preprocessingOf(vision);
  const drawn = await prepareImages({ ...set, items, classNames: undefined }, preprocessing, {
    ...how,
    order: order === 'random' ? 'random' : 'all',
    ...(count === undefined ? {} : { count: Math.min(count, items.length) }),
  });
  return {
    order,
    texts: drawn.items.flatMap(({ captions }) => captions!),
    imageOf: Int32Array.from(drawn.items.flatMap(({ captions }, at) => captions!.map(() => at))),
    images: imagesOf(vision, preprocessing, drawn),
    drawn,
  };
}
