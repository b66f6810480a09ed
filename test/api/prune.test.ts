// The main job from end to end on a small checkpoint: what is written, byte by byte, and that it depends on nothing but
// its inputs.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { evaluate, inspect, makePlan, prune, readPlan } from '../../src/api/index.js';
import type { ProgressEvent } from '../../src/base/index.js';
import { readSafetensors } from '../../src/checkpoint/index.js';
import { type Linear, openModel } from '../../src/model/index.js';
import { blockId, type Manifest, type Plan, parseManifest, parsePlan } from '../../src/records/index.js';
import type { PruneOptions } from '../../src/runs/index.js';
import { DIVERGENCE } from '../tolerances.js';
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
} from './make.js';

let folder: string;
let checkpoint: string;
let texts: Texts;
let count = 0;

/** Negative zeros: one in a linear, which must go, and one in a norm, which must stay. */
const plantNegativeZeros = (name: string, values: Float32Array): void => {
  if (name === 'model.layers.1.mlp.up_proj.weight') values[77] = -0;
  if (name === 'model.layers.2.input_layernorm.weight') values[5] = -0;
};

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder);
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 2, change: plantNegativeZeros });
});

type Asked = Partial<PruneOptions>;

/** A plan that someone wrote by hand. */
const planOf = (rates: readonly (readonly [unit: string, rate: number])[]): Plan => ({
  format: 'layerwise-plan',
  version: 2,
  units: Object.fromEntries(rates.map(([unit, rate]) => [unit, { zeros: { rate } }])),
});

async function run(asked: Asked) {
  const out = join(folder, `out-${count++}`);
  const common = { checkpoint, sequenceLength: LENGTH, calibrationSamples: 70, threads: 2 };
  return await prune({ ...common, ...asked, out });
}

const readManifest = async (dir: string): Promise<Manifest> =>
  parseManifest(await readFile(join(dir, 'layerwise.json'), 'utf8'), dir);

/** Only the weights of an output. */
async function readWeights(dir: string): Promise<Record<string, string>> {
  const files = Object.entries(await readTree(dir)).filter(([name]) => name.endsWith('.safetensors'));
  expect(files.length).toBeGreaterThan(0);
  return Object.fromEntries(files);
}

type Counted = { readonly linear: Linear; readonly zeros: number; readonly perRow: readonly number[] };

/** Compares an output with its source byte by byte; the zeros of every prunable linear, counted from the files. */
async function checkOutput(source: string, out: string): Promise<Counted[]> {
  const model = await openModel(source);
  const [before, after] = [await readTree(source), await readTree(out)];
  expect(Object.keys(after).sort()).toEqual([...Object.keys(before), 'layerwise.json', 'report.html'].sort());
  const linears = new Map(model.linears.flat().map((linear) => [`${linear.name}.weight`, linear]));
  const counted: Counted[] = [];
  for (const file of Object.keys(before)) {
    if (!file.endsWith('.safetensors')) {
      expect(after[file] === before[file], file).toBe(true);
      continue;
    }
    const [a, b] = [Buffer.from(before[file]!, 'latin1'), Buffer.from(after[file]!, 'latin1')];
    expect(b.length).toBe(a.length);
    const { tensors } = await readSafetensors(join(source, file));
    const start = Math.min(...[...tensors.values()].map(({ offset }) => offset));
    expect(b.subarray(0, start).equals(a.subarray(0, start)), `header of ${file}`).toBe(true);
    for (const { name, offset, length, dtype } of tensors.values()) {
      const [x, y] = [a.subarray(offset, offset + length), b.subarray(offset, offset + length)];
      const linear = linears.get(name);
      if (linear) counted.push(countZeros(linear, x, y, dtype === 'F32' ? 4 : 2));
      else expect(y.equals(x), name).toBe(true);
    }
  }
  expect(counted).toHaveLength(linears.size);
  return counted;
}

/** Every weight has the bits it had, or is +0. */
function countZeros(linear: Linear, before: Buffer, after: Buffer, width: 2 | 4): Counted {
  const perRow = new Array<number>(linear.rows).fill(0);
  let wrong = 0;
  for (let i = 0; i < linear.rows * linear.columns; i++) {
    const y = after.readUIntLE(i * width, width);
    if (y === 0) perRow[Math.floor(i / linear.columns)]!++;
    else if (y !== before.readUIntLE(i * width, width) || y === 2 ** (8 * width - 1)) wrong++;
  }
  expect(wrong, linear.name).toBe(0);
  return { linear, perRow, zeros: perRow.reduce((a, b) => a + b, 0) };
}

