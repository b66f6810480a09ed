// Layer removal from end to end, on small random checkpoints in which one block does nothing, and on a trained one.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { generateStories } from '../../scripts/demo/stories.js';
import { type DropOptions, drop, evaluate } from '../../src/api/index.js';
import {
  openCheckpoint,
  readSafetensors,
  readTensor,
  writeCheckpoint,
  writeSafetensors,
} from '../../src/checkpoint/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { type Model, openModel, renumberTensor } from '../../src/model/index.js';
import { DROP_METHODS } from '../../src/plan/index.js';
import { parseDropRecord } from '../../src/records/index.js';
import { codeOf } from '../checkpoint/make.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { forwardLogits } from '../model/forward.js';
import { limit } from '../scale.js';
import { sharedPath, testWith } from '../shared.js';
import {
  differences,
  IDLE,
  LENGTH,
  makeFolder,
  makeIdle,
  makeTexts,
  makeTiny,
  readTree,
  type Texts,
  useOwnCache,
  VOCABULARY,
} from './make.js';

const METHODS = [...DROP_METHODS.keys()];

let folder: string;
let texts: Texts;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder);
});

/** The one method that cannot do without. */
const repairOf = (method: string) => (method === 'repaired' ? { repair: 'linear' } : {});

const optionsOf = (checkpoint: string, out: string, method: string, blocks = 1): DropOptions => ({
  ...repairOf(method),
  checkpoint,
  out,
  method,
  blocks,
  ...texts,
  calibrationSamples: 70,
  sequenceLength: LENGTH,
  threads: 2,
});

/** Between the logits of two models on three windows. */
async function largestDifference(a: Model, b: Model): Promise<number> {
  const windows = Array.from({ length: 3 }, (_, w) =>
    Int32Array.from({ length: LENGTH }, (_, t) => (97 + w * 31 + t * 7) % VOCABULARY),
  );
  const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
  const one = await forwardLogits(engine, a, { length: LENGTH, windows });
  const other = await forwardLogits(engine, b, { length: LENGTH, windows });
  await engine.close();
  return one.reduce((worst, logit, i) => Math.max(worst, Math.abs(logit - other[i]!)), 0);
}

