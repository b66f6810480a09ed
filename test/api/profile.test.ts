// Profiles from end to end: what they hold is what drop and plan measure themselves, and a plan made from one is the same.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { drop, type MakePlanOptions, makePlan, type ProfileOptions, profile } from '../../src/api/index.js';
import { openModel } from '../../src/model/index.js';
import { findPolicy, POLICIES } from '../../src/plan/index.js';
import { type Profile, packMeasures, parseProfile, unpackMeasures } from '../../src/records/index.js';
import { PROFILE_MEASURES, readProfile } from '../../src/runs/index.js';
import { codeOf } from '../checkpoint/make.js';
import { randomMeasured } from '../plan/measured.js';
import { unit } from '../plan/units.js';
import { IDLE, LENGTH, makeFolder, makeIdle, makeTexts, makeTiny, stutter, type Texts, useOwnCache } from './make.js';
import { ratesOf } from './rates.js';

/** More windows than a chunk of the engine holds. */
const SAMPLES = 70;
const ALL: readonly string[] = PROFILE_MEASURES;
/** Policies that allocate by what a profile holds. */
const MEASURING = [...POLICIES.values()]
  .filter(({ needs }) => needs.length > 0 && needs.every((name) => ALL.includes(name)))
  .map(({ name }) => name);

let folder: string;
let texts: Texts;
let checkpoint: string;
let whole: Profile;
let path: string;
const stages: string[] = [];

const optionsOf = (changes: Partial<ProfileOptions> = {}): ProfileOptions => ({
  checkpoint,
  calibration: texts.calibration,
  calibrationSamples: SAMPLES,
  sequenceLength: LENGTH,
  threads: 2,
  ...changes,
});

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 8);
  checkpoint = await makeIdle(join(folder, 'model'), { seed: 4 });
  path = join(folder, 'profile.json');
  const onProgress: ProfileOptions['onProgress'] = (event) => {
    if (event.kind === 'stage') stages.push(event.stage);
  };
  ({ profile: whole } = await profile(optionsOf({ measures: ALL, out: path, onProgress })));
});

test('how errors travel: alone, carried and corrected, on windows that pruned nothing', async () => {
  const { profile: found } = await profile(optionsOf({ measures: [], errors: 0.6 }));
  const { alone, carried, corrected, ...rest } = found.errors!;
  expect(rest).toEqual({ sparsity: 0.6, windows: 8, target: { alpha: 0.5, gamma: 0.5 } });
  expect(carried[0]).toBe(alone[0]);
  expect(alone[IDLE]).toBe(0);
  expect(carried[IDLE]).toBe(carried[IDLE - 1]);
  for (const block of [2, 3]) {
    expect(alone[block]).toBeLessThan(carried[block]!);
    expect(corrected[block]).toBeLessThan(carried[block]!);
  }
  expect(parseProfile(JSON.stringify(found), 'x').errors).toEqual(found.errors);
  const refused = profile(optionsOf({ errors: 0.6, calibrationSamples: 1 }));
  expect(await codeOf(refused)).toBe('E_OPTION_ERRORS');
});

describe('influence and angles', () => {
  test('an idle block has influence 0 and turns nothing; the others do', () => {
    expect(whole.influence[IDLE]).toBe(0);
    expect(whole.angles[0]![IDLE]).toBeLessThan(1e-6);
    for (const block of [0, 2, 3]) {
      expect(whole.influence[block]).toBeGreaterThan(0.01);
      expect(whole.angles[0]![block]).toBeGreaterThan(0.01);
    }
  });

  test('are the numbers that drop records', async () => {
    const dropped = async (method: string, blocks: number) => {
      const out = join(folder, `${method}-${blocks}`);
      const { checkpoint: source, ...windows } = optionsOf();
      return (await drop({ checkpoint: source, ...windows, out, method, blocks })).record.scores;
    };
    expect(await dropped('shortgpt', 1)).toEqual(whole.influence);
    expect(await dropped('angular', 1)).toEqual(whole.angles[0]);
    expect(await dropped('angular', 3)).toEqual([...whole.angles[2]!, null, null]);
    expect(whole.angles.map(({ length }) => length)).toEqual([4, 3, 2, 1]);
  });
});

