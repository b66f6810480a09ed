// What windows begin with, in whole jobs: losses of windows with BOS against a plain computation, the choice in every record,
// and as part of a run's identity. A real checkpoint that needs BOS is compared with an independent implementation (numpy).

import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { compare, drop, evaluate, makePlan, pack, profile, prune } from '../../src/api/index.js';
import { createReferenceEngine } from '../../src/engine/index.js';
import { openModel } from '../../src/model/index.js';
import { loadTokenizer } from '../../src/text/index.js';
import { codeOf } from '../checkpoint/make.js';
import { forwardLogits } from '../model/forward.js';
import { limit } from '../scale.js';
import { sharedPath, testWith } from '../shared.js';
import { LOSS } from '../tolerances.js';
import {
  byteTokenizer,
  LENGTH,
  makeFolder,
  makeTexts,
  makeTiny,
  stutter,
  type Texts,
  useOwnCache,
  VOCABULARY,
} from './make.js';

const BOS = 3;

let folder: string;
let texts: Texts;
/** Its tokenizer puts BOS before a text and 4 behind it. */
let checkpoint: string;
/** The same weights; its tokenizer has no special tokens. */
let without: string;
let path: string;
let bytes: readonly number[];

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 8);
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 4 });
  without = await makeTiny(join(folder, 'without'), { seed: 4 });
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const post_processor = {
    type: 'TemplateProcessing',
    single: [special('<s>'), { Sequence: { id: 'A', type_id: 0 } }, special('</s>')],
    pair: [],
    special_tokens: {
      '<s>': { id: '<s>', ids: [BOS], tokens: ['<s>'] },
      '</s>': { id: '</s>', ids: [4], tokens: ['</s>'] },
    },
  };
  await writeFile(join(checkpoint, 'tokenizer.json'), JSON.stringify({ ...byteTokenizer(), post_processor }));
  path = join(folder, 'text.txt');
  const text = stutter(4, 21 * LENGTH);
  bytes = [...Buffer.from(text)];
  await writeFile(path, text);
});

const options = (more: object = {}) => ({ checkpoint, text: path, sequenceLength: LENGTH, threads: 2, ...more });

/** −ln softmax(logits)[next], averaged over all tokens of each window but the first, in double precision. */
async function plainLosses(windows: readonly Int32Array[]): Promise<number[]> {
  const engine = createReferenceEngine();
  const logits = await forwardLogits(engine, await openModel(checkpoint), { length: LENGTH, windows });
  await engine.close();
  return windows.map((window, w) => {
    let sum = 0;
    for (let t = 0; t + 1 < LENGTH; t++) {
      const row = Array.from(logits.subarray((w * LENGTH + t) * VOCABULARY, (w * LENGTH + t + 1) * VOCABULARY));
      sum += Math.log(row.reduce((z, logit) => z + Math.exp(logit), 0)) - row[window[t + 1]!]!;
    }
    return sum / (LENGTH - 1);
  });
}

/** Non-overlapping pieces of `length` of a stream, without the tail. */
const pieces = (stream: readonly number[], length: number): number[][] =>
  Array.from({ length: Math.floor(stream.length / length) }, (_, i) => stream.slice(i * length, (i + 1) * length));

const expectLosses = (found: readonly number[], expected: readonly number[]): void => {
  expect(found).toHaveLength(expected.length);
  for (const [w, loss] of expected.entries())
    expect(Math.abs(found[w]! - loss), `window ${w}`).toBeLessThanOrEqual(LOSS);
};

