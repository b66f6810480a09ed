// Blocks of unequal width, judged by zeros: a block computes what an even one does that has rows and columns of zeros in place of
// what is missing, in every family; and what the plain checkpoint says of itself.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exportModel } from '../../src/api/index.js';
import { createReferenceEngine, type Engine } from '../../src/engine/index.js';
import { blockGraph, type Model, openModel } from '../../src/model/index.js';
import { makeFolder, useOwnCache } from '../api/make.js';
import { codeOf } from '../checkpoint/make.js';
import { randomTensor, rngOf } from '../engine/numbers.js';
import { makeFamily, TEXT_FAMILIES } from '../families.js';
import { ENGINE } from '../tolerances.js';
import { unevenConfig } from '../uneven.js';

const T = 9;
let folder: string;
let engine: Engine;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  engine = createReferenceEngine();
});
afterAll(() => engine.close());

async function output(model: Model, block: number): Promise<Float32Array> {
  const session = await engine.load(blockGraph(model, block, { length: T, outputs: 'hidden' }));
  const { y } = await session.run({ x: randomTensor(rngOf(7), [2, T, model.config.hidden], 1) });
  await session.release();
  return y!.data as Float32Array;
}

describe.each([...TEXT_FAMILIES.keys()])('%s', (family) => {
  test('blocks compute what padded ones do, and the padded checkpoint is plain', async () => {
    const dir = await makeFamily(join(folder, family), family, { config: unevenConfig(family), blocks: 3 });
    const out = join(folder, `${family}-padded`);
    await exportModel({ checkpoint: dir, to: 'hf', padded: true, out });
    const [own, padded] = [await openModel(dir), await openModel(out)];
    expect([own.config.uneven, padded.config.uneven]).toEqual([true, false]);
    expect(await readFile(join(out, 'config.json'), 'utf8')).not.toContain('layer_widths');
    expect(padded.parameters).toBeGreaterThan(own.parameters);
    for (const block of [0, 1, 2]) {
      const [a, b] = [await output(own, block), await output(padded, block)];
      const worst = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
      expect(worst, `block ${block}`).toBeLessThanOrEqual(ENGINE.absolute);
    }
    // Blocks that read what no other does: the widths are those of the list, not of the first block.
    const rows = own.linears.map((block) => block.at(-1)!.columns);
    expect(new Set(rows).size).toBe(3);
  });
});

test('what cannot be said is refused, and equal blocks need none of it', async () => {
  const even = await makeFamily(join(folder, 'even'), 'llama');
  const out = join(folder, 'refused');
  const code = (options: object) => codeOf(exportModel({ checkpoint: even, to: 'hf', out, ...options }));
  expect(await code({ padded: true })).toBe('E_OPTION_PADDED');
  expect(await code({ customCode: true })).toBe('E_OPTION_CUSTOM_CODE');
  const uneven = await makeFamily(join(folder, 'uneven'), 'llama', { config: unevenConfig('llama'), blocks: 3 });
  expect(await code({ checkpoint: uneven })).toBe('E_OPTION_CUSTOM_CODE');
  expect(await code({ checkpoint: uneven, padded: true, customCode: true })).toBe('E_OPTION_CONFLICT');
  expect(await code({ checkpoint: uneven, to: 'gguf', padded: true })).toBe('E_OPTION_CONFLICT');
  expect(await code({ checkpoint: uneven, to: 'compressed-tensors', bits: 4 })).toBe('E_UNSUPPORTED_EXPORT');
  const wide = { ...unevenConfig('gpt2'), layer_widths: [5, 2, 3].map((heads) => [heads, heads, 40]) };
  const gpt2 = await makeFamily(join(folder, 'wide'), 'gpt2', { config: wide, blocks: 3 });
  expect(await code({ checkpoint: gpt2, padded: true })).toBe('E_UNSUPPORTED_EXPORT');
  expect(await code({ checkpoint: gpt2, customCode: true })).toBe('E_UNSUPPORTED_EXPORT');
});
