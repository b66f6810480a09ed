// Zero-shot tasks on a .lw file: every request as the checkpoint's own path has it, the same records and files, the same
// refusals.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { type EvaluateResult, evaluate, pack } from '../../src/api/index.js';
import type { ProgressEvent } from '../../src/base/index.js';
import { codeOf } from '../checkpoint/make.js';
import { makeFamily } from '../families.js';
import { limit } from '../scale.js';
import { sharedPath, testWith } from '../shared.js';
import { LOG_PROBABILITY } from '../tolerances.js';
import { GOLDEN_TASKS, items } from '../zeroshot/golden.js';
import { makeFolder, makeTexts, readTree, type Texts, useOwnCache } from './make.js';

const demo = fileURLToPath(new URL('../../demo/model/', import.meta.url));
const all = GOLDEN_TASKS;

let folder: string;
let texts: Texts;
let exact: string;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 12);
  exact = join(folder, 'f32.lw');
  await pack({ checkpoint: demo, values: 'f32', out: exact });
});

const likelihoodsOf = ({ tasks }: EvaluateResult) =>
  tasks!.outcomes.flatMap(({ parts }) => parts.flatMap(({ items }) => items.flatMap((item) => item.likelihoods)));

/** Everything but numbers that are rounded differently: the same shape, and accuracies, are asked for. */
const accuraciesOf = ({ tasks }: EvaluateResult) =>
  Object.entries(tasks!.scores.tasks).map(([task, { acc, acc_norm }]) => ({ task, acc, acc_norm }));

function expectAlike(packed: EvaluateResult, whole: EvaluateResult): void {
  expect(packed.tasks!.setup).toEqual(whole.tasks!.setup);
  expect(accuraciesOf(packed)).toEqual(accuraciesOf(whole));
  const [got, expected] = [likelihoodsOf(packed), likelihoodsOf(whole)];
  expect(got.length).toBe(expected.length);
  for (const [i, { logProbability, greedy }] of expected.entries()) {
    expect(Math.abs(got[i]!.logProbability - logProbability), `request ${i}`).toBeLessThan(LOG_PROBABILITY);
    expect(got[i]!.greedy, `request ${i}`).toBe(greedy);
  }
}

describe('packed in f32', () => {
  test.each([
    ['as they stand, some longer than the positions', {}],
    ['cut to fewer tokens', { sequenceLength: 24 }],
    ['behind examples, the first items', { fewshot: 1, limit: 2, seed: 4 }],
    ['without special tokens', { specialTokens: 'none' }],
  ])('every request has the log-probability that the checkpoint gives it: %s', async (_, more) => {
    const options = { data: items, tasks: all, threads: 1, ...more };
    expectAlike(await evaluate({ ...options, checkpoint: exact }), await evaluate({ ...options, checkpoint: demo }));
  });

  test('a suite and a text in one call, with progress for every window and every request', async () => {
    const events: ProgressEvent[] = [];
    const options = { data: items, suite: 'atp', text: texts.test, sequenceLength: 64, threads: 1 };
    const packed = await evaluate({ ...options, checkpoint: exact, onProgress: (event) => void events.push(event) });
    const whole = await evaluate({ ...options, checkpoint: demo });
    expectAlike(packed, whole);
    expect(packed.tasks!.scores.average!.value).toBe(whole.tasks!.scores.average!.value);
    expect(packed.text!.perplexity / whole.text!.perplexity).toBeCloseTo(1, 4);
    const stages = events.flatMap((event) => (event.kind === 'stage' ? [event] : []));
    const reading = ['reading texts', 'reading tasks'];
    const opening = 'opening the model';
    expect(stages.map(({ stage }) => stage)).toEqual([...reading, opening, 'evaluating', opening, 'tasks']);
    expect(stages.map(({ unit }) => unit)).toEqual([...Array(3), 'window', undefined, 'request']);
    const total = stages.reduce((sum, stage) => sum + (stage.total ?? 0), 0);
    expect(total).toBe(packed.text!.windows + likelihoodsOf(packed).length);
    expect(events.filter(({ kind }) => kind === 'advance')).toHaveLength(total);
  });

  test('writes the harness’s files, which name the .lw file', async () => {
    const out = join(folder, 'results');
    const result = await evaluate({ checkpoint: exact, data: items, tasks: ['mmlu', 'piqa'], out, threads: 1 });
    const tree = await readTree(out);
    const names = Object.keys(tree).sort();
    expect(names.map((name) => name.replace(/_[^_]*$/, ''))).toEqual([
      'results',
      'samples_mmlu_farm_life',
      'samples_mmlu_small_sums',
      'samples_piqa',
    ]);
    const results = JSON.parse(await readFile(join(out, names[0]!), 'utf8'));
    expect(results).toMatchObject({ model_source: 'layerwise', model_name: exact, config: { device: 'cpu' } });
    expect(results.results.piqa['acc,none']).toBe(result.tasks!.scores.tasks.piqa!.acc!.value);
  });

  test('what the checkpoint’s path refuses is refused alike, before the weights are read', async () => {
    const code = async (more: object): Promise<unknown[]> => {
      const stages: string[] = [];
      const onProgress = (event: ProgressEvent): void => void (event.kind === 'stage' && stages.push(event.stage));
      const options = { tasks: ['piqa'], data: items, onProgress, ...more };
      const packed = await codeOf(evaluate({ ...options, checkpoint: exact }));
      expect(stages).not.toContain('opening the model');
      return [packed, await codeOf(evaluate({ ...options, checkpoint: demo }))];
    };
    expect(await code({ sequenceLength: 257 })).toEqual(Array(2).fill('E_OPTION_SEQUENCE_LENGTH'));
    expect(await code({ data: folder })).toEqual(Array(2).fill('E_OPTION_DATA'));
    expect(await code({ fewshot: 900 })).toEqual(Array(2).fill('E_OPTION_FEWSHOT'));
    expect(await code({ data: undefined })).toEqual(Array(2).fill('E_OPTION_DATA'));
    expect(await code({ out: folder })).toEqual(Array(2).fill('E_OPTION_OUT_EXISTS'));
    expect(await code({ device: 'tpu' })).toEqual(Array(2).fill('E_OPTION_DEVICE'));
  });
});

