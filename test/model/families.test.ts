// Logits of tiny random checkpoints of every family against transformers (scripts/golden/families.py), in fp32.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { openModel } from '../../src/model/index.js';
import { TEXT_FAMILIES } from '../families.js';
import { LOGITS } from '../tolerances.js';
import { forwardLogits } from './forward.js';
import { furthest, goldenCases, goldenDir, readGolden } from './golden.js';

let ort: Engine;
beforeAll(async () => {
  ort = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(() => ort.close());

test('every family has a golden checkpoint', async () => {
  const families = new Set(
    await Promise.all(goldenCases.map(async (name) => (await openModel(goldenDir(name))).config.family)),
  );
  expect([...families].sort()).toEqual([...TEXT_FAMILIES.keys()].sort());
});

test.each(goldenCases)('%s agrees with transformers', async (name) => {
  const golden = await readGolden(name);
  const logits = await forwardLogits(ort, await openModel(goldenDir(name)), golden.windows);
  expect(furthest(logits, golden.logits)).toBeLessThanOrEqual(LOGITS);
});
