// Zero-shot tasks through the jobs: every request's log-probability against transformers' on the checkpoint of demo/model
// and, where it is there, on a larger one; the harness's files; models that prune and compare finish with.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { compare, type EvaluateResult, evaluate, prune } from '../../src/api/index.js';
import type { ProgressEvent } from '../../src/base/index.js';
import { comparisonSchema, parseManifest } from '../../src/records/index.js';
import type { PruneOptions } from '../../src/runs/index.js';
import { codeOf } from '../checkpoint/make.js';
import { limit } from '../scale.js';
import { sharedPath, testWith } from '../shared.js';
import { LOG_PROBABILITY } from '../tolerances.js';
import { GOLDEN_TASKS, goldenDemo, goldenNovels, items } from '../zeroshot/golden.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';

const demo = fileURLToPath(new URL('../../demo/model/', import.meta.url));
const all = GOLDEN_TASKS;

let folder: string;
let texts: Texts;
let tiny: string;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 12);
  tiny = await makeTiny(join(folder, 'model'), { seed: 5 });
});

const likelihoodsOf = (result: EvaluateResult, task: string) =>
  result
    .tasks!.outcomes.find((outcome) => outcome.task.name === task)!
    .parts.flatMap((part) => part.items.map((item) => item.likelihoods));

describe('a trained checkpoint on made-up items', () => {
  let result: EvaluateResult;
  beforeAll(async () => {
    result = await evaluate({ checkpoint: demo, data: items, tasks: all, threads: 2 });
  });

  test.each(all)('%s: every request has the log-probability that transformers gives it', async (task) => {
    const { items: expected, metrics } = (await goldenDemo()).tasks[task]!;
    const got = likelihoodsOf(result, task);
    expect(got.length).toBe(expected.length);
    for (const [i, { requests }] of expected.entries()) {
      for (const [j, { logprob, greedy }] of requests.entries()) {
        expect(Math.abs(got[i]![j]!.logProbability - logprob), `item ${i}, request ${j}`).toBeLessThan(LOG_PROBABILITY);
        expect(got[i]![j]!.greedy).toBe(greedy);
      }
    }
    const scores = result.tasks!.scores.tasks[task]!;
    expect(Object.keys(scores).sort()).toEqual(Object.keys(metrics).sort());
    for (const [metric, [value, stderr]] of Object.entries(metrics)) {
      expect(scores[metric]!.value / value || 1, metric).toBeCloseTo(1, 4);
      // Of parts the error is pooled, which a plain one over all items is not.
      if (task !== 'mmlu' && metric !== 'perplexity') expect(scores[metric]!.stderr, metric).toBeCloseTo(stderr, 6);
    }
  });

  test('says what was cut, and where everything came from', () => {
    const { length, tasks, specialTokens } = result.tasks!.setup;
    expect({ length, specialTokens }).toEqual({ length: 256, specialTokens: true });
    const of = (task: string) => tasks.find((one) => one.task === task)!;
    expect(of('boolq').cut).toEqual({ context: 2, continuation: 0 });
    expect(of('piqa').cut).toEqual({ context: 0, continuation: 1 });
    expect(of('arc_challenge').file.name).toBe('arc_challenge.validation.jsonl');
    expect(of('rte').cut).toEqual({ context: 0, continuation: 0 });
  });

  test('depends neither on threads nor, beyond rounding, on what else is scored', async () => {
    const alone = await evaluate({ checkpoint: demo, data: items, tasks: all, threads: 1 });
    expect(alone.tasks!.outcomes).toEqual(result.tasks!.outcomes);
    const single = await evaluate({ checkpoint: demo, data: items, tasks: ['hellaswag'], threads: 2 });
    for (const [i, item] of likelihoodsOf(single, 'hellaswag').entries()) {
      for (const [j, { logProbability }] of item.entries()) {
        const other = likelihoodsOf(result, 'hellaswag')[i]![j]!.logProbability;
        expect(Math.abs(logProbability - other)).toBeLessThan(LOG_PROBABILITY);
      }
    }
  });

  test('examples before an item', async () => {
    const shots = await evaluate({ checkpoint: demo, data: items, tasks: ['mmlu'], fewshot: 2 });
    const expected = (await goldenDemo())['mmlu 2 shots'];
    for (const [i, item] of likelihoodsOf(shots, 'mmlu').entries()) {
      for (const [j, { logProbability }] of item.entries()) {
        const { logprob } = expected[i]!.requests[j]!;
        expect(Math.abs(logProbability - logprob), `item ${i}, request ${j}`).toBeLessThan(LOG_PROBABILITY);
      }
    }
    expect(shots.tasks!.setup.tasks[0]!.examples!.name).toBe('mmlu.dev.jsonl');
  });

  test('--limit takes the first of each part', async () => {
    const { tasks } = await evaluate({ checkpoint: demo, data: items, tasks: ['mmlu', 'piqa'], limit: 1 });
    expect(tasks!.setup.tasks.map(({ items: scored, all: there }) => [scored, there])).toEqual([
      [2, 3],
      [1, 3],
    ]);
    expect(tasks!.scores.tasks.piqa!.acc!.stderr).toBeNull();
  });

  test('a suite has its average of acc, and no special tokens', async () => {
    const { tasks } = await evaluate({ checkpoint: demo, data: items, suite: 'atp', text: texts.test });
    const { average, tasks: scores } = tasks!.scores;
    expect(Object.keys(scores)).toHaveLength(7);
    const accuracies = Object.values(scores).map(({ acc }) => acc!);
    expect(average!.value).toBeCloseTo(accuracies.reduce((sum, { value }) => sum + value, 0) / 7, 12);
    const squares = accuracies.reduce((sum, { stderr }) => sum + stderr! ** 2, 0);
    expect(average!.stderr).toBeCloseTo(Math.sqrt(squares) / 7, 12);
    expect(tasks!.setup.specialTokens).toBe(false);
  });
});

