// Whole jobs on every family that classifies images, from files to bytes: prune, quantise, compare, evaluate, inspect.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  compare,
  evaluate,
  generate,
  heal,
  inspect,
  pack,
  prune,
  quantise,
  quantiseActivations,
} from '../../src/api/index.js';
import { hashCheckpoint, openCheckpoint } from '../../src/checkpoint/index.js';
import { encodePng } from '../../src/images/index.js';
import { POLICIES } from '../../src/plan/index.js';
import { accuracyWithin, parseManifest } from '../../src/records/index.js';
import { type ImageSets, makeImageModel, makeSets } from './image-jobs.js';
import { makeFolder, useOwnCache } from './make.js';

const FAMILIES = ['vit', 'deit', 'deit-teacher', 'dinov2', 'dinov2-swiglu', 'convnext', 'convnextv2'];

let folder: string;
let sets: ImageSets;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  sets = await makeSets(folder);
});

const makeModel = (family: string, processor = true): Promise<string> =>
  makeImageModel(join(folder, `${family}${processor ? '' : '-bare'}`), family, { processor });

const COMMON = { threads: 2, calibrationSamples: 10, maxTrials: 2 };

test('the blocks of a ConvNeXt’s stage get one rate together, and a ViT has none', async () => {
  const checkpoint = await makeModel('convnext');
  const asked = { ...sets, ...COMMON, sparsity: 0.5, unit: 'stage' };
  const { manifest } = await prune({ checkpoint, out: join(folder, 'staged'), ...asked, beta: 0.1 });
  const rates = Object.values(manifest.plan.units).map(({ zeros }) => zeros!.rate);
  // Stages of 1, 1, 2 and 1 blocks.
  expect(rates[3]).toBe(rates[2]);
  for (const [lower, upper] of [
    [0, 1],
    [1, 2],
    [3, 4],
  ] as const)
    expect(rates[upper]! - rates[lower]!).toBeCloseTo(0.1, 9);
  expect(manifest.sparsity.realised).toBeCloseTo(0.5, 3);
  expect(manifest.command).toContain('--unit stage');
  const searched = await prune({ checkpoint, out: join(folder, 'staged-searched'), ...asked });
  const { beta } = searched.manifest.plan.from!.values;
  const found = Object.values(searched.manifest.plan.units).map(({ zeros }) => zeros!.rate);
  expect(found[3]).toBe(found[2]);
  expect(Math.abs(beta!)).toBeLessThanOrEqual(1 / 3 + 1e-9);
  // Five blocks would end at a quarter.
  expect(Math.max(...searched.manifest.trials.map((trial) => trial.beta!))).toBeGreaterThan(1 / 4);
  const refused = (other: object, code: string) =>
    expect(prune({ checkpoint, out: join(folder, 'no'), ...asked, ...other })).rejects.toMatchObject({ code });
  await refused({ checkpoint: await makeModel('vit') }, 'E_OPTION_UNIT');
  await refused({ allocation: 'owl' }, 'E_OPTION_CONFLICT');
  await refused({ allocation: 'layerwise' }, 'E_OPTION_CONFLICT');
  await refused({ unit: 'layer' }, 'E_OPTION_UNIT');
});

describe.each(FAMILIES)('%s', (family) => {
  let checkpoint: string;
  beforeAll(async () => {
    checkpoint = await makeModel(family);
  });

  test('is pruned, and what was written is what was scored', async () => {
    const out = join(folder, `${family}-pruned`);
    const { manifest } = await prune({ checkpoint, out, sparsity: 0.5, ...sets, ...COMMON });
    expect(manifest.sparsity.realised).toBeCloseTo(0.5, 3);
    expect(manifest.texts.calibration).toMatchObject({
      windows: 10,
      images: { labels: { classes: 5, fewest: 2, most: 2 } },
    });
    expect(manifest.chosen.test).toMatchObject({ loss: 'cross-entropy', windows: 25, tokens: 25 });
    const scored = await evaluate({ checkpoint: out, images: sets.test, dense: checkpoint, threads: 2 });
    expect(scored.images!.evaluation).toEqual(manifest.chosen.test);
    expect(scored.images!.dense).toEqual(manifest.dense.test);
    expect(scored.fidelity!.divergence.some((kl) => kl > 1e-6)).toBe(true);
    expect(accuracyWithin(scored.images!.evaluation!.ranks!, 5).mean).toBe(1);
    // Only weights of blocks' linears change; every other file is the same.
    const [before, after] = [
      await hashCheckpoint(await openCheckpoint(checkpoint)),
      await hashCheckpoint(await openCheckpoint(out)),
    ];
    expect(after['config.json']).toBe(before['config.json']);
    expect(await readFile(join(out, 'preprocessor_config.json'))).toEqual(
      await readFile(join(checkpoint, 'preprocessor_config.json')),
    );
    const html = await readFile(join(out, 'report.html'), 'utf8');
    expect(html).toContain('Accuracy on the test images');
    expect(html.match(/.{0,60}erplexity.{0,40}/g) ?? []).toEqual([]);
    expect(parseManifest(await readFile(join(out, 'layerwise.json'), 'utf8'), 'it').images!.classes).toHaveLength(5);
    const report = await inspect(out);
    expect(report.sparsity).toBeCloseTo(0.5, 3);
  });

  test.each(['sparsegpt', 'magnitude', 'ria'])('%s zeroes as many as asked', async (criterion) => {
    const out = join(folder, `${family}-${criterion}`);
    const { images, validation } = sets;
    const how = { criterion, allocation: 'uniform', sparsity: 0.4 };
    const { manifest } = await prune({ checkpoint, out, images, validation, ...how, ...COMMON });
    expect(manifest.sparsity.realised).toBeCloseTo(0.4, 3);
  });

  test('is quantised to three bits', async () => {
    const out = join(folder, `${family}-3bit`);
    const { manifest } = await quantise({
      checkpoint,
      out,
      bits: 3,
      group: 'row',
      calibration: sets.images,
      threads: 2,
      test: sets.test,
    });
    expect(manifest.bits!.stored).toBeGreaterThan(3);
    expect(manifest.chosen.test!.nll).not.toEqual(manifest.dense.test!.nll);
  });
});

