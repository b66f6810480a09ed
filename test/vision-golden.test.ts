// The rule that fills the tiny vision models gives the same bytes here as in scripts/golden/vision.py.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256 } from '../src/base/index.js';
import { openCheckpoint, readTensor } from '../src/checkpoint/index.js';
import { goldenPixels, goldenTensors, lcg, readVisionGolden, visionCases, writeGoldenModel } from './vision-golden.js';

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
const concat = (parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);

test.each([
  [1, [-0.527088949, -0.261458653, 0.008484065]],
  [2, [-0.526313845, -0.080051122, -0.622099391]],
])('the stream of seed %d begins as written', (seed, expected) => {
  const u = lcg(seed);
  for (const value of expected) expect(u()).toBeCloseTo(value, 8);
});

test.each(visionCases)('%s: tensors and pixels are those of the script', (name) => {
  const golden = readVisionGolden(name);
  expect(golden.tensors.map(([tensor]) => tensor)).toEqual(golden.tensors.map(([tensor]) => tensor).toSorted());
  expect(sha256(concat([...goldenTensors(golden).values()].map(bytesOf)))).toBe(golden.sha256);
  for (const { input } of golden.runs) {
    if (input.pixels) expect(sha256(bytesOf(goldenPixels(input.pixels)))).toBe(input.sha256);
  }
});

test('a model is written under its names or others, with what a test changes', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'layerwise-golden-'));
  try {
    const golden = readVisionGolden('llava');
    const plain = await openCheckpoint(await writeGoldenModel(golden, join(dir, 'plain')));
    expect([...plain.tensors.values()].map(({ name, shape }) => [name, shape])).toEqual(golden.tensors);
    expect(plain.config).toEqual(golden.config);
    const other = await openCheckpoint(
      await writeGoldenModel(golden, join(dir, 'other'), {
        rename: golden.renames![1]!,
        config: { vision_feature_layer: -1 },
        change: (name, values) => {
          if (name.endsWith('embed_tokens.weight')) values[0] = 7;
          return !name.startsWith('language_model.lm_head');
        },
      }),
    );
    expect(other.tensors.size).toBe(golden.tensors.length - 1);
    expect(other.config.vision_feature_layer).toBe(-1);
    const changed = new Float32Array((await readTensor(other, 'model.language_model.embed_tokens.weight')).buffer);
    const before = goldenTensors(golden).get('language_model.model.embed_tokens.weight')!;
    expect(changed[0]).toBe(7);
    expect(changed.subarray(1)).toEqual(before.subarray(1));
  } finally {
    await rm(dir, { recursive: true });
  }
});
