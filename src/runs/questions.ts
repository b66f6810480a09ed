// Sets of questions about images made into what a model of several trunks takes: drawn, their images prepared, the text around each
// question written as the checkpoint's chat template has it, and all padded to one length.

import { createHash } from 'node:crypto';
import { type OnProgress, OptionError, shuffled } from '../base/index.js';
import {
  createDialogueWriter,
  type DialogueWriter,
  dialogueTexts,
  type Language,
  loadLanguage,
} from '../generation/index.js';
import {
  type Grid,
  type ImageItem,
  openImageSet,
  outputSize,
  type PreparedImages,
  type Preprocessing,
  prepareImages,
  WHOLE,
} from '../images/index.js';
import { type Model, openTrunk } from '../model/index.js';
import type { ManifestText } from '../records/index.js';
import { type Dialogues, imageShareOf, padDialogues } from '../stream/index.js';
import type { ImageSettings } from './image-options.js';
import { howMade, imagesOf, preprocessingOf } from './images.js';

/** What all sets of a checkpoint are read with. */
export type Questioning = {
  readonly vision: Model;
  readonly writer: DialogueWriter;
  readonly language: Pick<Language, 'tokenizer' | 'eos'>;
  readonly preprocessing: Preprocessing;
};

/**
 * `model` is one of the checkpoint's trunks.
 * @throws as `preprocessingOf`, `loadLanguage` and `createDialogueWriter`; OptionError E_OPTION_IMAGE_SIZE
 */
export async function openQuestions(model: Model, onProgress: OnProgress): Promise<Questioning> {
  const vision = await openTrunk(model.checkpoint, 'vision');
  const preprocessing = await preprocessingOf(vision);
  const { height, width } = vision.config.image!;
  const size = outputSize(preprocessing);
  if (size && (size.height !== height || size.width !== width)) {
    throw new OptionError(
      'E_OPTION_IMAGE_SIZE',
      `${model.checkpoint.dir}: preprocessor_config.json makes images of ${size.width}×${size.height} pixels, and config.json has image_size ${width}×${height}, by which a text has the places of an image. Copy both files from the original.`,
      { expected: [height, width], got: [size.height, size.width] },
    );
  }
  const language = await loadLanguage(dialogueTexts(model.checkpoint.dir), onProgress);
  return { vision, writer: await createDialogueWriter(model, language), language, preprocessing };
}

export type QuestionRequest = Pick<ImageSettings, 'orientation'> & {
  readonly path: string;
  readonly order: 'all' | 'random' | 'sequential';
  readonly count?: number;
  readonly seed: number;
  readonly onProgress: OnProgress;
};

type Written = ReturnType<DialogueWriter['write']>;

/** A set before padding. */
export type ReadQuestions = {
  readonly name: string;
  readonly order: QuestionRequest['order'];
  readonly items: readonly ImageItem[];
  readonly written: readonly Written[];
  /** By item: the tiles of its image, if it has one. */
  readonly grids: readonly (Grid | undefined)[];
  /** Of the items that have an image, in their order. */
  readonly images: PreparedImages | undefined;
  readonly followUps: number;
};

/** The answer that most people gave; of several, the first. */
function answerOf({ answers = [] }: ImageItem): string {
  const counts = new Map<string, number>();
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  return [...counts].reduce((best, one) => (one[1] > best[1] ? one : best), ['', 0] as const)[0];
}

/** A question as it is written, with an answer. @throws as `DialogueWriter.write`; OptionError E_OPTION_QUESTION */
export function writeQuestion(
  { writer }: Pick<Questioning, 'writer'>,
  item: ImageItem,
  grid: Grid | undefined,
  answer = answerOf(item),
): Written {
  return writer.write({ ...askedOf(item, grid), answer });
}

/** What is put to a model. @throws OptionError E_OPTION_QUESTION */
function askedOf({ name, question, context }: ImageItem, grid: Grid | undefined): Parameters<DialogueWriter['ask']>[0] {
  if (question === undefined) {
    throw new OptionError('E_OPTION_QUESTION', `${name} has no question. Leave it out, or add "question".`, { name });
  }
  const text = context === undefined ? question : `${context}\n${question}`;
  return { question: text, images: grid ? [grid] : [] };
}

/**
 * The prompts of a set, each with places for `most` tokens behind it, of which the first counts as its answer.
 * @throws OptionError E_OPTION_QUESTION, E_OPTION_IMAGE_TOKENS
 */
