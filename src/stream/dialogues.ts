// Questions about images and their answers. The rows of an image take the places of the image tokens, so a sample is a window of the
// language model like any other. Samples are padded on the right to one length: a token sees only those before it, so the rows of
// the others stay as they are, and padding counts nowhere. For the trunk that reads images a sample is its image.

import {
  handOver,
  InternalError,
  type OnProgress,
  OptionError,
  type Own,
  silent,
  UnsupportedError,
  withResources,
} from '../base/index.js';
import type { Engine } from '../engine/index.js';
import { type Connector, connectorGraph, type Model, openConnector, openTrunk } from '../model/index.js';
import { type Activations, chunksOf, createActivations, takeSamples } from './activations.js';
import { embedWindows } from './embed.js';
import { embedImages, type Images } from './images.js';
import { countFirst, type Importance } from './importance.js';
import { passBlock, passBlocks } from './pass.js';
import { copyStream, inParallel, runChunks, sameShape } from './stream.js';

export type Dialogues = {
  /** Tokens of each sample with its padding. */
  readonly length: number;
  readonly tokens: readonly Int32Array[];
  /** Tokens without padding. */
  readonly lengths: readonly number[];
  /** Ascending places of the tokens that are scored: the answer's, with the token that ends it. The row before each predicts it. */
  readonly answers: readonly Int32Array[];
  /** The images of all samples, one after the other, and how many each sample has. */
  readonly images: Images;
  readonly counts: readonly number[];
  /** The other trunk, where it is not that of the same checkpoint: which reads the images, or which answers. */
  readonly vision?: Model | undefined;
  readonly language?: Model | undefined;
};

const refuse = (code: string, message: string, facts: Readonly<Record<string, unknown>> = {}): never => {
  throw new OptionError(code, message, facts);
};

/** The trunk that reads images, for a model of a checkpoint that has one. */
const visionOf = async (model: Model, content: Dialogues): Promise<Model> =>
  content.vision ?? (await openTrunk(model.checkpoint, 'vision'));

/** The trunk that answers. */
const languageOf = async (model: Model, content: Dialogues): Promise<Model> =>
  content.language ?? (await openTrunk(model.checkpoint, 'language'));

/**
 * Checks that dialogues fit the model, before anything is computed: as many image tokens as the images make rows, and answers inside.
 * @throws OptionError E_OPTION_IMAGE_TOKENS, E_OPTION_ANSWER; UnsupportedError E_UNSUPPORTED_DIALOGUE
 */
export async function checkDialogues(model: Model, content: Dialogues): Promise<void> {
  const { tokens, lengths, answers, counts, images } = content;
  const pictured = counts.some((count) => count > 0);
  if (model.config.image) refuseForVision(model, content);
  if (counts.reduce((a, b) => a + b, 0) !== images.pixels.length)
    throw new InternalError('E_INTERNAL_DIALOGUES', 'The counts of images do not add up to the images.');
  const connector = pictured ? openConnector(await visionOf(model, content)) : undefined;
  for (const [at, places] of answers.entries()) {
    const ids = tokens[at]!;
    if (connector) {
      const wanted = counts[at]! * connector.rows;
      let got = 0;
      for (let t = 0; t < lengths[at]!; t++) if (ids[t] === connector.imageToken) got++;
      if (got !== wanted) {
        refuse(
          'E_OPTION_IMAGE_TOKENS',
          `Sample ${at} has ${got} image tokens (${connector.imageToken}), but its ${counts[at]} image(s) make ${wanted} rows, ${connector.rows} each. Build the text with the count of this model.`,
          { sample: at, got, expected: wanted },
        );
      }
    }
    if (places.length === 0)
      refuse('E_OPTION_ANSWER', `Sample ${at} has no answer, so nothing of it can be scored. Leave it out.`, {
        sample: at,
      });
    for (const place of places) {
      if (place >= 1 && place < lengths[at]!) continue;
      refuse(
        'E_OPTION_ANSWER',
        `Sample ${at} has ${lengths[at]} tokens, and token ${place} of its answer is not among those that can be predicted. Give a longer --sequence-length, or leave the sample out.`,
        { sample: at, place, length: lengths[at] },
      );
    }
  }
}