describe('the losses of a small checkpoint', () => {
  test('bos: each window is BOS and LENGTH − 1 bytes, all of which are predicted', async () => {
    const windows = pieces(bytes, LENGTH - 1).map((piece) => Int32Array.from([BOS, ...piece]));
    const { text, source } = await evaluate(options());
    expectLosses(text!.nll, await plainLosses(windows));
    expect(text).toMatchObject({ windows: windows.length, tokens: windows.length * (LENGTH - 1) });
    expect(source).toMatchObject({ name: 'text.txt', tokens: bytes.length, length: LENGTH, bos: BOS });
    expect((await evaluate(options({ windowStart: 'bos' }))).text).toEqual(text);
  });

  test('none: contiguous pieces of what the tokenizer makes of the whole text', async () => {
    const windows = pieces([BOS, ...bytes, 4], LENGTH).map((piece) => Int32Array.from(piece));
    const { text, source } = await evaluate(options({ windowStart: 'none' }));
    expectLosses(text!.nll, await plainLosses(windows));
    expect(source).toMatchObject({ tokens: bytes.length + 2, bos: null });
  });

  test('a .lw file is scored on the same windows', async () => {
    const out = join(folder, 'model.lw');
    await pack({ checkpoint, values: 'f32', out });
    for (const windowStart of ['bos', 'none']) {
      const dense = await evaluate(options({ windowStart }));
      const packed = await evaluate(options({ checkpoint: out, windowStart }));
      expectLosses(packed.text!.nll, dense.text!.nll);
      expect(packed.source).toEqual(dense.source);
    }
  });

  test('without special tokens in the tokenizer, none is the default, and bos is refused', async () => {
    const plain = await evaluate(options({ checkpoint: without }));
    expectLosses(plain.text!.nll, await plainLosses(pieces(bytes, LENGTH).map((piece) => Int32Array.from(piece))));
    expect(plain.source!.bos).toBeNull();
    expect((await evaluate(options({ checkpoint: without, windowStart: 'none' }))).text).toEqual(plain.text);
    expect(await codeOf(evaluate(options({ checkpoint: without, windowStart: 'bos' })))).toBe('E_OPTION_WINDOW_START');
    expect(await codeOf(evaluate(options({ windowStart: 'eos' })))).toBe('E_OPTION_WINDOW_START');
  });
});

describe('the comparison with the dense model', () => {
  test('reads both models’ windows with the same start, and the prompts of greedy texts begin with it too', async () => {
    const packed = join(folder, 'to-compare.lw');
    await pack({ checkpoint, values: 'f32', out: packed });
    for (const edited of [checkpoint, packed]) {
      for (const [windowStart, bos] of [
        ['bos', BOS],
        ['none', null],
      ] as const) {
        const asked = { checkpoint: edited, dense: checkpoint, windowStart, greedyTokens: 4 };
        const { source, text, fidelity } = await evaluate(options(asked));
        expect(source!.bos).toBe(bos);
        expect(fidelity).toMatchObject({ windows: text!.windows, tokens: text!.tokens });
        expect(Math.max(...fidelity!.divergence)).toBeLessThan(1e-6);
        expect(Math.min(...fidelity!.agreement)).toBe(1);
        expect(fidelity!.greedy!.same.every((count) => count === 4)).toBe(true);
      }
    }
  });

  test('refuses a dense model whose tokenizer begins windows otherwise', async () => {
    const asked = { checkpoint: without, dense: checkpoint, greedyTokens: 0 };
    expect(await codeOf(evaluate(options(asked)))).toBe('E_OPTION_DENSE');
    expect(await codeOf(evaluate(options({ ...asked, windowStart: 'bos' })))).toBe('E_OPTION_WINDOW_START');
  });
});

