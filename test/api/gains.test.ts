// A plan is judged on calibration text too: what the record says of it is what evaluating the written checkpoints finds, and
// --judge both chooses by the mean of both texts.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { compare, evaluate, prune } from '../../src/api/index.js';
import type { Evaluation, Manifest } from '../../src/records/index.js';
import { codeOf } from '../checkpoint/make.js';
import { LOSS } from '../tolerances.js';
import { LENGTH, makeFolder, makeTexts, makeTiny, type Texts, useOwnCache } from './make.js';

/** Calibration windows: more than are judged, so that they are a sample. */
const SAMPLES = 40;
const JUDGED = 32;

let folder: string;
let texts: Texts;
let checkpoint: string;
/** The judged windows as a text of their own. */
let sample: string;
let count = 0;

const fresh = (): string => join(folder, `out-${count++}`);
const common = () => ({
  ...texts,
  checkpoint,
  ...{ sparsity: 0.6, sequenceLength: LENGTH, calibrationSamples: SAMPLES, calibrationOrder: 'sequential', threads: 2 },
});

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, SAMPLES);
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 4 });
  const bytes = await readFile(texts.calibration);
  const starts = Array.from({ length: JUDGED }, (_, i) => Math.floor((i * SAMPLES) / JUDGED) * LENGTH);
  sample = join(folder, 'sample.txt');
  await writeFile(sample, Buffer.concat(starts.map((start) => bytes.subarray(start, start + LENGTH))));
});

const evaluated = async (model: string): Promise<Evaluation> =>
  (await evaluate({ checkpoint: model, text: sample, sequenceLength: LENGTH, threads: 2 })).text!;

const expectScore = (found: Evaluation, expected: Evaluation): void => {
  expect(found.windows).toBe(JUDGED);
  expect(found.tokens).toBe(expected.tokens);
  for (const [w, loss] of expected.nll.entries()) expect(Math.abs(found.nll[w]! - loss)).toBeLessThanOrEqual(LOSS);
};

/** What decides: the mean of both logarithms. */
const judged = ({ validation, calibration }: Manifest['trials'][number]): number =>
  (Math.log(validation.perplexity) + Math.log(calibration!.perplexity)) / 2;

describe('gains over uniform', () => {
  test('calibration scores are those of the written checkpoints; the gains follow from the losses', async () => {
    const out = fresh();
    const { manifest } = await prune({ ...common(), beta: 0.05, out });
    const { gains } = manifest;
    expectScore(gains!.calibration.dense, await evaluated(checkpoint));
    expectScore(gains!.calibration.chosen, await evaluated(out));
    const uniform = fresh();
    const { manifest: same } = await prune({ ...common(), allocation: 'uniform', out: uniform });
    expectScore(gains!.calibration.uniform, await evaluated(uniform));
    expect(same.gains).toBeUndefined();
    const ratio = (of: { readonly perplexity: number }, to: { readonly perplexity: number }) =>
      Math.log(to.perplexity / of.perplexity);
    expect(gains!.onValidation.nats).toBeCloseTo(ratio(manifest.chosen.validation!, manifest.uniform!.validation!), 10);
    expect(gains!.onCalibration.nats).toBeCloseTo(ratio(gains!.calibration.chosen, gains!.calibration.uniform), 10);
  });

  test('are absent without validation text or calibration text', async () => {
    const { validation: _, ...unvalidated } = common();
    expect((await prune({ ...unvalidated, beta: 0.05, out: fresh() })).manifest.gains).toBeUndefined();
    const magnitude = { ...common(), criterion: 'magnitude', beta: 0.05, out: fresh() };
    expect((await prune(magnitude)).manifest.gains).toBeUndefined();
  });

  test('compare has them for every policy but uniform, whichever texts judge', async () => {
    for (const judge of ['validation', 'both']) {
      const { sparsity, ...rest } = common();
      const options = {
        ...rest,
        sparsities: [sparsity],
        allocations: ['atp', 'owl'],
        maxTrials: 2,
        judge,
        out: fresh(),
      };
      const { comparison } = await compare(options);
      for (const { allocation, gains, versusUniform } of comparison.rows) {
        const isUniform = versusUniform === null || (versusUniform[0] === 1 && versusUniform[1] === 1);
        expect(gains !== undefined, allocation).toBe(!isUniform);
      }
    }
  });
});

describe('--judge both', () => {
  test('every exact trial has both scores, and the best by their mean is chosen', async () => {
    const { manifest } = await prune({ ...common(), maxTrials: 4, judge: 'both', out: fresh() });
    const exact = manifest.trials.filter((trial) => trial.exact);
    expect(exact.length).toBeGreaterThan(2);
    for (const trial of manifest.trials) expect(trial.calibration?.windows).toBe(trial.exact ? JUDGED : undefined);
    const best = exact.reduce((a, b) => (judged(a) <= judged(b) ? a : b));
    expect(manifest.chosen.validation).toEqual(best.validation);
    if (manifest.gains) expect(manifest.gains.calibration.chosen).toEqual(best.calibration);
    expect(manifest.command).toContain('--judge both');
    expect(manifest.search!.method).toContain('mean of ln perplexity');
  });

  test('is part of what a run is; its trials are of one', async () => {
    const [out, stop] = [fresh(), new Error('stop')];
    const options = { ...common(), maxTrials: 2, judge: 'both', out };
    const stopping = prune({
      ...options,
      onProgress: (event) => {
        if (event.kind === 'stage' && event.stage === 'writing') throw stop;
      },
    });
    await expect(stopping).rejects.toBe(stop);
    expect(await codeOf(prune({ ...options, judge: 'validation', resume: true }))).toBe('E_OPTION_RESUME');
    const { manifest } = await prune({ ...options, resume: true });
    const { manifest: whole } = await prune({ ...options, out: fresh() });
    expect(manifest).toEqual(whole);
  });

  test('needs calibration text, and a name we know', async () => {
    const { calibration: _, ...rest } = common();
    const asked = { ...rest, criterion: 'magnitude', judge: 'both', out: fresh() };
    expect(await codeOf(prune(asked))).toBe('E_OPTION_CALIBRATION');
    expect(await codeOf(prune({ ...common(), judge: 'test', out: fresh() }))).toBe('E_OPTION_JUDGE');
    const { manifest } = await prune({ ...asked, calibration: texts.calibration, maxTrials: 1 });
    expect(manifest.trials[0]!.calibration!.windows).toBe(JUDGED);
  });
});
