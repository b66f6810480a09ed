// Patterns from the option to the bytes: what each leaves of every group, row or panel, and what does not fit is refused.

import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { makePlan, prune } from '../../src/api/index.js';
import { readTensor } from '../../src/checkpoint/index.js';
import { type Model, openModel } from '../../src/model/index.js';
import type { Plan } from '../../src/records/index.js';
import type { PruneOptions } from '../../src/runs/index.js';
import { LENGTH, makeFolder, makeTexts, makeTiny, type Texts, useOwnCache } from './make.js';

let folder: string;
let checkpoint: string;
let texts: Texts;
let count = 0;

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 24);
  checkpoint = await makeTiny(join(folder, 'model'), { blocks: 3, dtype: 'F32' });
});

async function run(asked: Partial<PruneOptions>): Promise<{ model: Model; pattern: string; command: string }> {
  const out = join(folder, `out-${count++}`);
  const common = { checkpoint, sequenceLength: LENGTH, calibrationSamples: 16, threads: 2 };
  const { manifest } = await prune({ ...common, calibration: texts.calibration, ...asked, out });
  return { model: await openModel(out), pattern: manifest.pattern!, command: manifest.command };
}

/** Of each linear, how many of every `of` columns of a row are zero: all that occur in whole groups, and in shorter ones. */
async function zerosPerGroup(model: Model, of: number) {
  const found = [];
  for (const { name, kind, block, rows, columns } of model.linears.flat()) {
    const bytes = await readTensor(model.checkpoint, `${name}.weight`);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, rows * columns);
    const [whole, last] = [new Set<number>(), new Set<number>()];
    for (let row = 0; row < rows; row++) {
      for (let left = 0; left < columns; left += of) {
        const group = words.subarray(row * columns + left, row * columns + Math.min(left + of, columns));
        (group.length < of ? last : whole).add(group.filter((word) => word === 0).length);
      }
    }
    found.push({ kind, block, weights: rows * columns, whole: [...whole], last: [...last] });
  }
  return found;
}

describe.each(['magnitude', 'wanda', 'ria', 'sparsegpt'])('%s', (criterion) => {
  test.each([
    ['2:4', 0.5],
    ['3:4', 0.25],
    ['3:8', 0.625],
  ])('%s keeps so many of every group of every linear, at sparsity %d', async (pattern, sparsity) => {
    const result = await run({ criterion, pattern, sparsity, allocation: 'uniform' });
    const [kept, of] = pattern.split(':').map(Number) as [number, number];
    for (const { whole } of await zerosPerGroup(result.model, of)) expect(whole).toEqual([of - kept]);
    expect(result.pattern).toBe(pattern);
    expect(result.command).toContain(`--pattern ${pattern}`);
  });

  test.each([4, 8, 16])('n:%d gives each linear a number of its own, near its rate', async (of) => {
    const { model } = await run({ criterion, pattern: `n:${of}`, sparsity: 0.6, beta: 0.2 });
    const groups = await zerosPerGroup(model, of);
    let missing = 0;
    for (const { block, whole, weights } of groups) {
      expect(whole).toHaveLength(1);
      const rate = 0.6 + 0.2 * (block - 1);
      expect(Math.abs(whole[0]! - rate * of)).toBeLessThan(1);
      missing += weights * (rate - whole[0]! / of);
    }
    // A step of k or v, the smallest linears (16 × 32), is 512 / M weights; some of them can always be moved here.
    expect(Math.abs(missing)).toBeLessThanOrEqual(512 / of);
  });
});

test('columns that M does not divide: the 16 behind 32 lose ⌊16·n / 32⌋', async () => {
  const { model } = await run({ criterion: 'ria', pattern: '19:32', sparsity: 13 / 32, allocation: 'uniform' });
  for (const { kind, whole, last } of await zerosPerGroup(model, 32)) {
    expect(whole).toEqual([13]);
    expect(last).toEqual(kind === 'down' ? [6] : []);
  }
});

test('a search with a mixed pattern, its surrogates of a solver included', async () => {
  const { model } = await run({
    criterion: 'sparsegpt',
    pattern: 'n:8',
    sparsity: 0.6,
    validation: texts.validation,
    maxTrials: 2,
  });
  for (const { whole } of await zerosPerGroup(model, 8)) expect(whole).toHaveLength(1);
});

test('candidates of a search are compared after rounding: those of the same numbers are one trial', async () => {
  // On one block a line over blocks changes nothing: of 25 points no more than the five gains are left.
  const out = join(folder, 'rounded');
  const single = await makeTiny(join(folder, 'single'), { blocks: 1 });
  const common = { checkpoint: single, sequenceLength: LENGTH, calibrationSamples: 16, threads: 2, out };
  const asked = { ...common, sparsity: 0.6, allocation: 'layerwise', pattern: 'n:16', maxTrials: 4 };
  const { manifest } = await prune({ ...asked, calibration: texts.calibration, validation: texts.validation });
  const surrogates = manifest.trials.filter(({ exact }) => !exact).map(({ validation }) => validation.perplexity);
  expect(surrogates.length).toBeGreaterThan(1);
  expect(surrogates.length).toBeLessThanOrEqual(5);
  const exact = manifest.trials.filter((trial) => trial.exact).map(({ validation }) => validation.perplexity);
  expect(new Set(exact).size).toBe(exact.length);
});

