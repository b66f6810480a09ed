// Vectors of images and texts that CLIP and SigLIP compare, and classes made of texts: a class is the mean of the vectors of its name in
// every template, divided by its length. With classes an image trunk is scored like a classifier.

import { CheckpointError, OptionError, withResources } from '../base/index.js';
import { type Checkpoint, readTensorFloat32 } from '../checkpoint/index.js';
import type { Engine } from '../engine/index.js';
import { headGraph, type Model, requireEmbeds } from '../model/index.js';
import { type Activations, type Content, embedSamples, passBlocks, sameShape } from '../stream/index.js';
import type { Tokenizer, Windows } from '../text/index.js';
import { compareWith, readOut } from './read-out.js';

/** Vectors of length 1, one after another, [n, width]. */
export type Vectors = { readonly count: number; readonly width: number; readonly values: Float32Array };

/** CLIP's template where nothing else is asked for; the published numbers have 80 of them. */
export const TEMPLATES: readonly string[] = ['a photo of a {}.'];

/** Rows of the head in one run. */
const ROWS_PER_RUN = 1024;

/** The vectors of samples, whole. @throws UnsupportedError E_UNSUPPORTED_HEAD where the trunk makes none */
export async function embedContent(engine: Engine, model: Model, content: Content): Promise<Vectors> {
  requireEmbeds(model.config);
  return await withResources(async (own) => {
    const { embedded } = await embedSamples(own, engine, model, content);
    const stream = await own(sameShape(embedded));
    await passBlocks(engine, model, embedded, stream);
    return await vectorsOf(engine, model, stream);
  });
}

/** The vectors of samples, from their residuals after the last block. */
export async function vectorsOf(engine: Engine, model: Model, last: Activations): Promise<Vectors> {
  const { width } = requireEmbeds(model.config);
  return await withResources(async (own) => {
    const session = await own(engine.load(headGraph(model, 'vectors')));
    const rows = await readOut(own, engine, model, last);
    const count = rows.chunks.reduce((a, b) => a + b, 0);
    const values = new Float32Array(count * width);
    let at = 0;
    for (const [chunk, of] of rows.chunks.entries()) {
      const data = await rows.read(chunk);
      for (let row = 0; row < of; row += ROWS_PER_RUN) {
        const some = Math.min(ROWS_PER_RUN, of - row);
        const slab = data.slice(row * rows.width, (row + some) * rows.width);
        const { vectors } = await session.run({ x: { type: 'f32', shape: [some, rows.width], data: slab } });
        values.set(vectors!.data as Float32Array, at);
        at += some * width;
      }
    }
    return { count, width, values };
  });
}

/** How the products of vectors become logits: factor · product + shift. */
export type LogitScale = { readonly factor: number; readonly shift: number };

/** From `logit_scale`, whose exponential is the factor, and SigLIP's `logit_bias`. @throws CheckpointError E_CHECKPOINT_MISSING */
export async function readLogitScale(checkpoint: Checkpoint): Promise<LogitScale> {
  const one = async (name: string): Promise<number | undefined> =>
    checkpoint.tensors.has(name) ? (await readTensorFloat32(checkpoint, name))[0] : undefined;
  const scale = await one('logit_scale');
  if (scale === undefined) {
    throw new CheckpointError(
      'E_CHECKPOINT_MISSING',
      `${checkpoint.dir}: tensor logit_scale is missing, so the products of images and texts have no scale. Start from the whole CLIP or SigLIP checkpoint.`,
      { tensor: 'logit_scale' },
    );
  }
  return { factor: Math.exp(scale), shift: (await one('logit_bias')) ?? 0 };
}

/** The logits of every image with every text, [images, texts]. */
export function logitsPerImage(images: Vectors, texts: Vectors, { factor, shift }: LogitScale): Float32Array {
  const { width } = images;
  if (texts.width !== width) {
    throw new OptionError(
      'E_OPTION_CLASSES',
      `Vectors of texts have ${texts.width} numbers and those of images ${width}: they are of different models.`,
      { texts: texts.width, images: width },
    );
  }
  const logits = new Float32Array(images.count * texts.count);
  for (let i = 0; i < images.count; i++) {
    for (let t = 0; t < texts.count; t++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += images.values[i * width + k]! * texts.values[t * width + k]!;
      logits[i * texts.count + t] = sum * factor + shift;
    }
  }
  return logits;
}

/**
 * Texts as a text trunk reads them: with the tokens around them, and pads after them. Texts of CLIP are padded to the longest, or to `to`
 * tokens: samples that go through a trunk together have one length.
 * @throws OptionError E_OPTION_TEXT_LENGTH
 */