test('one dense pass for all measures but gradient, which has its own', () => {
  expect(stages).toEqual(['reading texts', 'hashing the checkpoint', 'dense', 'gradients']);
});

test('the default is all that one pass collects; what is asked for is the same beside others, on any number of threads', async () => {
  const { gradient: _, halfError: __, ...collected } = whole.measures;
  const usual = await profile(optionsOf({ threads: 1 }));
  expect(usual.profile).toEqual({ ...whole, measures: collected });
  const few = await profile(optionsOf({ measures: ['alpha', 'outliers', 'alpha'] }));
  expect(few.profile.measures).toEqual({ outliers: collected.outliers, alpha: collected.alpha });
  expect(Object.keys(few.profile.measures)).toEqual(['outliers', 'alpha']);
  const none = await profile(optionsOf({ measures: [] }));
  expect(none.profile).toEqual({ ...whole, measures: {} });
});

describe('the record', () => {
  test('is read as it was written, and says what was measured on what', async () => {
    expect(await readProfile(path)).toEqual(whole);
    const model = await openModel(checkpoint);
    expect(whole.linears.flat()).toEqual(model.linears.flat().map(({ name }) => name));
    expect(whole.calibration).toMatchObject({ name: 'calibration.txt', windows: SAMPLES, length: LENGTH });
    expect(Object.keys(whole.source.hashes)).toContain('model.safetensors');
    const { scores } = unpackMeasures(whole.measures);
    for (const [l, { rows, columns }] of model.linears.flat().entries()) expect(scores![l]!.total).toBe(rows * columns);
  });

  test('keeps measures to the last bit', () => {
    const linears = [0, 0, 1].map((block, l) => unit(`${l}`, block, 'q', 8, 12));
    const { sensitivity: _, ...measured } = randomMeasured({ blocks: 2, linears }, 3);
    const padded = (some: typeof measured.scores) =>
      some.map(({ counts, total }) => {
        const all = new Uint32Array(1 << 15);
        all.set(counts, 17);
        return { counts: all, total };
      });
    const full = { ...measured, scores: padded(measured.scores), lamp: padded(measured.lamp) };
    expect(unpackMeasures(JSON.parse(JSON.stringify(packMeasures(full))))).toEqual(full);
  });

  test.each<[string, (kept: Record<string, unknown>) => void, RegExp]>([
    ['another kind of document', (kept) => Object.assign(kept, { format: 'layerwise-plan' }), /at format/],
    ['a later version', (kept) => Object.assign(kept, { version: 2 }), /at version/],
    [
      'a block without influence',
      (kept) => (kept.influence as number[]).pop(),
      /at influence: expected 4 .*per block, got 3/,
    ],
    ['a run without an angle', (kept) => (kept.angles as number[][])[1]!.pop(), /at angles\.1: expected 3 .*got 2/],
    [
      'a linear without its measure',
      (kept) => (kept.measures as Record<string, unknown[]>).alpha!.pop(),
      /at measures\.alpha: expected 28 .*per linear, got 27/,
    ],
    [
      'more bins than there are',
      (kept) => (kept.measures as Record<string, number[][]>).scores![0]!.push(-40_000, 1),
      /at measures\.scores\.0: expected the counts/,
    ],
  ])('%s is refused with the place', (_, change, message) => {
    const kept = structuredClone(whole) as unknown as Record<string, unknown>;
    change(kept);
    expect(() => parseProfile(JSON.stringify(kept), 'p.json')).toThrowError(
      expect.objectContaining({ code: 'E_OPTION_PROFILE', message: expect.stringMatching(message) }),
    );
  });
});

