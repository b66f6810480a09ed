// Other budgets and forms of compress: zeros alone and beside bits, counted from the files; blocks that are left out; GGUF
// output that keeps the integers; and the table that profile measures for all of them.

import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { type CompressResult, compress, evaluate, inspect, pack, profile } from '../../src/api/index.js';
import { readScales } from '../../src/checkpoint/index.js';
import { openModel, weightName } from '../../src/model/index.js';
import { parseSensitivityTable, type SensitivityTable } from '../../src/records/index.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { limit } from '../scale.js';
import { LENGTH, makeFolder, makeTexts, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(240_000) });

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
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const readTable = async (path: string): Promise<SensitivityTable> =>
  parseSensitivityTable(await readFile(path, 'utf8'), path);

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 12);
  checkpoint = await makeFamily(join(folder, 'model'), 'llama', { config: WIDE, seed: 4, dtype: 'F16' });
}, limit(120_000));

describe('--zeros', () => {
  test('alone: the mean exactly, each linear its own share, no worse than uniform', async () => {
    const { manifest, out } = await compress({ ...common(), zeros: 0.45, out: fresh() });
    const { linears } = await inspect(out);
    const sum = (of: (linear: (typeof linears)[number]) => number): number =>
      linears.reduce((a, one) => a + of(one), 0);
    const weights = sum(({ rows, columns }) => rows * columns);
    expect(sum(({ zeros }) => zeros)).toBe(Math.round(0.45 * weights));
    expect(manifest.sparsity).toMatchObject({ target: 0.45, realised: sum(({ zeros }) => zeros) / weights });
    expect(manifest).toMatchObject({ criterion: 'sparsegpt', pattern: 'columns', judge: 'divergence' });
    expect(manifest.bits).toBeUndefined();
    const trials = manifest.trials.map(({ divergence }) => mean(divergence!));
    const chosen = manifest.trials.findIndex(
      ({ validation }) => validation.perplexity === manifest.chosen.validation!.perplexity,
    );
    expect(trials[chosen]).toBe(Math.min(...trials));
    expect((await readTable(join(out, 'sensitivities.json'))).cost).toBe('parameters');
    expect(manifest.command).toMatch(/layerwise compress .* --zeros 0\.45 --allow zeros/);
  });

  test('beside bits: both budgets hold in the file that is written, where masks take the place of zeros', async () => {
    const out = fresh('.lw');
    const { manifest, packed } = await compress({ ...common(), zeros: 0.5, bits: 3.13, out });
    expect(manifest.sparsity.realised).toBeGreaterThanOrEqual(0.5);
    const linears = packed!.parts.find(({ part }) => part === 'linears')!;
    // 128 columns are whole tiles and groups, so nothing is padding.
    expect(linears.bits).toBeLessThanOrEqual(3.13);
    expect(manifest.bits!.stored).toBeCloseTo(linears.bits, 6);
    // Every linear: fewer zeros than half of one would need more of another.
    expect(manifest.bits!.stored).toBeLessThan(3.126);
  });

  test('by their cost they are chosen where they deserve it, and only there', async () => {
    // At 2.7 bits 10:16 in 4 bits is one of the treatments beside 2 and 3 bits.
    const table = await compress({ ...common(), bits: 2.7, allow: ['bits', 'zeros'], out: fresh() });
    const items = Object.values((await readTable(join(table.out, 'sensitivities.json'))).units)[0]!.items;
    const at = (bits: number, rate?: number): number =>
      items.find(({ treatment }) => treatment!.bits!.bits === bits && treatment!.zeros?.rate === rate)!.cost;
    expect(at(4, 0.5) / at(4)).toBeCloseTo(3.125 / 4.125, 6);
    expect(at(4, 0.625) / at(4)).toBeCloseTo(2.625 / 4.125, 6);
    expect(table.manifest.bits!.stored).toBeLessThanOrEqual(2.7);
  });
});

