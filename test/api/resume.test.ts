// A run that is killed, at whatever moment and however often, ends with the bytes of one that was not. The runs are
// processes of their own, killed at chosen file operations and progress events and at seeded random ones.

import { existsSync } from 'node:fs';
import { appendFile, cp, mkdir, readdir, readFile, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { prune } from '../../src/api/index.js';
import { createRng } from '../../src/base/index.js';
import { openCheckpoint, readSafetensors, type TensorInfo } from '../../src/checkpoint/index.js';
import { parseManifest, type ResultRow } from '../../src/records/index.js';
import type { PruneOptions } from '../../src/runs/index.js';
import type { TrialOutcome } from '../../src/runs/trial.js';
import { codeOf } from '../checkpoint/make.js';
import { limit } from '../scale.js';
import { type ChildResult, type Fault, startRun } from './child.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, stutter, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(240_000) });

let folder: string;
let common: Omit<PruneOptions, 'out'>;
let expected: Record<string, string>;
/** File operations and milliseconds of an uninterrupted run. */
let operations: number;
let duration: number;
let count = 0;

const fresh = (): string => join(folder, `run-${count++}`, 'out');

async function runOnce(out: string, resume: boolean, fault?: Fault, killAfter?: number): Promise<ChildResult> {
  return await startRun({ ...common, out, resume }, `${out}.log`, fault, killAfter).done;
}

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  const texts = await makeTexts(folder, 24);
  const checkpoint = await makeTiny(join(folder, 'model'), { seed: 2, blocks: 3, dtype: 'BF16', shards: 2 });
  common = { checkpoint, ...texts, sparsity: 0.6, sequenceLength: LENGTH, calibrationSamples: 24, threads: 1 };
  const out = fresh();
  await mkdir(join(out, '..'));
  const started = performance.now();
  const whole = await runOnce(out, false);
  duration = performance.now() - started;
  expect(whole).toMatchObject({ code: 'done', message: '' });
  operations = whole.operations;
  expected = await readTree(out);
  expect(Object.keys(expected)).toHaveLength(9);
});

/** The output is what it should be, and nothing is left beside it. */
async function expectWhole(out: string): Promise<void> {
  expect(differences(await readTree(out), expected)).toEqual([]);
  expect((await readdir(join(out, '..'))).filter((name) => !name.endsWith('.log'))).toEqual(['out']);
}

/** Which part of the work a run was in, from the log of the runner. */
function partOf(where: string): string {
  if (/renamed .*final -> /.test(where)) return 'output there';
  if (/rm .*\.partial/.test(where) && where.startsWith('writing')) return 'clearing';
  if (/rename .*final -> /.test(where)) return 'final rename';
  if (surrogates.some((name) => where.includes(name))) return 'surrogate';
  return where.split(/ \||:/)[0] || 'somewhere'; // the log itself may be cut short
}

const at = (op: NonNullable<Fault['op']>, path: string, nth = 1): Fault => ({ as: 'kill', op, path, nth });
const on = (event: string, nth: number): Fault => ({ as: 'kill', event, nth });

/** Kills, one after the other, of one run: a fault, or the share of the whole duration after which it is killed. */
type Kill = Fault | number;

/** Each line is one run that is killed so often. The first trial is uniform's, those after it are surrogates. */
function plannedKills(): Kill[][] {
  const rng = createRng(7);
  const anywhere = (): Fault => ({ as: 'kill', nth: 1 + rng.below(operations) });
  return [
    [on('hashing', 1), on('dense: advance', 2), at('write', 'steps/trial-', 3)],
    [at('write', 'run.json'), at('rename', `steps/${uniform}.json`), at('write', 'test-dense.json')],
    [on('trial: β = 0: advance', 2), at('write', 'block-00001', 3), on('test: chosen: advance', 1)],
    [at('open', 'final/model-00002'), at('write', 'final/layerwise.json'), at('renamed', 'out.partial/final -> ')],
    [at('rename', 'steps/trial-', 4), at('rm', 'trials/'), at('rename', 'out.partial/final -> ')],
    [on('trial: ', 3), at('rm', 'out.partial/run.json')],
    [anywhere(), rng.uniform()],
    [rng.uniform(), at('rm', 'out.partial/steps')],
  ];
}

