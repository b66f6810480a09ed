// The commands on checkpoints of several trunks: LLaVA's answers are scored and either of its trunks is pruned, CLIP is scored against
// names of classes and its vision trunk is pruned; what a run is not about stays as it is.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cut, evaluate, prune, quantise, quantiseActivations } from '../../src/api/index.js';
import { type ProgressEvent, silent, withResources } from '../../src/base/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { embedContent, logitsPerImage, textWindows } from '../../src/evaluate/index.js';
import { normaliseAnswer } from '../../src/images/index.js';
import { linearUnits, openModel } from '../../src/model/index.js';
import { allocate, findPolicy, joinFacts, partPlan } from '../../src/plan/index.js';
import { measureGradients } from '../../src/profile/index.js';
import { parseManifest } from '../../src/records/index.js';
import {
  openQuestions,
  type PruneOptions,
  prepareImageSet,
  prepareQuestions,
  readQuestions,
} from '../../src/runs/index.js';
import { embedSamples, takeEvenly } from '../../src/stream/index.js';
import { loadTokenizer } from '../../src/text/index.js';
import { failure } from '../towers.js';
import { readVisionGolden, writeGoldenModel } from '../vision-golden.js';
import { useOwnCache } from './make.js';
import { changed, clipTokenizer, llavaTokenizer, png, processor } from './pair-files.js';

let root: string;
let llava: string;
let clip: string;
let count = 0;

async function writeQuestions(name: string, seeds: readonly number[], extra: readonly object[] = []): Promise<string> {
  const lines = seeds.map((seed) => ({
    image: `${seed}.png`,
    question: `What is ${seed}?`,
    answer: `a ${seed % 3} cat`,
  }));
  for (const seed of seeds) await writeFile(join(root, `${seed}.png`), png(seed));
  const path = join(root, name);
  await writeFile(path, [...lines, ...extra].map((line) => JSON.stringify(line)).join('\n'));
  return path;
}

async function writeFolder(name: string, seeds: readonly number[]): Promise<string> {
  const dir = join(root, name);
  for (const [at, label] of ['cat', 'dog'].entries()) {
    await mkdir(join(dir, label), { recursive: true });
    for (const seed of seeds) await writeFile(join(dir, label, `${seed}.png`), png(5 * seed + at));
  }
  return dir;
}

let qa: Record<'calibration' | 'validation' | 'test', string>;
let names: string;
let templates: string;
let images: Record<'calibration' | 'validation', string>;