test.each(['int8', 'int4'])(
  'packed in %s: it runs, near the checkpoint, the same for any number of threads',
  async (values) => {
    const checkpoint = join(folder, `${values}.lw`);
    await pack({ checkpoint: demo, values, out: checkpoint });
    const options = { data: items, tasks: all };
    const packed = await evaluate({ ...options, checkpoint, threads: 2 });
    const alone = await evaluate({ ...options, checkpoint, threads: 1 });
    expect(alone.tasks).toEqual(packed.tasks);
    const expected = likelihoodsOf(await evaluate({ ...options, checkpoint: demo }));
    const got = likelihoodsOf(packed);
    const off = got.reduce((sum, one, i) => sum + Math.abs(one.logProbability - expected[i]!.logProbability), 0);
    const size = expected.reduce((sum, one) => sum + Math.abs(one.logProbability), 0);
    expect(off / size).toBeLessThan(values === 'int8' ? 0.01 : 0.1);
    expect(off).toBeGreaterThan(0);
  },
);

// Its frequencies change with a request's length, so short and long requests are two decoders' work.
test('a model that turns long requests otherwise (longrope) has the log-probabilities of its checkpoint', async () => {
  const checkpoint = await makeFamily(join(folder, 'phi3'), 'phi3');
  const config = JSON.parse(await readFile(join(checkpoint, 'config.json'), 'utf8'));
  const factors = { short_factor: [1, 1.3, 2.5, 3], long_factor: [1.5, 2, 9, 12] };
  const rope_scaling = { rope_type: 'longrope', original_max_position_embeddings: 32, ...factors };
  const changed = { ...config, original_max_position_embeddings: 32, rope_scaling };
  await writeFile(join(checkpoint, 'config.json'), JSON.stringify(changed));
  const data = join(folder, 'long-and-short');
  await mkdir(data);
  const lines = [
    { ctx: 'Short', choices: ['and', 'so', 'as long as the positions go, not further'], gold: 1 },
    { ctx: 'Long enough that no request of it is short', choices: ['a', 'b'], gold: 0 },
    { ctx: 'Brief', choices: ['one', 'two'], gold: 0 },
  ];
  await writeFile(join(data, 'openbookqa.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'));
  const packed = join(folder, 'phi3.lw');
  await pack({ checkpoint, values: 'f32', out: packed });
  const stages: string[] = [];
  const onProgress = (event: ProgressEvent): void => void (event.kind === 'stage' && stages.push(event.stage));
  const options = { data, tasks: ['openbookqa'], threads: 1 };
  const scored = await evaluate({ ...options, checkpoint: packed, onProgress });
  expectAlike(scored, await evaluate({ ...options, checkpoint }));
  expect(stages).toContain('tasks, part 2 of 2');
});

const novels = sharedPath('models', 'novels-2m');
const fields = sharedPath('data', 'zeroshot', 'fields');
testWith(novels && fields, 'a larger checkpoint and the zero-shot sets')(
  'the public sets on a larger checkpoint, packed in f32',
  { timeout: limit(300_000) },
  async () => {
    const packed = join(folder, 'novels.lw');
    await pack({ checkpoint: novels!, values: 'f32', out: packed });
    const options = { data: fields!, tasks: ['hellaswag', 'arc_easy', 'winogrande'], limit: 25, threads: 1 };
    expectAlike(
      await evaluate({ ...options, checkpoint: packed }),
      await evaluate({ ...options, checkpoint: novels! }),
    );
  },
);
