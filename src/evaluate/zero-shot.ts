// Zero-shot classification by CLIP and SigLIP: images are scored against the names of classes, and, to measure the text trunk by the same
// loss, the names against the images of each class; or captions against the images of their set. What the other trunk makes stays as its
// checkpoint has it.

import { OptionError } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { type Model, openTrunk } from '../model/index.js';
import type { Captions, Images } from '../stream/index.js';
import type { Tokenizer, Windows } from '../text/index.js';
import {
  embedClasses,
  embedContent,
  meanOfGroups,
  namesInTemplates,
  readLogitScale,
  TEMPLATES,
  textWindows,
  withClasses,
} from './embeddings.js';

export type Names = {
  readonly tokenizer: Pick<Tokenizer, 'encode' | 'padToken'>;
  /** Of the classes, in the order of their numbers. */
  readonly names: readonly string[];
  /** Sentences with `{}` for a name. Defaults to CLIP's one. */
  readonly templates?: readonly string[] | undefined;
};

/** An image trunk with classes: the names as its checkpoint's text trunk reads them. */
export async function classifyImages(
  engine: Engine,
  vision: Model,
  { tokenizer, names, templates = TEMPLATES }: Names,
): Promise<Model> {
  const text = await openTrunk(vision.checkpoint, 'text');
  const classes = await embedClasses(engine, text, tokenizer, names, templates);
  return withClasses(vision, classes, names, await readLogitScale(vision.checkpoint));
}

/**
 * A text trunk with classes, and the texts that are scored: every name in every template. A class is the mean of the vectors that the
 * checkpoint's image trunk makes of its images. `to`: as in `textWindows`.
 * @throws OptionError E_OPTION_LABELS for images without labels, E_OPTION_CLASSES for a class without images
 */
export async function classifyTexts(
  engine: Engine,
  text: Model,
  { tokenizer, names, templates = TEMPLATES }: Names,
  images: Images,
  to?: number,
): Promise<{ readonly model: Model; readonly content: Windows }> {
  const { labels } = images;
  if (!labels) {
    throw new OptionError(
      'E_OPTION_LABELS',
      'These images have no labels, so nothing says which texts belong to them. Give images in one folder per class, or --labels.',
    );
  }
  const empty = names.findIndex((_, at) => !labels.includes(at));
  if (empty >= 0) {
    throw new OptionError(
      'E_OPTION_CLASSES',
      `No image has the class ${JSON.stringify(names[empty])}, so its texts have nothing to be compared with. Leave it out, or give images of it.`,
      { class: names[empty] },
    );
  }
  const vision = await openTrunk(text.checkpoint, 'vision');
  const vectors = await embedContent(engine, vision, images);
  const classes = meanOfGroups(vectors, labels, names.length);
  const model = withClasses(text, classes, names, await readLogitScale(text.checkpoint));
  const windows = textWindows(text, tokenizer, namesInTemplates(names, templates), to);
  const numbers = Int32Array.from(windows.windows, (_, at) => Math.floor(at / templates.length));
  return { model, content: { ...windows, labels: numbers } };
}

/**
 * Captions, each of which is to find its image among those of the set, as the checkpoint's image trunk sees them: half of the loss that
 * CLIP is trained by. `imageOf` has the number of each text's image, `to` is as in `textWindows`.
 * @throws as `textWindows` and `readLogitScale`
 */
export async function captionsOf(
  engine: Engine,
  text: Model,
  {
    tokenizer,
    texts,
    imageOf,
  }: Pick<Names, 'tokenizer'> & {
    readonly texts: readonly string[];
    readonly imageOf: Int32Array;
  },
  images: Images,
  to: number,
): Promise<Captions> {
  const vision = await openTrunk(text.checkpoint, 'vision');
  const { values } = await embedContent(engine, vision, images);
  const labels = images.pixels.map((_, at) => `image ${at}`);
  const classes = { vectors: values, labels, ...(await readLogitScale(text.checkpoint)) };
  return { ...textWindows(text, tokenizer, texts, to), labels: imageOf, classes };
}