/** What is refused where the trunk that reads images is the one that is run. */
function refuseForVision({ config }: Model, { counts }: Dialogues): void {
  const without = counts.indexOf(0);
  if (without >= 0) {
    throw new UnsupportedError(
      'E_UNSUPPORTED_DIALOGUE',
      `Sample ${without} has no image, and the loss of the vision trunk is implemented for samples that all have one. Leave it out.`,
      { sample: without },
    );
  }
  if (config.image!.features.length > 1) {
    throw new UnsupportedError(
      'E_UNSUPPORTED_DIALOGUE',
      `The language model reads this vision trunk after blocks ${config.image!.features.join(' and ')}; the loss of such a trunk is not implemented. The language trunk can be used.`,
      { features: config.image!.features },
    );
  }
}

/** The residual before block 0 of each sample: of the language model, or of the trunk that reads its image. */
export async function embedDialogues(
  engine: Engine,
  model: Model,
  content: Dialogues,
  onProgress: OnProgress = silent,
): Promise<Activations> {
  await checkDialogues(model, content);
  if (model.config.image) return await embedImages(engine, model, content.images);
  if (content.images.pixels.length === 0) return await placeRows(model, content, undefined, undefined);
  const vision = await visionOf(model, content);
  return await withResources(async (own) => {
    const { rows, connector } = await projectImages(own, engine, vision, content.images, onProgress);
    return await placeRows(model, content, rows, connector);
  });
}

type Projected = { readonly rows: Activations; readonly connector: Connector };

/** The rows that the language model reads of each image, [images, R, D]; `own` closes them. */
export async function projectImages(
  own: Own,
  engine: Engine,
  vision: Model,
  images: Images,
  onProgress: OnProgress = silent,
): Promise<Projected> {
  const connector = openConnector(vision);
  onProgress({ kind: 'stage', stage: 'images, to rows of the language model', total: vision.config.blocks });
  return await withResources(async (ownHere) => {
    const stream = await ownHere(embedImages(engine, vision, images));
    const kept: (Activations | undefined)[] = connector.features.map(() => undefined);
    const keep = async (after: number): Promise<void> => {
      for (const [i, feature] of connector.features.entries()) {
        if (feature !== after || after === vision.config.blocks) continue;
        kept[i] = await ownHere(sameShape(stream));
        await copyStream(stream, kept[i]!);
      }
    };
    await keep(0);
    for (let block = 0; block < vision.config.blocks; block++) {
      await passBlock(engine, vision, block, [[stream, stream]]);
      await keep(block + 1);
      onProgress({ kind: 'advance', detail: `block ${block + 1} of ${vision.config.blocks}` });
    }
    const read = kept.map((one) => one ?? stream);
    return { rows: await project(own, engine, vision, connector, read), connector };
  });
}

/** The connector on residuals, one for each layer that it reads. */
async function project(
  own: Own,
  engine: Engine,
  vision: Model,
  connector: Connector,
  residuals: readonly Activations[],
): Promise<Activations> {
  const { chunks } = residuals[0]!;
  return await own(
    handOver(await createActivations(chunks, connector.rows, connector.width), async (rows) => {
      await withResources(async (ownSession) => {
        const session = await ownSession(engine.load(connectorGraph(connector, vision)));
        const feeds = Object.fromEntries(residuals.map((from, i) => [`x${i}`, { from }]));
        await inParallel(engine.concurrency, chunks.length, async (chunk) => {
          const made = await runChunks(session, feeds, chunk);
          await rows.write(chunk, made.rows!.data as Float32Array);
        });
      });
      return rows;
    }),
  );
}