const novels = sharedPath('models', 'novels-2m');
const fields = sharedPath('data', 'zeroshot', 'fields');
testWith(novels && fields, 'a larger checkpoint and the zero-shot sets')(
  'the public sets on a larger checkpoint: every log-probability, and the choices but for ties',
  { timeout: limit(300_000) },
  async () => {
    const expected = await goldenNovels();
    const tasks = Object.keys(expected);
    const result = await evaluate({ checkpoint: novels!, data: fields!, tasks, limit: 200, threads: 2 });
    let choices = 0;
    let equal = 0;
    for (const task of tasks) {
      const got = likelihoodsOf(result, task);
      expect(got.length).toBe(200);
      for (const [i, { logprobs }] of expected[task]!.entries()) {
        const own = got[i]!.map(({ logProbability }) => logProbability);
        for (const [j, logprob] of logprobs.entries()) {
          expect(Math.abs(own[j]! - logprob), `${task}, item ${i}, choice ${j}`).toBeLessThan(LOG_PROBABILITY);
        }
        choices++;
        const [ours, theirs] = [own, logprobs].map((values) => values.indexOf(Math.max(...values)));
        if (ours === theirs) equal++;
        else expect(Math.abs(logprobs[ours!]! - logprobs[theirs!]!), `${task}, item ${i}`).toBeLessThan(1e-4);
      }
    }
    expect(equal / choices).toBeGreaterThanOrEqual(0.995);
  },
);