beforeAll(async () => {
  await useOwnCache();
  root = await mkdtemp(join(tmpdir(), 'layerwise-multimodal-'));
  llava = await writeGoldenModel(readVisionGolden('llava'), join(root, 'llava'));
  await writeFile(join(llava, 'preprocessor_config.json'), processor());
  await writeFile(join(llava, 'tokenizer.json'), JSON.stringify(llavaTokenizer()));
  const words = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' };
  await writeFile(join(llava, 'tokenizer_config.json'), JSON.stringify(words));
  clip = await writeGoldenModel(readVisionGolden('clip'), join(root, 'clip'));
  await writeFile(join(clip, 'preprocessor_config.json'), processor());
  await writeFile(join(clip, 'tokenizer.json'), JSON.stringify(clipTokenizer()));
  await writeFile(join(clip, 'tokenizer_config.json'), JSON.stringify({ bos_token: '<s>', eos_token: '</s>' }));
  qa = {
    calibration: await writeQuestions('train.jsonl', [1, 2, 3, 4, 5, 6]),
    validation: await writeQuestions('heldout.jsonl', [11, 12, 13]),
    test: await writeQuestions('test.jsonl', [21, 22]),
  };
  names = join(root, 'names.txt');
  await writeFile(names, 'dog\ncat\n');
  templates = join(root, 'templates.txt');
  await writeFile(templates, '{}\n');
  images = { calibration: await writeFolder('train', [1, 2, 3]), validation: await writeFolder('heldout', [11, 12]) };
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function run({ towerSparsity, ...asked }: Partial<PruneOptions> & { readonly checkpoint: string }) {
  const out = join(root, `out-${count++}`);
  const rate = towerSparsity ? { towerSparsity } : { sparsity: 0.5 };
  const result = await prune({ ...rate, allocation: 'uniform', threads: 1, ...asked, out });
  return { ...result, recorded: parseManifest(await readFile(join(out, 'layerwise.json'), 'utf8'), out) };
}

describe('LLaVA', () => {
  test('answers are scored, and choices by their likelihood', async () => {
    const choices = { image: '21.png', question: 'Which?', choices: ['a cat', 'dog', 'b'], answer: 1 };
    const text = { question: 'Why?', answer: 'so' };
    const items = await writeQuestions('items.jsonl', [21, 22], [choices, text]);
    const { questions, source, fidelity } = await evaluate({ checkpoint: llava, qa: items, dense: llava, threads: 1 });
    const { model, dense } = questions!;
    expect(model.evaluation).toMatchObject({ loss: 'answer', windows: 4 });
    expect(model.evaluation.tokens).toBe(9 + 9 + 5 + 4);
    expect(model.choices).toMatchObject({ questions: 1 });
    expect(dense).toEqual(model);
    expect(fidelity!.divergence[0]).toBeCloseTo(0, 6);
    expect(source!.dialogue).toMatchObject({ format: 'llava-1.5', images: 3, followUps: 0, answers: 27 });
    expect(source!.dialogue!.imageShare).toBe((3 * 16) / source!.tokens);
  });

  test('answers are written, and compared as VQA compares', async () => {
    const asked = { checkpoint: llava, dense: llava, threads: 1, answerTokens: 5 };
    const plain = await evaluate({ ...asked, qa: qa.test });
    const { written } = plain.questions!.model;
    expect(written).toMatchObject({ tokens: 5, exact: 0, vqa: undefined });
    expect(written!.answers).toHaveLength(2);
    expect(plain.questions!.dense!.written).toEqual(written);
    // What the model wrote is then the right answer of one question, and that of half of the people of another.
    const [one, two] = written!.answers.map(({ text }) => text) as [string, string];
    const said = normaliseAnswer(two);
    const items = [
      { image: '21.png', question: 'What is 21?', answer: one },
      { image: '22.png', question: 'What is 22?', answers: [said, said, 'x', 'y', 'z', 'x'] },
    ];
    const again = await evaluate({ ...asked, qa: await writeQuestions('written.jsonl', [], items) });
    const scored = again.questions!.model.written!;
    expect(scored.answers.map(({ text }) => text)).toEqual([one, two]);
    expect(scored.exact).toBe(1);
    // Of six people, those who said it see one other who did; the four others see two.
    expect(scored.vqa).toEqual({ questions: 1, accuracy: expect.closeTo((2 * (1 / 3) + 4 * (2 / 3)) / 6, 9) });
    const refused = async (more: object) => (await failure(evaluate({ ...asked, qa: qa.test, ...more }))).code;
    expect(await refused({ answerTokens: 200 })).toBe('E_OPTION_ANSWER_TOKENS');
    expect(await refused({ answerTokens: -1 })).toBe('E_OPTION_ANSWER_TOKENS');
    expect((await failure(evaluate({ checkpoint: llava, answerTokens: 5, text: 'x' }))).code).toBe('E_OPTION_QA');
  });

  test('of choices the one whose tokens are the likeliest together counts', async () => {
    const choices = ['a cat', 'dog', 'b'];
    const asked = (answer: number) => ({ image: '21.png', question: 'Which?', choices, answer });
    const scores = async (items: readonly object[]) =>
      (await evaluate({ checkpoint: llava, qa: await writeQuestions('choices.jsonl', [], items), threads: 1 }))
        .questions!.model;
    const { evaluation, choices: all } = await scores([asked(0), asked(1), asked(2)]);
    expect(all).toEqual({ questions: 3, accuracy: 1 / 3 });
    const sums = evaluation.nll.map((nll, at) => nll * (choices[at]!.length + 2)); // the space before, the end behind
    const best = sums.indexOf(Math.min(...sums));
    expect((await scores([asked(best)])).choices!.accuracy).toBe(1);
    expect((await scores([asked((best + 1) % 3)])).choices!.accuracy).toBe(0);
  });

  test.each([
    ['language', /language_model.*proj\.weight$/],
    ['vision', /vision_(tower|model).*\.(weight)$/],
  ] as const)('its %s trunk is pruned, and the other stays as it is', async (scope, pattern) => {
    const { recorded, out } = await run({ checkpoint: llava, scope, ...qa });
    const names = await changed(llava, out);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(name).toMatch(pattern);
    expect(
      names.filter((name) => (scope === 'language' ? !name.includes('language') : name.includes('language'))),
    ).toEqual([]);
    expect(recorded.source).toMatchObject({ trunk: scope, blocks: 2, ...(scope === 'vision' ? { dead: 1 } : {}) });
    expect(recorded.sparsity.realised).toBeCloseTo(0.5, 2);
    expect(recorded.command).toContain(`--scope ${scope}`);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain(`the ${scope} trunk alone`);
    expect(recorded.dense.test).toMatchObject({ loss: 'answer', windows: 2 });
    expect(recorded.dense.validation!.perplexity).not.toBe(recorded.chosen.validation!.perplexity);
    expect(recorded.texts.calibration!.dialogue).toMatchObject({ images: 6 });
    const { questions } = await evaluate({ checkpoint: out, qa: qa.test, threads: 1 });
    for (const [i, loss] of questions!.model.evaluation.nll.entries())
      expect(loss).toBeCloseTo(recorded.chosen.test!.nll[i]!, 5);
  });

  test('both trunks are pruned, one after the other', async () => {
    const towerSparsity = { vision: 0.25, language: 0.5 };
    const { recorded, out } = await run({ checkpoint: llava, scope: 'all', towerSparsity, ...qa });
    const edited = await changed(llava, out);
    for (const part of ['vision', 'language']) expect(edited.some((name) => name.includes(part))).toBe(true);
    expect(recorded.towers!.map(({ trunk, target }) => [trunk, target])).toEqual([
      ['vision', 0.25],
      ['language', 0.5],
    ]);
    for (const { target, realised } of recorded.towers!) expect(realised).toBeCloseTo(target, 2);
    expect(recorded.command).toContain('--scope all --tower-sparsity vision=0.25,language=0.5');
    expect(recorded.command).not.toContain('partial');
    expect(recorded.source.name).toBe('llava');
    const first = parseManifest(await readFile(join(out, 'layerwise-vision.json'), 'utf8'), out);
    expect(first.chosen.test!.nll).toHaveLength(2);
    // What the second run began with is what the first made.
    for (const [i, loss] of recorded.dense.test!.nll.entries()) expect(loss).toBeCloseTo(first.chosen.test!.nll[i]!, 5);
    const { questions } = await evaluate({ checkpoint: out, qa: qa.test, threads: 1 });
    for (const [i, loss] of questions!.model.evaluation.nll.entries())
      expect(loss).toBeCloseTo(recorded.chosen.test!.nll[i]!, 5);
    const one = async (asked: Partial<PruneOptions>) =>
      (await failure(run({ checkpoint: llava, scope: 'all', ...qa, ...asked }))).code;
    expect(await one({ towerSparsity, sparsity: 0.5 })).toBe('E_OPTION_CONFLICT');
    expect(await one({ towerSparsity, scope: 'vision' })).toBe('E_OPTION_CONFLICT');
    expect(await one({ towerSparsity: { vision: 0.2 } })).toBe('E_OPTION_TOWER_SPARSITY');
    expect(await one({ checkpoint: clip, ...images, classes: names, templates })).toBe('E_UNSUPPORTED_SCOPE');
    expect(
      (await failure(quantise({ checkpoint: llava, scope: 'all', bits: 4, method: 'rtn', out: `${out}-q` }))).code,
    ).toBe('E_OPTION_SCOPE');
  });

  describe('one budget over both trunks', () => {
    const joint = {
      checkpoint: '',
      scope: 'all',
      towerBudget: 'joint',
      sparsity: 0.5,
      allocation: 'ecoflap',
      threads: 1,
    };
    const asked = () => ({ ...joint, ...qa, checkpoint: llava, out: join(root, `out-${count++}`) });

    test('ECoFLaP shares it out by the norms of one loss, and together it is met to a weight', async () => {
      const options = asked();
      await prune(options);
      const read = async (file: string) => parseManifest(await readFile(join(options.out, file), 'utf8'), file);
      const [first, last] = [await read('layerwise-vision.json'), await read('layerwise.json')];
      const scores = [await gradients('vision'), await gradients('language')];
      const models = [await openModel(llava, undefined, 'vision'), await openModel(llava, undefined, 'language')];
      const parts = models.map((model) => ({ blocks: model.config.blocks, linears: linearUnits(model) }));
      const plan = allocate(findPolicy('ecoflap'), {
        ...{ target: 0.5, facts: joinFacts(parts), counting: 'exact', measured: { gradient: scores.flat() } },
      });
      const [vision, language] = partPlan(plan, parts);
      expect(first.plan).toEqual(vision);
      expect(last.plan).toEqual(language);
      expect(new Set(Object.values(plan.units).map(({ zeros }) => zeros!.rate)).size).toBe(4);
      const weights = first.source.prunable + last.source.prunable;
      expect(Math.abs(last.joint!.realised - 0.5) * weights).toBeLessThanOrEqual(1 + 1e-6);
      expect(last.joint!.target).toBe(0.5);
      expect(last.towers!.map(({ target }) => target)).toEqual([vision!.budget!.target, language!.budget!.target]);
      expect(last.command).toContain('--sparsity 0.5 --allocation ecoflap');
      expect(last.command).toContain('--scope all --tower-budget joint');
      expect(last.command).not.toContain('--tower-sparsity');
    });

    /** What the policy reads of a trunk, measured here. */
    async function gradients(trunk: 'vision' | 'language'): Promise<readonly number[]> {
      const model = await openModel(llava, undefined, trunk);
      return await withResources(async (own) => {
        const engine = await own(createOrtEngine({ device: 'cpu', workers: 1, threads: 1 }));
        const questioning = await openQuestions(model, silent);
        const read = async (path: string, order: 'random' | 'all') =>
          await readQuestions(questioning, { path, order, seed: 0, orientation: undefined, onProgress: silent });
        const sets = [
          await read(qa.calibration, 'random'),
          await read(qa.validation, 'all'),
          await read(qa.test, 'all'),
        ];
        const [calibration] = prepareQuestions(questioning, sets);
        const samples = await embedSamples(own, engine, model, calibration!.content);
        return await measureGradients(engine, model, await takeEvenly(own, samples, 32), 0, silent);
      });
    }

    test('a run that was interrupted goes on to the same bytes', async () => {
      const whole = asked();
      await prune(whole);
      for (const stage of ['gradients', 'trial: uniform', 'writing']) {
        const options = asked();
        let seen = 0;
        const onProgress = (event: ProgressEvent): void => {
          if (event.kind === 'stage' && event.stage === stage && ++seen === 2) throw new Error('pulled');
        };
        await expect(prune({ ...options, onProgress })).rejects.toThrow('pulled');
        expect((await failure(prune({ ...options, towerBudget: 'each', resume: true }))).code).toBe('E_OPTION_RESUME');
        await prune({ ...options, resume: true });
        for (const name of ['model.safetensors', 'layerwise.json', 'layerwise-vision.json', 'report.html'])
          expect((await readFile(join(options.out, name))).equals(await readFile(join(whole.out, name))), name).toBe(
            true,
          );
      }
    });

    test('one line goes over all blocks; what is searched or measured by trunk is refused', async () => {
      const { manifest } = await prune({ ...asked(), allocation: 'atp', beta: 0.1 });
      expect(manifest.towers!.map(({ target }) => target > 0.5)).toEqual([false, true]);
      expect(manifest.joint!.realised).toBeCloseTo(0.5, 3);
      const refused = async (other: Partial<PruneOptions>) => (await failure(prune({ ...asked(), ...other }))).code;
      expect(await refused({ allocation: 'atp' })).toBe('E_OPTION_TOWER_BUDGET');
      expect(await refused({ allocation: 'owl' })).toBe('E_OPTION_TOWER_BUDGET');
      expect(await refused({ allocation: 'atp', beta: 0.34 })).toBe('E_OPTION_HYPERPARAMETERS');
      expect(await refused({ towerBudget: 'one' })).toBe('E_OPTION_TOWER_BUDGET');
      expect(await refused({ scope: 'vision' })).toBe('E_OPTION_CONFLICT');
      expect(await refused({ towerSparsity: { vision: 0.5, language: 0.5 } })).toBe('E_OPTION_CONFLICT');
    });
  });

  test('a run over both that was interrupted goes on to the same bytes', async () => {
    const options = { checkpoint: llava, scope: 'all', sparsity: 0.5, allocation: 'uniform', threads: 1, ...qa };
    const whole = join(root, 'whole');
    await prune({ ...options, out: whole });
    for (const [at, where] of [
      (event: ProgressEvent) => event.kind === 'note' && event.text.startsWith('Then'),
      (() => {
        let trials = 0;
        return (event: ProgressEvent) => event.kind === 'stage' && event.stage.startsWith('trial') && ++trials === 2;
      })(),
    ].entries()) {
      const out = join(root, `again-${at}`);
      const onProgress = (event: ProgressEvent): void => {
        if (where(event)) throw new Error('pulled');
      };
      await expect(prune({ ...options, out, onProgress })).rejects.toThrow('pulled');
      await expect(readFile(join(out, 'layerwise.json'))).rejects.toThrow();
      const other = failure(prune({ ...options, sparsity: 0.25, out, resume: true }));
      expect((await other).code).toBe('E_OPTION_RESUME');
      expect((await failure(prune({ ...options, out }))).code).toBe('E_OPTION_OUT_PARTIAL');
      await prune({ ...options, out, resume: true });
      for (const name of [
        'model.safetensors',
        'layerwise.json',
        'layerwise-vision.json',
        'report.html',
        'report-vision.html',
      ]) {
        const [one, two] = [await readFile(join(whole, name)), await readFile(join(out, name))];
        expect(two.equals(one), name).toBe(true);
      }
      expect((await readdir(root)).filter((name) => name.endsWith('.partial'))).toEqual([]);
    }
  });

  test('of a conversation the first question counts, and the vision trunk needs an image', async () => {
    const turn = (from: string, value: string) => ({ from, value });
    const conversations = [
      turn('human', '<image>\nWhat?'),
      turn('gpt', 'cat'),
      turn('human', 'Why?'),
      turn('gpt', 'so'),
    ];
    const path = join(root, 'llava.json');
    await writeFile(path, JSON.stringify([{ id: 1, image: '21.png', conversations }]));
    const notes: string[] = [];
    const onProgress = (event: ProgressEvent): void => void (event.kind === 'note' && notes.push(event.text));
    const { source } = await evaluate({ checkpoint: llava, qa: path, threads: 1, onProgress });
    expect(source).toMatchObject({ windows: 1, dialogue: { followUps: 1, images: 1 } });
    expect(notes.join()).toContain('1 of 2 questions follow others');
    const text = await writeQuestions('text.jsonl', [], [{ question: 'Why?', answer: 'so' }]);
    const error = await failure(run({ checkpoint: llava, scope: 'vision', calibration: text }));
    expect(error.code).toBe('E_UNSUPPORTED_DIALOGUE');
    const unanswered = await writeQuestions('open.jsonl', [], [{ question: 'Why?' }]);
    expect((await failure(evaluate({ checkpoint: llava, qa: unanswered }))).code).toBe('E_OPTION_ANSWER');
  });

  test('β is searched by the loss of answers, and weights are quantised', async () => {
    const { recorded } = await run({ checkpoint: llava, allocation: 'atp', maxTrials: 2, scope: 'language', ...qa });
    expect(recorded.trials.length).toBeGreaterThan(1);
    const out = join(root, `out-${count++}`);
    await quantise({
      checkpoint: llava,
      scope: 'vision',
      bits: 4,
      group: 'row',
      method: 'rtn',
      test: qa.test,
      out,
      threads: 1,
    });
    for (const name of await changed(llava, out)) expect(name).toMatch(/vision/);
  });

  test('refuses what it cannot do, by name', async () => {
    const refused = async (asked: Partial<PruneOptions>) =>
      (await failure(run({ checkpoint: llava, calibration: qa.calibration, ...asked }))).code;
    expect(await refused({ scope: 'text' })).toBe('E_UNSUPPORTED_TRUNK');
    expect(await refused({ labels: 'folder', scope: 'vision' })).toBe('E_OPTION_LABELS');
    expect(await refused({ classes: names })).toBe('E_OPTION_CLASSES');
    expect(await refused({ windowStart: 'none' })).toBe('E_OPTION_CONFLICT');
    expect(await refused({ test: qa.calibration })).toBe('E_OPTION_TEST');
    const clips = { checkpoint: llava, bits: 4, calibration: qa.calibration, validation: qa.validation };
    const searched = async (asked: object) =>
      (await failure(quantiseActivations({ ...clips, out: join(root, 'clips'), ...asked }))).code;
    expect(await searched({})).toBe('E_UNSUPPORTED_DIALOGUE');
    expect(await searched({ scope: 'vision' })).toBe('E_OPTION_SCOPE');
    const text = join(root, 'plain.txt');
    await writeFile(text, 'Plain text. '.repeat(80));
    expect(await refused({ validation: text })).toBe('E_OPTION_VALIDATION');
    expect(await refused({ calibration: text, scope: 'vision' })).toBe('E_OPTION_CALIBRATION');
    expect((await failure(evaluate({ checkpoint: llava, images: images.validation }))).message).toContain('--qa');
    expect((await failure(evaluate({ checkpoint: clip, qa: qa.test }))).code).toBe('E_OPTION_QA');
  });

  test('heads and channels of the language trunk are cut by the loss of answers', async () => {
    const made = async (more: object) => {
      const out = join(root, `out-${count++}`);
      const asked = { checkpoint: llava, out, parameters: 0.9, multiple: 4, threads: 1, ...qa, ...more };
      return await cut({ targetShares: { alpha: 0.5, gamma: 0.5 }, greedyTokens: 0, ...asked });
    };
    const equal = await made({ units: 'all', multiple: 4 });
    expect(equal.record).toMatchObject({ loss: 'answer', source: { trunk: 'language' } });
    expect(equal.record.loads).toEqual(['as it is: whatever loads the family: transformers, layerwise']);
    const config = JSON.parse(await readFile(join(equal.out, 'config.json'), 'utf8'));
    const [heads, kvHeads, width] = equal.record.widths.after[0]!;
    const text = { num_attention_heads: heads, num_key_value_heads: kvHeads, intermediate_size: width };
    expect(config.text_config).toMatchObject(text);
    const { vision_config, ...others } = JSON.parse(await readFile(join(llava, 'config.json'), 'utf8'));
    expect({ ...config, text_config: others.text_config }).toEqual({ ...others, vision_config });
    const free = await made({ widths: 'free', allocation: 'uniform', multiple: 1, calibration: qa.calibration });
    for (const { out, record } of [equal, free]) {
      const { questions } = await evaluate({ checkpoint: out, qa: qa.test, threads: 1 });
      expect(questions!.model.evaluation.perplexity).toBeCloseTo(record.cut.test!, 5);
      for (const name of await changed(llava, out)) expect(name).toMatch(/^language_model/);
    }
    const refused = async (more: object) => (await failure(made(more))).code;
    expect(await refused({ scope: 'vision' })).toBe('E_UNSUPPORTED_CUT');
    expect(await refused({ importance: 'taylor' })).toBe('E_UNSUPPORTED_CUT');
    expect(await refused({ scope: 'all' })).toBe('E_OPTION_SCOPE');
  });

  test('a text alone prunes the language trunk, as before', async () => {
    const text = join(root, 'text.txt');
    await writeFile(text, 'One cat sat. Another dog ran! '.repeat(80));
    const { recorded } = await run({ checkpoint: llava, calibration: text, sequenceLength: 32, calibrationSamples: 8 });
    expect(recorded.texts.calibration!.dialogue).toBeUndefined();
    expect(recorded.source.trunk).toBe('language');
  });
});

describe('CLIP', () => {
  test('is scored against names of classes, and its vision trunk is pruned', async () => {
    const options = {
      ...images,
      scope: 'vision',
      classes: names,
      templates,
      test: await writeFolder('test', [31, 32]),
    };
    const { recorded, out } = await run({ checkpoint: clip, ...options });
    for (const name of await changed(clip, out)) expect(name).toMatch(/^vision_model/);
    expect(recorded.images!.classes).toEqual(['dog', 'cat']);
    expect(recorded.images!.labels.validation).toEqual([1, 1, 0, 0]);
    expect(recorded.texts.test!.images!.zeroShot).toMatchObject({ names: 2, templates: 1 });
    expect(recorded.command).toContain('--scope vision');
    expect(recorded.command).toContain('--classes');
    const scored = await evaluate({
      checkpoint: out,
      images: options.test,
      classes: names,
      templates,
      dense: clip,
      threads: 1,
    });
    expect(scored.images!.evaluation!.ranks).toEqual(recorded.chosen.test!.ranks);
    expect(scored.images!.dense!.nll[0]).toBeCloseTo(recorded.dense.test!.nll[0]!, 5);
    const two = join(root, 'two.txt');
    await writeFile(two, 'a {}.\nno {}\n');
    const other = await evaluate({ checkpoint: out, images: options.test, classes: names, templates: two, threads: 1 });
    expect(other.images!.evaluation!.nll).not.toEqual(scored.images!.evaluation!.nll);
    expect(other.source!.images!.zeroShot!.templates).toBe(2);
  });

  test('captions are retrieved by their images, and images by their captions', async () => {
    const lines = [31, 32, 33, 34].map((seed) => ({ image: `${seed}.png`, captions: [`cat ${seed}`, `a ${seed}`] }));
    for (const seed of [31, 32, 33, 34]) await writeFile(join(root, `${seed}.png`), png(seed));
    const pairs = join(root, 'pairs.jsonl');
    await writeFile(pairs, lines.map((line) => JSON.stringify(line)).join('\n'));
    const out = join(root, `out-${count++}`);
    const how = { scope: 'vision', sparsity: 0.5, allocation: 'uniform', threads: 1 };
    await prune({ checkpoint: clip, out, calibration: images.calibration, classes: names, templates, ...how });
    const { captions, source } = await evaluate({ checkpoint: out, captions: pairs, dense: clip, threads: 1 });
    expect(source).toMatchObject({ windows: 4, images: {} });
    // The same by the logits of transformers' form, of vectors that are judged elsewhere (test/model/towers.test.ts).
    const places = await withResources(async (own) => {
      const engine = await own(createOrtEngine({ device: 'cpu', workers: 1, threads: 1 }));
      const [vision, text] = [await openModel(clip, undefined, 'vision'), await openModel(clip, undefined, 'text')];
      const folder = join(root, 'pairs');
      await mkdir(folder, { recursive: true });
      for (const seed of [31, 32, 33, 34]) await writeFile(join(folder, `${seed}.png`), png(seed));
      const request = { path: folder, order: 'all', seed: 0, labels: undefined, orientation: undefined } as const;
      const { content } = await prepareImageSet(vision, { ...request, onProgress: silent });
      const windows = textWindows(
        text,
        await loadTokenizer(clip),
        lines.flatMap((line) => line.captions),
      );
      const [of, to] = [await embedContent(engine, vision, content), await embedContent(engine, text, windows)];
      const logits = logitsPerImage(of, to, { factor: 1, shift: 0 });
      return of.count === 4
        ? [...Array(8).keys()].map((t) => {
            const column = [0, 1, 2, 3].map((i) => logits[i * 8 + t]!);
            return column.filter((value) => value > column[Math.floor(t / 2)]!).length;
          })
        : [];
    });
    expect(captions!.dense!.texts).toEqual(places);
    expect(captions!.model.images).toHaveLength(4);
    const refused = async (more: object) =>
      (await failure(evaluate({ checkpoint: clip, captions: pairs, threads: 1, ...more }))).code;
    expect(await refused({ checkpoint: llava })).toBe('E_OPTION_CAPTIONS');
    expect(await refused({ captions: qa.test })).toBe('E_OPTION_CAPTIONS');
    expect(await refused({ images: images.validation })).toBe('E_OPTION_CONFLICT');
  });

  test('channels of its vision trunk are cut, and heads where no config.json has to say so', async () => {
    const made = async (more: object) => {
      const out = join(root, `out-${count++}`);
      const how = {
        targetShares: { alpha: 0.5, gamma: 0.5 },
        multiple: 4,
        threads: 1,
        ...images,
        classes: names,
        templates,
      };
      const { record } = await cut({ checkpoint: clip, out, parameters: 0.9, scope: 'vision', ...how, ...more });
      const scored = await evaluate({
        checkpoint: out,
        images: images.validation,
        classes: names,
        templates,
        threads: 1,
      });
      expect(scored.images!.evaluation!.ranks).toEqual(record.images!.cut.validation!.ranks);
      expect(scored.images!.evaluation!.perplexity).toBeCloseTo(record.cut.validation!, 5);
      for (const name of await changed(clip, out)) expect(name).toMatch(/^vision_model/);
      expect(record.command).toContain('--scope vision');
      return JSON.parse(await readFile(join(out, 'config.json'), 'utf8'));
    };
    const equal = await made({});
    expect(equal.vision_config.intermediate_size).toBeLessThan(96);
    expect(equal.text_config.intermediate_size).toBe(64);
    const free = await made({ units: 'all', widths: 'free', allocation: 'uniform' });
    expect(free.vision_config.layer_widths).toHaveLength(2);
    expect((await failure(made({ units: 'heads' }))).code).toBe('E_UNSUPPORTED_CUT');
    expect((await failure(made({ scope: 'text' }))).code).toBe('E_UNSUPPORTED_SCOPE');
    expect((await failure(made({ classes: undefined, templates: undefined }))).code).toBe('E_OPTION_CLASSES');
  });

  test('a SigLIP that pools with an MLP is cut to free widths alone', async () => {
    const siglip = await writeGoldenModel(readVisionGolden('siglip'), join(root, 'siglip'));
    await writeFile(join(siglip, 'preprocessor_config.json'), processor());
    const made = (more: object) =>
      cut({
        ...{ checkpoint: siglip, out: join(root, `out-${count++}`), parameters: 0.9, threads: 1, multiple: 4 },
        ...{ calibration: join(images.calibration, 'cat'), ...more },
      });
    const error = await failure(made({}));
    expect(error.code).toBe('E_UNSUPPORTED_CUT');
    expect(error.message).toContain('pools with an MLP');
    const { out, record } = await made({ widths: 'free', allocation: 'uniform' });
    expect((await openModel(out)).parameters).toBe(record.parameters.after);
    for (const name of await changed(siglip, out)) expect(name).toMatch(/^vision_model.encoder/);
  });

  test('refuses what it cannot do, by name', async () => {
    const refused = async (asked: Partial<PruneOptions>) =>
      (await failure(run({ checkpoint: clip, ...images, ...asked }))).code;
    expect(await refused({})).toBe('E_OPTION_CLASSES');
    expect(await refused({ scope: 'text', classes: names })).toBe('E_OPTION_CLASSES');
    expect(await refused({ templates: names })).toBe('E_OPTION_CLASSES');
    const one = join(root, 'one.txt');
    await writeFile(one, 'dog\nbird');
    expect(await refused({ classes: one, templates })).toBe('E_OPTION_LABELS');
    expect((await failure(evaluate({ checkpoint: clip, images: images.validation }))).code).toBe('E_OPTION_CLASSES');
  });
});
