// What a model is measured on: a text cut into windows of tokens, images, or questions about images; and the residual before block
// 0, in which all are rows of numbers. Everything that only follows the residual takes any of them.

import { type OnProgress, type Own, UnsupportedError } from '../base/index.js';
import type { Engine } from '../engine/index.js';
import type { Model } from '../model/index.js';
import type { LossName } from '../records/index.js';
import type { Windows } from '../text/index.js';
import { type Activations, startsOf, takeSamples } from './activations.js';
import { type Dialogues, embedDialogues, paddingImportance, realRows } from './dialogues.js';
import { embedWindows } from './embed.js';
import { embedImages, type Images } from './images.js';
import { type Importance, sampleImportance } from './importance.js';
import { type Captions, weighEnds } from './texts.js';

/** `length` is the number of rows of a sample before block 0: tokens of a window, or patches of an image and what stands beside them. */
export type Content = Windows | Captions | Images | Dialogues;

/** Samples and their embeddings. All samples of a run have one length. */
export type Samples<C extends Content = Content> = {
  readonly content: C;
  readonly embedded: Activations;
  /** How much its tokens count in statistics; absent where all count alike. */
  readonly importance?: Importance | undefined;
  /** 1 for each row that is a sample's own, 0 for padding, which counts in no statistics; absent where nothing is padded. */
  readonly padding?: Importance | undefined;
};

/** How much rows count in statistics of the linears that read them. */
export const weightsOf = ({ importance, padding }: Samples): Importance | undefined => importance ?? padding;

/** Refuses samples with padding, where `what` counts all rows alike. @throws UnsupportedError E_UNSUPPORTED_PADDING */
export function refusePadding(samples: Pick<Samples, 'padding'> | undefined, what: string): void {
  if (!samples?.padding) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_PADDING',
    `${what} counts all rows of a sample alike, and these samples have padding up to the longest. Give samples of one length, or another method.`,
    { what },
  );
}

/** A text's windows and their embeddings. */
export type Text = Samples<Windows>;

/** The number of samples. */
export const countOf = (content: Content): number =>
  ('pixels' in content ? content.pixels : 'tokens' in content ? content.tokens : content.windows).length;

/** What is scored of a sample: how many of its rows, and what; without a name it is the next token of a text. */
export type Scoring = { readonly rows: number; readonly loss?: LossName };

/**
 * Of a window all tokens but the first are scored, of an image, or a text that is classified, its one label, of a dialogue its answer
 * (of answers of several lengths, the mean).
 */
export function scoringOf(content: Content): Scoring {
  if ('tokens' in content) {
    const rows = content.answers.reduce((sum, one) => sum + one.length, 0) / content.answers.length;
    return { rows, loss: 'answer' };
  }
  return 'pixels' in content || content.labels ? { rows: 1, loss: 'cross-entropy' } : { rows: content.length - 1 };
}

/** How many rows all samples have before block 0, without padding; `length` is that of the residual. */
export const rowsOf = (model: Model, content: Content, length: number): number =>
  'tokens' in content ? realRows(model, content, length) : countOf(content) * length;

/** The samples at these places. */
export function pick<C extends Content>(content: C, places: readonly number[]): C {
  if ('tokens' in content) return pickDialogues(content, places) as C & Dialogues;
  const { labels } = content;
  const labelled = labels ? { labels: Int32Array.from(places, (at) => labels[at]!) } : {};
  if (!('pixels' in content)) return { ...content, windows: places.map((at) => content.windows[at]!), ...labelled };
  const { names } = content;
  const named = names ? { names: places.map((at) => names[at]!) } : {};
  return { ...content, pixels: places.map((at) => content.pixels[at]!), ...named, ...labelled };
}

/** The places of the images of the samples at `places`. */
function imagesAt({ counts }: Dialogues, places: readonly number[]): readonly number[] {
  const firsts = startsOf(counts);
  return places.flatMap((at) => Array.from({ length: counts[at]! }, (_, i) => firsts[at]! + i));
}

/**
 * Whether the residual has an entry for each image, of which a sample has several: that of a trunk that reads images as tiles. Such
 * samples all have an image (`checkDialogues`), so their numbers tell it.
 */
export function isTiled({ content, embedded }: Pick<Samples, 'content' | 'embedded'>): boolean {
  return 'tokens' in content && embedded.chunks.reduce((a, b) => a + b, 0) !== content.tokens.length;
}

function pickDialogues(content: Dialogues, places: readonly number[]): Dialogues {
  const { tokens, lengths, answers, counts, images } = content;
  const pictures = imagesAt(content, places);
  return {
    ...content,
    tokens: places.map((at) => tokens[at]!),
    lengths: places.map((at) => lengths[at]!),
    answers: places.map((at) => answers[at]!),
    counts: places.map((at) => counts[at]!),
    images: pick(images, pictures),
  };
}

/** Samples with their embeddings; `own` closes them with its scope. Only images of dialogues take long enough for progress. */
export async function embedSamples<C extends Content>(
  own: Own,
  engine: Engine,
  model: Model,
  content: C,
  onProgress?: OnProgress,
): Promise<Samples<C>> {
  if ('tokens' in content) {
    const embedded = await own(embedDialogues(engine, model, content, onProgress));
    return { content, embedded, padding: await paddingImportance(own, model, content) };
  }
  const embedded = await own('pixels' in content ? embedImages(engine, model, content) : embedWindows(model, content));
  const padding = await weighEnds(own, model, embedded);
  return padding ? { content, embedded, padding } : { content, embedded };
}

/** The places of `count` things spread evenly over `of`, or of all of them if there are fewer. */
export function spreadEvenly(count: number, of: number): readonly number[] {
  const taken = Math.min(count, of);
  return Array.from({ length: taken }, (_, i) => Math.floor((i * of) / taken));
}

/** `count` samples spread evenly over `from`, which count as they do there. `own` closes their embeddings with its scope. */
export async function takeEvenly<C extends Content>(own: Own, from: Samples<C>, count: number): Promise<Samples<C>> {
  const taken = spreadEvenly(count, countOf(from.content));
  const { content } = from;
  const entries = 'tokens' in content && isTiled(from) ? imagesAt(content, taken) : taken;
  const embedded = await own(takeSamples(from.embedded, entries));
  const sample = { content: pick(content, taken), embedded };
  const { importance, padding } = from;
  const sampled = async (one: Importance | undefined): Promise<Importance | undefined> =>
    one && (await sampleImportance(own, one, taken));
  return { ...sample, importance: await sampled(importance), padding: await sampled(padding) };
}

/** @throws UnsupportedError E_UNSUPPORTED_IMAGES: `what` is implemented for texts alone */
export function requireText(samples: Samples, what: string): Text {
  const { content } = samples;
  if ('windows' in content && !('classes' in content)) return { ...samples, content };
  throw new UnsupportedError('E_UNSUPPORTED_IMAGES', `${what} is implemented for texts, not for images or captions.`, {
    what,
  });
}