const total = (counted: readonly Counted[]): number => counted.reduce((sum, { zeros }) => sum + zeros, 0);
const weights = (counted: readonly Counted[]): number =>
  counted.reduce((sum, { linear }) => sum + linear.rows * linear.columns, 0);
const shareOf = (counted: readonly Counted[], block: number): number => {
  const own = counted.filter(({ linear }) => linear.block === block);
  return total(own) / weights(own);
};

/** The output is whole, its record agrees with its bytes, and the target is met to one weight. */
async function checkRun(asked: Asked, source = checkpoint, target = asked.sparsity!) {
  const result = await run({ ...asked, checkpoint: source });
  const counted = await checkOutput(source, result.out);
  expect(Math.abs(total(counted) - target * weights(counted))).toBeLessThanOrEqual(1);
  const manifest = await readManifest(result.out);
  expect(manifest).toEqual(result.manifest);
  expect(manifest.sparsity.realised).toBe(total(counted) / weights(counted));
  for (const { linear, zeros } of counted) {
    expect(manifest.sparsity.linears[linear.name]).toEqual({ weights: linear.rows * linear.columns, zeros });
  }
  expect((await readFile(join(result.out, 'report.html'), 'utf8')).length).toBeGreaterThan(0);
  const report = await inspect(result.out);
  expect(report.zeros).toBe(total(counted));
  expect(report.blockSparsity).toEqual(manifest.sparsity.blocks);
  return { ...result, counted };
}

