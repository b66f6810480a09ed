// The text trunk of a CLIP or SigLIP, pruned and quantised by captions: the loss is judged by plain numbers, the image trunk stays as it is,
// and what is not implemented is refused.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compare, cut, evaluate, prune, quantise } from '../../src/api/index.js';
import { type ProgressEvent, silent, withResources } from '../../src/base/index.js';
import { createReferenceEngine } from '../../src/engine/index.js';
import { embedContent, readLogitScale, textWindows } from '../../src/evaluate/index.js';
import { openModel } from '../../src/model/index.js';
import { parseManifest } from '../../src/records/index.js';
import { type PruneOptions, prepareSamples } from '../../src/runs/index.js';
import type { Images } from '../../src/stream/index.js';
import { loadTokenizer } from '../../src/text/index.js';
import { failure } from '../towers.js';
import { readVisionGolden, writeGoldenModel } from '../vision-golden.js';
import { useOwnCache } from './make.js';
import { changed, clipTokenizer, png, processor } from './pair-files.js';

let root: string;
let count = 0;
let clip: string;
let sets: Record<'calibration' | 'validation' | 'test', string>;

const captionsFor = (seed: number): readonly string[] => [`cat ${seed}`, `a dog ${seed % 7}`];

async function writePairs(name: string, seeds: readonly number[]): Promise<string> {
  for (const seed of seeds) await writeFile(join(root, `${seed}.png`), png(seed));
  const path = join(root, `${name}.jsonl`);
  const lines = seeds.map((seed) => JSON.stringify({ image: `${seed}.png`, captions: captionsFor(seed) }));
  await writeFile(path, lines.join('\n'));
  return path;
}

async function writePair(family: 'clip' | 'siglip', words: object): Promise<string> {
  const dir = await writeGoldenModel(readVisionGolden(family), join(root, family));
  await writeFile(join(dir, 'preprocessor_config.json'), processor());
  await writeFile(join(dir, 'tokenizer.json'), JSON.stringify(clipTokenizer()));
  await writeFile(join(dir, 'tokenizer_config.json'), JSON.stringify(words));
  return dir;
}

const WORDS = { bos_token: '<s>', eos_token: '</s>' };