describe.each([
  { dtype: 'F32', tied: false, shards: 1 },
  { dtype: 'BF16', tied: true, shards: 3 },
] as const)('a checkpoint with an idle block, $dtype, tied $tied, in $shards files', (options) => {
  let source: string;
  beforeAll(async () => {
    source = await makeIdle(join(folder, options.dtype), options);
  });

  test.each(['shortgpt', 'angular'])('%s finds it, and its removal changes nothing', async (method) => {
    const out = join(folder, `${options.dtype}-${method}`);
    const { record } = await drop(optionsOf(source, out, method));
    expect(record.removed).toEqual([IDLE]);
    expect(record.scores).toHaveLength(4);
    if (method === 'shortgpt') {
      expect(record.scores[IDLE]).toBe(0);
      for (const block of [0, 2, 3]) expect(record.scores[block]).toBeGreaterThan(0.01);
    }
    expect(record.dropped).toEqual(record.dense);
    expect(record.blocks).toEqual({ before: 4, after: 3 });
    const [before, after] = [await openModel(source), await openModel(out)];
    expect(record.parameters).toEqual({ before: before.parameters, after: after.parameters });
    expect(await largestDifference(before, after)).toBeLessThanOrEqual(1e-6);
  });

  test('what stays keeps its bytes under its new name; config.json and the index are mended, all else is copied', async () => {
    const edited = join(source, 'config.json');
    const original = await readFile(edited, 'utf8');
    const lists = '"layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"]';
    const config = original.replace('{', `{ "initializer_range": 2e-02, ${lists},`);
    await writeFile(edited, config);
    await writeFile(join(source, 'layerwise.json'), '"of an earlier run"');
    const out = join(folder, `${options.dtype}-bytes`);
    const { record } = await drop(optionsOf(source, out, 'deepest', 2));
    expect(record.removed).toEqual([1, 2]);
    const removed = new Set(record.removed);
    const [before, after] = [await openCheckpoint(source), await openCheckpoint(out)];
    const kept = [...before.tensors.values()].filter(
      ({ name }) => renumberTensor(name, removed, 'model.layers.') !== undefined,
    );
    expect([...after.tensors.keys()]).toEqual(kept.map(({ name }) => renumberTensor(name, removed, 'model.layers.')));
    expect(after.tensors.has('model.layers.1.mlp.up_proj.weight')).toBe(true);
    expect(after.tensors.has('model.layers.2.mlp.up_proj.weight')).toBe(false);
    for (const { name, dtype, shape, file } of kept) {
      const renamed = renumberTensor(name, removed, 'model.layers.')!;
      expect(after.tensors.get(renamed)).toMatchObject({ dtype, shape, file });
      expect(await readTensor(after, renamed)).toEqual(await readTensor(before, name));
    }
    for (const shard of after.shards) {
      expect((await readSafetensors(join(out, shard))).metadata).toEqual({ format: 'pt' });
    }
    const shorter = '"layer_types": ["full_attention", "full_attention"]';
    expect(await readFile(join(out, 'config.json'), 'utf8')).toBe(
      config.replace(lists, shorter).replace('"num_hidden_layers": 4', '"num_hidden_layers": 2'),
    );
    const [was, is] = [await readTree(source), await readTree(out)];
    const index = options.shards > 1 ? ['model.safetensors.index.json'] : [];
    expect(differences(was, is)).toEqual(
      ['config.json', 'layerwise.json', 'report.html', ...after.shards, ...index].sort(),
    );
    if (options.shards > 1) {
      const bytes = [...after.tensors.values()].reduce((sum, { length }) => sum + length, 0);
      const map = Object.fromEntries([...after.tensors.values()].map(({ name, file }) => [name, file]));
      const written: unknown = JSON.parse(is['model.safetensors.index.json']!);
      expect(written).toEqual({ metadata: { total_size: bytes }, weight_map: map });
    }
    const written = await readFile(join(out, 'layerwise.json'), 'utf8');
    expect(parseDropRecord(written, 'layerwise.json')).toEqual(record);
    expect((await readdir(folder)).filter((name) => name.includes('partial'))).toEqual([]);
    const result = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 2 });
    expect(result.text!.perplexity).toBe(record.dropped.test);
    await writeFile(edited, original);
  });
});

test('perplexity finds an idle block among those of a trained checkpoint, and its removal changes nothing', async () => {
  // Of a random model others go first: what they write is noise, and the perplexity gains by their absence.
  const dense = await openCheckpoint(join(import.meta.dirname, '../../demo/model'));
  const source = join(folder, 'idle');
  await mkdir(source);
  const idle = /layers\.6\..*(o_proj|down_proj)/;
  await writeCheckpoint(dense, source, (name) => {
    const { dtype, shape, length } = dense.tensors.get(name)!;
    return idle.test(name) ? { name, dtype, shape, read: async () => new Uint8Array(length) } : undefined;
  });
  const text = join(folder, 'stories.txt');
  await writeFile(text, generateStories(7, 6000));
  const out = join(folder, 'idle-less-1');
  const options = { checkpoint: source, out, blocks: 1, sequenceLength: LENGTH, threads: 2 };
  const { record } = await drop({ ...options, method: 'perplexity', validation: text });
  expect(record.removed).toEqual([6]);
  expect(record.scores).toHaveLength(10);
  expect(record.scores[6]).toBe(record.dense.validation);
  expect(record.dropped).toEqual(record.dense);
  expect(await largestDifference(await openModel(source), await openModel(out))).toBeLessThanOrEqual(1e-6);
});

