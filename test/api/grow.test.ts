// Growth from end to end: every family and method, the config, the record, interrupted runs, refusals.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { drop, evaluate, type GrowOptions, grow, heal } from '../../src/api/index.js';
import { openCheckpoint, readTensor, readTensorFloat32 } from '../../src/checkpoint/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { type Model, openModel, placeOf } from '../../src/model/index.js';
import { GROW_METHODS } from '../../src/plan/index.js';
import { parseGrowRecord } from '../../src/records/index.js';
import { codeOf } from '../checkpoint/make.js';
import { FAMILY_CONFIGS, makeFamily, TEXT_FAMILIES } from '../families.js';
import { forwardLogits } from '../model/forward.js';
import { furthest } from '../model/golden.js';
import { limit } from '../scale.js';
import { sharedPath, testWith } from '../shared.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';

let folder: string;
let texts: Pick<Texts, 'validation' | 'test'>;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  const { calibration: _, ...scored } = await makeTexts(folder, 24);
  texts = scored;
});

async function logitsOf(model: Model): Promise<Float32Array> {
  const windows = [0, 1].map((w) => Int32Array.from({ length: LENGTH }, (_, t) => 97 + ((w * 31 + t * 7) % 26)));
  const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
  const logits = await forwardLogits(engine, model, { length: LENGTH, windows });
  await engine.close();
  return logits;
}

/** OPT of the test configurations norms after it adds, as the size of 350M does. */
const inOrder = { ...FAMILY_CONFIGS.opt, do_layer_norm_before: true };

describe.each([...TEXT_FAMILIES.keys()])('%s', (family) => {
  let checkpoint: string;
  let model: Model;
  beforeAll(async () => {
    const options = { dtype: 'F16' as const, blocks: 5, ...(family === 'opt' ? { config: inOrder } : {}) };
    checkpoint = await makeFamily(join(folder, family), family, options);
    model = await openModel(checkpoint);
  });
  const base = { sequenceLength: LENGTH, threads: 2, greedyTokens: 0 };

  test('llama-pro leaves the logits as they are, bit for bit', async () => {
    const out = join(folder, `${family}-pro`);
    const { record } = await grow({ ...base, checkpoint, out, blocks: 2, method: 'llama-pro' });
    expect(record).toMatchObject({ grown: [3, 6], of: [[2], [4]], blocks: { before: 5, after: 7 } });
    const deeper = await openModel(out);
    expect(furthest(await logitsOf(deeper), await logitsOf(model))).toBe(0);
    const order = [0, 1, 2, 2, 3, 4, 4];
    const { windows, mixtures, widths } = model.config;
    expect(deeper.config).toEqual({
      ...model.config,
      ...{ blocks: 7, windows: order.map((b) => windows[b]), mixtures: order.map((b) => mixtures[b]) },
      widths: order.map((b) => widths[b]),
    });
    // Whatever else a copy is, it is not a block of zeros.
    const { rows, name } = deeper.linears[3]!.find(({ feeds }) => feeds !== 'residual')!;
    expect(rows).toBeGreaterThan(0);
    expect(await readTensor(deeper.checkpoint, `${name}.weight`)).toEqual(
      await readTensor(model.checkpoint, `${name.replace('.3.', '.2.')}.weight`),
    );
  });

  test('copies are the blocks before them; taking them out again gives the source back', async () => {
    const out = join(folder, `${family}-copy`);
    const { record } = await grow({ ...base, ...texts, checkpoint, out, blocks: 2, method: 'copy', where: '1,4' });
    expect(record.grown).toEqual([2, 6]);
    const scored = await evaluate({ checkpoint: out, text: texts.test!, sequenceLength: LENGTH, threads: 2 });
    expect(scored.text!.perplexity).toBe(record.deeper.test);
    expect(record.deeper.test).not.toBe(record.dense.test);
    const [source, deeper] = [model.checkpoint, await openCheckpoint(out)];
    const from = [0, 1, 1, 2, 3, 4, 4];
    for (const name of deeper.tensors.keys()) {
      const place = placeOf(name, model.tensorNames.blocks);
      const original = place ? `${model.tensorNames.blocks}${from[place.block]}.${place.rest}` : name;
      expect(await readTensor(deeper, name)).toEqual(await readTensor(source, original));
    }
  });

  test('the mean of two neighbours, tensor by tensor', async () => {
    const out = join(folder, `${family}-average`);
    const made = grow({ ...base, checkpoint, out, blocks: 1, method: 'average', where: '2' });
    if (family === 'qwen3_moe') {
      expect(await codeOf(made)).toBe('E_UNSUPPORTED_GROW'); // every second block has experts
      return;
    }
    const { record } = await made;
    expect(record).toMatchObject({ grown: [3], of: [[2, 3]] });
    const [source, deeper] = [model.checkpoint, await openCheckpoint(out)];
    const { blocks } = model.tensorNames;
    const own = [...deeper.tensors.keys()].filter((name) => name.startsWith(`${blocks}3.`));
    expect(own.length).toBeGreaterThan(5);
    for (const name of own) {
      const rest = name.slice(`${blocks}3.`.length);
      const [a, b] = [2, 3].map((block) => readTensorFloat32(source, `${blocks}${block}.${rest}`));
      const [left, right, got] = [await a!, await b!, await readTensorFloat32(deeper, name)];
      for (const [i, value] of got.entries()) {
        expect(Math.abs(value - (left[i]! + right[i]!) / 2)).toBeLessThanOrEqual(5e-4 * Math.max(1, Math.abs(value)));
      }
    }
  });

  test('predicted linears, and averaged norms', async () => {
    const out = join(folder, `${family}-lesa`);
    const made = grow({ ...base, ...texts, checkpoint, out, blocks: 1, method: 'lesa', where: '2' });
    if (family === 'qwen3_moe') {
      expect(await codeOf(made)).toBe('E_UNSUPPORTED_GROW');
      return;
    }
    const { record } = await made;
    const linears = model.linears[0]!.flatMap(({ sections }) => sections);
    expect(record.heldOut).toHaveLength(linears.length);
    for (const { lesa, average, copy, norm, triples } of record.heldOut!) {
      // Random blocks say nothing of each other.
      expect(lesa).toBeGreaterThan(0.9);
      expect(lesa).toBeLessThan(1.3);
      expect(average).toBeGreaterThan(1.1);
      expect(copy).toBeGreaterThan(1.2);
      expect(norm).toBeLessThan(0.8);
      expect(triples).toBe(3);
    }
    const scored = await evaluate({ checkpoint: out, text: texts.test!, sequenceLength: LENGTH, threads: 2 });
    expect(scored.text!.perplexity).toBe(record.deeper.test);
  });
});

