// quantise as a whole: what it writes, that the scales give the integers back, what it refuses, and that an interrupted run
// ends with the bytes of one that was not.

import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { evaluate, prune, quantise, writeReport } from '../../src/api/index.js';
import { LayerwiseError } from '../../src/base/index.js';
import { readScales, readTensor } from '../../src/checkpoint/index.js';
import { renderCard } from '../../src/hub/index.js';
import { openModel, readLinear, weightName } from '../../src/model/index.js';
import { type Plan, parseManifest, type Treatment } from '../../src/records/index.js';
import type { PruneOptions, QuantiseOptions } from '../../src/runs/index.js';
import { limit } from '../scale.js';
import { DIVERGENCE } from '../tolerances.js';
import { type Fault, startRun } from './child.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(120_000) });

let folder: string;
let texts: Texts;
let checkpoint: string;
let count = 0;
const fresh = (): string => join(folder, `out-${count++}`);
const common = () => ({ checkpoint, sequenceLength: LENGTH, calibrationSamples: 24, threads: 1 });

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 24);
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 2, blocks: 3, dtype: 'F16', shards: 2 });
});

const allBlocks = (...treatments: readonly Treatment[]): Plan => ({
  format: 'layerwise-plan',
  version: 2,
  units: Object.fromEntries(treatments.map((treatment, block) => [`blocks.${block}`, treatment])),
});

/** Every linear of a quantised checkpoint: weights that were read, and the integers and scales that they give. */
async function readGrids(dir: string) {
  const model = await openModel(dir);
  const linears = model.linears.flat();
  const file = await readScales(
    model.checkpoint,
    linears.map((linear) => ({ name: weightName(linear), rows: linear.rows, columns: linear.columns })),
  );
  const all = [];
  for (const linear of linears) {
    const name = weightName(linear);
    const W = await readLinear(model.checkpoint, linear);
    const { dtype } = model.checkpoint.tensors.get(name)!;
    all.push({ linear, W, grid: file?.grids.has(name) ? await file.read(name, W, dtype) : undefined });
  }
  return { model, all };
}