test('a shard that only held removed blocks is left out', async () => {
  const source = await makeTiny(join(folder, 'whole'), { tied: true });
  const whole = await openCheckpoint(source);
  const dir = join(folder, 'by-block');
  await mkdir(dir);
  for (const name of ['config.json', 'tokenizer.json']) {
    await writeFile(join(dir, name), await readFile(join(source, name)));
  }
  const map: Record<string, string> = {};
  for (const part of ['layers.0.', 'layers.1.', 'layers.2.', 'layers.3.', 'embed', 'norm.weight']) {
    const own = [...whole.tensors.values()].filter(
      ({ name }) => name.startsWith(`model.${part}`) && !Object.hasOwn(map, name),
    );
    const file = `part-${part.replaceAll('.', '')}.safetensors`;
    for (const { name } of own) map[name] = file;
    await writeSafetensors(
      join(dir, file),
      own.map((tensor) => ({ ...tensor, read: () => readTensor(whole, tensor.name) })),
    );
  }
  await writeFile(join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
  const out = join(folder, 'by-block-2');
  await drop({ checkpoint: dir, out, method: 'deepest', blocks: 1 });
  const { shards } = await openCheckpoint(out);
  expect(shards).toEqual([
    'part-embed.safetensors',
    'part-layers0.safetensors',
    'part-layers1.safetensors',
    'part-layers3.safetensors',
    'part-normweight.safetensors',
  ]);
  expect((await readdir(out)).filter((name) => name.endsWith('.safetensors')).sort()).toEqual(shards);
});

test.each(METHODS)(
  '%s: all but one block can go; equal runs write equal bytes on any number of threads',
  async (method) => {
    const source = await makeTiny(join(folder, `even-${method}`));
    const [a, b] = [join(folder, `${method}-a`), join(folder, `${method}-b`)];
    const { record } = await drop(optionsOf(source, a, method, 3));
    expect(record.removed).toHaveLength(3);
    expect((await openModel(a)).config.blocks).toBe(1);
    if (!['perplexity', 'repaired'].includes(method)) expect(record.removed).toEqual([0, 1, 2]);
    await drop({ ...optionsOf(source, b, method, 3), threads: 1 });
    expect(differences(await readTree(a), await readTree(b))).toEqual([]);
  },
);

describe('what is refused, before a text is read', () => {
  let source: string;
  beforeAll(async () => {
    source = await makeTiny(join(folder, 'refused'));
  });
  const code = (changes: Partial<DropOptions>): Promise<string | undefined> =>
    codeOf(
      drop({
        ...optionsOf(source, join(folder, 'not-written'), 'deepest'),
        validation: join(folder, 'none.txt'),
        ...changes,
      }),
    );

  test.each([0, -1, 1.5, 4, 5, Number.NaN])('%s blocks of 4', async (blocks) => {
    expect(await code({ blocks })).toBe('E_OPTION_BLOCKS');
  });

  test('an output that exists or lies inside the checkpoint, methods that are none, texts that are missing', async () => {
    expect(await code({ out: folder })).toBe('E_OPTION_OUT_EXISTS');
    expect(await code({ out: join(source, 'smaller') })).toBe('E_OPTION_OUT');
    expect(await code({ method: 'random' })).toBe('E_OPTION_METHOD');
    const base = { checkpoint: source, out: join(folder, 'not-written'), blocks: 1 };
    expect(await codeOf(drop({ ...base, method: 'shortgpt', validation: texts.validation }))).toBe(
      'E_OPTION_CALIBRATION',
    );
    expect(await codeOf(drop({ ...base, method: 'angular' }))).toBe('E_OPTION_CALIBRATION');
    expect(await codeOf(drop({ ...base, method: 'perplexity', calibration: texts.calibration }))).toBe(
      'E_OPTION_VALIDATION',
    );
    expect(await code({})).toBe('E_RESOURCE_NOT_FOUND');
    expect((await readdir(folder)).filter((name) => name.startsWith('not-written'))).toEqual([]);
  });
});

test('an interrupted run continues after its last finished step and ends with the same bytes', async () => {
  const source = await makeTiny(join(folder, 'interrupted'));
  const out = join(folder, 'continued');
  const options = optionsOf(source, out, 'perplexity', 2);
  const stop = new Error('stop');
  const stages: string[] = [];
  const until = (name: string) => (event: { readonly kind: string; readonly stage?: string }) => {
    if (event.kind !== 'stage') return;
    stages.push(event.stage!);
    if (event.stage === name) throw stop;
  };
  await expect(drop({ ...options, onProgress: until('choosing block 2 of 2') })).rejects.toBe(stop);
  expect(await codeOf(openModel(out))).toBe('E_CHECKPOINT_DIRECTORY');
  expect(await codeOf(drop(options))).toBe('E_OPTION_OUT_PARTIAL');
  expect(await codeOf(drop({ ...options, blocks: 3, resume: true }))).toBe('E_OPTION_RESUME');
  stages.length = 0;
  const marker = await readFile(`${out}.partial/run.json`);
  const { record } = await drop({ ...options, resume: true, onProgress: until('never') });
  expect(stages).not.toContain('choosing block 1 of 2');
  expect(stages).not.toContain('validation: dense');
  const straight = join(folder, 'straight');
  await drop({ ...options, out: straight });
  expect(differences(await readTree(out), await readTree(straight))).toEqual([]);
  // Killed after the output had appeared and before its workspace was gone.
  await mkdir(`${out}.partial`);
  await writeFile(`${out}.partial/run.json`, marker);
  expect((await drop({ ...options, resume: true })).record).toEqual(record);
  expect((await readdir(folder)).filter((name) => name.endsWith('.partial'))).toEqual([]);
  expect(differences(await readTree(out), await readTree(straight))).toEqual([]);
});

describe('--repair linear', () => {
  let source: string;
  beforeAll(async () => {
    source = await makeTiny(join(folder, 'to-repair'), { blocks: 6, shards: 2, dtype: 'BF16' });
  });
  const plain = (out: string): DropOptions => optionsOf(source, join(folder, out), 'shortgpt', 3);
  const options = (out: string): DropOptions => ({ ...plain(out), repair: 'linear' });

  test('changes down before each gap and nothing else, and the record says so', async () => {
    const bare = await drop(plain('bare'));
    expect(bare.record.repair).toBeUndefined();
    const { record, out } = await drop(options('repaired'));
    const removed = new Set(record.removed);
    expect(record.removed).toEqual(bare.record.removed);
    expect(record.repair!.unrepaired).toEqual(bare.record.dropped);
    expect(record.dropped).not.toEqual(bare.record.dropped);
    expect(record.repair!.seams.flatMap(({ gap }) => gap).sort()).toEqual(record.removed);
    const tensors = record.repair!.seams.map(({ block }) =>
      renumberTensor(`model.layers.${block}.mlp.down_proj.weight`, removed, 'model.layers.'),
    );
    expect(record.repair!.seams.flatMap((seam) => seam.tensors)).toEqual(tensors);
    const [before, after] = [await openCheckpoint(bare.out), await openCheckpoint(out)];
    const changed: string[] = [];
    for (const name of before.tensors.keys()) {
      const [a, b] = [await readTensor(before, name), await readTensor(after, name)];
      if (Buffer.compare(a, b) !== 0) changed.push(name);
    }
    expect(changed.sort()).toEqual([...tensors].sort());
    const written = await readFile(join(out, 'layerwise.json'), 'utf8');
    expect(parseDropRecord(written, 'layerwise.json')).toEqual(record);
    const result = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 2 });
    expect(result.text!.perplexity).toBe(record.dropped.test);
    expect(differences(await readTree(bare.out), await readTree(out))).toEqual([
      'layerwise.json',
      ...before.shards.filter((shard) => tensors.some((name) => before.tensors.get(name!)!.file === shard)),
      'report.html',
    ]);
  });

  test('continues at the seam where it was interrupted, and ends with the same bytes on any number of threads', async () => {
    const straight = await drop({ ...options('seams-straight'), threads: 1 });
    const stop = new Error('stop');
    let stages: string[] = [];
    let steps = 0;
    const until = (count: number) => (event: { readonly kind: string; readonly stage?: string }) => {
      if (event.kind === 'stage') stages.push(event.stage!);
      if (event.kind === 'advance' && stages.at(-1) === 'repairing' && ++steps === count) throw stop;
    };
    const whole = straight.record.repair!.seams.at(-1)!;
    expect(whole.block).toBeGreaterThan(0);
    await expect(drop({ ...options('seams'), onProgress: until(whole.block + whole.gap.length) })).rejects.toBe(stop);
    expect(await codeOf(drop({ ...plain('seams'), resume: true }))).toBe('E_OPTION_RESUME');
    stages = [];
    const { out } = await drop({ ...options('seams'), resume: true, onProgress: until(-1) });
    expect(stages).not.toContain('test: unrepaired');
    expect(differences(await readTree(straight.out), await readTree(out))).toEqual([]);
  });

  test('refuses another repair, no text, and blocks with nothing to fit', async () => {
    const { calibration: _, ...without } = { ...options('not-written'), method: 'deepest' };
    expect(await codeOf(drop({ ...options('not-written'), repair: 'exact' }))).toBe('E_OPTION_REPAIR');
    expect(await codeOf(drop(without))).toBe('E_OPTION_CALIBRATION');
    const config = { ...FAMILY_CONFIGS.opt, layer_norm_elementwise_affine: false };
    const bare = await makeFamily(join(folder, 'opt-bare'), 'opt', { config });
    expect(await codeOf(drop({ ...options('not-written'), checkpoint: bare, blocks: 1 }))).toBe('E_UNSUPPORTED_REPAIR');
  });
});

