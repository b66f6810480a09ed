// Images that a model of Idefics3 or SmolVLM reads as tiles: tokens, logits and losses against transformers, either trunk pruned by the
// answers' loss, and what is refused.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { evaluate, prune } from '../../src/api/index.js';
import { silent, withResources } from '../../src/base/index.js';
import { createOrtEngine, createReferenceEngine } from '../../src/engine/index.js';
import { encodePng, type Image } from '../../src/images/index.js';
import { headGraph, openModel } from '../../src/model/index.js';
import { parseManifest } from '../../src/records/index.js';
import { openQuestions, type PruneOptions, prepareQuestions, readQuestions } from '../../src/runs/index.js';
import { type Dialogues, embedSamples, passBlocks, takeEvenly } from '../../src/stream/index.js';
import { picture, tilesGolden } from '../tiles-golden.js';
import { failure } from '../towers.js';
import { type VisionGolden, writeGoldenModel } from '../vision-golden.js';
import { useOwnCache } from './make.js';

const TOLERANCE = 2e-4;
const ROWS = 4;
const QUESTION = { question: 'What is it?', answer: 'a cat' };

let root: string;
let count = 0;

/** A checkpoint of the golden's model; of `kind` smolvlm with that family's names. */
async function writeModel(config: object, kind = 'idefics3'): Promise<string> {
  const dir = join(root, `model-${count++}`);
  const golden = tilesGolden.model as VisionGolden;
  const vision = { ...(golden.config.vision_config as object), model_type: `${kind}_vision` };
  await writeGoldenModel(golden, dir, { config: { model_type: kind, vision_config: vision } });
  const files = {
    'preprocessor_config.json': { image_processor_type: 'Idefics3ImageProcessor', ...config },
    'tokenizer.json': tilesGolden.tokenizer,
    'tokenizer_config.json': tilesGolden.special,
    'chat_template.json': { chat_template: tilesGolden.template },
  };
  for (const [name, value] of Object.entries(files)) await writeFile(join(dir, name), JSON.stringify(value));
  return dir;
}

const configOf = (name: string): object => tilesGolden.pixels[name]!.config;

/** Questions about images of these sizes, or these images. */
async function writeQuestions(
  images: readonly (Image | readonly [width: number, height: number])[],
  more: object = {},
): Promise<string> {
  const dir = join(root, `set-${count++}`);
  await mkdir(dir);
  const lines: string[] = [];
  for (const [at, one] of images.entries()) {
    await writeFile(join(dir, `${at}.png`), encodePng('pixels' in one ? one : picture(one[0], one[1])));
    lines.push(JSON.stringify({ image: `${at}.png`, ...QUESTION, ...more }));
  }
  const path = join(dir, 'items.jsonl');
  await writeFile(path, lines.join('\n'));
  return path;
}

async function read(checkpoint: string, trunk: 'vision' | 'language', path: string): Promise<Dialogues> {
  const questioning = await openQuestions(await openModel(checkpoint, undefined, trunk), silent);
  const asked = { path, order: 'all', seed: 0, orientation: undefined, onProgress: silent } as const;
  return prepareQuestions(questioning, [await readQuestions(questioning, asked)])[0]!.content;
}