describe('results and samples for the harness’s tools', () => {
  const contentsOf = async (out: string) => {
    const tree = await readTree(out);
    return Object.fromEntries(Object.entries(tree).map(([name, text]) => [name.replace(/_[^_]*$/, ''), text]));
  };

  test('have its shape, and the same bytes every time', async () => {
    const options = { checkpoint: demo, data: items, tasks: ['mmlu', 'lambada_openai', 'winogrande'] };
    const out = join(folder, 'results');
    const { tasks } = await evaluate({ ...options, out });
    const names = await readdir(out);
    // lm_eval.utils.get_file_task_name and get_file_datetime cut names at the first and the last underscore.
    const parts = ['lambada_openai', 'mmlu_farm_life', 'mmlu_small_sums', 'winogrande'];
    const times = names.map((name) => /^(?:results|samples_.*)_(\d{4}-\d\d-\d\dT[\d.-]+?)\.jsonl?$/.exec(name)![1]);
    expect(new Set(times).size).toBe(1);
    const contents = await contentsOf(out);
    expect(Object.keys(contents).sort()).toEqual(['results', ...parts.map((part) => `samples_${part}`)]);

    const results = JSON.parse(contents.results!);
    expect(Object.keys(results.results).sort()).toEqual([parts[0], 'mmlu', ...parts.slice(1)]);
    expect(results.results.winogrande).toEqual({
      name: 'winogrande',
      alias: 'winogrande',
      sample_len: 3,
      'acc,none': tasks!.scores.tasks.winogrande!.acc!.value,
      'acc_stderr,none': tasks!.scores.tasks.winogrande!.acc!.stderr,
    });
    expect(results.results.mmlu_farm_life['acc_stderr,none']).toBe('N/A'); // one item
    expect(results.groups.mmlu['acc,none']).toBeCloseTo(tasks!.scores.tasks.mmlu!.acc!.value, 12);
    expect(results.group_subtasks).toEqual({ mmlu: ['mmlu_small_sums', 'mmlu_farm_life'] });
    expect(results.versions).toMatchObject({ mmlu: 2, mmlu_farm_life: 1, winogrande: 1 });
    expect(results['n-shot'].winogrande).toBe(0);
    expect(results['n-samples'].mmlu_small_sums).toEqual({ original: 2, effective: 2 });
    expect(results.higher_is_better.lambada_openai).toEqual({ perplexity: false, acc: true });
    expect(results.configs.lambada_openai).toMatchObject({ output_type: 'loglikelihood', task: 'lambada_openai' });
    expect(results.config.model_args.pretrained).toBe(demo);
    for (const part of parts) expect(results.task_hashes[part]).toMatch(/^[0-9a-f]{64}$/);

    const lines = contents.samples_winogrande!.trim().split('\n');
    const sample = JSON.parse(lines[1]!);
    const [requests, likelihoods] = [
      (await goldenDemo()).tasks.winogrande!.items[1]!.requests,
      likelihoodsOf(
        {
          text: undefined,
          images: undefined,
          source: undefined,
          fidelity: undefined,
          calibration: undefined,
          tasks,
          seconds: 0,
        },
        'winogrande',
      )[1]!,
    ];
    expect(lines).toHaveLength(3);
    expect(sample).toMatchObject({
      doc_id: 1,
      doc: { option1: 'box', answer: '2' },
      target: 'was too small.',
      arguments: { gen_args_1: { arg_0: requests[1]!.context, arg_1: requests[1]!.continuation } },
      filter: 'none',
      metrics: ['acc'],
    });
    const answers = likelihoods.map(({ logProbability, greedy }) => [
      String(logProbability),
      greedy ? 'True' : 'False',
    ]);
    expect(sample.filtered_resps).toEqual(answers);
    expect(sample.resps).toEqual(answers.map((answer) => [answer]));
    expect([0, 1]).toContain(sample.acc);

    const again = join(folder, 'again');
    await evaluate({ ...options, out: again, threads: 1 });
    expect(await contentsOf(again)).toEqual(contents);
    // Said before anything is scored.
    const stages: string[] = [];
    const onProgress = (event: ProgressEvent): void => void (event.kind === 'stage' && stages.push(event.stage));
    expect(await codeOf(evaluate({ ...options, out, onProgress }))).toBe('E_OPTION_OUT_EXISTS');
    const nowhere = join(folder, 'nowhere', 'results');
    expect(await codeOf(evaluate({ ...options, out: nowhere, onProgress }))).toBe('E_RESOURCE_NOT_FOUND');
    expect(stages).toEqual([]);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

test('options that do not go together are refused before anything is read', async () => {
  const checkpoint = join(folder, 'none');
  const refuse = (options: Partial<PruneOptions> & { text?: string; out?: string }) =>
    codeOf(evaluate({ checkpoint, ...options } as Parameters<typeof evaluate>[0]));
  expect(await refuse({})).toBe('E_OPTION_TEXT');
  expect(await refuse({ tasks: ['piqa'] })).toBe('E_OPTION_DATA');
  expect(await refuse({ data: items })).toBe('E_OPTION_TASKS');
  expect(await refuse({ text: texts.test, limit: 3 })).toBe('E_OPTION_TASKS');
  expect(await refuse({ text: texts.test, out: join(folder, 'x') })).toBe('E_OPTION_TASKS');
  expect(await refuse({ data: items, tasks: [] })).toBe('E_OPTION_TASKS');
  expect(await refuse({ data: items, tasks: ['piqa', 'copa'] })).toBe('E_OPTION_TASKS');
  expect(await refuse({ data: items, suite: 'mine' })).toBe('E_OPTION_SUITE');
  expect(await refuse({ data: items, suite: 'atp', tasks: ['piqa'] })).toBe('E_OPTION_CONFLICT');
  expect(await refuse({ data: items, suite: 'atp', limit: 0 })).toBe('E_OPTION_LIMIT');
  expect(await refuse({ data: items, suite: 'atp', fewshot: -1 })).toBe('E_OPTION_FEWSHOT');
  expect(await refuse({ data: items, suite: 'atp', specialTokens: 'some' })).toBe('E_OPTION_SPECIAL_TOKENS');
});

describe('finished models', () => {
  const asked = (out: string, change: Partial<PruneOptions> = {}): PruneOptions => ({
    checkpoint: tiny,
    sparsity: 0.6,
    ...texts,
    calibrationSamples: 12,
    sequenceLength: LENGTH,
    maxTrials: 1,
    threads: 2,
    data: items,
    tasks: ['piqa', 'winogrande'],
    out: join(folder, out),
    ...change,
  });

  test('prune scores dense, uniform and chosen once, and what it wrote scores what it says', async () => {
    const stages: string[] = [];
    const onProgress = (event: ProgressEvent): void => void (event.kind === 'stage' && stages.push(event.stage));
    const { manifest, out } = await prune(asked('pruned', { onProgress }));
    expect(stages.filter((stage) => stage.startsWith('tasks:')).slice(0, 2)).toEqual([
      'tasks: dense',
      'tasks: uniform',
    ]);
    const scored = async (checkpoint: string) => {
      const { tasks } = await evaluate({
        checkpoint,
        data: items,
        tasks: ['piqa', 'winogrande'],
        sequenceLength: LENGTH,
        threads: 1,
      });
      return tasks!;
    };
    const again = await scored(out);
    expect(manifest.chosen.tasks).toEqual(again.scores);
    expect(manifest.tasks).toEqual(again.setup);
    expect(manifest.dense.tasks).toEqual((await scored(tiny)).scores);
    expect(manifest.uniform!.tasks!.tasks.piqa!.acc_norm).toBeDefined();
    expect(manifest.command).toContain(`--tasks piqa,winogrande --data ${items} --special-tokens tokenizer`);
    const record = join(out, 'layerwise.json');
    expect(parseManifest(await readFile(record, 'utf8'), record)).toEqual(manifest);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('Zero-shot tasks');
  });

  test('an interrupted run continues, and other tasks are another run', async () => {
    const stop = (event: ProgressEvent): void => {
      if (event.kind === 'stage' && event.stage === 'tasks: uniform') throw new Error('stopped here');
    };
    await expect(prune(asked('broken', { onProgress: stop }))).rejects.toThrow('stopped here');
    const other = prune(asked('broken', { resume: true, tasks: ['piqa'] }));
    expect(await codeOf(other)).toBe('E_OPTION_RESUME');
    const stages: string[] = [];
    const onProgress = (event: ProgressEvent): void => void (event.kind === 'stage' && stages.push(event.stage));
    await prune(asked('broken', { resume: true, onProgress }));
    expect(stages).not.toContain('tasks: dense');
    expect(stages).toContain('tasks: uniform');
    const [whole, continued] = [await readTree(join(folder, 'pruned')), await readTree(join(folder, 'broken'))];
    expect(differences(whole, continued)).toEqual([]);
  });

  test('tasks alone are enough to evaluate a plan', async () => {
    const { manifest } = await prune({
      checkpoint: tiny,
      sparsity: 0.5,
      allocation: 'atp',
      beta: 0.05,
      criterion: 'magnitude',
      data: items,
      suite: 'wanda',
      out: join(folder, 'plain'),
    });
    expect(manifest.uniform!.tasks!.average).not.toBeNull();
    expect(manifest.chosen.tasks!.average).not.toBeNull();
    expect(manifest.texts).toEqual({ calibration: null, validation: null, test: null });
  });

  test('compare has the scores of every row', async () => {
    const { sparsity: _, ...options } = asked('compared', { criterion: 'magnitude', suite: 'wanda' });
    const { tasks: __, ...suited } = options;
    const { comparison, out } = await compare({
      ...suited,
      sparsities: [0.6],
      allocations: ['er'],
      validation: texts.validation,
    });
    expect(comparison.rows.map(({ allocation }) => allocation)).toEqual(['uniform', 'er']);
    const scores = [comparison.dense, ...comparison.rows].map((row) => row.tasks!);
    for (const { average, tasks } of scores) {
      expect(average!.value).toBeGreaterThan(0);
      expect(Object.keys(tasks)).toHaveLength(7);
    }
    expect(new Set(scores.map((row) => JSON.stringify(row))).size).toBeGreaterThan(1);
    const record = comparisonSchema.parse(JSON.parse(await readFile(join(out, 'compare.json'), 'utf8')));
    expect(record).toEqual(comparison);
    expect(await readFile(join(out, 'compare.html'), 'utf8')).toContain('Accuracy on tasks');
  });
});
