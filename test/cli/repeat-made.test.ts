// The command in a record repeats the run, for the commands that write a checkpoint and a record of their own: split by a shell
// and carried out, it comes to the same record and the same bytes.

import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test, vi } from 'vitest';
import { cut, experts, heal, prune, unlearn } from '../../src/api/index.js';
import { silent } from '../../src/base/index.js';
import { parseCall } from '../../src/cli/index.js';
import {
  differences,
  LENGTH,
  makeFolder,
  makeTexts,
  makeTiny,
  readTree,
  stutter,
  type Texts,
  useOwnCache,
} from '../api/make.js';
import { makeFamily } from '../families.js';
import { limit } from '../scale.js';

vi.setConfig({ testTimeout: limit(120_000) });

let folder: string;
let texts: Texts;
let tiny: string;
let mixture: string;
let outs = 0;
beforeAll(async () => {
  await useOwnCache();
  folder = join(await makeFolder(), "it's a folder");
  await mkdir(folder);
  texts = await makeTexts(folder, 12);
  tiny = await makeTiny(join(folder, 'tiny'));
  mixture = await makeFamily(join(folder, 'mixture'), 'mixtral', { dtype: 'BF16', blocks: 3 });
});

const fresh = (): string => join(folder, `out-${outs++}`);

/** Carries out the command of a record. */
async function repeat(command: string): Promise<string> {
  const out = fresh();
  const words = execFileSync('sh', ['-c', `printf '%s\\0' ${command.replace('<dir>', '"$OUT"')}`], {
    encoding: 'utf8',
    env: { ...process.env, OUT: out },
  }).split('\0');
  const { spec, argument, values } = await parseCall(words.slice(1, -1));
  await spec.run(argument, values, silent, { write: () => {}, stop: new AbortController().signal });
  return out;
}

async function expectRepeated({ out, record }: { out: string; record: { command: string } }): Promise<void> {
  const again = await repeat(record.command);
  expect(differences(await readTree(out), await readTree(again))).toEqual([]);
}

const windows = { sequenceLength: LENGTH, calibrationSamples: 12, threads: 2 };

test.each([
  { parameters: 0.9, multiple: 4, seed: 3, windowStart: 'none', greedyTokens: 0 },
  {
    ...{ parameters: 0.85, units: 'all', widths: 'free', multiple: 1, importance: 'wanda-sp', repair: 'none' },
    ...{ allocation: 'atp', hyperparameters: { beta: 0.01 }, calibrationOrder: 'sequential', greedyTokens: 4 },
  },
  {
    ...{ parameters: 0.9, widths: 'free', multiple: 1, allocation: 'log', maxTrials: 2, judge: 'both' },
    ...{ target: 'stream', targetShares: { alpha: 0.25, gamma: 0.75 }, greedyTokens: 0 },
  },
  { parameters: 0.9, multiple: 4, target: 'own', greedyTokens: 0 },
])('cut %j', async (options) => {
  await expectRepeated(await cut({ checkpoint: tiny, out: fresh(), ...texts, ...windows, ...options }));
});

test.each([
  { keep: 0.6, method: 'merge', align: 'none', windowStart: 'none', seed: 2, greedyTokens: 0 },
  { keep: 0.6, perLayer: 'free', allocation: 'atp', maxTrials: 2, greedyTokens: 4 },
  { keep: 0.6, perLayer: 'free', allocation: 'atp', beta: -0.05, calibrationOrder: 'sequential' },
  { keep: 0.6, method: 'frequency', perLayer: 'free', allocation: 'global', greedyTokens: 0 },
])('experts %j', async (options) => {
  await expectRepeated(await experts({ checkpoint: mixture, out: fresh(), ...texts, ...windows, ...options }));
});

test.each([
  { train: 'lora', rank: 2, loss: 'kl', rate: 1e-3, greedyTokens: 0 },
  { train: 'lora', adapter: true, loss: 'nll', seed: 4, windowStart: 'none' },
  { train: 'blocks 1..2', greedyTokens: 4 },
])('heal %j', async (options) => {
  const checkpoint = fresh();
  await prune({ checkpoint: tiny, out: checkpoint, allocation: 'uniform', criterion: 'magnitude', sparsity: 0.5 });
  const given = { text: texts.calibration, validation: texts.validation, test: texts.test, tokens: 512, batch: 128 };
  const made = { checkpoint, dense: tiny, out: fresh(), sequenceLength: LENGTH, threads: 2 };
  await expectRepeated(await heal({ ...made, ...given, ...options }));
});

test.each([
  { layer: 2, beta: 3, alpha: 20, rate: 3e-3, tolerance: 0.5 },
  { layer: 3, method: 'rmu', coefficient: 7, official: true, seed: 5, windowStart: 'none' },
])('unlearn %j', async (options) => {
  const [forget, retain] = [join(folder, 'forget.txt'), join(folder, 'retain.txt')];
  await writeFile(forget, stutter(5, 40 * LENGTH).toUpperCase());
  await writeFile(retain, stutter(6, 40 * LENGTH));
  const given = { forget, retain, steps: 4, batch: 128, sequenceLength: LENGTH, threads: 2 };
  await expectRepeated(await unlearn({ checkpoint: tiny, out: fresh(), ...given, ...options }));
});
