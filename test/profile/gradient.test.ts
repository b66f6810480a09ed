// ECoFLaP's zeroth-order estimate against exact gradient norms by PyTorch (scripts/golden/gradients.py), on the demo
// checkpoint and the same tokens; and that it is the same whatever computes it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TEXTS } from '../../scripts/demo/texts.js';
import { silent } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { type Model, openModel } from '../../src/model/index.js';
import { measureExactGradients, measureGradients } from '../../src/profile/index.js';
import { embedWindows, type Text } from '../../src/stream/index.js';
import { loadTokenizer, makeWindows, type Windows } from '../../src/text/index.js';
import { LENGTH, makeFolder, makeTiny, stutter } from '../api/make.js';
import { limit } from '../scale.js';
import { GRADIENT_MEAN, GRADIENT_NORM, WHOLE_GRADIENT } from '../tolerances.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
type Golden = {
  windows: number;
  length: number;
  tokens: number;
  norms: Record<string, number>;
  mean: Record<string, number>;
};
const golden = JSON.parse(readFileSync(join(root, 'test/golden/gradients.json'), 'utf8')) as Golden;

let engine: Engine;
beforeAll(async () => {
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
});
afterAll(() => engine.close());

async function windowsOf(model: Model, text: string, length: number, count: number): Promise<Windows> {
  const tokens = (await loadTokenizer(model.checkpoint.dir)).encode(text);
  return makeWindows(Int32Array.from(tokens), { length, order: 'sequential', count, seed: 0 });
}

const embed = async (model: Model, windows: Windows): Promise<Text> => ({
  content: windows,
  embedded: await embedWindows(model, windows),
});

/** Places of the values when sorted. */
function ranksOf(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
  const ranks = new Array<number>(values.length);
  for (const [rank, i] of order.entries()) ranks[i] = rank;
  return ranks;
}

/** Spearman's correlation; no two values are equal. */
function spearman(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [ranksOf(a), ranksOf(b)];
  const n = x.length;
  return 1 - (6 * x.reduce((sum, rank, i) => sum + (rank - y[i]!) ** 2, 0)) / (n * (n * n - 1));
}

test('one direction in each of 32 windows orders the linears as exact gradients do', {
  timeout: limit(300_000),
}, async () => {
  const model = await openModel(join(root, 'demo/model'));
  const windows = await windowsOf(model, TEXTS.calibration(), golden.length, golden.windows);
  expect(windows.windows.flatMap((window) => [...window]).reduce((a, b) => a + b, 0)).toBe(golden.tokens);
  const names = model.linears.flat().map(({ name }) => name);
  const estimates = await measureGradients(engine, model, await embed(model, windows), 0, silent);
  const norms = names.map((name) => golden.norms[name]!);
  expect(spearman(estimates, norms)).toBeGreaterThanOrEqual(0.9);
  expect(
    spearman(
      estimates,
      names.map((name) => golden.mean[name]!),
    ),
  ).toBeGreaterThanOrEqual(0.9);
  const ratios = estimates.map((estimate, l) => Math.log(estimate / norms[l]!));
  expect(Math.max(...ratios.map(Math.abs))).toBeLessThan(GRADIENT_NORM);
  expect(Math.abs(ratios.reduce((a, b) => a + b, 0) / ratios.length)).toBeLessThan(GRADIENT_MEAN);
});

test('exact gradients are those of PyTorch', { timeout: limit(120_000) }, async () => {
  const model = await openModel(join(root, 'demo/model'));
  const windows = await windowsOf(model, TEXTS.calibration(), golden.length, golden.windows);
  const norms = await measureExactGradients(engine, model, await embed(model, windows), silent);
  for (const [l, { name }] of model.linears.flat().entries()) {
    expect(Math.abs(norms[l]! / golden.norms[name]! - 1), name).toBeLessThan(WHOLE_GRADIENT);
  }
});

test('few windows get more directions; workers change nothing, another seed does', async () => {
  const model = await openModel(await makeTiny(join(await makeFolder(), 'model'), { blocks: 2 }));
  const text = await embed(model, await windowsOf(model, stutter(7, 400), LENGTH, 5));
  const two = await measureGradients(engine, model, text, 3, silent);
  const alone = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
  expect(await measureGradients(alone, model, text, 3, silent)).toEqual(two);
  await alone.close();
  const other = await measureGradients(engine, model, text, 4, silent);
  expect(other).not.toEqual(two);
  expect(two).toHaveLength(14);
  for (const [l, estimate] of two.entries())
    expect(Math.abs(Math.log(estimate / other[l]!))).toBeLessThan(2 * GRADIENT_NORM);
});