describe('a plan from a profile', () => {
  const asked = (changes: Partial<MakePlanOptions> = {}): MakePlanOptions => ({
    checkpoint,
    sparsity: 0.6,
    ...changes,
  });
  const windows = () => {
    const { calibration, calibrationSamples, sequenceLength } = optionsOf();
    return { calibration, calibrationSamples: calibrationSamples!, sequenceLength: sequenceLength!, threads: 2 };
  };

  test.each(MEASURING)('%s: is the plan made directly, with its texts given or not', async (allocation) => {
    const direct = await makePlan(asked({ allocation, ...windows() }));
    const kept = await readProfile(path);
    expect(await makePlan(asked({ allocation, profile: kept }))).toEqual(direct);
    expect(await makePlan(asked({ allocation, profile: kept, ...windows(), seed: 0 }))).toEqual(direct);
    expect(new Set(ratesOf(direct)).size).toBeGreaterThan(1);
  });

  test('covers every policy that measures something but the one whose measure depends on the target', () => {
    const others = [...POLICIES.values()].filter(({ needs, name }) => needs.length > 0 && !MEASURING.includes(name));
    expect(others.map(({ name }) => name)).toEqual(['layerwise']);
  });

  test('takes hyperparameters and the budget, runs no model, and is written', async () => {
    const ran: string[] = [];
    const options = { allocation: 'owl', hyperparameters: { m: 3, lambda: 0.2 }, budget: 'published' };
    const out = join(folder, 'plan.json');
    const onProgress: ProfileOptions['onProgress'] = (event) => {
      if (event.kind === 'stage') ran.push(event.stage);
    };
    const plan = await makePlan(asked({ ...options, profile: whole, onProgress }), out);
    expect(plan).toMatchObject({
      budget: { of: 'zeros', target: 0.6, counting: 'published' },
      from: { policy: 'owl', values: { m: 3, lambda: 0.2 } },
    });
    expect(Math.max(...ratesOf(plan)) - Math.min(...ratesOf(plan))).toBeCloseTo(0.4, 9);
    expect(ran).toEqual(['hashing the checkpoint']);
    expect(JSON.parse(await readFile(out, 'utf8'))).toEqual(plan);
  });

  const refused = (changes: Partial<MakePlanOptions>, message: RegExp, code = 'E_OPTION_PROFILE') =>
    expect(makePlan(asked({ allocation: 'owl', profile: whole, ...changes }))).rejects.toThrowError(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );

  test('of another checkpoint is refused, and both are named', async () => {
    const other = await makeTiny(join(folder, 'other'), { seed: 5 });
    const hash = whole.source.hashes['model.safetensors']!.slice(0, 16);
    await refused(
      { checkpoint: other },
      new RegExp(
        `on a different checkpoint: model has a model.safetensors with the SHA-256 ${hash}…; .*/other has a .*SHA-256 `,
      ),
    );
    const sharded = await makeTiny(join(folder, 'sharded'), { seed: 4, shards: 2 });
    await refused({ checkpoint: sharded }, /has a model.safetensors with .*\/sharded has no model.safetensors/);
  });

  test('of another text, other windows or another seed is refused, and both are named', async () => {
    const other = join(folder, 'other.txt');
    await writeFile(other, stutter(9, 6000));
    const hash = whole.calibration.hash.slice(0, 16);
    await refused(
      { calibration: other },
      new RegExp(
        `on a different text: calibration.txt has the SHA-256 ${hash}…; --calibration other.txt has the SHA-256 `,
      ),
    );
    await refused(
      { calibrationSamples: 20 },
      /measured with --calibration-samples 70, but --calibration-samples is 20/,
    );
    await refused({ calibrationOrder: 'sequential' }, /--calibration-order random, but .* is sequential/);
    await refused({ sequenceLength: 16 }, /--sequence-length 32, but .* is 16/);
    await refused({ windowStart: 'bos' }, /--window-start none, but --window-start is bos/);
    await refused({ seed: 3 }, /--seed 0, but --seed is 3/);
  });

  test('without the measure that is needed it says which, and how to make it', async () => {
    const { alpha: _, ...measures } = whole.measures;
    const message =
      /expected the measure alpha.*alphapruning.*the profile has outliers, .*layerwise profile --measures alpha/;
    await refused({ allocation: 'alphapruning', profile: { ...whole, measures } }, message);
  });

  test('policies that have no use for it, and options that would do nothing, are refused', async () => {
    for (const allocation of ['atp', 'uniform', 'neuronal', 'layerwise']) {
      await refused({ allocation }, new RegExp(`--profile .*--allocation: ${allocation} `), 'E_OPTION_CONFLICT');
    }
    expect(findPolicy('layerwise').needs).toEqual(['sensitivity']);
    await refused({ validation: texts.validation }, /--profile .*--validation/, 'E_OPTION_CONFLICT');
    await refused({ criterion: 'none' }, /--criterion/, 'E_OPTION_CRITERION');
    await refused({ pattern: '2:4' }, /--sparsity: expected 0.5/, 'E_OPTION_SPARSITY');
    await refused({ hyperparameters: { epsilon: 1 } }, /epsilon/, 'E_OPTION_HYPERPARAMETERS');
  });
});

