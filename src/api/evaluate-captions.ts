// Scores a CLIP or SigLIP on images with captions: recall both ways, and what became of it beside the dense model with --dense.

import { OptionError, withResources } from '../base/index.js';
import { calibrationOf } from '../checkpoint/index.js';
import { embedContent, type Places, placePairs, textWindows } from '../evaluate/index.js';
import { openImageSet, prepareImages } from '../images/index.js';
import { blameWeights, type Model, openTrunk } from '../model/index.js';
import type { ManifestText } from '../records/index.js';
import {
  howMade,
  type ImageSettings,
  imagesOf,
  openEngine,
  openSource,
  preprocessingOf,
  type RunSettings,
  readPairs,
} from '../runs/index.js';
import { loadTokenizer } from '../text/index.js';

export type CaptionScores = {
  /** The places of right ones, from which recall at any k follows. */
  readonly model: Places;
  readonly dense: Places | undefined;
  readonly source: ManifestText;
  readonly calibration: ManifestText | undefined;
};

type Asked = Pick<ImageSettings, 'orientation'> & {
  readonly captions: string;
  readonly dense: string | undefined;
};

/** @throws as `prune`, for its checkpoint and images; OptionError E_OPTION_CAPTIONS, E_OPTION_DENSE, E_OPTION_TEXT_LENGTH */
export async function evaluateCaptions(
  checkpoint: string,
  { captions: path, dense: original, orientation }: Asked,
  settings: RunSettings,
): Promise<CaptionScores> {
  const { onProgress } = settings;
  const vision = await openPair(checkpoint, settings);
  const dense = original === undefined ? undefined : await openPair(original, settings);
  const pairs = readPairs('captions', path, await openImageSet(path, {}));
  const each = await withResources(async (own) => {
    const engine = await own(openEngine(vision, settings));
    const placesOf = async (model: Model) => {
      const preprocessing = await preprocessingOf(model);
      const drawn = await prepareImages({ ...pairs.set, items: pairs.items, classNames: undefined }, preprocessing, {
        ...{ order: 'all', seed: 0, orientation: orientation ?? 'ignore', onProgress },
      });
      const text = await openTrunk(model.checkpoint, 'text');
      const tokenizer = await loadTokenizer(model.checkpoint.dir, onProgress);
      const windows = textWindows(text, tokenizer, pairs.texts);
      onProgress({ kind: 'stage', stage: 'images' });
      const images = await embedContent(engine, model, imagesOf(model, preprocessing, drawn));
      onProgress({ kind: 'stage', stage: 'captions' });
      const texts = await embedContent(engine, text, windows);
      return { places: placePairs(images, texts, pairs.imageOf), drawn, windows };
    };
    const first = await placesOf(vision);
    const second = dense && (await placesOf(dense));
    const same = (a: Uint8Array, at: number): boolean => Buffer.from(a).equals(second!.drawn.pixels[at]!);
    if (second && !first.drawn.pixels.every(same)) {
      throw new OptionError(
        'E_OPTION_DENSE',
        '--dense: expected a checkpoint whose preprocessing gives the same pixels, got others. Pass the original that the model was made from.',
        { option: 'dense' },
      );
    }
    return { first, second };
  }).catch((error) => blameWeights(vision, error));
  const { drawn, windows } = each.first;
  return {
    model: each.first.places,
    dense: each.second?.places,
    source: {
      ...{ name: drawn.record.name, hash: drawn.record.hash, windows: drawn.record.images, length: windows.length },
      ...{ tokens: windows.windows.length * windows.length, order: 'all', bos: null },
      images: howMade(drawn.record),
    },
    calibration: await calibrationOf(vision.checkpoint.dir),
  };
}

async function openPair(path: string, { onProgress }: RunSettings): Promise<Model> {
  const model = await openSource(path, onProgress, { images: true });
  if (model.trunks.includes('text') && model.config.embeds) return model;
  throw new OptionError(
    'E_OPTION_CAPTIONS',
    `--captions: ${path} is a ${model.config.family} model, which makes no vectors of texts. Give a whole CLIP or SigLIP.`,
    { option: 'captions', family: model.config.family },
  );
}
