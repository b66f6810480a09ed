// compress as a whole: budgets are kept and counted from the files, the plan treats what is stored together alike, and the
// packed file is whole; what it refuses, and that an interrupted run ends with the bytes of one that was not.

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { type CompressResult, compress, evaluate, generate } from '../../src/api/index.js';
import { LayerwiseError } from '../../src/base/index.js';
import { readScales } from '../../src/checkpoint/index.js';
import type { CompressOptions } from '../../src/compress/index.js';
import { openModel, weightName } from '../../src/model/index.js';
import { parseManifest, parseSensitivityTable, type SensitivityTable } from '../../src/records/index.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { limit } from '../scale.js';
import { type Fault, startRun } from './child.js';
import { differences, LENGTH, makeFolder, makeTexts, readTree, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(240_000) });

/** Whole groups of 128 columns, so that a packed linear has no padding. */
const WIDE = { ...FAMILY_CONFIGS.llama, hidden_size: 128, intermediate_size: 128 };

let folder: string;
let texts: Texts;
let checkpoint: string;
let count = 0;
const fresh = (ending = ''): string => join(folder, `out-${count++}${ending}`);
const common = () => ({
  ...{ checkpoint, ...texts, sequenceLength: LENGTH, calibrationSamples: 12, threads: 1 },
  ...{ maxTrials: 2, targetShares: { alpha: 0.5, gamma: 0.5 }, greedyTokens: 0 },
});

/** The run that others are compared with. */
let first: CompressResult;

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 12);
  checkpoint = await makeFamily(join(folder, 'model'), 'llama', { config: WIDE, seed: 4, dtype: 'F16' });
  first = await compress({ ...common(), bits: 3.2, out: fresh() });
}, limit(120_000));

const readTable = async (path: string): Promise<SensitivityTable> =>
  parseSensitivityTable(await readFile(path, 'utf8'), path);

/** Bits per weight of the linears with their scales, counted from `layerwise.scales`. */
async function countStored(dir: string): Promise<number> {
  const { checkpoint: files, linears: blocks } = await openModel(dir);
  const linears = blocks
    .flat()
    .map((linear) => ({ name: weightName(linear), rows: linear.rows, columns: linear.columns }));
  const scales = await readScales(files, linears);
  let [bits, weights] = [0, 0];
  for (const { name, rows, columns } of linears) {
    const grid = scales!.grids.get(name)!;
    bits += rows * (grid.bits * columns + (grid.bits === 8 ? 32 : 16) * Math.ceil(columns / grid.group));
    weights += rows * columns;
  }
  return bits / weights;
}

/** The error of a run that must leave nothing behind. */
async function refused(changed: object): Promise<LayerwiseError> {
  const before = await readdir(folder);
  const error = await compress({ ...common(), out: fresh('.lw'), ...changed } as CompressOptions).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(LayerwiseError);
  expect(await readdir(folder)).toEqual(before);
  return error as LayerwiseError;
}

describe('--bits', () => {
  test('keeps to the budget, and treats alike what is stored together', async () => {
    const { manifest, out, packed } = first;
    expect(packed).toBeNull();
    const stored = await countStored(out);
    expect(manifest.bits!.stored).toBeCloseTo(stored, 12);
    expect(stored).toBeLessThanOrEqual(3.2);
    // The cheapest step (k and v are half as tall as q) still fits into less than this.
    expect(stored).toBeGreaterThan(3);
    const { linears } = await openModel(out);
    const { units } = manifest.plan;
    expect(Object.keys(units).sort()).toEqual(
      linears
        .flat()
        .map(({ name }) => name)
        .sort(),
    );
    const widthOf = (block: number, name: string) => units[`model.layers.${block}.${name}_proj`]!.bits!.bits;
    for (const block of linears.keys()) {
      const fused = [['q', 'k', 'v'].map((one) => `self_attn.${one}`), ['mlp.gate', 'mlp.up']];
      for (const names of fused) expect(new Set(names.map((name) => widthOf(block, name))).size).toBe(1);
    }
    expect(new Set(Object.values(units).map(({ bits }) => bits!.bits)).size).toBeGreaterThan(1);
  });

  test('is never worse on validation text than the plan of one width', () => {
    const { uniform, chosen, bits } = first.manifest;
    expect(chosen.validation!.perplexity).toBeLessThanOrEqual(uniform!.validation!.perplexity);
    expect(bits!.stored).toBeGreaterThan(3);
    expect(first.trials.length).toBeGreaterThanOrEqual(2);
  });

  test('its table gives the same plan at once, and any other budget', async () => {
    const sensitivities = join(first.out, 'sensitivities.json');
    const table = await readTable(sensitivities);
    expect(Object.values(table.units).every(({ items }) => items.length === 4)).toBe(true);
    const stages: string[] = [];
    const onProgress: CompressOptions['onProgress'] = (event) => {
      if (event.kind === 'stage') stages.push(event.stage);
    };
    const again = await compress({ ...common(), bits: 3.2, sensitivities, onProgress, out: fresh() });
    expect(stages).not.toContain('sensitivity');
    expect(differences(await readTree(again.out), await readTree(first.out))).toEqual([]);
    const wider = await compress({ ...common(), bits: 5, sensitivities, out: fresh('.lw') });
    expect(wider.manifest.bits!.stored).toBeGreaterThan(4.1);
    expect(wider.manifest.bits!.stored).toBeLessThanOrEqual(5);
  });

  test('without validation text, the table alone decides', async () => {
    const { validation: _, test: __, ...options } = common();
    const { manifest } = await compress({ ...options, bits: 3.2, out: fresh() });
    expect(manifest.bits!.stored).toBeLessThanOrEqual(3.2);
    expect(manifest.plan.from).toEqual({ policy: 'mixed', values: { gain: 1, line: 0 } });
  });
});