export function textWindows(
  { config }: Model,
  tokenizer: Pick<Tokenizer, 'encode' | 'padToken'>,
  texts: readonly string[],
  to?: number,
): Windows {
  const { spec, end } = requireEmbeds(config);
  const all = texts.map((text) => tokenizer.encode(text));
  const most = Math.min(to ?? config.maxPositions, config.maxPositions);
  const at = all.findIndex((tokens) => tokens.length > most);
  if (at >= 0) {
    throw new OptionError(
      'E_OPTION_TEXT_LENGTH',
      `The text ${JSON.stringify(texts[at])} has ${all[at]!.length} tokens; a ${config.family} reads at most ${most} here. Shorten it.`,
      { text: texts[at], tokens: all[at]!.length, most },
    );
  }
  // What CLIP sees after an end changes nothing. SigLIP reads its pads.
  const pad = spec.row === 'last' ? tokenizer.padToken : end === 'largest' ? 0 : end;
  if (pad === undefined) {
    throw new CheckpointError(
      'E_TEXT_TOKENIZER',
      `tokenizer_config.json names no pad_token, and a ${config.family} reads pads. Export the tokenizer again with transformers (tokenizer.save_pretrained).`,
    );
  }
  const longest = all.reduce((before, tokens) => Math.max(before, tokens.length), 1);
  const length = spec.row === 'last' ? config.maxPositions : (to ?? longest);
  const windows = all.map((tokens) => {
    const window = new Int32Array(length).fill(pad);
    window.set(tokens);
    return window;
  });
  return { length, windows };
}

/** Templates, one a line, each with `{}` where the name of a class goes. @throws OptionError E_OPTION_TEMPLATES */
export function parseTemplates(text: string, where: string): readonly string[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const bad = lines.find((line) => !line.includes('{}'));
  if (lines.length > 0 && bad === undefined) return lines;
  const got = bad === undefined ? 'none' : JSON.stringify(bad);
  throw new OptionError(
    'E_OPTION_TEMPLATES',
    `${where}: expected templates, one a line, each with {} where the name of a class goes, as in ${JSON.stringify(TEMPLATES[0])}; got ${got}.`,
    { got },
  );
}

/**
 * The vectors of classes by their names, [classes, width], from a text trunk.
 * @throws OptionError E_OPTION_CLASSES for no names
 */
export async function embedClasses(
  engine: Engine,
  model: Model,
  tokenizer: Pick<Tokenizer, 'encode' | 'padToken'>,
  names: readonly string[],
  templates: readonly string[] = TEMPLATES,
): Promise<Vectors> {
  const texts = namesInTemplates(names, templates);
  const each = await embedContent(engine, model, textWindows(model, tokenizer, texts));
  const groups = Int32Array.from(texts, (_, at) => Math.floor(at / templates.length));
  return meanOfGroups(each, groups, names.length);
}

/**
 * Every name in every template, name after name. A name may come twice, as two of ImageNet's do; the first of them wins a tie.
 * @throws OptionError E_OPTION_CLASSES for no names
 */
export function namesInTemplates(names: readonly string[], templates: readonly string[]): readonly string[] {
  if (names.length === 0)
    throw new OptionError('E_OPTION_CLASSES', 'Expected the names of classes, one a line; got none.');
  return names.flatMap((name) => templates.map((template) => template.replaceAll('{}', () => name)));
}

/** The mean of the vectors of each group, divided by its length; `groups` has the number of each vector's group. */
export function meanOfGroups({ width, values }: Vectors, groups: Int32Array, count: number): Vectors {
  const sums = new Float64Array(count * width);
  for (const [i, group] of groups.entries())
    for (let k = 0; k < width; k++) sums[group * width + k]! += values[i * width + k]!;
  const means = new Float32Array(count * width);
  for (let group = 0; group < count; group++) {
    const sum = sums.subarray(group * width, (group + 1) * width);
    const size = Math.hypot(...sum);
    for (let k = 0; k < width; k++) means[group * width + k] = sum[k]! / size;
  }
  return { count, width, values: means };
}

/**
 * A trunk that is scored against classes: of images against those of texts, or of texts against those of images. A sample's loss is the
 * cross-entropy of its class.
 * @throws OptionError E_OPTION_CLASSES, UnsupportedError E_UNSUPPORTED_HEAD
 */
export function withClasses(model: Model, vectors: Vectors, labels: readonly string[], scale: LogitScale): Model {
  const { config } = model;
  const embeds = requireEmbeds(config);
  if (labels.length !== vectors.count || vectors.width !== embeds.width) {
    throw new OptionError(
      'E_OPTION_CLASSES',
      `Expected ${labels.length} classes of ${embeds.width} numbers, as a ${config.family} makes; got ${vectors.count} of ${vectors.width}.`,
      { expected: [labels.length, embeds.width], got: [vectors.count, vectors.width] },
    );
  }
  return compareWith(model, { vectors: vectors.values, labels, ...scale });
}