beforeAll(async () => {
  await useOwnCache();
  root = await mkdtemp(join(tmpdir(), 'layerwise-text-trunk-'));
  clip = await writePair('clip', WORDS);
  sets = {
    calibration: await writePairs('train', [1, 2, 3, 4, 5, 6]),
    validation: await writePairs('heldout', [11, 12, 13]),
    test: await writePairs('test', [21, 22, 23, 24]),
  };
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function run(asked: Partial<PruneOptions> = {}) {
  const out = join(root, `out-${count++}`);
  const how = { sparsity: 0.5, allocation: 'uniform', threads: 1, scope: 'text' };
  await prune({ checkpoint: clip, ...how, ...sets, ...asked, out });
  return { out, recorded: parseManifest(await readFile(join(out, 'layerwise.json'), 'utf8'), out) };
}

/** −log p of each caption's image among those of the set, from the vectors alone. */
async function plainLosses(checkpoint: string, seeds: readonly number[], path: string): Promise<readonly number[]> {
  return await withResources(async () => {
    const engine = createReferenceEngine();
    const [vision, text] = [
      await openModel(checkpoint, undefined, 'vision'),
      await openModel(checkpoint, undefined, 'text'),
    ];
    const tokenizer = await loadTokenizer(checkpoint);
    const texts = await embedContent(engine, text, textWindows(text, tokenizer, seeds.flatMap(captionsFor)));
    const images = await embedContent(engine, vision, await imagesAt(checkpoint, path));
    const { factor, shift } = await readLogitScale(text.checkpoint);
    const { width } = texts;
    return Array.from({ length: texts.count }, (_, t) => {
      const logits = Array.from({ length: images.count }, (_one, i) => {
        let sum = 0;
        for (let k = 0; k < width; k++) sum += texts.values[t * width + k]! * images.values[i * width + k]!;
        return factor * sum + shift;
      });
      const most = Math.max(...logits);
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
      return most + Math.log(total) - logits[Math.floor(t / 2)]!;
    });
  });
}

async function imagesAt(checkpoint: string, path: string): Promise<Images> {
  const vision = await openModel(checkpoint, undefined, 'vision');
  const asked = { seed: 0, calibrationOrder: 'random', onProgress: silent } as const;
  const { validation } = await prepareSamples(
    { ...asked, validation: path, calibration: undefined, test: undefined } as Parameters<typeof prepareSamples>[0],
    vision,
  );
  return validation!.content as Images;
}

const TEST = [21, 22, 23, 24];

describe('prune --scope text', () => {
  test('is measured on captions, and the image trunk stays as it is', async () => {
    const { out, recorded } = await run();
    const names = await changed(clip, out);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(name).toMatch(/^text_model\.encoder.*weight$/);
    expect(recorded.source).toMatchObject({ trunk: 'text', blocks: 2 });
    expect(recorded.sparsity.realised).toBeCloseTo(0.5, 2);
    expect(recorded.command).toContain('--scope text');
    expect(recorded.texts.calibration).toMatchObject({ windows: 12, captions: { images: 6 } });
    expect(recorded.dense.test).toMatchObject({ loss: 'cross-entropy', windows: 8, tokens: 8 });
    for (const [checkpoint, got] of [
      [clip, recorded.dense.test!.nll],
      [out, recorded.chosen.test!.nll],
    ] as const) {
      const wanted = await plainLosses(checkpoint, TEST, sets.test);
      expect(got).toHaveLength(wanted.length);
      for (const [at, loss] of wanted.entries()) expect(got[at]).toBeCloseTo(loss, 4);
    }
    expect(recorded.chosen.test!.nll).not.toEqual(recorded.dense.test!.nll);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('the text trunk alone');
    const { captions } = await evaluate({ checkpoint: out, captions: sets.test, dense: clip, threads: 1 });
    expect(captions!.model.texts).toHaveLength(8);
  });

  test.each<[Partial<PruneOptions>]>([
    [{ allocation: 'atp', maxTrials: 2 }],
    [{ allocation: 'ecoflap' }],
    [{ allocation: 'owl' }],
    [{ criterion: 'sparsegpt' }],
    [{ criterion: 'sparsegpt', target: 'stream', targetShares: { alpha: 0.5, gamma: 0.5 } }],
    [{ judge: 'both', allocation: 'atp', maxTrials: 2 }],
  ])('%j', async (asked) => {
    const { recorded, out } = await run(asked);
    expect(recorded.sparsity.realised).toBeCloseTo(0.5, 1);
    const wanted = await plainLosses(out, TEST, sets.test);
    for (const [at, loss] of wanted.entries()) expect(recorded.chosen.test!.nll[at]).toBeCloseTo(loss, 4);
  });

  test('rows behind the end of a caption count nowhere', async () => {
    const held = join(root, 'long-held.jsonl');
    const line = (seed: number) => JSON.stringify({ image: `${seed}.png`, caption: 'a long one' });
    await writeFile(held, [11, 12].map(line).join('\n'));
    // Longer captions of another set pad those of this one, and its statistics stay what they are.
    const [short, padded] = [await run(), await run({ validation: held })];
    expect(padded.recorded.texts.calibration!.length).toBeGreaterThan(short.recorded.texts.calibration!.length);
    expect(await changed(short.out, padded.out)).toEqual([]);
  });

  test('a run that was interrupted goes on to the same bytes', async () => {
    const whole = await run({ allocation: 'atp', maxTrials: 2 });
    const out = join(root, `out-${count++}`);
    const how = {
      checkpoint: clip,
      scope: 'text',
      sparsity: 0.5,
      allocation: 'atp',
      maxTrials: 2,
      threads: 1,
      ...sets,
    };
    const onProgress = (event: ProgressEvent): void => {
      if (event.kind === 'stage' && event.stage === 'writing') throw new Error('pulled');
    };
    await expect(prune({ ...how, out, onProgress })).rejects.toThrow('pulled');
    await prune({ ...how, out, resume: true });
    for (const name of ['model.safetensors', 'layerwise.json', 'report.html'])
      expect((await readFile(join(out, name))).equals(await readFile(join(whole.out, name))), name).toBe(true);
  });

  test('a SigLIP’s too, whose captions are padded to the length it was trained on', async () => {
    const siglip = await writePair('siglip', { ...WORDS, pad_token: '</s>' });
    const { recorded, out } = await run({ checkpoint: siglip });
    for (const name of await changed(siglip, out)) expect(name).toMatch(/^text_model\.encoder/);
    expect(recorded.texts.test!.length).toBe(16);
    const wanted = await plainLosses(out, TEST, sets.test);
    for (const [at, loss] of wanted.entries()) expect(recorded.chosen.test!.nll[at]).toBeCloseTo(loss, 4);
  });

  test('its weights are quantised, and criteria compared', async () => {
    const out = join(root, `out-${count++}`);
    await quantise({ checkpoint: clip, scope: 'text', bits: 4, method: 'gptq', threads: 1, ...sets, out });
    for (const name of await changed(clip, out)) expect(name).toMatch(/^text_model\.encoder/);
    const table = join(root, `out-${count++}`);
    const how = { allocations: ['uniform'], criteria: ['wanda', 'magnitude'], sparsities: [0.5], threads: 1 };
    await compare({ checkpoint: clip, scope: 'text', ...how, ...sets, out: table } as Parameters<typeof compare>[0]);
  });

  test('refuses what it cannot do, by name', async () => {
    const refused = async (asked: Partial<PruneOptions>) => (await failure(run(asked))).code;
    const text = join(root, 'text.txt');
    await writeFile(text, 'One cat sat. '.repeat(80));
    expect(await refused({ classes: text })).toBe('E_OPTION_CLASSES');
    expect(await refused({ labels: 'folder' })).toBe('E_OPTION_LABELS');
    expect(await refused({ sequenceLength: 8 })).toBe('E_OPTION_SEQUENCE_LENGTH');
    expect(await refused({ gradient: 'exact', allocation: 'ecoflap' })).toBe('E_OPTION_GRADIENT');
    expect(await refused({ test: sets.validation })).toBe('E_OPTION_TEST');
    const bare = join(root, 'bare.jsonl');
    await writeFile(bare, [1, 2].map((seed) => JSON.stringify({ image: `${seed}.png` })).join('\n'));
    expect(await failure(run({ calibration: bare }))).toMatchObject({
      code: 'E_OPTION_CALIBRATION',
      message: expect.stringContaining('each with "caption" or "captions"'),
    });
    const long = join(root, 'too-long.jsonl');
    const line = (seed: number) => JSON.stringify({ image: `${seed}.png`, caption: 'a'.repeat(30) });
    await writeFile(long, [1, 2].map(line).join('\n'));
    expect(await refused({ calibration: long })).toBe('E_OPTION_TEXT_LENGTH');
    const cutting = { checkpoint: clip, out: join(root, 'cut'), parameters: 0.9, scope: 'text', ...sets, threads: 1 };
    expect((await failure(cut(cutting))).code).toBe('E_UNSUPPORTED_SCOPE');
  });
});