describe('what is written', () => {
  test('ATP searched: the whole record', async () => {
    const { manifest, trials } = await checkRun({ sparsity: 0.6, ...texts });
    const exact = manifest.trials.filter((trial) => trial.exact);
    const best = exact.reduce((a, b) => (b.validation.perplexity < a.validation.perplexity ? b : a));
    expect(best.beta).toBeGreaterThan(0);
    expect(manifest.plan).toMatchObject({
      budget: { of: 'zeros', target: 0.6 },
      from: { policy: 'atp', values: { beta: best.beta } },
    });
    expect(manifest.chosen.validation).toEqual(best.validation);
    expect(manifest.chosen.errors).toEqual(best.errors);
    expect(exact[0]).toMatchObject({ beta: 0, interval: [1, 1], validation: manifest.uniform!.validation });
    expect(manifest.trials.filter((trial) => !trial.exact)).toHaveLength(9);
    expect(exact.length).toBeLessThanOrEqual(1 + 6);
    expect(trials.map(({ seconds: _, ...trial }) => trial)).toEqual(manifest.trials);
    for (const { seconds } of trials) expect(seconds).toBeGreaterThan(0);
    expect(manifest.search?.verdict).toBe('better');
    const rates = manifest.sparsity.blocks;
    for (const [i, rate] of rates.entries()) expect(rate).toBeCloseTo(0.6 + best.beta! * (i - 1.5), 3);
    for (const row of [manifest.dense, manifest.uniform!, manifest.chosen]) {
      expect(row.validation).toMatchObject({ windows: 66, tokens: 66 * (LENGTH - 1) });
      expect(row.test).toMatchObject({ windows: 66, tokens: 66 * (LENGTH - 1) });
    }
    expect(manifest.uniform!.errors).toHaveLength(4);
  });

  test('a line that falls is tried where no rising one beats uniform, but not with the published budget', async () => {
    // Only the first half of this model does anything, and that is harm: the fewer of its weights, the better.
    const silence = (name: string, values: Float32Array): void => {
      if (/layers\.[23]\..*(o_proj|down_proj)/.test(name)) values.fill(0);
    };
    const source = await makeTiny(join(folder, 'falling'), { seed: 2, change: silence });
    const few = { maxTrials: 4, calibration: texts.calibration, validation: texts.validation };
    const asked = { checkpoint: source, sparsity: 0.6, ...few };
    const [exact, published] = [await run(asked), await run({ ...asked, budget: 'published' })];
    const tried = ({ manifest }: typeof exact) => manifest.trials.filter((trial) => trial.exact);
    const rising = tried(exact).filter(({ beta }) => beta! > 0);
    const uniform = exact.manifest.uniform!.validation!.perplexity;
    expect(rising.length).toBeGreaterThan(0);
    for (const { validation } of rising) expect(validation.perplexity).toBeGreaterThan(uniform);
    expect(exact.manifest.plan.from!.values.beta).toBeLessThan(0);
    expect(exact.manifest.chosen.validation!.perplexity).toBeLessThan(uniform);
    expect(exact.manifest.search!.method).toContain('goes on below');
    expect(tried(published).every(({ beta }) => beta! >= 0)).toBe(true);
    expect(published.manifest.plan.from!.values.beta).toBe(0);
    expect(published.manifest.search!.method).not.toContain('goes on below');
  });

  test.each([
    ['uniform', { allocation: 'uniform' }],
    ['ATP with β = 0, the same bytes as uniform', { beta: 0 }],
  ])('%s', async (_, asked) => {
    const common = { sparsity: 0.55, calibration: texts.calibration };
    const { out, counted, manifest } = await checkRun({ ...common, ...asked });
    for (let block = 0; block < 4; block++) expect(shareOf(counted, block)).toBeCloseTo(0.55, 2);
    const plain = await run({ ...common, allocation: 'uniform' });
    expect(differences(await readWeights(out), await readWeights(plain.out))).toEqual([]);
    expect(manifest).toMatchObject({
      uniform: null,
      search: null,
      trials: [],
      chosen: { validation: null, test: null },
    });
  });

  test('ATP with β, and the replay of its plan', async () => {
    const asked = { sparsity: 0.6, calibration: texts.calibration, validation: texts.validation };
    const { out, counted, manifest } = await checkRun({ ...asked, beta: 0.1 });
    for (let block = 0; block < 4; block++) expect(shareOf(counted, block)).toBeCloseTo(0.45 + 0.1 * block, 3);
    expect(manifest.texts.test).toBeNull();
    expect(manifest.uniform!.validation!.perplexity).not.toBe(manifest.chosen.validation!.perplexity);
    const { sparsity: _, ...rest } = asked;
    const replayed = await run({ ...rest, plan: parsePlan(JSON.stringify(manifest.plan), 'plan.json') });
    expect(differences(await readWeights(replayed.out), await readWeights(out))).toEqual([]);
    expect(replayed.manifest.chosen).toEqual(manifest.chosen);
    expect(replayed.manifest.uniform).toEqual(manifest.uniform);
  });

  test('a plan by blocks, from one that loses nothing to one that loses all', async () => {
    const plan = planOf([0, 0.5, 0.7, 1].map((rate, block) => [blockId(block), rate]));
    const { counted, manifest } = await checkRun({ plan, ...texts }, checkpoint, 0.55);
    expect([0, 1, 2, 3].map((block) => shareOf(counted, block))).toEqual([0, 0.5, expect.closeTo(0.7, 3), 1]);
    expect(manifest.plan).toEqual(plan);
    expect(manifest.sparsity.target).toBeCloseTo(0.55, 12);
  });

  test('a plan by linears: those it does not name stay as they are', async () => {
    const linears = { 'model.layers.0.self_attn.q_proj': 0.5, 'model.layers.2.mlp.down_proj': 0.9 };
    const plan = planOf(Object.entries(linears));
    const target = (0.5 * 32 * 32 + 0.9 * 32 * 48) / (4 * (32 * 32 * 3 + 32 * 48 * 3));
    const { counted } = await checkRun({ plan, criterion: 'magnitude' }, checkpoint, target);
    const touched = counted.filter(({ zeros }) => zeros > 1).map(({ linear }) => linear.name);
    expect(touched.sort()).toEqual(Object.keys(linears));
    // The one negative zero among the linears became positive.
    expect(counted.find(({ linear }) => linear.name === 'model.layers.1.mlp.up_proj')!.zeros).toBe(1);
  });

  test('budget published: ⌊columns × rate⌋ of every row, and its plan says so when it is replayed', async () => {
    const common = { criterion: 'magnitude' };
    const { out, manifest } = await run({ ...common, sparsity: 0.6, beta: 0.1, budget: 'published' });
    for (const { linear, perRow } of await checkOutput(checkpoint, out)) {
      const expected = Math.floor(linear.columns * manifest.plan.units[blockId(linear.block)]!.zeros!.rate);
      expect(new Set(perRow), linear.name).toEqual(new Set([expected]));
    }
    const replayed = await run({ ...common, plan: manifest.plan });
    expect(differences(await readWeights(replayed.out), await readWeights(out))).toEqual([]);
  });

  test.each(['row', 'matrix'] as const)('pattern %s', async (pattern) => {
    const { counted } = await checkRun({ sparsity: 0.6, beta: 0.1, pattern, calibration: texts.calibration });
    const spread = counted.map(({ perRow }) => Math.max(...perRow) - Math.min(...perRow));
    if (pattern === 'row') expect(Math.max(...spread)).toBeLessThanOrEqual(1);
    else expect(Math.min(...spread)).toBeGreaterThan(1);
  });

  test('criterion magnitude needs no text, and takes the smallest', async () => {
    const { counted, out } = await checkRun({ sparsity: 0.5, beta: 0, criterion: 'magnitude', pattern: 'matrix' });
    const [before, after] = [await readWeights(checkpoint), await readWeights(out)];
    const { tensors } = await readSafetensors(join(checkpoint, 'model.safetensors'));
    for (const { linear, zeros } of counted) {
      const { offset, length } = tensors.get(`${linear.name}.weight`)!;
      const values = (files: Record<string, string>): Float32Array => {
        const bytes = Buffer.from(files['model.safetensors']!, 'latin1').subarray(offset, offset + length);
        return new Float32Array(new Uint8Array(bytes).buffer).map(Math.abs);
      };
      const [x, y] = [values(before), values(after)];
      const kept = y.filter((value) => value > 0);
      const lost = x.filter((_, i) => y[i] === 0);
      expect(lost).toHaveLength(zeros);
      expect(Math.max(...lost)).toBeLessThanOrEqual(Math.min(...kept));
    }
  });
});