describe('--size', () => {
  test('writes one file within it, with the record, report and table beside', async () => {
    const sensitivities = join(first.out, 'sensitivities.json');
    const sizeOf = async (bits: number): Promise<number> =>
      (await compress({ ...common(), bits, maxTrials: 1, sensitivities, out: fresh('.lw') })).packed!.fileBytes;
    const [small, large] = [await sizeOf(2.125), await sizeOf(8.25)];
    const size = Math.round((small + large) / 2) + 12_000;
    const { out, packed, manifest } = await compress({ ...common(), size, sensitivities, out: fresh('.lw') });
    const { size: bytes } = await stat(out);
    expect(packed!.fileBytes).toBe(bytes);
    expect(bytes).toBeLessThanOrEqual(size);
    expect(bytes).toBeGreaterThan(small);
    const beside = (await readdir(folder)).filter((name) => name.startsWith(`${basename(out)}`));
    expect(beside.map((name) => name.slice(basename(out).length)).sort()).toEqual([
      ...['', '.html', '.json', '.sensitivities.json'],
    ]);
    expect(parseManifest(await readFile(`${out}.json`, 'utf8'), 'record')).toEqual(manifest);
    expect((await readTable(`${out}.sensitivities.json`)).cost).toBe('bytes');
    // Integers are kept, so the packed model is the one that was scored.
    const { text: scored } = await evaluate({
      checkpoint: out,
      text: texts.validation,
      sequenceLength: LENGTH,
      threads: 1,
    });
    expect(scored!.perplexity / manifest.chosen.validation!.perplexity).toBeCloseTo(1, 2);
    const written = await generate({ model: out, prompt: 'aab', maxTokens: 4, threads: 1 });
    expect(written.tokens).toBe(4);
  });

  test('too small is refused with the smallest possible, which is possible', async () => {
    const { code, facts } = await refused({ size: 10_000 });
    expect(code).toBe('E_OPTION_SIZE');
    const smallest = facts.smallest as number;
    expect((await refused({ size: smallest - 1 })).message).toContain(`${smallest} bytes`);
    expect(await compress({ ...common(), size: smallest, out: fresh('.lw'), dryRun: true })).toMatchObject({
      treatments: 4,
    });
  });
});