export function preparePrompts(questioning: Questioning, set: ReadQuestions, most: number): Dialogues {
  const { writer } = questioning;
  const { items, grids, images } = set;
  const written = items.map((item, at): Written => {
    const tokens = writer.ask(askedOf(item, grids[at]));
    const place = tokens.length;
    // Any token but the image's: nothing before the place sees it.
    const open = Int32Array.of(...tokens, writer.imageToken === 0 ? 1 : 0);
    const { images: read } = set.written[at]!;
    return { tokens: open, answer: Int32Array.of(place), images: read };
  });
  const longest = Math.max(...written.map(({ tokens }) => tokens.length));
  return padQuestions(questioning, written, images?.pixels ?? [], longest + most - 1);
}

/** @throws as `openImageSet`, `writeQuestion` and `prepareImages`; OptionError E_OPTION_QUESTION where there is none */
export async function readQuestions(questioning: Questioning, request: QuestionRequest): Promise<ReadQuestions> {
  const { path, order, count, seed, orientation, onProgress } = request;
  const set = await openImageSet(path, {});
  const first = set.items.filter(({ history }) => history === undefined);
  const followUps = set.count - first.length;
  if (followUps > 0) {
    const text = `${path}: ${followUps} of ${set.count} questions follow others in a conversation; they are left out.`;
    onProgress({ kind: 'note', text });
  }
  const places = order === 'random' ? shuffled(first.length, seed) : first.keys();
  const items = [...places].slice(0, count).map((at) => first[at]!);
  if (items.length === 0) {
    throw new OptionError('E_OPTION_QUESTION', `${path}: expected questions with answers, found none.`, { got: path });
  }
  const write = (grids: readonly (Grid | undefined)[]): readonly Written[] =>
    items.map((item, at) => writeQuestion(questioning, item, grids[at]));
  // What is wrong with a text is said before images are decoded; where those become tiles, texts are written once more.
  const whole = items.map(({ image }) => (image === undefined ? undefined : WHOLE));
  const written = write(whole);
  const pictured = items.filter(({ image }) => image !== undefined);
  const images =
    pictured.length === 0
      ? undefined
      : await prepareImages({ ...set, items: pictured, classNames: undefined }, questioning.preprocessing, {
          ...{ order: 'all', seed, orientation: orientation ?? 'ignore', onProgress },
        });
  const common = { name: set.name, order, items, images, followUps };
  if (!images?.grids.some(({ rows }) => rows > 0)) return { ...common, written, grids: whole };
  let image = 0;
  const grids = whole.map((one) => one && images.grids[image++]!);
  return { ...common, written: write(grids), grids };
}

/** Pads sets of one run to one length: that of the longest of all, or `length`. @throws OptionError E_OPTION_DIALOGUE_LENGTH */
export function prepareQuestions(
  questioning: Questioning,
  sets: readonly ReadQuestions[],
  length?: number,
): readonly { readonly content: Dialogues; readonly record: ManifestText }[] {
  const longest = Math.max(...sets.flatMap(({ written }) => written.map(({ tokens }) => tokens.length)));
  return sets.map((set) => {
    const content = padQuestions(questioning, set.written, set.images?.pixels ?? [], length ?? longest);
    return { content, record: recordOf(questioning, set, content) };
  });
}

/** Written questions with the images of those that have one. */
export function padQuestions(
  { vision, writer, preprocessing }: Questioning,
  written: readonly Written[],
  pixels: readonly Uint8Array[],
  length?: number,
): Dialogues {
  const { height, width } = vision.config.image!;
  const images = imagesOf(vision, preprocessing, { pixels, height, width });
  return padDialogues(written, images, { length, imageToken: writer.imageToken });
}

function recordOf(
  { writer }: Questioning,
  { name, order, written, images, followUps }: ReadQuestions,
  content: Dialogues,
): ManifestText {
  const hash = createHash('sha256').update(images?.record.hash ?? '');
  for (const { tokens, answer } of written) hash.update(JSON.stringify([[...tokens], [...answer]]));
  return {
    name,
    hash: hash.digest('hex'),
    tokens: written.reduce((sum, { tokens }) => sum + tokens.length, 0),
    windows: written.length,
    length: content.length,
    order,
    bos: null,
    dialogue: {
      format: writer.format,
      answers: written.reduce((sum, { answer }) => sum + answer.length, 0),
      images: images?.record.images ?? 0,
      ...(images && images.pixels.length > images.grids.length ? { squares: images.pixels.length } : {}),
      imageShare: imageShareOf(content, writer.imageToken),
      followUps,
      pixels: images ? howMade(images.record) : null,
    },
  };
}