describe('what it writes', () => {
  test.each([
    ['gptq', 3, 32],
    ['gptq', 2, 'row'],
    ['rtn', 4, 128],
    ['hqq', 2, 64],
    ['gptq', 8, undefined],
  ] as const)('%s, %d bits, group %s', async (method, bits, group) => {
    const out = fresh();
    const result = await quantise({ ...common(), ...texts, bits, ...(group ? { group } : {}), method, out });
    const { model, all } = await readGrids(out);
    const [low, high] = bits === 8 ? [-127, 127] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
    let [stored, weights] = [0, 0];
    for (const { linear, grid } of all) {
      expect(grid!.bits).toBe(bits);
      expect(new Set(grid!.q).size).toBeGreaterThan(Math.min(3, high - low));
      expect(grid!.q.every((q) => q >= low && q <= high)).toBe(true);
      const own = typeof group === 'number' && group < linear.columns ? group : linear.columns;
      const groups = Math.ceil(linear.columns / own);
      expect(grid!.scales.length).toBe(linear.rows * groups);
      stored += bits * linear.rows * linear.columns + (bits === 8 ? 32 : 16) * linear.rows * groups;
      weights += linear.rows * linear.columns;
    }
    const { manifest } = result;
    expect(manifest.bits!.stored).toBeCloseTo(stored / weights, 10);
    expect(manifest.bits!.blocks).toHaveLength(3);
    expect(manifest).toMatchObject({ criterion: method, uniform: null, search: null });
    expect(manifest.pattern).toBeUndefined();
    expect(manifest.texts.calibration === null).toBe(method !== 'gptq');
    expect(manifest.chosen.test!.perplexity).toBeGreaterThan(1);
    expect(parseManifest(await readFile(join(out, 'layerwise.json'), 'utf8'), out)).toEqual(manifest);
    // Scored from the finished files, it is the model that the run scored.
    const scored = { text: texts.test, dense: checkpoint, sequenceLength: LENGTH, threads: 1 };
    const again = await evaluate({ checkpoint: out, ...scored });
    expect(again.text!.perplexity).toBeCloseTo(manifest.chosen.test!.perplexity, 10);
    // And it is as far from the dense model.
    const { divergence, tail, ...same } = again.fidelity!;
    expect(manifest.chosen.fidelity).toMatchObject(same);
    expect(Math.abs(tail - manifest.chosen.fidelity!.tail)).toBeLessThanOrEqual(DIVERGENCE * 10);
    for (const [w, value] of divergence.entries()) {
      expect(Math.abs(value - manifest.chosen.fidelity!.divergence[w]!)).toBeLessThanOrEqual(DIVERGENCE);
    }
    // Everything else is the source's.
    const source = await openModel(checkpoint);
    const quantised = new Set(all.map(({ linear }) => weightName(linear)));
    for (const name of source.checkpoint.tensors.keys()) {
      const [a, b] = [await readTensor(source.checkpoint, name), await readTensor(model.checkpoint, name)];
      expect(Buffer.compare(a, b) === 0, name).toBe(!quantised.has(name));
    }
    const [before, after] = [await readTree(checkpoint), await readTree(out)];
    const added = Object.keys(after).filter((name) => !(name in before));
    expect(added.sort()).toEqual(['layerwise.json', 'layerwise.scales', 'report.html']);
    expect(Object.keys(after)).toHaveLength(Object.keys(before).length + 3);
  });

  test('gptq is nearer to the dense model than rtn, and more bits are nearer than fewer', async () => {
    const losses: number[] = [];
    for (const how of [{ bits: 2 }, { bits: 2, method: 'rtn' }, { bits: 4 }, { bits: 8 }]) {
      const { manifest } = await quantise({ ...common(), ...texts, ...how, out: fresh() });
      losses.push(manifest.chosen.errors.at(-1)!);
    }
    expect(losses[0]).toBeLessThan(losses[1]!);
    expect(losses[2]).toBeLessThan(0.5 * losses[0]!);
    expect(losses[3]).toBeLessThan(0.2 * losses[2]!);
  });

  test('a plan: bits by linear, and what it does not name stays as it is', async () => {
    const out = fresh();
    const [up, down] = ['model.layers.0.mlp.up_proj', 'model.layers.2.mlp.down_proj'];
    const plan: Plan = {
      format: 'layerwise-plan',
      version: 2,
      units: { [up!]: { bits: { bits: 2, group: 32 } }, [down!]: { bits: { bits: 8, group: 128 } } },
    };
    const { manifest } = await quantise({ ...common(), plan, method: 'rtn', out });
    const { all } = await readGrids(out);
    expect(all.filter(({ grid }) => grid).map(({ linear }) => linear.name)).toEqual([up, down]);
    expect(manifest.bits!.linears[up!]).toEqual({ weights: 48 * 32, bits: 2, group: 32 });
    expect(manifest.bits!.linears[down!]).toEqual({ weights: 32 * 48, bits: 8, group: 48 });
    expect(manifest.bits!.linears['model.layers.1.mlp.down_proj']).toEqual({ weights: 32 * 48, bits: 16, group: 0 });
    const source = await openModel(checkpoint);
    for (const { linear, W, grid } of all) if (!grid) expect(W).toEqual(await readLinear(source.checkpoint, linear));
  });

  test.each([
    ['columns', 0.5],
    ['8:16', 0.5],
    ['n:4', 0.25],
  ])('zeros and bits in one sweep: %s', async (pattern, rate) => {
    const out = fresh();
    const both = { zeros: { rate }, bits: { bits: 3, group: 32 } };
    const { manifest } = await quantise({ ...common(), ...texts, plan: allBlocks(both, both, both), pattern, out });
    expect(manifest.sparsity.target).toBeCloseTo(rate, 6);
    expect(manifest.sparsity.realised).toBeGreaterThanOrEqual(rate);
    expect(manifest.pattern).toBe(pattern);
    const { all } = await readGrids(out);
    if (pattern === 'columns') return;
    const [kept, of] = pattern === '8:16' ? [8, 16] : [3, 4];
    for (const { grid } of all) {
      for (let at = 0; at < grid!.q.length; at += of) {
        expect(grid!.q.subarray(at, at + of).filter((q) => q !== 0).length).toBeLessThanOrEqual(kept);
      }
    }
  });

  test('a sparse checkpoint stays sparse, and a mask on a quantised one keeps its scales', async () => {
    const [sparse, out, again] = [fresh(), fresh(), fresh()];
    const { manifest } = await prune({
      ...common(),
      sparsity: 0.5,
      allocation: 'uniform',
      criterion: 'magnitude',
      out: sparse,
    });
    const quantised = await quantise({ ...common(), ...texts, checkpoint: sparse, bits: 4, out });
    expect(quantised.manifest.sparsity.realised).toBeGreaterThanOrEqual(manifest.sparsity.realised);
    const [before, after] = [await openModel(sparse), await openModel(out)];
    for (const linear of before.linears.flat()) {
      const [a, b] = [await readLinear(before.checkpoint, linear), await readLinear(after.checkpoint, linear)];
      for (const [i, w] of a.entries()) if (w === 0) expect(b[i]).toBe(0);
    }
    await prune({
      ...common(),
      checkpoint: out,
      sparsity: 0.7,
      allocation: 'uniform',
      criterion: 'magnitude',
      out: again,
    });
    // Its weights are on the same grids, and more of them are zero (carry-scales.test.ts).
    expect(existsSync(join(again, 'layerwise.scales'))).toBe(true);
  });

  test('a checkpoint that stores its weights transposed', async () => {
    const gpt2 = fileURLToPath(new URL('../golden/families/gpt2/', import.meta.url));
    const out = fresh();
    const plain = { checkpoint: gpt2, bits: 3, group: 32, method: 'rtn', threads: 1 } as const;
    await quantise({ ...plain, out });
    const { all } = await readGrids(out); // refuses weights that are not on the grid of their rows
    expect(all.every(({ linear, grid }) => grid!.rows === linear.rows)).toBe(true);
  });

  test('the page and the card say bits', async () => {
    const out = fresh();
    const { manifest } = await quantise({ ...common(), ...texts, bits: 3, group: 32, method: 'rtn', out });
    const page = await readFile(join(out, 'report.html'), 'utf8');
    expect(page).toContain(`${manifest.bits!.blocks[0]!.toFixed(3)}`);
    expect(page).toContain('Bits per block');
    expect(page).not.toContain('Sparsity per block');
    await writeReport(out);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toBe(page);
    const card = renderCard({ repo: 'me/m', record: manifest });
    expect(card).toContain(`quantised to ${manifest.bits!.stored.toFixed(2)} bits`);
    expect(card).not.toMatch(/undefined|sparse/);
  });
});

