// Every allocation policy from end to end on a small checkpoint: measured in one dense pass, fitted, applied.

import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { inspect, makePlan, prune } from '../../src/api/index.js';
import type { ProgressEvent } from '../../src/base/index.js';
import type { PruneOptions } from '../../src/runs/index.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';
import { ratesOf } from './rates.js';

let folder: string;
let checkpoint: string;
let texts: Texts;

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 8);
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 4 });
});

async function run(name: string, asked: Partial<PruneOptions>, stages: string[] = []) {
  const onProgress = (event: ProgressEvent): void => {
    if (event.kind === 'stage') stages.push(event.stage);
  };
  return await prune({
    checkpoint,
    sparsity: 0.6,
    sequenceLength: LENGTH,
    calibrationSamples: 20,
    threads: 2,
    onProgress,
    ...asked,
    out: join(folder, name),
  });
}

test.each([
  'owl',
  'alphapruning',
  'dlp',
  'dsa',
  'als',
  'ecoflap',
  'lsa',
  'lsa-projection',
  'global',
  'lamp',
  'er',
  'er-plus',
])(
  '%s without validation text: the zeros are the target’s to one weight, and not all rates are alike',
  async (allocation) => {
    const stages: string[] = [];
    const { out, manifest } = await run(allocation, { allocation, calibration: texts.calibration }, stages);
    const { prunable, sparsity } = await inspect(out);
    expect(Math.abs(sparsity * prunable - 0.6 * prunable)).toBeLessThanOrEqual(0.5 + 1e-6);
    expect(manifest.plan.from!.policy).toBe(allocation);
    expect(new Set(ratesOf(manifest.plan)).size).toBeGreaterThan(1);
    expect(stages.filter((stage) => stage === 'dense').length).toBe(
      allocation.startsWith('er') || allocation === 'ecoflap' ? 0 : 1,
    );
  },
);

test('evo: estimates on few windows, one exact trial or more besides uniform, and a plan that keeps the budget', async () => {
  const asked = { allocation: 'evo', hyperparameters: { generations: 2, offspring: 4 }, ...texts, maxTrials: 2 };
  const { out, manifest } = await run('evo', asked);
  const { prunable, sparsity } = await inspect(out);
  expect(Math.abs(sparsity * prunable - 0.6 * prunable)).toBeLessThanOrEqual(0.5 + 1e-6);
  const exact = manifest.trials.filter((trial) => trial.exact);
  expect(exact.length).toBeGreaterThanOrEqual(2);
  expect(exact.length).toBeLessThanOrEqual(3);
  expect(new Set(manifest.trials.map(({ validation }) => validation.windows)).size).toBeGreaterThan(1);
  const { from } = manifest.plan;
  expect(from).toEqual({ policy: 'evo', values: { generations: 2, offspring: 4, step: 0.035, levels: 8 } });
  const again = await run('evo again', { ...asked, threads: 1 });
  expect(again.manifest.plan).toEqual(manifest.plan);
});

test.each(['columns', 'n:8'])(
  'evo with a solver at %s: interrupted while it fills its database, it ends with the same bytes',
  async (pattern) => {
    const name = pattern.replace(':', '-');
    const asked = {
      ...{ allocation: 'evo', criterion: 'sparsegpt', pattern, ...texts, maxTrials: 1 },
      ...{ sparsity: 0.5, hyperparameters: { generations: 1, offspring: 4, step: 0.1, levels: 2 } },
    };
    const whole = await run(`evo ${name}`, asked);
    let [filling, filled] = [false, 0];
    const breakOff = (event: ProgressEvent): void => {
      if (event.kind === 'stage') filling = event.stage === 'linears at all levels';
      if (event.kind === 'advance' && filling && ++filled === 1) throw new Error('broken off');
    };
    const out = join(folder, `evo broken ${name}`);
    await expect(run(`evo broken ${name}`, { ...asked, onProgress: breakOff })).rejects.toThrow('broken off');
    const levels = await readdir(join(`${out}.partial`, 'levels'), { recursive: true });
    expect(levels.filter((name) => name.endsWith('.safetensors'))).toHaveLength(1);
    const notes: string[] = [];
    const onProgress = (event: ProgressEvent): void => {
      if (event.kind === 'note') notes.push(event.text);
    };
    await run(`evo broken ${name}`, { ...asked, resume: true, threads: 1, onProgress });
    expect(differences(await readTree(out), await readTree(whole.out))).toEqual([]);
    expect(existsSync(`${out}.partial`)).toBe(false);
    expect(notes.join()).toMatch(
      /evo treats \d+ linears at up to 5 levels, \d+ in all, once each: a database of \d+ MB/,
    );
  },
);

test('evo without validation text is refused before anything is read', async () => {
  await expect(run('evo alone', { allocation: 'evo', calibration: texts.calibration })).rejects.toThrow(
    expect.objectContaining({ code: 'E_OPTION_VALIDATION' }),
  );
  await expect(makePlan({ checkpoint, sparsity: 0.6, allocation: 'evo' })).rejects.toThrow(
    expect.objectContaining({ code: expect.stringMatching(/^E_OPTION_(VALIDATION|CALIBRATION)$/) }),
  );
});

