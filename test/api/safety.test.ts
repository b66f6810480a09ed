// What prune refuses, and that it does so before anything is read or written; disks that fill up; broken weights; a
// record that was tampered with.

import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import fsp, {
  chmod,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { makePlan, prune, readPlan, writeReport } from '../../src/api/index.js';
import { LayerwiseError, type OnProgress } from '../../src/base/index.js';
import type { Plan } from '../../src/records/index.js';
import type { PruneOptions } from '../../src/runs/index.js';
import { codeOf } from '../checkpoint/make.js';
import { type Fault, startRun } from './child.js';
import {
  byteTokenizer,
  differences,
  LENGTH,
  MAX_POSITIONS,
  makeFolder,
  makeTexts,
  makeTiny,
  readTree,
  useOwnCache,
} from './make.js';

let folder: string;
let good: Omit<PruneOptions, 'out'>;
let count = 0;
let workers = 0;
process.on('worker', () => workers++);

/** A folder of its own for every run. */
async function fresh(): Promise<string> {
  const parent = join(folder, `run-${count++}`);
  await mkdir(parent);
  return join(parent, 'out');
}

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  const texts = await makeTexts(folder, 24);
  const checkpoint = await makeTiny(join(folder, 'model'));
  good = { checkpoint, ...texts, sparsity: 0.6, beta: 0.1, sequenceLength: LENGTH, calibrationSamples: 24, threads: 1 };
});