describe('kinds of checkpoint', () => {
  test.each([
    { dtype: 'F16', tied: false, shards: 1 },
    { dtype: 'BF16', tied: true, shards: 1 },
    { dtype: 'F16', tied: true, shards: 3 },
    { dtype: 'F32', tied: false, shards: 4 },
    { dtype: 'BF16', tied: false, shards: 2 },
  ] as const)('$dtype, tied $tied, $shards files', async (options) => {
    const source = await makeTiny(join(folder, `model-${count++}`), { ...options, change: plantNegativeZeros });
    const { manifest } = await checkRun({ sparsity: 0.7, beta: 0.05, ...texts }, source);
    expect(manifest.source.dtype).toBe(options.dtype);
    expect(manifest.chosen.test!.perplexity).toBeGreaterThan(1);
  });

  test('in how many files it lies makes no difference to the numbers', async () => {
    const manifests = [];
    for (const shards of [1, 3]) {
      const source = await makeTiny(join(folder, `shards-${shards}`, 'model'), { shards });
      manifests.push((await run({ checkpoint: source, sparsity: 0.6, beta: 0.1, ...texts })).manifest);
    }
    const [one, three] = manifests;
    expect(three!.chosen).toEqual(one!.chosen);
    expect(three!.sparsity).toEqual(one!.sparsity);
  });

  test('a single block has only β = 0', async () => {
    const source = await makeTiny(join(folder, 'one-block'), { blocks: 1 });
    const { manifest } = await checkRun({ sparsity: 0.5, ...texts }, source);
    expect(manifest.trials.map(({ beta }) => beta)).toEqual([0]);
    expect(manifest.search?.verdict).toBe('tie');
  });

  test('an output is a checkpoint like any other: it can be pruned further', async () => {
    const first = await run({ sparsity: 0.4, beta: 0, calibration: texts.calibration });
    const source = join(folder, 'pruned-once');
    await makeTiny(source);
    for (const [name, bytes] of Object.entries(await readWeights(first.out))) {
      await writeFile(join(source, name), Buffer.from(bytes, 'latin1'));
    }
    await checkRun({ sparsity: 0.7, beta: 0, calibration: texts.calibration }, source);
  });
});

describe('equal inputs give equal bytes', () => {
  test('twice in a row, and with one thread or two', async () => {
    const trees = [];
    for (const threads of [1, 2, 2]) {
      trees.push(await readTree((await run({ sparsity: 0.65, ...texts, threads, maxTrials: 2 })).out));
    }
    expect(Object.keys(trees[0]!)).toHaveLength(7);
    for (const tree of trees.slice(1)) expect(differences(tree, trees[0]!)).toEqual([]);
  });

  test('another seed draws other calibration windows and may give other masks', async () => {
    const asked = { sparsity: 0.6, beta: 0.1, calibration: texts.calibration, calibrationSamples: 4 };
    const [a, b] = [await run(asked), await run({ ...asked, seed: 1 })];
    expect(differences(await readWeights(a.out), await readWeights(b.out))).toEqual(['model.safetensors']);
  });
});