/** Embeds the tokens, and puts the images' rows in the places of image tokens, in order. */
async function placeRows(
  language: Model,
  { length, tokens, lengths, counts }: Dialogues,
  rows: Activations | undefined,
  connector: Connector | undefined,
): Promise<Activations> {
  const embedded = await embedWindows(language, { length, windows: tokens });
  if (!rows || !connector) return embedded;
  return await handOver(embedded, async (stream) => {
    const { width: D } = stream;
    let [sample, image] = [0, 0];
    for (const [chunk, count] of stream.chunks.entries()) {
      const data = (await stream.read(chunk)).slice();
      for (let w = 0; w < count; w++, sample++) {
        const places = Array.from({ length: counts[sample]! }, (_, i) => image + i);
        image += places.length;
        if (places.length === 0) continue;
        const some = await withResources(async (own) => await readAll(await own(takeSamples(rows, places))));
        let from = 0;
        for (let t = 0; t < lengths[sample]!; t++) {
          if (tokens[sample]![t] !== connector.imageToken) continue;
          data.set(some.subarray(from * D, (from + 1) * D), (w * length + t) * D);
          from++;
        }
      }
      await stream.write(chunk, data);
    }
    return stream;
  });
}

async function readAll(store: Activations): Promise<Float32Array> {
  const size = store.length * store.width;
  const all = new Float32Array(size * store.chunks.reduce((a, b) => a + b, 0));
  let at = 0;
  for (const [chunk, count] of store.chunks.entries()) {
    all.set(await store.read(chunk), at);
    at += count * size;
  }
  return all;
}

/**
 * Continues from the last residual of the trunk that reads images to the last residual of the language model, which answers.
 * `own` closes it.
 */
export async function continueDialogues(
  own: Own,
  engine: Engine,
  vision: Model,
  last: Activations,
  content: Dialogues,
): Promise<{ readonly language: Model; readonly stream: Activations }> {
  const language = await languageOf(vision, content);
  const connector = openConnector(vision);
  const stream = await own(
    withResources(async (ownHere) => {
      const rows = await project(ownHere, engine, vision, connector, [last]);
      return await placeRows(language, content, rows, connector);
    }),
  );
  await passBlocks(engine, language, stream, stream);
  return { language, stream };
}

/** Rows of all samples that are no padding, of a model's residual before block 0. */
export const realRows = ({ config }: Model, { images, lengths }: Dialogues, length: number): number =>
  config.image ? images.pixels.length * length : lengths.reduce((a, b) => a + b, 0);

/** The share of rows, padding aside, that are images': statistics of a language model are mostly of those. A record states it. */
export function imageShareOf({ tokens, lengths }: Dialogues, imageToken: number): number {
  const own = tokens.map((ids, at) => ids.subarray(0, lengths[at]!));
  const ofImages = own.reduce((sum, ids) => sum + ids.filter((id) => id === imageToken).length, 0);
  return ofImages / own.reduce((sum, ids) => sum + ids.length, 0);
}

/** How tokens count in statistics where samples are padded: padding not at all. Undefined where none is. */
export async function paddingImportance(
  own: Own,
  model: Model,
  { length, lengths }: Dialogues,
): Promise<Importance | undefined> {
  if (model.config.image || lengths.every((one) => one === length)) return undefined;
  return await countFirst(own, model, chunksOf(lengths.length, length), length, lengths);
}

/** Samples with padding to one length, the longest's or `length`. Token 0 stands there, or 1 where 0 is the image's. */
export function padDialogues(
  samples: readonly { readonly tokens: Int32Array; readonly answer: Int32Array; readonly images: number }[],
  images: Images,
  options: { readonly length?: number | undefined; readonly imageToken: number },
): Dialogues {
  const longest = Math.max(0, ...samples.map(({ tokens }) => tokens.length));
  const length = options.length ?? longest;
  if (length < longest) {
    const sample = samples.findIndex(({ tokens }) => tokens.length > length);
    const { tokens } = samples[sample]!;
    refuse(
      'E_OPTION_DIALOGUE_LENGTH',
      `Sample ${sample} has ${tokens.length} tokens, more than ${length}; it is not cut, because that would cut its image or its answer. Give --sequence-length ${longest} or more, or leave it out.`,
      { sample, tokens: tokens.length, length, longest },
    );
  }
  const pad = options.imageToken === 0 ? 1 : 0;
  return {
    length,
    tokens: samples.map(({ tokens }) => {
      const padded = new Int32Array(length).fill(pad);
      padded.set(tokens);
      return padded;
    }),
    lengths: samples.map(({ tokens }) => tokens.length),
    answers: samples.map(({ answer }) => answer),
    images,
    counts: samples.map((sample) => sample.images),
  };
}