test('policies that see weights alone need no text', async () => {
  const { manifest } = await run('weights', { allocation: 'lamp', criterion: 'magnitude' });
  expect(manifest.plan.from!.policy).toBe('lamp');
});

test('a plan of measured rates alone needs calibration text and no other', async () => {
  const common = { checkpoint, sparsity: 0.6, sequenceLength: LENGTH, calibrationSamples: 20 };
  const plan = await makePlan({ ...common, allocation: 'owl', calibration: texts.calibration });
  expect(plan.from!.policy).toBe('owl');
  expect(new Set(ratesOf(plan)).size).toBeGreaterThan(1);
});

test('neuronal takes the published value of least misalignment; with validation text its record says what it tried', async () => {
  const { manifest } = await run('neuronal', {
    allocation: 'neuronal',
    calibration: texts.calibration,
    validation: texts.validation,
  });
  const { misalignments, equivalents } = manifest.search!;
  // At a target of 0.6 all published values are legal.
  expect(misalignments).toHaveLength(14);
  const least = misalignments!.reduce((a, b) => (b.misalignment < a.misalignment ? b : a));
  expect(manifest.plan.from).toEqual({ policy: 'neuronal', values: least.hyperparameters });
  // One trial, and 14 of 3 runs over 8 windows where a trial is 2 over 20 and 1 over 8.
  expect(equivalents).toBeCloseTo(1 + (14 * 3 * 8) / (2 * 20 + 8), 12);
  const plan = await makePlan({
    checkpoint,
    sparsity: 0.6,
    sequenceLength: LENGTH,
    calibrationSamples: 20,
    allocation: 'neuronal',
    calibration: texts.calibration,
  });
  expect(plan.from).toEqual(manifest.plan.from);
  const given = await run('lambda', {
    allocation: 'neuronal',
    hyperparameters: { lambda: 0.05 },
    calibration: texts.calibration,
  });
  expect(given.manifest.plan.from!.values).toEqual({ lambda: 0.05 });
  await expect(run('unaligned', { allocation: 'neuronal', criterion: 'magnitude' })).rejects.toMatchObject({
    code: 'E_OPTION_CALIBRATION',
  });
});

test('others name what they lack, and the next step', async () => {
  const message = /--calibration: .*owl.*outliers.*Pass one/;
  await expect(run('lacking', { allocation: 'owl', criterion: 'magnitude' })).rejects.toThrowError(
    expect.objectContaining({ code: 'E_OPTION_CALIBRATION', message: expect.stringMatching(message) }),
  );
});

test('hyperparameters are the published ones, or those that are given', async () => {
  const hyperparameters = { m: 3, lambda: 0.2 };
  const common = { allocation: 'owl', calibration: texts.calibration, validation: texts.validation };
  const given = await run('given', { ...common, hyperparameters });
  expect(given.manifest.plan.from!.values).toEqual(hyperparameters);
  const rates = ratesOf(given.manifest.plan);
  expect(Math.max(...rates) - Math.min(...rates)).toBeCloseTo(0.4, 9);
});

test('layerwise with its numbers given needs a text to measure on, and no more', async () => {
  const asked = { allocation: 'layerwise', hyperparameters: { line: 0.1, gain: 0.5 } };
  const { manifest } = await run('numbers-given', { ...asked, calibration: texts.calibration });
  expect(manifest.plan.from).toEqual({ policy: 'layerwise', values: { line: 0.1, gain: 0.5 } });
  expect(new Set(ratesOf(manifest.plan)).size).toBeGreaterThan(4);
  await expect(run('no-text', { ...asked, criterion: 'magnitude' })).rejects.toMatchObject({
    code: 'E_OPTION_CALIBRATION',
  });
});

test('a given number is kept while another is searched, which needs a baseline that is no candidate', async () => {
  const { manifest } = await run('line-given', {
    allocation: 'layerwise',
    hyperparameters: { line: 0.2 },
    calibration: texts.calibration,
    validation: texts.validation,
    maxTrials: 3,
  });
  const [uniform, ...others] = manifest.trials;
  expect(uniform).toMatchObject({ hyperparameters: {}, exact: true, interval: [1, 1] });
  expect(new Set(uniform!.rates.map((rate) => rate.toFixed(6))).size).toBe(1);
  expect(others.filter(({ exact }) => !exact).map(({ hyperparameters }) => hyperparameters)).toEqual(
    [0, 0.25, 0.5, 0.75, 1].map((gain) => ({ line: 0.2, gain })),
  );
  const exact = others.filter((trial) => trial.exact);
  expect(exact.length).toBeLessThanOrEqual(3);
  for (const { hyperparameters } of others) expect(hyperparameters.line).toBe(0.2);
  const best = exact.reduce((a, b) => (b.validation.perplexity < a.validation.perplexity ? b : a));
  expect(manifest.plan.from).toEqual({ policy: 'layerwise', values: best.hyperparameters });
  expect(manifest.chosen.validation!.perplexity).toBe(best.validation.perplexity);
  expect(manifest.search!.method).toContain('Uniform is the baseline');
  expect(manifest.command).toContain('--allocation layerwise --hyperparameters line=0.2 ');
});