describe('a run', () => {
  let source: string;
  beforeAll(async () => {
    source = await makeTiny(join(folder, 'tiny'), { blocks: 6, shards: 2, dtype: 'BF16' });
  });
  const options = (out: string, method: string): GrowOptions => ({
    ...texts,
    ...{ checkpoint: source, out: join(folder, out), method, blocks: 2, sequenceLength: LENGTH, threads: 2 },
  });

  test('writes a record that can be read, an index that is true, and all other files as they were', async () => {
    const { record, out } = await grow(options('whole', 'average'));
    const written = await readFile(join(out, 'layerwise.json'), 'utf8');
    expect(parseGrowRecord(written, 'layerwise.json')).toEqual(record);
    const [was, is] = [await readTree(source), await readTree(out)];
    const { shards, tensors } = await openCheckpoint(out);
    expect(differences(was, is)).toEqual(
      ['config.json', 'layerwise.json', 'model.safetensors.index.json', ...shards].sort(),
    );
    const map = Object.fromEntries([...tensors.values()].map(({ name, file }) => [name, file]));
    const bytes = [...tensors.values()].reduce((sum, { length }) => sum + length, 0);
    expect(JSON.parse(is['model.safetensors.index.json']!)).toEqual({
      metadata: { total_size: bytes },
      weight_map: map,
    });
    expect(is['config.json']).toBe(was['config.json']!.replace('"num_hidden_layers": 6', '"num_hidden_layers": 8'));
    const back = await drop({ checkpoint: out, out: join(folder, 'back'), method: 'deepest', blocks: 1 });
    expect(back.record.blocks).toEqual({ before: 8, after: 7 });
  });

  test.each([...GROW_METHODS.keys()])('%s: the same bytes on any number of threads', async (method) => {
    const one = await grow({ ...options(`${method}-1`, method), threads: 1 });
    const two = await grow(options(`${method}-2`, method));
    expect(differences(await readTree(one.out), await readTree(two.out))).toEqual([]);
  });

  test('continues where it was interrupted, and ends with the same bytes', async () => {
    const straight = await grow(options('straight', 'lesa'));
    const stop = new Error('stop');
    let stages: string[] = [];
    let kinds = 0;
    const until = (count: number) => (event: { readonly kind: string; readonly stage?: string }) => {
      if (event.kind === 'stage') stages.push(event.stage!);
      if (event.kind === 'advance' && stages.at(-1) === 'predicting' && ++kinds === count) throw stop;
    };
    await expect(grow({ ...options('resumed', 'lesa'), onProgress: until(3) })).rejects.toBe(stop);
    expect(await codeOf(openModel(join(folder, 'resumed')))).toBe('E_CHECKPOINT_DIRECTORY');
    expect(await codeOf(grow(options('resumed', 'lesa')))).toBe('E_OPTION_OUT_PARTIAL');
    expect(await codeOf(grow({ ...options('resumed', 'average'), resume: true }))).toBe('E_OPTION_RESUME');
    const marker = await readFile(join(folder, 'resumed.partial', 'run.json'), 'utf8');
    expect(await readdir(join(folder, 'resumed.partial', 'predicted'))).toHaveLength(3);
    stages = [];
    const { out, record } = await grow({ ...options('resumed', 'lesa'), resume: true, onProgress: until(-1) });
    expect(stages).not.toContain('validation: dense');
    expect(differences(await readTree(straight.out), await readTree(out))).toEqual([]);
    // Killed after the output had appeared and before its workspace was gone.
    await mkdir(`${out}.partial`);
    await writeFile(`${out}.partial/run.json`, marker);
    expect((await grow({ ...options('resumed', 'lesa'), resume: true })).record).toEqual(record);
  });

  test('heal trains the new blocks, and nothing else', async () => {
    const { record, out } = await grow(options('to-heal', 'llama-pro'));
    const healed = join(folder, 'grown-and-healed');
    await heal({
      ...{ checkpoint: out, dense: source, out: healed, text: texts.test!, validation: texts.validation! },
      ...{ train: 'new', loss: 'nll', tokens: 1024, batch: 256, rate: 3e-3, sequenceLength: LENGTH, threads: 2 },
    });
    const [before, after] = [await openCheckpoint(out), await openCheckpoint(healed)];
    const blocks = new Set<number | undefined>();
    for (const name of before.tensors.keys()) {
      if (Buffer.compare(await readTensor(before, name), await readTensor(after, name)) === 0) continue;
      blocks.add(placeOf(name, 'model.layers.')?.block);
    }
    expect([...blocks].sort()).toEqual(record.grown);
  });

  test('refuses what it cannot do by its name, before a text is read', async () => {
    const code = (changes: Partial<GrowOptions>): Promise<string | undefined> =>
      codeOf(grow({ ...options('not-written', 'copy'), validation: join(folder, 'none.txt'), ...changes }));
    expect(await code({ method: 'mean' })).toBe('E_OPTION_METHOD');
    expect(await code({ blocks: 7 })).toBe('E_OPTION_BLOCKS');
    expect(await code({ blocks: 0 })).toBe('E_OPTION_BLOCKS');
    expect(await code({ where: '1' })).toBe('E_OPTION_WHERE');
    expect(await code({ where: 'all' })).toBe('E_OPTION_WHERE');
    expect(await code({ out: folder })).toBe('E_OPTION_OUT_EXISTS');
    expect(await code({ out: join(source, 'inside') })).toBe('E_OPTION_OUT');
    const post = await makeFamily(join(folder, 'post'), 'opt');
    expect(await code({ checkpoint: post, method: 'llama-pro', blocks: 1 })).toBe('E_UNSUPPORTED_GROW');
    const short = await makeTiny(join(folder, 'short'), { blocks: 3 });
    expect(await code({ checkpoint: short, method: 'lesa', blocks: 1 })).toBe('E_UNSUPPORTED_GROW');
    const quantised = await makeTiny(join(folder, 'quantised'));
    await writeFile(join(quantised, 'layerwise.scales'), '');
    expect(await code({ checkpoint: quantised })).toBe('E_UNSUPPORTED_GROW');
    expect(await code({})).toBe('E_RESOURCE_NOT_FOUND');
    expect((await readdir(folder)).filter((name) => name.startsWith('not-written'))).toEqual([]);
  });

  test('windows that a number of blocks decides stay with their blocks, or the growth is refused', async () => {
    const config = { ...FAMILY_CONFIGS.qwen2, use_sliding_window: true, sliding_window: 7, max_window_layers: 2 };
    const windowed = await makeFamily(join(folder, 'windowed'), 'qwen2', { blocks: 5, config });
    const { windows } = (await openModel(windowed)).config;
    expect(windows).toEqual([undefined, undefined, 7, 7, 7]);
    const out = join(folder, 'windowed-copy');
    await grow({ checkpoint: windowed, out, method: 'copy', blocks: 2, where: '1,3' });
    expect((await openModel(out)).config.windows).toEqual([undefined, undefined, undefined, 7, 7, 7, 7]);
    const again = grow({
      ...{ checkpoint: windowed, out: join(folder, 'no'), method: 'solar', blocks: 2, where: '1..2' },
    });
    expect(await codeOf(again)).toBe('E_UNSUPPORTED_GROW');
  });
});

const trained = sharedPath('models', 'novels-2m');
testWith(trained, 'a trained checkpoint')(
  'of a trained checkpoint, LESA’s predictor, the mean and a copy on held-out blocks',
  async () => {
    const out = join(folder, 'novels-lesa');
    const { record } = await grow({ checkpoint: trained!, out, method: 'lesa', blocks: 4, threads: 2 });
    // Blocks of this model say next to nothing of each other: predicting nothing (1) is as good as LESA, and better than the rest.
    for (const { lesa, average, copy } of record.heldOut!) {
      expect(lesa).toBeGreaterThan(0.99);
      expect(lesa).toBeLessThan(1.01);
      expect(average).toBeGreaterThan(1.15);
      expect(copy).toBeGreaterThan(average);
    }
  },
  limit(90_000),
);