const bits = (of: number, group = 32): Treatment => ({ bits: { bits: of, group } });
const zeros = (rate: number): Treatment => ({ zeros: { rate } });

describe('what it refuses, before any work', () => {
  test.each<[string, object, string, RegExp]>([
    ['neither bits nor a plan', {}, 'E_OPTION_BITS', /--bits \(2, 3, 4, 8\) or --plan/],
    ['both', { bits: 3, plan: allBlocks(bits(3)) }, 'E_OPTION_CONFLICT', /--bits.*--plan/],
    ['a group beside a plan', { group: 32, plan: allBlocks(bits(3)) }, 'E_OPTION_CONFLICT', /--group.*--plan/],
    ['five bits', { bits: 5 }, 'E_OPTION_BITS', /2, 3, 4, 8, got 5/],
    ['bits that are no whole number', { bits: 3.5 }, 'E_OPTION_BITS', /got 3\.5/],
    ['a group of 48', { bits: 3, group: 48 }, 'E_OPTION_GROUP', /32, 64, 128, row, got 48/],
    ['a group with 8 bits', { bits: 8, group: 32 }, 'E_OPTION_CONFLICT', /scale per row/],
    ['an unknown method', { bits: 3, method: 'awq' }, 'E_OPTION_METHOD', /gptq, rtn, hqq.*"awq"/],
    ['gptq without text', { bits: 3, calibration: undefined }, 'E_OPTION_CALIBRATION', /--method rtn\./],
    ['a pattern without a plan', { bits: 3, pattern: '2:4' }, 'E_OPTION_CONFLICT', /--pattern.*--bits/],
    [
      'a pattern for a method without zeros',
      { plan: allBlocks(bits(3), bits(3), bits(3)), pattern: '2:4', method: 'rtn' },
      'E_OPTION_CONFLICT',
      /rtn makes no zeros/,
    ],
    [
      'zeros that the method does not make',
      { plan: allBlocks(...[0, 1, 2].map(() => ({ ...bits(3), ...zeros(0.5) }))), method: 'hqq' },
      'E_OPTION_PLAN',
      /asks for zeros; hqq makes bits alone/,
    ],
    [
      'zeros without bits',
      { plan: allBlocks(bits(3), zeros(0.5), bits(3)) },
      'E_OPTION_PLAN',
      /layers\.1.*gptq makes zeros only together with bits/,
    ],
    ['six bits in a plan', { plan: allBlocks(bits(3), bits(6), bits(3)) }, 'E_OPTION_PLAN', /2, 3, 4, 8 bits, got 6/],
    [
      'a group that is none of ours',
      { plan: allBlocks(bits(3), bits(3), bits(3, 24)) },
      'E_OPTION_PLAN',
      /32, 64, 128 columns, or of all 32, got 24/,
    ],
    ['another number of blocks', { plan: allBlocks(bits(3)) }, 'E_OPTION_PLAN', /one treatment per block, 3/],
    [
      'M that does not divide the group',
      { plan: allBlocks(...[0, 1, 2].map(() => ({ ...bits(3), ...zeros(0.5) }))), pattern: '6:12' },
      'E_OPTION_PATTERN',
      /12/,
    ],
    [
      'a budget of something else',
      { plan: { ...allBlocks(bits(3), bits(3), bits(3)), budget: { of: 'bytes', counting: 'exact' } } },
      'E_OPTION_PLAN',
      /budget counts bytes; gptq makes bits and zeros alone/,
    ],
  ])('%s', async (_, changed, code, message) => {
    const out = fresh();
    const options = { ...common(), calibration: texts.calibration, out, ...changed } as QuantiseOptions;
    const error = await quantise(options).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(LayerwiseError);
    expect((error as LayerwiseError).code).toBe(code);
    expect((error as LayerwiseError).message).toMatch(message);
    expect(existsSync(out) || existsSync(`${out}.partial`)).toBe(false);
  });

  test('every criterion refuses a plan with bits, by name', async () => {
    const plan = allBlocks(...[0, 1, 2].map(() => ({ ...zeros(0.5), ...bits(3) })));
    for (const criterion of ['wanda', 'magnitude', 'sparsegpt', 'admm']) {
      const options: PruneOptions = { ...common(), calibration: texts.calibration, plan, criterion, out: fresh() };
      await expect(prune(options)).rejects.toThrow(new RegExp(`asks for bits; ${criterion} makes zeros alone`));
    }
  });
});