beforeAll(async () => {
  await useOwnCache();
  root = await mkdtemp(join(tmpdir(), 'layerwise-tiles-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('against transformers', () => {
  const kinds = [...new Set(tilesGolden.dialogues.map(([kind, config]) => `${kind} ${config}`))];
  test.each(kinds)('the tokens of %s, with a mark before each tile', async (which) => {
    const cases = tilesGolden.dialogues.filter(([kind, config]) => `${kind} ${config}` === which);
    const [kind, config] = cases[0]!;
    const path = await writeQuestions(cases.map(([, , width, height]) => [width, height]));
    const content = await read(await writeModel(configOf(config), kind), 'language', path);
    for (const [at, [, , , , ids]] of cases.entries()) {
      expect(Array.from(content.tokens[at]!.subarray(0, content.lengths[at]!))).toEqual(ids);
      expect(content.counts[at]).toBe(ids.filter((id) => id === 3).length / ROWS);
    }
  });

  test.each(['ort', 'reference'])('logits on %s', async (name) => {
    await withResources(async (own) => {
      const engine =
        name === 'ort'
          ? await own(createOrtEngine({ device: 'cpu', workers: 1, threads: 1 }))
          : createReferenceEngine();
      for (const [config, width, height, , logits] of tilesGolden.answers) {
        const checkpoint = await writeModel(configOf(config));
        const content = await read(checkpoint, 'language', await writeQuestions([[width, height]]));
        const model = await openModel(checkpoint, undefined, 'language');
        const { embedded } = await embedSamples(own, engine, model, content);
        await passBlocks(engine, model, embedded, embedded);
        const session = await own(engine.load(headGraph(model, 'logits')));
        const answer = content.answers[0]!;
        const [data, D] = [await embedded.read(0), embedded.width];
        for (const [i, place] of [answer[0]! - 1, answer.at(-1)! - 1].entries()) {
          const x = { type: 'f32', shape: [1, D], data: data.slice(place * D, (place + 1) * D) } as const;
          const got = (await session.run({ x })).logits!.data as Float32Array;
          for (const [token, wanted] of logits[i]!.entries())
            expect(Math.abs(got[token]! - wanted)).toBeLessThan(TOLERANCE);
        }
      }
    });
  });

  test.each(['small', 'not split'])('the loss of answers, %s', async (config) => {
    const cases = tilesGolden.answers.filter(([name]) => name === config);
    const qa = await writeQuestions(cases.map(([, width, height]) => [width, height]));
    const { questions, source } = await evaluate({ checkpoint: await writeModel(configOf(config)), qa, threads: 1 });
    for (const [at, [, , , nll]] of cases.entries())
      expect(Math.abs(questions!.model.evaluation.nll[at]! - nll)).toBeLessThan(TOLERANCE);
    expect(source!.dialogue).toMatchObject({ images: 3, ...(config === 'small' ? { squares: 10 + 7 + 7 } : {}) });
    if (config !== 'small') expect(source!.dialogue).not.toHaveProperty('squares');
    expect(source!.dialogue!.pixels!.preprocessing).toMatchObject({ tiles: { side: 32, split: config === 'small' } });
  });
});

const SIZES = [
  [64, 64],
  [90, 40],
  [33, 71],
] as const;

describe('commands', () => {
  let checkpoint: string;
  let sets: Pick<PruneOptions, 'calibration' | 'validation' | 'test'>;
  beforeAll(async () => {
    checkpoint = await writeModel(configOf('small'));
    sets = {
      calibration: await writeQuestions(SIZES),
      validation: await writeQuestions([
        [50, 50],
        [80, 20],
      ]),
      test: await writeQuestions([
        [40, 60],
        [70, 70],
      ]),
    };
  });
  const run = async (asked: Partial<PruneOptions>) => {
    const out = join(root, `out-${count++}`);
    await prune({ checkpoint, sparsity: 0.5, allocation: 'uniform', threads: 1, ...sets, out, ...asked });
    return { out, recorded: parseManifest(await readFile(join(out, 'layerwise.json'), 'utf8'), out) };
  };

  test.each([
    [{ scope: 'language' }],
    [{ scope: 'vision' }],
    [{ scope: 'vision', criterion: 'sparsegpt' }],
    [{ scope: 'vision', allocation: 'atp', maxTrials: 2 }],
    [{ scope: 'all' }],
  ])('%j is pruned by the loss of answers about tiles', async (asked) => {
    const { out, recorded } = await run(asked);
    expect(recorded.texts.calibration!.dialogue).toMatchObject({ images: 3, squares: 24 });
    expect(recorded.sparsity.realised).toBeCloseTo(0.5, 2);
    expect(recorded.chosen.test!.nll).not.toEqual(recorded.dense.test!.nll);
    const { questions } = await evaluate({ checkpoint: out, qa: sets.test!, dense: checkpoint, threads: 1 });
    for (const [i, loss] of questions!.model.evaluation.nll.entries())
      expect(loss).toBeCloseTo(recorded.chosen.test!.nll[i]!, 5);
    if (asked.scope !== 'all')
      for (const [i, loss] of questions!.dense!.evaluation.nll.entries())
        expect(loss).toBeCloseTo(recorded.dense.test!.nll[i]!, 5);
  });

  test('choices and written answers are about the right tiles', async () => {
    const dense = checkpoint;
    const items = await writeQuestions(SIZES, { choices: ['a cat', 'dogs', 'b'], answer: 0 });
    const { questions } = await evaluate({ checkpoint, qa: items, dense, answerTokens: 3, threads: 1 });
    expect(questions!.model.choices).toMatchObject({ questions: 3 });
    // Each choice as the answer of a set of its own has the loss by which it is chosen.
    const losses: number[][] = [];
    for (const answer of ['a cat', 'dogs', 'b']) {
      const scored = await evaluate({ checkpoint, qa: await writeQuestions(SIZES, { answer }), threads: 1 });
      losses.push(scored.questions!.model.evaluation.nll.map((nll) => nll * (answer.length + 2)));
    }
    const right = SIZES.filter((_, at) => losses[0]![at]! <= Math.min(losses[1]![at]!, losses[2]![at]!)).length;
    expect(questions!.model.choices!.accuracy).toBe(right / SIZES.length);
    const { answers } = questions!.model.written!;
    for (const [at, size] of SIZES.entries()) {
      const one = await evaluate({ checkpoint, qa: await writeQuestions([size]), answerTokens: 3, threads: 1 });
      expect(answers[at]!.text).toBe(one.questions!.model.written!.answers[0]!.text);
    }
  });

  test('some of the samples are taken with all of their tiles', async () => {
    await withResources(async (own) => {
      const engine = createReferenceEngine();
      const model = await openModel(checkpoint, undefined, 'vision');
      const samples = await embedSamples(own, engine, model, await read(checkpoint, 'vision', sets.calibration!));
      const { content, embedded } = await takeEvenly(own, samples, 2);
      expect(content.counts).toEqual([10, 7]);
      const again = await embedSamples(own, engine, model, content);
      const all = async (from: typeof embedded): Promise<readonly number[]> =>
        (await Promise.all(from.chunks.map((_, chunk) => from.read(chunk)))).flatMap((one) => [...one]);
      expect(await all(embedded)).toEqual(await all(again.embedded));
    });
  });

  test('an image is another’s only where all of its tiles are', async () => {
    const white: Image = { width: 64, height: 64, pixels: new Uint8Array(64 * 64 * 3).fill(255) };
    const spot: Image = { ...white, pixels: white.pixels.map((value, at) => (at < 30 ? 0 : value)) };
    const [one, other] = [await writeQuestions([white]), await writeQuestions([spot])];
    await run({ scope: 'language', calibration: one, validation: one, test: other });
    const error = await failure(run({ scope: 'language', calibration: one, validation: one, test: one }));
    expect(error).toMatchObject({
      code: 'E_OPTION_TEST',
      message: expect.stringContaining('1 of 1 test images are also'),
    });
  });

  test('what is not implemented, or does not fit, is refused by name', async () => {
    const refused = async (asked: Partial<PruneOptions>) => await failure(run(asked));
    const gradients = await refused({ scope: 'vision', allocation: 'ecoflap' });
    expect(gradients).toMatchObject({
      code: 'E_UNSUPPORTED_TILES',
      message: expect.stringContaining('do_image_splitting'),
    });
    expect(
      await refused({ checkpoint: await writeModel({ ...configOf('small'), max_image_size: { longest_edge: 16 } }) }),
    ).toMatchObject({ code: 'E_OPTION_IMAGE_SIZE' });
    const large = { size: { longest_edge: 320 }, max_image_size: { longest_edge: 32 } };
    expect(await failure(evaluate({ checkpoint: await writeModel(large), qa: sets.test!, threads: 1 }))).toMatchObject({
      code: 'E_OPTION_DIALOGUE_LENGTH',
      message: expect.stringMatching(/4 for each of 71 image.*at most 256.*do_image_splitting/),
    });
  });
});