test('killed anywhere, any number of times: the same bytes, and nothing at the output before it is whole', async () => {
  const parts = new Map<string, number>();
  const endure = async (kills: readonly Kill[]): Promise<void> => {
    const out = fresh();
    await mkdir(join(out, '..'));
    for (const [attempt, kill] of kills.entries()) {
      const timed = typeof kill === 'number';
      const result = await runOnce(out, attempt > 0, timed ? undefined : kill, timed ? kill * duration : undefined);
      if (result.code === undefined) {
        const part = partOf(result.where);
        parts.set(part, (parts.get(part) ?? 0) + 1);
        const isThere = part === 'output there' || part === 'clearing';
        expect(existsSync(out), `${JSON.stringify(kill)}: ${result.where}`).toBe(isThere);
      } else {
        // Seeded moments may come after the end, as a resumed run is shorter; a chosen one must be met.
        expect(result, JSON.stringify(kill)).toMatchObject({ code: 'done' });
        expect(timed || kill.path === undefined, `never came to ${JSON.stringify(kill)}`).toBe(true);
        break;
      }
      if (existsSync(out)) expect(differences(await readTree(out), expected)).toEqual([]);
    }
    if (existsSync(`${out}.partial`) || !existsSync(out)) {
      expect(await runOnce(out, true)).toMatchObject({ code: 'done', message: '' });
    }
    await expectWhole(out);
  };
  const waiting = plannedKills();
  const lane = async (): Promise<void> => {
    for (let kills = waiting.shift(); kills; kills = waiting.shift()) await endure(kills);
  };
  await Promise.all([lane(), lane()]);
  const distribution = Object.fromEntries([...parts].sort());
  console.info('killed in', distribution);
  for (const part of ['dense', 'surrogate', 'trial', 'test', 'writing', 'final rename', 'output there', 'clearing']) {
    expect(distribution, part).toHaveProperty([part]);
  }
  expect([...parts.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(16);
});

/** A run killed at `fault`, to be tampered with. */
async function interrupted(fault: Fault): Promise<string> {
  const out = fresh();
  await mkdir(join(out, '..'));
  expect((await runOnce(out, false, fault)).code).toBeUndefined();
  return out;
}

const resume = (out: string, changed: Partial<PruneOptions> = {}) =>
  prune({ ...common, ...changed, out, resume: true });

let template: string;
/** Steps of trials, which are named by what they try: uniform's, the chosen plan's, and surrogates. */
let uniform: string;
let chosen: string;
let surrogates: readonly string[];
beforeAll(async () => {
  template = await interrupted(at('write', 'final/layerwise.json'));
  const steps = await readTrials(`${template}.partial`);
  const record = parseManifest(Buffer.from(expected['layerwise.json']!, 'latin1').toString(), 'layerwise.json');
  const stepOf = ({ validation }: ResultRow): string =>
    steps.find(({ errors, losses }) => errors.length > 0 && losses.join() === validation!.nll.join())!.name;
  uniform = stepOf(record.uniform!);
  chosen = stepOf(record.chosen);
  surrogates = steps.filter(({ errors }) => errors.length === 0).map(({ name }) => name);
  expect(chosen).not.toBe(uniform);
  expect(surrogates).toHaveLength(record.trials.filter(({ exact }) => !exact).length);
});

type TrialStep = Pick<TrialOutcome, 'losses' | 'errors'> & { readonly name: string };

async function readTrials(partial: string): Promise<TrialStep[]> {
  const names = (await readdir(join(partial, 'steps'))).filter((name) => name.startsWith('trial-'));
  return await Promise.all(
    names.map(async (name) => {
      const [, result] = (await readFile(join(partial, 'steps', name), 'utf8')).split('\n');
      return { ...(JSON.parse(result!) as TrialOutcome), name: name.replace('.json', '') };
    }),
  );
}

const stepFile = (partial: string, trial: string): string => join(partial, 'steps', `${trial}.json`);
const blocksOf = (partial: string, trial: string): string => join(partial, 'trials', trial.replace('trial-', ''));

/** A copy of a run that was killed as it wrote the output. */
async function tampered(tamper: (partial: string) => Promise<void>): Promise<string> {
  const out = fresh();
  await mkdir(join(out, '..'));
  await cp(`${template}.partial`, `${out}.partial`, { recursive: true });
  await tamper(`${out}.partial`);
  return out;
}

test('an edit of a norm in a block file reaches the checkpoint', async () => {
  const name = 'model.layers.1.input_layernorm.weight';
  const norm = async (file: string): Promise<TensorInfo> => (await readSafetensors(file)).tensors.get(name)!;
  const out = await tampered(async (partial) => {
    const path = join(blocksOf(partial, chosen), 'block-00001.safetensors');
    const { offset, length } = await norm(path);
    const bytes = await readFile(path);
    await writeFile(path, bytes.fill(0, offset, offset + length));
  });
  await resume(out);
  const { tensors } = await openCheckpoint(out);
  const { file, offset, length } = tensors.get(name)!;
  const bytes = await readFile(join(out, file));
  expect(bytes.subarray(offset, offset + length)).toEqual(Buffer.alloc(length));
  const other = Object.keys(expected).filter((path) => path.endsWith('.safetensors') && path !== file);
  expect(other.length).toBeGreaterThan(0);
  for (const path of other) expect(await readFile(join(out, path), 'latin1')).toBe(expected[path]);
});

describe('what a kill or a power cut leaves', () => {
  test.each<[string, (partial: string) => Promise<void>]>([
    ['a step file cut short', (partial) => truncate(stepFile(partial, uniform), 120)],
    ['an empty step file', (partial) => truncate(join(partial, 'steps', 'test-dense.json'), 0)],
    [
      'a step file with another number in it',
      async (partial) => {
        const path = join(partial, 'steps', 'test-chosen.json');
        const text = await readFile(path, 'utf8');
        await writeFile(path, text.replace(/"perplexity":\d/, '"perplexity":9'));
      },
    ],
    [
      'a block file cut short, whose trial was not finished',
      async (partial) => {
        await rm(stepFile(partial, uniform));
        await truncate(join(blocksOf(partial, uniform), 'block-00001.safetensors'), 5000);
      },
    ],
    [
      'an empty block file, whose trial was not finished',
      async (partial) => {
        await rm(stepFile(partial, uniform));
        await truncate(join(blocksOf(partial, uniform), 'block-00000.safetensors'), 0);
      },
    ],
    [
      'files of other processes that were still being written',
      async (partial) => {
        await writeFile(`${stepFile(partial, uniform)}.1.tmp`, '{');
        await writeFile(join(blocksOf(partial, uniform), 'block-00002.safetensors.1.tmp'), 'x');
        await writeFile(join(partial, 'final', 'model.safetensors.1.tmp'), 'x');
        await writeFile(join(partial, 'final', 'stray.txt'), 'x');
      },
    ],
    ['a lock nobody finished writing', (partial) => writeFile(join(partial, 'lock'), '{"ho')],
    [
      'the blocks of a trial that is finished, gone',
      async (partial) => {
        await rm(blocksOf(partial, chosen), { recursive: true });
        await rm(join(partial, 'steps', 'test-chosen.json'));
      },
    ],
    [
      'a block of a trial that is finished, cut short',
      (partial) => truncate(join(blocksOf(partial, chosen), 'block-00001.safetensors'), 4000),
    ],
  ])('%s', async (_, tamper) => {
    const out = await tampered(tamper);
    await resume(out);
    await expectWhole(out);
  });

  test.each<[string, Partial<PruneOptions>]>([
    ['another sparsity', { sparsity: 0.61 }],
    ['another criterion', { criterion: 'magnitude' }],
    ['another pattern', { pattern: 'matrix' }],
    ['another budget', { budget: 'published' }],
    ['a seed', { seed: 1 }],
    ['a fixed β', { beta: 0.1 }],
    ['fewer calibration windows', { calibrationSamples: 23 }],
    ['another order of them', { calibrationOrder: 'sequential' }],
    ['a shorter window', { sequenceLength: 16 }],
    ['no test text', { test: undefined as never }],
    ['fewer trials', { maxTrials: 2 }],
    ['uniform', { allocation: 'uniform' }],
  ])('%s does not continue it', async (_, changed) => {
    const before = await readTree(`${template}.partial`);
    expect(await codeOf(resume(template, changed))).toBe('E_OPTION_RESUME');
    const after = await readTree(`${template}.partial`);
    delete before.lock; // the killed process's
    expect(differences(after, before)).toEqual([]);
    expect(existsSync(template)).toBe(false);
  });

  test('nor does another text, nor another checkpoint', async () => {
    const text = join(folder, 'other.txt');
    await writeFile(text, stutter(5, 4000));
    expect(await codeOf(resume(template, { validation: text }))).toBe('E_OPTION_RESUME');
    const checkpoint = await makeTiny(join(folder, 'other'), { seed: 3, blocks: 3, dtype: 'BF16', shards: 2 });
    expect(await codeOf(resume(template, { checkpoint }))).toBe('E_OPTION_RESUME');
  });

  test('a text that grew in the meantime is another text', async () => {
    const text = join(folder, 'growing.txt');
    await writeFile(text, await readFile(common.test!));
    const out = await tampered(async () => {});
    await appendFile(text, ' and on');
    expect(await codeOf(resume(out, { test: text }))).toBe('E_OPTION_RESUME');
  });

  test('without resume it is left alone', async () => {
    expect(await codeOf(prune({ ...common, out: template }))).toBe('E_OPTION_OUT_PARTIAL');
    expect(existsSync(`${template}.partial/run.json`)).toBe(true);
  });

  test('resume where nothing was begun begins', async () => {
    const out = fresh();
    await mkdir(join(out, '..'));
    await resume(out);
    await expectWhole(out);
  });

  test('resume of a run that is done says that the output exists', async () => {
    const out = fresh();
    await cp(await doneRun(), out, { recursive: true });
    expect(await codeOf(resume(out))).toBe('E_OPTION_OUT_EXISTS');
  });
  const doneRun = async (): Promise<string> => {
    const out = await tampered(async () => {});
    await resume(out);
    return out;
  };

  test('another command does not clear what is left beside an output that is there', async () => {
    const out = await interrupted(at('renamed', 'out.partial/final -> '));
    expect(await codeOf(resume(out, { sparsity: 0.5 }))).toBe('E_OPTION_RESUME');
    expect(existsSync(`${out}.partial/run.json`)).toBe(true);
    const { manifest } = await resume(out);
    expect(`${JSON.stringify(manifest, null, 2)}\n`).toBe(
      Buffer.from(expected['layerwise.json']!, 'latin1').toString(),
    );
    await expectWhole(out);
  });
});

describe('two processes at once', () => {
  test('the second is refused with the process named, and the first ends as it would have', async () => {
    const out = fresh();
    await mkdir(join(out, '..'));
    const child = startRun({ ...common, out }, `${out}.log`, { as: 'stop', event: 'trial: β = 0: advance', nth: 2 });
    try {
      while (!(await child.where()).startsWith('trial: β = 0 | advance block 2')) await sleep(20);
      const attempt = await resume(out).catch((error: unknown) => error);
      expect(attempt).toMatchObject({ code: 'E_RESOURCE_LOCKED', facts: { pid: child.pid } });
      child.kill('SIGCONT');
      expect(await child.done).toMatchObject({ code: 'done' });
      await expectWhole(out);
    } finally {
      child.kill('SIGKILL'); // so that no stopped process stays where something failed
    }
  });

  test('in one process too', async () => {
    const out = fresh();
    await mkdir(join(out, '..'));
    const results = await Promise.allSettled([resume(out), resume(out)]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const { reason } = results.find((result) => result.status === 'rejected')!;
    expect(reason).toMatchObject({ code: 'E_RESOURCE_LOCKED' });
    await expectWhole(out);
  });

  const stale = join('out.partial', 'lock');
  const lockOf = async (out: string, holder: object): Promise<string> => {
    const path = join(out, '..', stale);
    await writeFile(path, JSON.stringify(holder));
    return path;
  };

  test('a lock whose process number has gone to another process does not hold', async () => {
    const out = await tampered(async () => {});
    await lockOf(out, { host: hostname(), pid: process.ppid, began: 'another boot 123' });
    await resume(out);
    await expectWhole(out);
  });

  test('a lock of another host holds while it is fresh, and not for ever', async () => {
    const out = await tampered(async () => {});
    const path = await lockOf(out, { host: `not-${hostname()}`, pid: 1, began: '' });
    expect(await codeOf(resume(out))).toBe('E_RESOURCE_LOCKED');
    const longAgo = new Date(Date.now() - 3_600_000);
    await utimes(path, longAgo, longAgo);
    await resume(out);
    await expectWhole(out);
  });

  test('the lock is given back after an error, so that the same process can go on', async () => {
    const out = await tampered(async () => {});
    const away = join(folder, 'away.txt');
    expect(await codeOf(resume(out, { seed: 5 }))).toBe('E_OPTION_RESUME');
    await rename(common.test!, away);
    expect(await codeOf(resume(out))).toBe('E_RESOURCE_NOT_FOUND');
    await rename(away, common.test!);
    await resume(out);
    await expectWhole(out);
  });
});