describe('--repair stream, --merge and --method repaired', () => {
  let source: string;
  beforeAll(async () => {
    source = await makeTiny(join(folder, 'to-merge'), { blocks: 5, dtype: 'BF16' });
  });
  const options = (out: string, other: Partial<DropOptions>): DropOptions => ({
    ...optionsOf(source, join(folder, out), 'shortgpt', 2),
    ...other,
  });

  test.each([
    ['stream', { repair: 'stream', targetShares: { alpha: 0.5 } }],
    ['own', { merge: true }],
    ['linear', { merge: true, repair: 'linear' }],
    ['stream', { merge: true, repair: 'stream' }],
  ] as const)(
    '%s %j: what is written has the recorded perplexity, no parameter more, and only the listed changes',
    async (method, how) => {
      const name = JSON.stringify(how).replaceAll(/\W/g, '');
      const bare = await drop(options(`${name}-bare`, {}));
      const { record, out } = await drop(options(name, how));
      const { repair } = record;
      expect(repair!.method).toBe(method);
      expect(repair!.merge).toBe('merge' in how ? true : undefined);
      expect(repair!.shares).toEqual(method === 'stream' ? { alpha: 'merge' in how ? 1 : 0.5, gamma: 1 } : undefined);
      expect(record.parameters).toEqual(bare.record.parameters);
      expect(repair!.unrepaired).toEqual(bare.record.dropped);
      const result = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 2 });
      expect(result.text!.perplexity).toBe(record.dropped.test);
      const listed = [...repair!.seams, ...(repair!.followed ?? [])].flatMap(({ tensors }) => tensors);
      const [before, after] = [await openCheckpoint(bare.out), await openCheckpoint(out)];
      const changed: string[] = [];
      for (const name_ of before.tensors.keys()) {
        const [a, b] = [await readTensor(before, name_), await readTensor(after, name_)];
        if (Buffer.compare(a, b) !== 0) changed.push(name_);
      }
      expect(changed.length).toBeGreaterThan(0);
      expect(changed.filter((one) => !listed.includes(one))).toEqual([]);
      const written = await readFile(join(out, 'layerwise.json'), 'utf8');
      expect(parseDropRecord(written, 'layerwise.json')).toEqual(record);
    },
  );

  test('a merge that was interrupted continues and ends with the same bytes', async () => {
    const how = { merge: true, repair: 'stream' } as const;
    const straight = await drop({ ...options('merge-straight', how), threads: 1 });
    const stop = new Error('stop');
    let stage = '';
    let steps = 0;
    const onProgress: DropOptions['onProgress'] = (event) => {
      if (event.kind === 'stage') stage = event.stage;
      if (event.kind === 'advance' && stage === 'repairing' && ++steps === 4) throw stop;
    };
    await expect(drop({ ...options('merge-stopped', how), onProgress })).rejects.toBe(stop);
    expect(await codeOf(drop({ ...options('merge-stopped', { repair: 'stream' }), resume: true }))).toBe(
      'E_OPTION_RESUME',
    );
    const { out } = await drop({ ...options('merge-stopped', how), resume: true });
    expect(differences(await readTree(straight.out), await readTree(out))).toEqual([]);
  });

  test('repaired: the score of the last block to go is that of what is written', async () => {
    const how = { method: 'repaired', repair: 'linear' };
    const { record, out } = await drop(options('chosen', { ...how, blocks: 1 }));
    expect(record.scores[record.removed[0]!]).toBeCloseTo(record.dropped.validation!, 1);
    expect(record.scores.filter((score) => score! < record.scores[record.removed[0]!]!)).toEqual([]);
    const page = await readFile(join(out, 'report.html'), 'utf8');
    expect(page).toContain('tokens before the first difference');
    expect(page).toContain('The text that parts first');
  });

  test('what contradicts itself is refused, and a family without a common block by name', async () => {
    const refusal = async (other: Partial<DropOptions>) => await codeOf(drop(options('not-written', other)));
    expect(await refusal({ method: 'repaired' })).toBe('E_OPTION_CONFLICT');
    expect(await refusal({ repair: 'linear', targetShares: { alpha: 1 } })).toBe('E_OPTION_CONFLICT');
    expect(await refusal({ repair: 'stream', targetShares: { alpha: 2 } })).toBe('E_OPTION_TARGET_SHARES');
    const { calibration: _, ...without } = options('not-written', { merge: true, method: 'deepest' });
    expect(await codeOf(drop(without))).toBe('E_OPTION_CALIBRATION');
    const qwen3 = await makeFamily(join(folder, 'qwen3-kept'), 'qwen3', { blocks: 3 });
    expect(await refusal({ merge: true, checkpoint: qwen3, blocks: 1 })).toBe('E_UNSUPPORTED_MERGE');
  });
});