describe('the test text', () => {
  test('plays no part in the search: the trials and the weights are the same with another and without', async () => {
    const other = join(folder, 'other-test.txt');
    await writeFile(other, stutter(999, 40 * LENGTH).toUpperCase());
    const { calibration, validation } = texts;
    const common = { sparsity: 0.6, calibration, validation, maxTrials: 2 };
    const runs = [
      await run({ ...common, test: texts.test }),
      await run({ ...common, test: other }),
      await run({ ...common }),
    ];
    const [first, ...rest] = runs;
    for (const { out, manifest } of rest) {
      expect(differences(await readWeights(out), await readWeights(first!.out))).toEqual([]);
      expect(manifest.trials).toEqual(first!.manifest.trials);
      expect(manifest.plan).toEqual(first!.manifest.plan);
    }
    const perplexities = runs.map(({ manifest }) => manifest.chosen.test?.perplexity);
    expect(new Set(perplexities).size).toBe(3);
  });

  test('is scored three times, after the last trial: dense, uniform, chosen', async () => {
    const stages: string[] = [];
    const onProgress = (event: ProgressEvent): void => void (event.kind === 'stage' && stages.push(event.stage));
    await run({ sparsity: 0.6, ...texts, maxTrials: 1, onProgress });
    const scoring = ['test: dense', 'test: uniform', 'test: chosen'];
    expect(stages.filter((stage) => stage.startsWith('test'))).toEqual(scoring);
    const trials = stages.findLastIndex((stage) => stage.startsWith('trial'));
    const after = stages.slice(trials + 1).filter((stage) => [...scoring, 'writing'].includes(stage));
    expect(after).toEqual([...scoring, 'writing']);
  });
});

describe('the distance to the dense model', () => {
  test.each(['test', 'validation'] as const)('is measured on the %s text, for uniform and chosen', async (on) => {
    const { calibration, validation, test } = texts;
    const given = { calibration, validation, ...(on === 'test' ? { test } : {}) };
    const { manifest, out } = await run({ sparsity: 0.6, beta: 0.1, ...given });
    const { dense, uniform, chosen } = manifest;
    expect(dense.fidelity).toBeUndefined();
    for (const row of [uniform!, chosen]) {
      const { text, windows, tokens, divergence, agreement, greedy } = row.fidelity!;
      expect(text).toBe(on);
      expect([windows, tokens]).toEqual([row[on]!.windows, row[on]!.tokens]);
      expect(divergence).toHaveLength(windows);
      expect(agreement).toHaveLength(windows);
      expect(greedy!.same).toHaveLength(8);
    }
    expect(uniform!.fidelity!.greedy!.worst).toBeNull();
    // The written checkpoint has the same numbers, through heads of its own.
    const path = given[on]!;
    const { fidelity } = await evaluate({ checkpoint: out, dense: checkpoint, text: path, sequenceLength: LENGTH });
    const { text: _, divergence, tail, ...same } = fidelity!;
    expect(chosen.fidelity).toMatchObject(same);
    expect(Math.abs(tail - chosen.fidelity!.tail)).toBeLessThanOrEqual(DIVERGENCE * 10);
    for (const [w, value] of divergence.entries()) {
      expect(Math.abs(value - chosen.fidelity!.divergence[w]!)).toBeLessThanOrEqual(DIVERGENCE);
    }
    const { manifest: without } = await run({ sparsity: 0.6, beta: 0.1, ...given, greedyTokens: 0 });
    expect(without.chosen.fidelity).toEqual({ ...chosen.fidelity, greedy: null });
  });
});

describe('plans', () => {
  test('with β they are made from headers, and prune replays them to the same bytes', async () => {
    const path = join(folder, 'plan.json');
    const plan = await makePlan({ checkpoint, sparsity: 0.6, beta: 0.1 }, path);
    expect(await readPlan(path)).toEqual(plan);
    const common = { calibration: texts.calibration };
    const replayed = await run({ ...common, plan });
    const direct = await run({ ...common, sparsity: 0.6, beta: 0.1 });
    expect(differences(await readWeights(replayed.out), await readWeights(direct.out))).toEqual([]);
  });

  test('a searched plan is the one that prune chooses', async () => {
    const { calibration, validation } = texts;
    const asked = { sparsity: 0.6, calibration, validation, maxTrials: 2 };
    const plan = await makePlan({ checkpoint, ...asked, sequenceLength: LENGTH, calibrationSamples: 70 });
    expect(plan).toEqual((await run(asked)).manifest.plan);
  });
});