describe('what it refuses, before any work', () => {
  test.each<[string, object, string, RegExp]>([
    ['bits below the scales’ share', { bits: 2.1 }, 'E_OPTION_BITS', /at least 2\.125.*got 2\.1/],
    ['no budget', {}, 'E_OPTION_BITS', /--bits.*--size.*--tokens-per-second.*none/],
    ['two budgets', { bits: 3, size: 1e6 }, 'E_OPTION_BITS', /--bits and --size/],
    [
      'a speed that no plan has',
      { tokensPerSecond: 1e9 },
      'E_OPTION_TOKENS_PER_SECOND',
      /at most about \d+.*1 thread,/,
    ],
    ['no calibration text', { bits: 3, calibration: undefined }, 'E_OPTION_CALIBRATION', /--calibration/],
    ['zeros allowed alone', { bits: 3, allow: ['zeros'] }, 'E_OPTION_ALLOW', /--zeros 0\.5.*layerwise prune/],
    [
      'bits where zeros are the only budget',
      { zeros: 0.5, allow: ['bits'], out: 'x' },
      'E_OPTION_ALLOW',
      /zeros alone/,
    ],
    ['zeros alone, packed', { zeros: 0.5 }, 'E_OPTION_OUT', /a directory.*or give --bits/],
    ['more zeros than the bits hold', { zeros: 0.6, bits: 2.5 }, 'E_OPTION_ZEROS', /at most 0(\.\d+)?,.*got 0\.6/],
    ['more zeros than there are', { zeros: 0.95, out: 'x' }, 'E_OPTION_ZEROS', /0\.95/],
    ['zeros beside blocks', { zeros: 0.3, bits: 4, allow: ['bits', 'zeros', 'drop'] }, 'E_OPTION_ALLOW', /no drop/],
    [
      'fewer bits than GGUF has',
      { bits: 4, out: 'x.gguf' },
      'E_OPTION_BITS',
      /at least 4\.5.*\.lw file or a directory/,
    ],
    ['zeros in GGUF', { bits: 5, allow: ['bits', 'zeros'], out: 'x.gguf' }, 'E_OPTION_ALLOW', /as much as any weight/],
    ['a speed of GGUF', { tokensPerSecond: 1, out: 'x.gguf' }, 'E_OPTION_CONFLICT', /llama\.cpp/],
    ['anything else to be done', { bits: 3, allow: ['bits', 'blocks'] }, 'E_OPTION_ALLOW', /bits, zeros, drop.*blocks/],
  ])('%s', async (_, changed, code, message) => {
    const error = await refused(changed);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test('the table of another checkpoint, or of other treatments', async () => {
    const sensitivities = join(first.out, 'sensitivities.json');
    const other = await makeFamily(join(folder, 'other'), 'llama', { config: WIDE, seed: 5, dtype: 'F16' });
    const stages: string[] = [];
    const onProgress: CompressOptions['onProgress'] = (event) => {
      if (event.kind === 'stage') stages.push(event.stage);
    };
    const error = await refused({
      ...{ checkpoint: other, bits: 3.2, sensitivities },
      onProgress,
    });
    expect(error.code).toBe('E_OPTION_SENSITIVITIES');
    expect(error.message).toMatch(/a table of this checkpoint/);
    expect(stages).toEqual([]);
    const sparse = await refused({ bits: 3.2, sensitivities, allow: ['bits', 'zeros'] });
    expect(sparse.message).toMatch(/"zeros".*no such item/);
  });

  test('paths that are taken', async () => {
    const out = fresh('.lw');
    await mkdir(`${out}.json`);
    expect((await refused({ bits: 3.2, out })).message).toContain(`${out}.json`);
  });
});

test('--dry-run writes nothing', async () => {
  const before = await readTree(folder);
  const out = fresh('.lw');
  const forecast = await compress({ ...common(), bits: 3.2, out, dryRun: true });
  expect(forecast).toMatchObject({ units: 8, treatments: 4, out });
  expect(forecast.seconds).toBeGreaterThan(0);
  expect(differences(await readTree(folder), before)).toEqual([]);
});

describe('an interrupted run', () => {
  const kills: readonly Fault[] = [
    { as: 'kill', event: 'sensitivity: advance', nth: 2 },
    { as: 'kill', op: 'write', path: 'trials', nth: 6 },
    { as: 'kill', op: 'rename', path: 'final', nth: 1 },
    { as: 'kill', op: 'renamed', path: 'final', nth: 1 },
    // The checkpoint is finished: while what lies beside is copied, while it is packed, and before the checkpoint is removed.
    { as: 'kill', op: 'renamed', path: 'model.lw.html', nth: 1 },
    { as: 'kill', event: 'packing: advance', nth: 2 },
    { as: 'kill', op: 'rm', end: 'model.lw.run', nth: 1 },
  ];

  /** The one that finds a finished checkpoint and no packed file. */
  const PACKING = 5;

  test('ends with the bytes of one that was not, on any number of threads', async () => {
    const { test: _, ...unscored } = common();
    const options = { ...unscored, bits: 3.2, maxTrials: 1 };
    const run = async (name: string, changed: Partial<CompressOptions>, fault?: Fault) => {
      const out = join(folder, 'interrupted', name, 'model.lw');
      await mkdir(dirname(out), { recursive: true });
      const log = join(folder, `${name}.log`);
      return { out, ...(await startRun({ ...options, out, ...changed }, log, fault, undefined, 'compress').done) };
    };
    const whole = await run('whole', { threads: 2 });
    expect(whole.message).toBe('');
    const expected = await readTree(dirname(whole.out));
    expect(Object.keys(expected)).toHaveLength(4);
    for (const [i, fault] of kills.entries()) {
      const killed = await run(`killed-${i}`, {}, fault);
      expect(killed.code, `${JSON.stringify(fault)}: ${killed.where}`).toBeUndefined();
      if (i === PACKING) {
        expect((await run(`killed-${i}`, {})).code).toBe('E_OPTION_OUT_PARTIAL');
        expect((await run(`killed-${i}`, { resume: true, bits: 4 })).code).toBe('E_OPTION_RESUME');
      }
      const { out, message } = await run(`killed-${i}`, { resume: true });
      expect(message, JSON.stringify(fault)).toBe('');
      expect(differences(await readTree(dirname(out)), expected), JSON.stringify(fault)).toEqual([]);
      expect(existsSync(`${out}.run`)).toBe(false);
    }
  });
});
