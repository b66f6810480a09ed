// Answers written greedily, against transformers' generate (scripts/golden/answers.py): two prompts of different lengths together, each
// with an image, by every family that answers questions about one.

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { writeAnswers } from '../../src/evaluate/index.js';
import { openModel } from '../../src/model/index.js';
import { padDialogues } from '../../src/stream/index.js';
import { imagesOf, runOf, useTowers, write } from '../towers.js';

type Case = { readonly prompts: readonly (readonly number[])[]; readonly answers: readonly (readonly number[])[] };
const GOLDEN = JSON.parse(readFileSync(new URL('../golden/answers.json', import.meta.url), 'utf8')) as Record<
  string,
  Case
>;
const IMAGE = 119;

useTowers();
let engine: Engine;
beforeAll(async () => {
  engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(() => engine.close());

async function promptsOf(family: string, most: number) {
  const dir = await write(family);
  const [language, vision] = [await openModel(dir, undefined, 'language'), await openModel(dir, undefined, 'vision')];
  const run = runOf(family);
  const pixels = run.input.pixels!.slice(-4);
  const one = imagesOf(vision, { ...run, input: { ...run.input, pixels } });
  const { prompts } = GOLDEN[family]!;
  const samples = prompts.map((ids) => ({
    tokens: Int32Array.of(...ids, 0),
    answer: Int32Array.of(ids.length),
    images: 1,
  }));
  const longest = Math.max(...prompts.map((ids) => ids.length));
  const images = { ...one, pixels: prompts.map(() => one.pixels[0]!) };
  return { language, content: padDialogues(samples, images, { length: longest + most, imageToken: IMAGE }) };
}

test.each(Object.keys(GOLDEN))('%s writes what transformers writes', async (family) => {
  const { answers } = GOLDEN[family]!;
  const { language, content } = await promptsOf(family, 10);
  const written = await writeAnswers(engine, language, content, { most: 10, ends: new Set(), onProgress: silent });
  expect(written).toEqual(answers.map((tokens) => ({ tokens, ended: false })));
});

test('an answer ends before its end token, and the others go on', async () => {
  const [first, second] = GOLDEN.llava!.answers as [readonly number[], readonly number[]];
  const { language, content } = await promptsOf('llava', 6);
  const ends = new Set([first[1]!]);
  const written = await writeAnswers(engine, language, content, { most: 6, ends, onProgress: silent });
  expect(written).toEqual([
    { tokens: first.slice(0, 1), ended: true },
    { tokens: second.slice(0, 6), ended: false },
  ]);
});