/** The error of a call; that no thread was started, and nothing written. */
async function refusal(changed: object, out?: string): Promise<LayerwiseError> {
  const path = out ?? (await fresh());
  const before = workers;
  const error = await prune({ ...good, out: path, ...changed }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(LayerwiseError);
  expect(workers).toBe(before);
  expect(existsSync(`${path}.partial`)).toBe(false);
  if (out === undefined) expect(existsSync(path)).toBe(false);
  return error as LayerwiseError;
}

const plan = (rates: object): { plan: Plan; sparsity?: undefined; beta?: undefined } => ({
  plan: rates as Plan,
  sparsity: undefined,
  beta: undefined,
});

const zeros = (rate: number) => ({ zeros: { rate } });
const units = (rest: object, ...treatments: object[]) =>
  plan({ ...rest, units: Object.fromEntries(treatments.map((treatment, block) => [`blocks.${block}`, treatment])) });

describe('refused before any work', () => {
  test.each<[string, object, string, RegExp]>([
    ['sparsity 0', { sparsity: 0 }, 'E_OPTION_SPARSITY', /--sparsity.*between 0 and 1.*got 0/],
    ['sparsity 1', { sparsity: 1 }, 'E_OPTION_SPARSITY', /got 1/],
    ['sparsity NaN', { sparsity: Number.NaN }, 'E_OPTION_SPARSITY', /got NaN/],
    ['negative sparsity', { sparsity: -0.1 }, 'E_OPTION_SPARSITY', /got -0.1/],
    ['neither sparsity nor plan', { sparsity: undefined }, 'E_OPTION_SPARSITY', /--plan/],
    [
      'β beyond its bound',
      { beta: 0.2667 },
      'E_OPTION_HYPERPARAMETERS',
      /beta=0\.2667: .*\[-0\.26666\d*, 0\.26666\d*\].*4 blocks/,
    ],
    ['β below its bound', { beta: -0.2667 }, 'E_OPTION_HYPERPARAMETERS', /beta=-0\.2667: /],
    ['β that is no number', { beta: Number.NaN }, 'E_OPTION_HYPERPARAMETERS', /beta=NaN: /],
    [
      'β for uniform',
      { allocation: 'uniform' },
      'E_OPTION_HYPERPARAMETERS',
      /uniform has no hyperparameter beta.*none/,
    ],
    ['β given twice', { hyperparameters: { beta: 0.1 } }, 'E_OPTION_CONFLICT', /--beta.*--hyperparameters/],
    [
      'a number out of range beside one that is searched',
      { beta: undefined, allocation: 'layerwise', hyperparameters: { line: 5 } },
      'E_OPTION_HYPERPARAMETERS',
      /line=5: .*\[0, 1\]/,
    ],
    ['an unknown allocation', { allocation: 'best' }, 'E_OPTION_ALLOCATION', /uniform, atp.*"best"/],
    ['an unknown criterion', { criterion: 'random' }, 'E_OPTION_CRITERION', /magnitude, wanda.*"random"/],
    ['an unknown pattern', { pattern: 'column' }, 'E_OPTION_PATTERN', /row, matrix.*"column"/],
    ['an unknown device', { device: 'tpu' }, 'E_OPTION_DEVICE', /cpu, webgpu.*"tpu"/],
    ['an unknown budget', { budget: 'loose' }, 'E_OPTION_BUDGET', /exact, published.*"loose"/],
    ['an unknown order', { calibrationOrder: 'last' }, 'E_OPTION_CALIBRATION_ORDER', /random, sequential/],
    ['no threads', { threads: 0 }, 'E_OPTION_THREADS', /from 1 to/],
    ['no calibration windows', { calibrationSamples: 0 }, 'E_OPTION_CALIBRATION_SAMPLES', /from 1 to/],
    ['half a seed', { seed: 0.5 }, 'E_OPTION_SEED', /whole number/],
    ['no trials', { maxTrials: 0 }, 'E_OPTION_MAX_TRIALS', /from 1 to/],
    ['Wanda without text', { calibration: undefined }, 'E_OPTION_CALIBRATION', /--criterion magnitude/],
    [
      'a search without text',
      { beta: undefined, validation: undefined },
      'E_OPTION_VALIDATION',
      /--hyperparameters beta=/,
    ],
    ['windows of one token', { sequenceLength: 1 }, 'E_OPTION_SEQUENCE_LENGTH', /from 2 to/],
    [
      'windows longer than the model allows',
      { sequenceLength: MAX_POSITIONS + 1 },
      'E_OPTION_SEQUENCE_LENGTH',
      /at most 64 \(max_position_embeddings.*got 65/,
    ],
    [
      'more windows than the text has',
      { calibrationOrder: 'sequential', calibrationSamples: 1000 },
      'E_OPTION_TEXT_SHORT',
      /187 windows of 32.*at least 1000/,
    ],
    ['a plan and a sparsity', { plan: { blocks: [0.5] } }, 'E_OPTION_CONFLICT', /--sparsity.*--plan/],
    ['a plan for fewer blocks', plan({ blocks: [0.5, 0.5] }), 'E_OPTION_PLAN', /per block, 4 in all, got 2/],
    [
      'a plan for a linear that is not there',
      plan({ linears: { 'model.layers.9.mlp.up_proj': 0.5 } }),
      'E_OPTION_PLAN',
      /layers\.9.*model\.layers\.0\.self_attn\.q_proj/,
    ],
    ['a plan with a rate above 1', plan({ blocks: [0.5, 0.5, 0.5, 1.01] }), 'E_OPTION_PLAN', /at blocks\.3/],
    ['a plan with a negative rate', plan({ blocks: [-0.1, 0.5, 0.5, 1] }), 'E_OPTION_PLAN', /at blocks\.0/],
    ['a plan with NaN', plan({ blocks: [Number.NaN, 0.5, 0.5, 1] }), 'E_OPTION_PLAN', /at blocks\.0/],
    ['a plan of both kinds', plan({ blocks: [0, 0, 0, 0.5], linears: {} }), 'E_OPTION_PLAN', /exactly one/],
    ['a plan of no kind', plan({}), 'E_OPTION_PLAN', /at units/],
    ['a plan of version 1 and no kind', plan({ version: 1 }), 'E_OPTION_PLAN', /exactly one/],
    ['a plan that prunes nothing', plan({ blocks: [0, 0, 0, 0] }), 'E_OPTION_PLAN', /mean.*got 0/],
    ['a plan that prunes all', plan({ blocks: [1, 1, 1, 1] }), 'E_OPTION_PLAN', /mean.*got 1/],
    ['a plan of an unknown version', plan({ version: 2, blocks: [0, 0, 0, 0.5] }), 'E_OPTION_PLAN', /version/],
    ['a plan of a later version', units({ version: 3 }, zeros(0.5)), 'E_OPTION_PLAN', /version/],
    ['units for fewer blocks', units({}, zeros(0.5), zeros(0.5)), 'E_OPTION_PLAN', /per block, 4 in all, got 2/],
    [
      'units for more blocks',
      units({}, ...Array.from({ length: 5 }, () => zeros(0.5))),
      'E_OPTION_PLAN',
      /blocks\.0 to blocks\.3 .*got blocks\.4/,
    ],
    [
      'a unit that is not there',
      plan({ units: { 'model.layers.9.mlp.up_proj': zeros(0.5) } }),
      'E_OPTION_PLAN',
      /layers\.9.*model\.layers\.0\.self_attn\.q_proj.*"blocks\.0"/,
    ],
    [
      'a block by a number with a zero before it',
      plan({ units: { 'blocks.01': zeros(0.5) } }),
      'E_OPTION_PLAN',
      /"blocks\.01" is not/,
    ],
    ['a unit with a rate above 1', units({}, zeros(1.01)), 'E_OPTION_PLAN', /at units\.blocks\.0\.zeros\.rate/],
    ['a unit of which nothing is said', units({}, {}), 'E_OPTION_PLAN', /expected zeros, bits, keep or drop/],
    [
      'a unit with what the criterion does not make',
      units({}, ...[0, 1, 2, 3].map(() => ({ ...zeros(0.5), bits: { bits: 4, group: 32 } }))),
      'E_OPTION_PLAN',
      /blocks\.0 asks for bits; wanda makes zeros alone/,
    ],
    [
      'a unit with a pattern of its own',
      units({}, ...['row', 'row', 'row', 'matrix'].map((pattern) => ({ zeros: { rate: 0.5, pattern } }))),
      'E_OPTION_PLAN',
      /blocks\.3 asks for the pattern "matrix"; .*this one's is row/,
    ],
    [
      'a plan whose target is not the mean of its rates here, as one of another model',
      units({ budget: { of: 'zeros', target: 0.6, counting: 'exact' } }, ...[0.5, 0.5, 0.5, 0.5].map(zeros)),
      'E_OPTION_PLAN',
      /target of 0\.6, but on this checkpoint its rates have the mean 0\.5/,
    ],
    [
      'a budget of what the criterion does not make',
      units({ budget: { of: 'bits', target: 4, counting: 'exact' } }, ...[0.5, 0.5, 0.5, 0.5].map(zeros)),
      'E_OPTION_PLAN',
      /budget counts bits; wanda makes zeros alone/,
    ],
    ['units that prune nothing', units({}, ...[0, 0, 0, 0].map(zeros)), 'E_OPTION_PLAN', /mean.*got 0/],
  ])('%s', async (_, changed, code, message) => {
    const error = await refusal(changed);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test('a plan file is refused as the same plan is as an object', async () => {
    const path = join(folder, 'plan.json');
    for (const text of ['', '{', '[]', '{"blocks":[2]}', '{"blocks":[0.5],"linears":{}}', '{"blocks":[1e999]}']) {
      await writeFile(path, text);
      expect(await codeOf(readPlan(path)), text).toBe('E_OPTION_PLAN');
    }
    expect(await codeOf(readPlan(join(folder, 'no-plan.json')))).toBe('E_RESOURCE_NOT_FOUND');
    expect(await codeOf(makePlan({ checkpoint: good.checkpoint, sparsity: 0.6 }, path))).toBe('E_OPTION_OUT_EXISTS');
    expect(await codeOf(makePlan({ checkpoint: good.checkpoint, sparsity: 0.6 }))).toBe('E_OPTION_VALIDATION');
  });
});

describe('the output', () => {
  test('that exists, be it empty, a file or a link that leads nowhere, is not touched', async () => {
    const [directory, file, link] = [await fresh(), await fresh(), await fresh()];
    await mkdir(directory);
    await writeFile(file, 'mine');
    await symlink('/nowhere/at/all', link);
    for (const out of [directory, file, link, `${directory}/`]) {
      expect((await refusal({}, out)).code, out).toBe('E_OPTION_OUT_EXISTS');
    }
    expect(await readdir(directory)).toEqual([]);
    expect(await readFile(file, 'utf8')).toBe('mine');
    expect(await readlink(link)).toBe('/nowhere/at/all');
  });

  test('needs a parent that is a directory', async () => {
    const file = await fresh();
    await writeFile(file, 'mine');
    expect((await refusal({}, join(folder, 'missing', 'out'))).code).toBe('E_RESOURCE_NOT_FOUND');
    expect((await refusal({}, join(file, 'out'))).code).toBe('E_OPTION_OUT');
    expect((await refusal({}, join(file, 'deeper', 'out'))).code).toBe('E_RESOURCE_NOT_FOUND');
  });

  test('does not lie inside the checkpoint, whose files it would join', async () => {
    const link = join(folder, 'link-to-model');
    await symlink(good.checkpoint, link);
    for (const parent of [good.checkpoint, join(good.checkpoint, 'extra'), link]) {
      const error = await refusal({}, join(parent, 'out'));
      expect(error).toMatchObject({ code: 'E_OPTION_OUT', message: expect.stringContaining('inside the checkpoint') });
    }
  });

  const isRoot = process.getuid?.() === 0;
  if (isRoot) console.warn('skipped: a parent that cannot be written (root may write anywhere)');
  test.skipIf(isRoot)('needs a parent that can be written', async () => {
    const parent = join(folder, 'closed');
    await mkdir(parent);
    await chmod(parent, 0o555);
    expect((await refusal({}, join(parent, 'out'))).code).toBe('E_RESOURCE_PERMISSION');
    await chmod(parent, 0o755);
  });

  test('a device that is not there leaves nothing behind', async () => {
    const out = await fresh();
    const code = await codeOf(prune({ ...good, out, device: 'webgpu' }));
    // Where there is a GPU the run goes through.
    expect(['E_RESOURCE_DEVICE', 'no error']).toContain(code);
    expect(existsSync(out)).toBe(code === 'no error');
    expect(existsSync(`${out}.partial`)).toBe(false);
  });
});

describe.each(['calibration', 'validation', 'test'] as const)('%s text', (role) => {
  test.each<[string, string, string | Uint8Array, string, RegExp]>([
    ['empty', 'a.txt', '', 'E_TEXT_EMPTY', /expected text, got none/],
    ['of white space', 'b.txt', ' \n\n\t', 'E_TEXT_EMPTY', /expected text/],
    ['shorter than a window', 'c.txt', 'x'.repeat(LENGTH - 1), 'E_OPTION_TEXT_SHORT', /31 tokens.*0 windows of 32/],
    ['not UTF-8', 'd.txt', Uint8Array.of(104, 105, 0xff, 104), 'E_TEXT_ENCODING', /byte 2 \(0xff\)/],
    ['of an unknown format', 'e.pdf', 'text', 'E_OPTION_TEXT_FORMAT', /\.txt, \.jsonl, \.parquet/],
    ['with a line that is not JSON', 'f.jsonl', '{"text":"a"}\nno\n', 'E_TEXT_JSONL', /line 2/],
  ])('%s', async (_, name, content, code, message) => {
    const path = join(folder, name);
    await writeFile(path, content);
    const error = await refusal({ [role]: path });
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('that is not there, or a directory', async () => {
    expect((await refusal({ [role]: join(folder, 'none.txt') })).code).toBe('E_RESOURCE_NOT_FOUND');
    await mkdir(join(folder, 'directory.txt'), { recursive: true });
    expect((await refusal({ [role]: join(folder, 'directory.txt') })).code).toBe('E_RESOURCE_NOT_FILE');
  });
});

describe('the checkpoint', () => {
  async function broken(change: (dir: string) => Promise<void>): Promise<LayerwiseError> {
    const dir = join(folder, `broken-${count++}`);
    await cp(good.checkpoint, dir, { recursive: true });
    await change(dir);
    return await refusal({ checkpoint: dir });
  }

  test('that is not there', async () => {
    expect((await refusal({ checkpoint: join(folder, 'none') })).code).toBe('E_CHECKPOINT_DIRECTORY');
  });

  test('without a tokenizer, or with one of another model', async () => {
    const missing = await broken((dir) => rm(join(dir, 'tokenizer.json')));
    expect(missing).toMatchObject({ code: 'E_TEXT_TOKENIZER', message: expect.stringContaining('no such file') });
    const foreign = await broken((dir) =>
      writeFile(join(dir, 'tokenizer.json'), JSON.stringify(byteTokenizer({ a: 300 }))),
    );
    expect(foreign).toMatchObject({ code: 'E_TEXT_VOCABULARY', facts: { token: 300, vocabularySize: 256 } });
  });

  test('with weights cut short', async () => {
    expect((await broken((dir) => truncate(join(dir, 'model.safetensors'), 50_000))).code).toBe('E_CHECKPOINT_HEADER');
  });

  const NAN = Number.NaN;
  test.each<[string, string, number, object]>([
    ['seen in the dense pass', 'model.layers.2.mlp.up_proj', NAN, {}],
    ['seen in a search', 'model.layers.3.self_attn.k_proj', NAN, { beta: undefined }],
    ['seen while pruning', 'model.layers.1.self_attn.o_proj', NAN, { validation: undefined, test: undefined }],
    ['an infinity', 'model.layers.0.mlp.down_proj', Number.NEGATIVE_INFINITY, { validation: undefined }],
    ['seen without texts', 'model.layers.2.mlp.gate_proj', NAN, { criterion: 'magnitude', validation: undefined }],
    ['in a norm', 'model.layers.1.post_attention_layernorm', NAN, {}],
  ])('with a weight that is no number, %s: %s', async (_, name, value, changed) => {
    const change = (tensor: string, values: Float32Array): void => {
      if (tensor === `${name}.weight`) values[17] = value;
    };
    const checkpoint = await makeTiny(join(folder, `nan-${count++}`), { change });
    const out = await fresh();
    const error = await prune({ ...good, ...changed, checkpoint, out }).catch((thrown: unknown) => thrown);
    const block = Number(/layers\.(\d)/.exec(name)![1]);
    expect(error).toMatchObject({ name: 'NumericError', code: 'E_NUMERIC_WEIGHT', facts: { block, linear: name } });
    expect((error as Error).message).toContain(`Block ${block}, ${name}: weight [`);
    expect((error as Error).message).toContain(String(value));
    expect(existsSync(out)).toBe(false);
  });
});

describe('a full disk', () => {
  const statfs = fsp.statfs;
  let small: Omit<PruneOptions, 'out'>;
  beforeAll(async () => {
    small = { ...good, checkpoint: await makeTiny(join(folder, 'small'), { blocks: 2 }) };
  });
  afterEach(() => {
    fsp.statfs = statfs;
    syncBuiltinESMExports();
  });

  test('is seen before anything is written', async () => {
    fsp.statfs = (async () => ({ bavail: 10, bsize: 4096 })) as never;
    syncBuiltinESMExports();
    const error = await refusal({});
    expect(error).toMatchObject({ code: 'E_RESOURCE_DISK_FULL', facts: { free: 40960 } });
    expect(error.message).toMatch(/needs up to 1 MB.*0 MB are free/);
  });

  test.each<[string, Omit<Fault, 'as'>]>([
    ['at the lock', { op: 'write', path: 'out.partial/lock', nth: 1 }],
    ['at the mark of the run', { op: 'write', path: 'run.json', nth: 1 }],
    ['making a trial’s folder', { op: 'mkdir', path: 'trials/', nth: 2 }],
    ['in a block', { op: 'write', path: 'block-00001', nth: 2 }],
    ['flushing a step', { op: 'sync', path: 'steps/trial-', nth: 1 }],
    ['making the output’s folder', { op: 'mkdir', path: 'out.partial/final', nth: 1 }],
    ['in the output’s weights', { op: 'write', path: 'final/model.safetensors', nth: 2 }],
    ['in a file that is copied', { op: 'write', path: 'final/extra/bytes.dat', nth: 1 }],
    ['in the record', { op: 'write', path: 'final/layerwise.json', nth: 1 }],
  ])('%s: the error says so, no output; with space again the run goes on to the same bytes', async (_, fault) => {
    const out = await fresh();
    const result = await startRun({ ...small, out }, `${out}.log`, { as: 'ENOSPC', ...fault }).done;
    expect(result).toMatchObject({ code: 'E_RESOURCE_DISK_FULL', message: expect.stringContaining('--resume') });
    expect(existsSync(out)).toBe(false);
    await prune({ ...small, out, resume: true });
    expect(differences(await readTree(out), await undisturbed())).toEqual([]);
    expect(existsSync(`${out}.partial`)).toBe(false);
  });

  let whole: Record<string, string> | undefined;
  async function undisturbed(): Promise<Record<string, string>> {
    if (!whole) {
      const out = await fresh();
      await prune({ ...small, out });
      whole = await readTree(out);
    }
    return whole;
  }

  test('of its own, in the middle of a run', async (context) => {
    const disk = join(folder, 'disk');
    await mkdir(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', disk], { stdio: 'ignore' });
    } catch {
      console.warn('skipped: a real full disk (only root may mount one)');
      context.skip();
    }
    try {
      const filler = join(disk, 'filler');
      const fill: OnProgress = (event) => {
        if (event.kind !== 'stage' || event.stage !== 'test: dense') return;
        for (const size of [1 << 16, 1 << 10, 1]) {
          try {
            for (;;) writeFileSync(filler, new Uint8Array(size), { flag: 'a' });
          } catch {
            // Full, to the last block of this size.
          }
        }
      };
      const out = join(disk, 'out');
      expect(await codeOf(prune({ ...small, out, onProgress: fill }))).toBe('E_RESOURCE_DISK_FULL');
      expect((await readdir(disk)).sort()).toEqual(['filler', 'out.partial']);
      rmSync(filler);
      await prune({ ...small, out, resume: true });
      expect(differences(await readTree(out), await undisturbed())).toEqual([]);
      expect(await readdir(disk)).toEqual(['out']);
    } finally {
      execFileSync('umount', [disk]);
    }
  });
});

describe('a layerwise.json that was tampered with', () => {
  let run: string;
  let text: string;
  beforeAll(async () => {
    run = await fresh();
    await prune({ ...good, out: run });
    text = await readFile(join(run, 'layerwise.json'), 'utf8');
  });

  const withText = async (content: string): Promise<string> => {
    const dir = await fresh();
    await mkdir(dir);
    await writeFile(join(dir, 'layerwise.json'), content);
    return dir;
  };
  const changed = (change: (manifest: Record<string, never>) => void): string => {
    const manifest = JSON.parse(text) as Record<string, never>;
    change(manifest);
    return JSON.stringify(manifest);
  };

  test.each<[string, () => string, string]>([
    ['not JSON', () => text.slice(0, -20), 'E_OPTION_MANIFEST'],
    ['another kind of document', () => '{"format":"layerwise-plan","version":1,"blocks":[0.5]}', 'E_OPTION_MANIFEST'],
    ['another version', () => text.replace('"version": 1', '"version": 99'), 'E_OPTION_MANIFEST'],
    ['nested without end', () => '['.repeat(200_000) + ']'.repeat(200_000), 'E_OPTION_MANIFEST'],
    ['a number past all numbers', () => text.replace(/"seed": \d+/, '"seed": 1e999'), 'E_OPTION_MANIFEST'],
    [
      'a list for an object',
      () => changed((manifest) => Object.assign(manifest, { sparsity: [] })),
      'E_OPTION_MANIFEST',
    ],
    ['null', () => 'null', 'E_OPTION_MANIFEST'],
  ])('%s', async (_, content, code) => {
    const dir = await withText(content());
    expect(await codeOf(writeReport(dir))).toBe(code);
    expect(await readdir(dir)).toEqual(['layerwise.json']);
  });

  test('markup in it stays text, and a polluted prototype stays out', async () => {
    const evil = '<script>alert(1)</script><img src=x onerror=alert(1)>';
    const content = changed((manifest) => {
      Object.assign(manifest, { command: evil, criterion: evil, pattern: evil });
      Object.assign(manifest.source!, { name: evil, family: evil, dtype: evil });
    }).replace('{', '{"__proto__":{"polluted":"yes"},"constructor":{"prototype":{"polluted":"yes"}},');
    const { path, manifest } = await writeReport(await withText(content));
    const html = await readFile(path, 'utf8');
    expect(html).not.toContain('<script>alert(1)');
    expect(html).not.toContain('<img src=x');
    expect((manifest as Record<string, unknown>).polluted).toBeUndefined();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test('too large, missing, a directory', async () => {
    const dir = await withText(text);
    await truncate(join(dir, 'layerwise.json'), 70 << 20);
    expect(await codeOf(writeReport(dir))).toBe('E_RESOURCE_LARGE');
    await rm(join(dir, 'layerwise.json'));
    expect(await codeOf(writeReport(dir))).toBe('E_RESOURCE_NOT_FOUND');
    await mkdir(join(dir, 'layerwise.json'));
    expect(await codeOf(writeReport(dir))).toBe('E_RESOURCE_NOT_FILE');
  });

  test('the report is written anew over its own file, never through a link or over another file', async () => {
    const dir = await withText(text);
    const precious = join(dir, 'precious.txt');
    await writeFile(precious, 'mine');
    await symlink(precious, join(dir, 'report.html'));
    await writeReport(dir);
    expect(await readFile(precious, 'utf8')).toBe('mine');
    expect(await codeOf(writeReport(dir, precious))).toBe('E_OPTION_OUT_EXISTS');
    expect((await lstat(join(dir, 'report.html'))).isFile()).toBe(true);
  });
});