describe('records and identity', () => {
  const common = () => ({ ...texts, checkpoint, sequenceLength: LENGTH, calibrationSamples: 8, threads: 2 });
  const starts = ({ texts: named }: { texts: Record<string, { bos: number | null } | null> }) =>
    Object.values(named).map((text) => text?.bos);

  test('prune: the manifest has the token, its command the choice, and resume keeps to it', async () => {
    const base = { ...common(), sparsity: 0.5, allocation: 'uniform' };
    const { manifest } = await prune({ ...base, out: join(folder, 'pruned') });
    expect(starts(manifest)).toEqual([BOS, BOS, BOS]);
    expect(manifest.command).not.toContain('--window-start');
    const raw = await prune({ ...base, windowStart: 'none', out: join(folder, 'raw') });
    expect(starts(raw.manifest)).toEqual([null, null, null]);
    expect(raw.manifest.command).toContain('--window-start none');
    expect(raw.manifest.dense.test!.nll).not.toEqual(manifest.dense.test!.nll);

    const out = join(folder, 'interrupted');
    const stop = new Error('stop');
    const stopping = prune({
      ...base,
      out,
      onProgress: (event) => {
        if (event.kind === 'stage' && event.stage === 'writing') throw stop;
      },
    });
    await expect(stopping).rejects.toBe(stop);
    expect(await codeOf(prune({ ...base, out, resume: true, windowStart: 'none' }))).toBe('E_OPTION_RESUME');
    const resumed = await prune({ ...base, out, resume: true, windowStart: 'bos' });
    expect(starts(resumed.manifest)).toEqual([BOS, BOS, BOS]);
  });

  test('compare, drop, profile and plan', async () => {
    for (const [windowStart, bos] of [
      ['bos', BOS],
      ['none', null],
    ] as const) {
      const base = { ...common(), windowStart };
      const { comparison } = await compare({
        ...base,
        ...{ sparsities: [0.5], allocations: ['uniform'], out: join(folder, `compared-${windowStart}`) },
      });
      expect(starts(comparison)).toEqual([bos, bos, bos]);
      const { record } = await drop({
        ...base,
        ...{ blocks: 1, method: 'shortgpt', out: join(folder, `dropped-${windowStart}`) },
      });
      expect(starts(record)).toEqual([bos, bos, bos]);
      const { validation: _, test: __, ...measured } = base;
      const { profile: found } = await profile({ ...measured, measures: ['outliers'] });
      expect(found.calibration.bos).toBe(bos);
      const planned = { ...measured, sparsity: 0.5, allocation: 'owl' };
      expect(await makePlan({ ...planned, profile: found })).toEqual(await makePlan(planned));
    }
  });
});

// Gemma 3 270M (a quantised GGUF made into a Hugging Face directory), the first three pieces of 512 tokens of WikiText-2's test
// text, scored by a forward pass in numpy: with BOS before each, 512 predicted tokens a window; without any BOS, 511.
const wikitext = sharedPath('data', 'wikitext2', 'test.txt');
const gemma = process.env.LAYERWISE_TEST_GEMMA3 ?? sharedPath('models', 'real', 'gemma3');
const what = 'Gemma 3 270M (set LAYERWISE_TEST_GEMMA3 to its directory) with WikiText-2';
describe('a real checkpoint that was trained with BOS', () => {
  vi.setConfig({ testTimeout: limit(240_000) });

  /** Writes the tokens of three windows as a text. */
  async function writeText(): Promise<string> {
    const tokenizer = await loadTokenizer(gemma!);
    const ids = tokenizer.encode(await readFile(wikitext!, 'utf8'), false).subarray(0, 3 * 512);
    const text = join(folder, 'wikitext.txt');
    await writeFile(text, tokenizer.decode([...ids], true));
    expect(tokenizer.encode(await readFile(text, 'utf8'), false)).toEqual(ids);
    return text;
  }

  testWith(wikitext && gemma, what)('with BOS it has the perplexity that numpy finds, without it another', async () => {
    const text = await writeText();
    const bos = await evaluate({ checkpoint: gemma!, text, sequenceLength: 513, threads: 2 });
    expect(bos.text).toMatchObject({ windows: 3, tokens: 3 * 512 });
    expect(bos.source!.bos).toBe(2);
    expect(bos.text!.perplexity.toFixed(2)).toBe('22.47');

    // The judge has no BOS before the first window either, so the tokenizer must add none.
    const bare = join(folder, 'gemma-bare');
    await mkdir(bare);
    for (const file of ['config.json', 'model.safetensors']) await symlink(resolve(gemma!, file), join(bare, file));
    const tokenizer = JSON.parse(await readFile(join(gemma!, 'tokenizer.json'), 'utf8'));
    await writeFile(join(bare, 'tokenizer.json'), JSON.stringify({ ...tokenizer, post_processor: null }));
    const none = await evaluate({ checkpoint: bare, text, sequenceLength: 512, threads: 2 });
    expect(none.text).toMatchObject({ windows: 3, tokens: 3 * 511 });
    expect(none.source!.bos).toBeNull();
    expect(none.text!.perplexity.toFixed(2)).toBe('62.20');
  });
});