test('what is wrong with a call is said before anything is measured, and nothing is written', async () => {
  const ran: string[] = [];
  const onProgress: ProfileOptions['onProgress'] = (event) => {
    if (event.kind === 'stage') ran.push(event.stage);
  };
  const code = (changes: Partial<ProfileOptions>) => codeOf(profile(optionsOf({ onProgress, ...changes })));
  const short = join(folder, 'short.txt');
  await writeFile(short, 'short');
  const before = (await readdir(folder)).sort();
  expect(await code({ measures: ['outlier'] })).toBe('E_OPTION_MEASURES');
  expect(await code({ measures: ['sensitivity'] })).toBe('E_OPTION_MEASURES');
  expect(await codeOf(profile({ checkpoint } as ProfileOptions))).toBe('E_OPTION_CALIBRATION');
  expect(await code({ out: path })).toBe('E_OPTION_OUT_EXISTS');
  expect(await code({ out: join(checkpoint, 'profile.json') })).toBe('E_OPTION_OUT');
  expect(await code({ out: join(folder, 'nowhere', 'profile.json') })).toBe('E_RESOURCE_NOT_FOUND');
  expect(await code({ calibration: short })).toBe('E_OPTION_TEXT_SHORT');
  expect(await code({ sequenceLength: 65 })).toBe('E_OPTION_SEQUENCE_LENGTH');
  expect(await code({ device: 'tpu' })).toBe('E_OPTION_DEVICE');
  expect(await code({ calibrationSamples: 0 })).toBe('E_OPTION_CALIBRATION_SAMPLES');
  expect(await code({ checkpoint: join(folder, 'nothing') })).toBe('E_CHECKPOINT_DIRECTORY');
  expect(ran).not.toContain('dense');
  expect(ran).not.toContain('hashing the checkpoint');
  expect((await readdir(folder)).sort()).toEqual(before);
});

test('a broken weight is named, and no file appears', async () => {
  const broken = await makeTiny(join(folder, 'broken'), {
    change: (name, values) => {
      if (name === 'model.layers.2.mlp.up_proj.weight') values[5] = Number.NaN;
    },
  });
  const out = join(folder, 'broken-out');
  await mkdir(out);
  await expect(profile(optionsOf({ checkpoint: broken, out: join(out, 'profile.json') }))).rejects.toMatchObject({
    code: 'E_NUMERIC_WEIGHT',
    facts: { linear: 'model.layers.2.mlp.up_proj' },
  });
  expect(await readdir(out)).toEqual([]);
});