describe('an interrupted run', () => {
  const kills: readonly Fault[] = [
    { as: 'kill', event: 'trial: uniform: advance', nth: 2 },
    { as: 'kill', op: 'write', path: 'trials', nth: 30 },
    { as: 'kill', op: 'write', path: 'layerwise.scales', nth: 2 },
    { as: 'kill', op: 'rename', path: 'final', nth: 1 },
    { as: 'kill', op: 'renamed', path: 'final', nth: 1 },
  ];

  test('ends with the bytes of one that was not', async () => {
    const options = { ...common(), ...texts, bits: 3, group: 32 } as const;
    const run = async (name: string, resume: boolean, fault?: Fault) => {
      const out = join(folder, 'interrupted', name, 'out');
      await mkdir(join(out, '..'), { recursive: true });
      return { out, ...(await startRun({ ...options, out, resume }, `${out}.log`, fault, undefined, 'quantise').done) };
    };
    const whole = await run('whole', false);
    expect(whole.message).toBe('');
    const expected = await readTree(whole.out);
    for (const [i, fault] of kills.entries()) {
      const killed = await run(`killed-${i}`, false, fault);
      expect(killed.code, killed.where).toBeUndefined();
      const { out, message } = await run(`killed-${i}`, true);
      expect(message).toBe('');
      expect(differences(await readTree(out), expected), JSON.stringify(fault)).toEqual([]);
      expect(existsSync(`${out}.partial`)).toBe(false);
    }
  });
});