test('the sensitivity of linears is measured at one rate for all, under a mixed pattern too', async () => {
  const { model } = await run({
    criterion: 'magnitude',
    pattern: 'n:4',
    sparsity: 0.6,
    allocation: 'layerwise',
    hyperparameters: { line: 0.2, gain: 0.5 },
    validation: texts.validation,
  });
  for (const { whole } of await zerosPerGroup(model, 4)) expect(whole).toHaveLength(1);
});

test('the sensitivity of linears is measured with a solver’s own weights where a solver prunes', async () => {
  const rates = async (criterion: string) => {
    const out = join(folder, `out-${count++}`);
    const common = { checkpoint, sequenceLength: LENGTH, calibrationSamples: 16, threads: 2, out };
    const asked = {
      ...common,
      sparsity: 0.6,
      allocation: 'layerwise',
      hyperparameters: { line: 0, gain: 1 },
      criterion,
    };
    return (await prune({ ...asked, calibration: texts.calibration })).manifest.plan.units;
  };
  const [wanda, sparsegpt] = [await rates('wanda'), await rates('sparsegpt')];
  expect(Object.keys(sparsegpt)).toEqual(Object.keys(wanda));
  expect(sparsegpt).not.toEqual(wanda);
});

test('DSnoT swaps inside the rows of Wanda’s mask; a search’s surrogates are Wanda’s', async () => {
  const asked = { sparsity: 0.6, validation: texts.validation, maxTrials: 2, pattern: 'row' };
  const rows = async (criterion: string) => {
    const { model } = await run({ ...asked, criterion, beta: 0 });
    const linear = model.linears[0]![0]!;
    const bytes = await readTensor(model.checkpoint, `${linear.name}.weight`);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, linear.rows * linear.columns);
    const zeros = [...words].map((word) => Number(word === 0));
    const counts = Array.from({ length: linear.rows }, (_, row) =>
      zeros.slice(row * linear.columns, (row + 1) * linear.columns).reduce((a, b) => a + b, 0),
    );
    return { zeros, counts };
  };
  const [wanda, dsnot] = [await rows('wanda'), await rows('dsnot')];
  expect(dsnot.counts).toEqual(wanda.counts);
  expect(dsnot.zeros).not.toEqual(wanda.zeros);
  await run({ ...asked, criterion: 'dsnot' });
});

test.each(['row', '2:4'])('DSnoT from SparseGPT’s mask, %s: what stays keeps its bits', async (pattern) => {
  const asked = { sparsity: 0.5, allocation: 'uniform', pattern };
  const { model } = await run({ ...asked, criterion: 'dsnot-sparsegpt' });
  const source = await openModel(checkpoint);
  const wordsOf = async ({ checkpoint: from }: Model, name: string): Promise<Uint32Array> => {
    const bytes = await readTensor(from, `${name}.weight`);
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  };
  for (const { name, columns } of model.linears.flat()) {
    const [got, had] = [await wordsOf(model, name), await wordsOf(source, name)];
    expect(got.every((word, i) => word === 0 || word === had[i])).toBe(true);
    const step = pattern === 'row' ? columns : 4;
    for (let at = 0; at < got.length; at += step) {
      expect(got.subarray(at, at + step).filter((word) => word === 0)).toHaveLength(step / 2);
    }
  }
});

describe('refused', () => {
  const plan = (rates: object): Partial<PruneOptions> => ({ plan: rates as Plan, sparsity: undefined as never });
  test.each<[string, Partial<PruneOptions>, string, RegExp]>([
    ['another sparsity', { pattern: '1:4', sparsity: 0.5 }, 'E_OPTION_SPARSITY', /expected 0\.75.*1:4.*got 0\.5/],
    ['an allocation', { pattern: '2:4', sparsity: 0.5, beta: 0 }, 'E_OPTION_CONFLICT', /uniform.*n:8/],
    [
      'an uneven plan',
      { pattern: '2:4', ...plan({ blocks: [0.4, 0.5, 0.6] }) },
      'E_OPTION_CONFLICT',
      /0\.5 everywhere/,
    ],
    [
      'a plan that leaves linears out',
      { pattern: '2:4', ...plan({ linears: { 'model.layers.0.self_attn.q_proj': 0.5 } }) },
      'E_OPTION_CONFLICT',
      /0\.5 everywhere/,
    ],
    [
      'columns a solver cannot group',
      { criterion: 'sparsegpt', pattern: 'n:32', sparsity: 0.5, beta: 0 },
      'E_OPTION_PATTERN',
      /32 must divide the columns.*down_proj has 48/,
    ],
    [
      'rows for a solver',
      { criterion: 'sparsegpt', pattern: 'row', sparsity: 0.5, beta: 0 },
      'E_OPTION_CONFLICT',
      /columns or n:m/,
    ],
    ['an M there is not', { pattern: 'n:5', sparsity: 0.5, beta: 0 }, 'E_OPTION_PATTERN', /n:4, n:8.*"n:5"/],
  ])('%s', async (_, asked, code, message) => {
    await expect(run(asked)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

test('an even plan may be replayed under a fixed pattern, and a plan under a mixed one', async () => {
  const even = await makePlan({ checkpoint, sparsity: 0.5, allocation: 'uniform' });
  const { model } = await run({ pattern: '2:4', plan: even });
  for (const { whole } of await zerosPerGroup(model, 4)) expect(whole).toEqual([2]);
  const line = await makePlan({ checkpoint, sparsity: 0.5, beta: 0.25 });
  const mixed = await run({ pattern: 'n:4', plan: line });
  for (const { whole, block } of await zerosPerGroup(mixed.model, 4)) expect(whole).toEqual([block + 1]);
});
