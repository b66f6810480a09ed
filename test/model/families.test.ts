// Logits of tiny random checkpoints of every family against transformers (scripts/golden/families.py), in fp32.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSafetensors, readTensor } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { FAMILIES, openModel } from '../../src/model/index.js';
import { LOGITS } from '../tolerances.js';
import { forwardLogits } from './forward.js';

const root = fileURLToPath(new URL('../golden/families/', import.meta.url));
const cases = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

async function readGolden(name: string) {
  const dir = join(root, name);
  const path = join(dir, 'golden.safetensors');
  const { tensors } = await readSafetensors(path);
  const holder = { dir, config: {}, tensors, shards: [], files: [] };
  const [B, T] = tensors.get('input_ids')!.shape as [number, number];
  const ids = new BigInt64Array((await readTensor(holder, 'input_ids')).buffer);
  const windows = Array.from({ length: B }, (_, b) => Int32Array.from(ids.subarray(b * T, (b + 1) * T), Number));
  const logits = new Float32Array((await readTensor(holder, 'logits')).buffer);
  return { windows: { length: T, windows }, logits };
}

let ort: Engine;
beforeAll(async () => {
  ort = await createOrtEngine({ device: 'cpu', lanes: 1, threads: 1 });
});
afterAll(() => ort.close());

test('every family has a golden checkpoint', async () => {
  const families = new Set(
    await Promise.all(cases.map(async (name) => (await openModel(join(root, name))).config.family)),
  );
  expect([...families].sort()).toEqual([...FAMILIES.keys()].sort());
});

describe.each(cases)('%s', (name) => {
  test.each([['ONNX Runtime', () => ort]])('%s agrees with transformers', async (_, engine) => {
    const golden = await readGolden(name);
    const logits = await forwardLogits(engine(), await openModel(join(root, name)), golden.windows);
    expect(logits.length).toBe(golden.logits.length);
    let largest = 0;
    for (const [i, value] of logits.entries()) largest = Math.max(largest, Math.abs(value - golden.logits[i]!));
    expect(largest).toBeLessThanOrEqual(LOGITS);
  });
});
