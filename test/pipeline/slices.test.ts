// What slices are worth: LLM-Pruner's scores against autograd in PyTorch (scripts/golden/cut.py), FLAP's and OBS's against sums over
// the tokens of the dense model.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { cutHalves, type Model, openModel, readersOf } from '../../src/model/index.js';
import { measureFlapScores, measureSliceCosts, measureTaylorScores } from '../../src/pipeline/index.js';
import { embedWindows, type Text } from '../../src/stream/index.js';
import { TAYLOR } from '../tolerances.js';

const { taylor } = JSON.parse(readFileSync(new URL('../golden/cut.json', import.meta.url), 'utf8')) as {
  taylor: { windows: number; length: number; scores: Readonly<Record<string, readonly number[]>> };
};
const LLAMA = fileURLToPath(new URL('../golden/families/llama', import.meta.url));

let engine: Engine;
let model: Model;
let text: Text;
beforeAll(async () => {
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
  model = await openModel(LLAMA);
  const { windows, length } = taylor;
  const content = {
    length,
    windows: Array.from({ length: windows }, (_, w) =>
      Int32Array.from({ length }, (_, t) => (7 + 31 * w + 5 * t) % model.config.vocabulary),
    ),
  };
  text = { content, embedded: await embedWindows(model, content) };
});
afterAll(() => engine.close());

const slicing = async () => ({
  engine,
  model,
  halves: cutHalves(model, 'all', 1),
  readers: await readersOf(model),
  onProgress: silent,
});

test('Taylor scores of channels and of heads are those of autograd', async () => {
  const scores = await measureTaylorScores(await slicing(), text);
  expect(Object.keys(scores).sort()).toEqual(Object.keys(taylor.scores).sort());
  for (const [name, wanted] of Object.entries(taylor.scores)) {
    const got = scores[name]!;
    expect(got).toHaveLength(wanted.length);
    const scale = Math.max(...wanted);
    for (const [i, value] of wanted.entries())
      expect(Math.abs(got[i]! - value) / scale, `${name} ${i}`).toBeLessThan(TAYLOR);
  }
});

test('FLAP’s scores are standardised over each block, heads and channels apart', async () => {
  const scores = await measureFlapScores(await slicing(), text);
  for (const half of (await slicing()).halves) {
    const own = scores[half.id]!;
    expect(own).toHaveLength(half.slices);
    const mean = own.reduce((a, b) => a + b, 0) / own.length;
    expect(Math.abs(mean)).toBeLessThan(1e-9);
    if (half.kind === 'mlp') {
      const variance = own.reduce((sum, one) => sum + one ** 2, 0) / (own.length - 1);
      expect(variance).toBeCloseTo(1, 9);
    }
  }
});

test('costs rise with every slice, one for each that can go', async () => {
  const costs = await measureSliceCosts(await slicing(), text);
  for (const half of (await slicing()).halves) {
    const own = costs[half.id]!;
    expect(own).toHaveLength(half.slices);
    expect(own[0]).toBe(0);
    for (let i = 1; i < own.length; i++) expect(own[i]!).toBeGreaterThanOrEqual(own[i - 1]!);
  }
});