test('a resumed run has the bytes of one that ran through, for any number of threads', async () => {
  const checkpoint = await makeModel('convnext');
  const run = async (name: string, threads: number): Promise<string> => {
    const out = join(folder, name);
    await prune({ checkpoint, out, sparsity: 0.5, ...sets, ...COMMON, threads });
    return await readFile(join(out, 'layerwise.json'), 'utf8');
  };
  expect(await run('one-thread', 1)).toBe(await run('three-threads', 3));
});

test('every policy that measures nothing but images allots them', async () => {
  const checkpoint = await makeModel('vit');
  const names = [...POLICIES.keys()].filter((name) => !['evo', 'plan'].includes(name));
  const { comparison } = await compare({
    ...{ checkpoint, out: join(folder, 'compared'), sparsities: [0.5], allocations: names },
    ...{ ...sets, ...COMMON },
  });
  expect(comparison.rows).toHaveLength(names.length);
  for (const { sparsity, allocation } of comparison.rows) expect(sparsity.realised, allocation).toBeCloseTo(0.5, 2);
});

describe('refuses by name', () => {
  test('commands for text', async () => {
    const checkpoint = await makeModel('vit');
    const refused = { code: 'E_UNSUPPORTED_IMAGES' };
    await expect(pack({ checkpoint, out: join(folder, 'vit.lw') })).rejects.toMatchObject(refused);
    await expect(generate({ model: checkpoint, threads: 1 })).rejects.toMatchObject(refused);
    const healing = { checkpoint, dense: checkpoint, text: 'x.txt', validation: 'y.txt', out: join(folder, 'healed') };
    await expect(heal(healing)).rejects.toMatchObject(refused);
    const texts = { calibration: sets.images, validation: sets.validation };
    const clipped = quantiseActivations({ checkpoint, out: join(folder, 'clipped'), bits: 4, ...texts });
    await expect(clipped).rejects.toMatchObject(refused);
  });

  test('a model without the file that says how images are read', async () => {
    const checkpoint = await makeModel('vit', false);
    await expect(evaluate({ checkpoint, images: sets.test })).rejects.toMatchObject({
      code: 'E_CHECKPOINT_PREPROCESSING',
    });
  });

  test('options of text, and test images that calibrate', async () => {
    const checkpoint = await makeModel('vit');
    const out = join(folder, 'never');
    const job = { checkpoint, out, sparsity: 0.5, ...sets, ...COMMON };
    await expect(prune({ ...job, sequenceLength: 16 })).rejects.toMatchObject({ code: 'E_OPTION_SEQUENCE_LENGTH' });
    await expect(prune({ ...job, hessian: 'loss', criterion: 'sparsegpt' })).rejects.toMatchObject({
      code: 'E_OPTION_HESSIAN',
    });
    const staged = { ...job, checkpoint: await makeModel('convnext'), criterion: 'sparsegpt', target: 'stream' };
    await expect(prune(staged)).rejects.toMatchObject({ code: 'E_OPTION_TARGET' });
    await expect(prune({ ...job, test: sets.validation })).rejects.toMatchObject({ code: 'E_OPTION_TEST' });
    await expect(prune({ ...job, calibration: sets.images })).rejects.toMatchObject({ code: 'E_OPTION_CONFLICT' });
  });

  test('classes that the model does not have', async () => {
    const checkpoint = await makeModel('vit');
    const strange = join(folder, 'strange');
    await mkdir(join(strange, 'tench'), { recursive: true });
    await writeFile(join(strange, 'tench', '1.png'), encodePng({ width: 2, height: 2, pixels: new Uint8Array(12) }));
    await expect(evaluate({ checkpoint, images: strange })).rejects.toMatchObject({ code: 'E_OPTION_LABELS' });
  });
});