describe('--allow drop', () => {
  let shorter: CompressResult;
  beforeAll(async () => {
    // Two bits for all linears are 2.125: with fewer bits than that a block has to go.
    shorter = await compress({ ...common(), bits: 2, allow: ['bits', 'drop'], out: fresh() });
  }, limit(240_000));

  test('leaves out a block where the budget has no room, renumbers the others, and scores what is written', async () => {
    const { manifest, out } = shorter;
    const { dropped, bits, chosen } = manifest;
    expect(dropped!.length).toBeGreaterThan(0);
    const model = await openModel(out);
    expect(model.config.blocks).toBe(2 - dropped!.length);
    expect(bits!.stored).toBeLessThanOrEqual(2);
    for (const block of dropped!) expect(bits!.blocks[block]).toBe(0);
    expect(Object.keys(bits!.linears)).toHaveLength(7 * model.config.blocks);
    const { text } = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 1 });
    expect(text!.perplexity / chosen.test!.perplexity).toBeCloseTo(1, 5);
  });

  test('its integers come along', async () => {
    const model = await openModel(shorter.out);
    const linears = model.linears.flat().map((linear) => ({ ...linear, name: weightName(linear), linear }));
    const scales = (await readScales(model.checkpoint, linears))!;
    expect(scales.grids.size).toBe(linears.length);
    const { fileBytes } = await pack({ checkpoint: shorter.out, out: fresh('.lw') });
    expect(fileBytes).toBeGreaterThan(0);
  });

  test('the table has the KL of each block, and where nothing is gained no block goes', async () => {
    const table = await readTable(join(shorter.out, 'sensitivities.json'));
    const blocks = Object.entries(table.units).filter(([id]) => id.startsWith('blocks.'));
    expect(blocks.map(([id]) => id)).toEqual(['blocks.0', 'blocks.1']);
    for (const [, { items }] of blocks) expect(items).toMatchObject([{ treatment: { drop: true }, cost: 0 }]);
    const sensitivities = join(shorter.out, 'sensitivities.json');
    const { manifest } = await compress({
      ...{ ...common(), bits: 9, allow: ['bits', 'drop'], sensitivities, out: fresh() },
    });
    expect(manifest.dropped).toBeUndefined();
  });
});

describe('--out model.gguf', () => {
  test('each linear in the type that holds its integers, exactly', async () => {
    const out = fresh('.gguf');
    const { manifest, exported, packed } = await compress({ ...common(), bits: 5.5, out });
    expect(packed).toBeNull();
    expect(exported!.fileBytes).toBe((await stat(out)).size);
    expect(exported!.types.map(({ type }) => type).sort()).toEqual(['Q4_0', 'Q8_0']);
    expect(manifest.bits!.stored).toBeLessThanOrEqual(5.5);
    expect((await readdir(folder)).filter((name) => name.startsWith(basename(out))).sort()).toEqual(
      ['', '.html', '.json', '.sensitivities.json'].map((ending) => `${basename(out)}${ending}`),
    );
    expect(manifest.command).toContain('--out <model>.gguf');
    // It runs, and as the record says: our int8 scales become halves, and tables have 8 bits.
    const { text } = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 1 });
    expect(text!.perplexity / manifest.chosen.test!.perplexity).toBeCloseTo(1, 2);
  });

  test('within --size', async () => {
    const [small, large] = await Promise.all(
      [4.5, 8.5].map(async (bits) => {
        const out = fresh('.gguf');
        return (await compress({ ...common(), maxTrials: 1, bits, out })).exported!.fileBytes;
      }),
    );
    const size = Math.round((small! + large!) / 2) + 2048;
    const { exported } = await compress({ ...common(), size, out: fresh('.gguf') });
    expect(exported!.fileBytes).toBeLessThanOrEqual(size);
    expect(exported!.fileBytes).toBeGreaterThan(small!);
  });
});

describe('profile --treatments', () => {
  const asked = () => {
    const { calibration } = texts;
    return { checkpoint, calibration, sequenceLength: LENGTH, calibrationSamples: 12, threads: 1, measures: [] };
  };

  test.each([
    ['bits,drop', { bits: 2, allow: ['bits', 'drop'] }, ''],
    ['zeros', { zeros: 0.45 }, ''],
    ['gguf', { bits: 5.5 }, '.gguf'],
  ])('%s: the damages that compress would measure, for any budget', async (words, budget, ending) => {
    const out = `${fresh()}.json`;
    const { sensitivities } = await profile({ ...asked(), treatments: words.split(','), out });
    expect(sensitivities!.path).toBe(out.replace(/\.json$/, '.sensitivities.json'));
    const stages: string[] = [];
    const made = await compress({
      ...{ ...common(), ...budget, sensitivities: sensitivities!.path, out: fresh(ending) },
      onProgress: (event) => void (event.kind === 'stage' && stages.push(event.stage)),
    });
    expect(stages).not.toContain('sensitivity');
    const path = ending ? `${made.out}.sensitivities.json` : join(made.out, 'sensitivities.json');
    const damagesOf = ({ units }: SensitivityTable) =>
      Object.entries(units).map(([id, { items }]) => [id, items.map(({ treatment, damage }) => [treatment, damage])]);
    expect(damagesOf(await readTable(path))).toEqual(damagesOf(sensitivities!.table));
    const measured = await compress({ ...common(), ...budget, out: fresh(ending) });
    const other = ending ? `${measured.out}.sensitivities.json` : join(measured.out, 'sensitivities.json');
    expect(await readTable(other)).toEqual(await readTable(path));
  });

  test.each([
    [['bits', 'gguf'], fresh, /other tables/],
    [['drop'], fresh, /bits, zeros or gguf/],
    [['bits'], () => undefined, /--out/],
  ])('%s is refused', async (treatments, outOf, message) => {
    await expect(profile({ ...asked(), treatments, out: outOf() })).rejects.toThrow(message);
  });
});
