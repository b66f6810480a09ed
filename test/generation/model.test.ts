// The checkpoint that ships with the project, through all of the runtime, against transformers: what it writes, what it
// says of texts, and that neither depends on company.

import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pack } from '../../src/api/index.js';
import { silent } from '../../src/base/index.js';
import {
  complete,
  createScheduler,
  generateText,
  type OpenedDecoder,
  openForText,
} from '../../src/generation/index.js';
import { makeFamily } from '../families.js';
import { LOGITS } from '../tolerances.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const checkpoint = join(root, 'demo/model');
const golden = JSON.parse(readFileSync(join(root, 'test/golden/generate.json'), 'utf8')) as {
  readonly greedy: readonly { prompt: string; promptTokens: number[]; tokens: number[]; text: string }[];
  readonly scores: readonly { text: string; tokens: number[]; logprobs: number[]; likeliest: boolean[] }[];
};
const open = (path: string, threads: number, more: object = {}): Promise<OpenedDecoder> =>
  openForText(path, { threads, sequences: 4, onProgress: silent, ...more });
const greedy = { temperature: 0, topP: 1, seed: 0 };

test.each(['mixtral', 'qwen3_moe'])(
  '%s writes the same text from any number of threads, alone and in company',
  async (family) => {
    const dir = await makeFamily(await mkdtemp(join(tmpdir(), 'layerwise-mixture-')), family);
    const texts: string[] = [];
    for (const threads of [1, 3]) {
      const model = await open(dir, threads, { values: 'int8' });
      const scheduler = createScheduler(model);
      const ask = (seed: number) => ({
        ...{ prompt: [...model.tokenizer.encode('abc')], maxTokens: 30, stops: [], stopTokens: model.eos },
        sampling: { temperature: 0.9, topP: 0.95, seed },
      });
      const all = await Promise.all(complete(scheduler, model.tokenizer, [5, 6, 7].map(ask)));
      const [alone] = await Promise.all(complete(scheduler, model.tokenizer, [ask(5)]));
      texts.push(all[0]!.text, alone!.text);
      await scheduler.close();
      await model.close();
    }
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).not.toBe('');
    await rm(dir, { recursive: true });
  },
);

describe('in float32, as transformers', () => {
  let model: OpenedDecoder;
  beforeAll(async () => {
    model = await open(checkpoint, 2);
  });
  afterAll(() => model.close());

  test.each(golden.greedy.map((one) => [one.prompt, one] as const))('greedy after %j', async (prompt, one) => {
    const { text, tokens, promptTokens } = await generateText(model, {
      prompt,
      maxTokens: one.tokens.length,
      sampling: greedy,
    });
    expect(text).toBe(one.text);
    expect([tokens, promptTokens]).toEqual([one.tokens.length, one.promptTokens.length]);
  });

  test('scores of texts, together and alone, to the bit the same', async () => {
    const scheduler = createScheduler(model, { chunk: 7 });
    const ask = (tokens: readonly number[]) => ({
      ...{ prompt: tokens, maxTokens: 1, scores: 1, promptScores: 1, sampling: greedy },
      ...{ stopTokens: new Set<number>(), stops: [] },
    });
    const asked = golden.scores.map(({ tokens }) => ask(tokens));
    const together = await Promise.all(complete(scheduler, model.tokenizer, asked));
    for (const [i, { text, tokens, logprobs, likeliest }] of golden.scores.entries()) {
      expect([...model.tokenizer.encode(text)]).toEqual(tokens);
      const { prompt } = together[i]!;
      expect(prompt.map(({ token }) => token)).toEqual(tokens.slice(1));
      for (const [j, { logprob, top }] of prompt.entries()) {
        expect(Math.abs(logprob - logprobs[j]!)).toBeLessThanOrEqual(LOGITS);
        expect(logprob === top[0]!.logprob).toBe(likeliest[j]);
      }
      const [alone] = await Promise.all(complete(scheduler, model.tokenizer, [asked[i]!]));
      expect(alone).toEqual(together[i]);
    }
    await scheduler.close();
  });
});

describe('packed in int8', () => {
  let dir: string;
  let path: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'layerwise-model-'));
    path = join(dir, 'demo.lw');
    await pack({ checkpoint, out: path });
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  test('the same text from any number of threads, from the file and from memory, alone and in company', async () => {
    const texts: string[] = [];
    for (const [from, threads, more] of [
      [path, 1, {}],
      [path, 3, {}],
      [checkpoint, 2, { values: 'int8' }],
    ] as const) {
      const model = await open(from, threads, more);
      const scheduler = createScheduler(model);
      const ask = (seed: number) => ({
        ...{ prompt: [...model.tokenizer.encode('The night was')], maxTokens: 40, stops: [], stopTokens: model.eos },
        sampling: { temperature: 0.9, topP: 0.95, seed },
      });
      const all = await Promise.all(complete(scheduler, model.tokenizer, [5, 6, 7, 8, 9, 10].map(ask)));
      texts.push(all[0]!.text);
      const [alone] = await Promise.all(complete(scheduler, model.tokenizer, [ask(5)]));
      texts.push(alone!.text);
      expect(new Set(all.map(({ text }) => text)).size).toBeGreaterThan(4);
      await scheduler.close();
      await model.close();
    }
    expect(new Set(texts).size).toBe(1);
  });

  test('a packed file has values of its own', async () => {
    await expect(open(path, 1, { values: 'f32' })).rejects.toMatchObject({ code: 'E_OPTION_VALUES' });
  });
});