const trained = sharedPath('models', 'novels-2m');
testWith(trained, 'a trained checkpoint')(
  'two blocks of a trained checkpoint: perplexity chooses no worse than the others, and beats the blind choice',
  async () => {
    const part = async (name: string, characters: number): Promise<string> => {
      const whole = await readFile(sharedPath('data', 'novels', `${name}.txt`)!, 'utf8');
      const path = join(folder, `novels-${name}.txt`);
      await writeFile(path, whole.slice(0, characters));
      return path;
    };
    const given = { calibration: await part('calibration', 40_000), validation: await part('validation', 10_000) };
    const found = new Map<string, number>();
    for (const method of METHODS) {
      const out = join(folder, `novels-${method}`);
      const { record } = await drop({
        ...{ checkpoint: trained!, out, method, blocks: 2, ...given, ...repairOf(method) },
        ...{ calibrationSamples: 8, sequenceLength: 256, threads: 2 },
      });
      expect(record.blocks).toEqual({ before: 12, after: 10 });
      expect(record.dropped.validation).toBeGreaterThan(record.dense.validation!);
      found.set(method, record.dropped.validation!);
    }
    const best = found.get('perplexity')!;
    expect(found.get('repaired')).toBeLessThan(best);
    found.delete('repaired');
    for (const other of found.values()) expect(best).toBeLessThanOrEqual(other);
    expect(best).toBeLessThan(found.get('deepest')!);
  },
  limit(60_000),
);
