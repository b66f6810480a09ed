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
import { FAMILY_CONFIGS, makeFamily, TEXT_FAMILIES } from '../families.js';
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

test('a DeciLM becomes a plain LLaMA, or one with a list of widths', async () => {
  const widths = [
    [2, 40],
    [4, 17],
  ];
  const config = {
    ...{ ...FAMILY_CONFIGS.llama, model_type: 'nemotron-nas', architectures: ['DeciLMForCausalLM'] },
    ...{ num_key_value_heads: null, intermediate_size: null, auto_map: { AutoConfig: 'configuration_decilm.X' } },
    block_configs: widths.map(([shared, intermediate_size]) => ({
      ...{ attention: { n_heads_in_group: shared, no_op: false }, ffn: { intermediate_size, no_op: false } },
    })),
  };
  const dir = await makeFamily(join(folder, 'decilm'), 'llama', { config });
  const own = await openModel(dir);
  for (const how of ['padded', 'customCode']) {
    const out = join(folder, `decilm-${how}`);
    await exportModel({ checkpoint: dir, to: 'hf', [how]: true, out });
    const made = await openModel(out);
    const { model_type, block_configs, architectures } = made.checkpoint.config;
    expect([model_type, block_configs]).toEqual(['llama', undefined]);
    expect(architectures).toEqual([how === 'padded' ? 'LlamaForCausalLM' : 'LayerwiseLlamaForCausalLM']);
    if (how === 'customCode') expect(made.config.widths).toEqual(own.config.widths);
    else expect(made.config.widths[0]).toEqual({ heads: 8, kvHeads: 2, intermediate: 40 });
    for (const block of [0, 1]) {
      const [a, b] = [await output(own, block), await output(made, block)];
      expect(a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)).toBeLessThanOrEqual(
        ENGINE.absolute,
      );
    }
  }
  expect(await readFile(join(folder, 'decilm-customCode', 'modeling_layerwise.py'), 'utf8')).toContain(
    'class LayerwiseLlamaForCausalLM(LlamaForCausalLM):',
  );
  // Names of code that reads a list go with the list.
  const again = join(folder, 'decilm-again');
  await exportModel({ checkpoint: join(folder, 'decilm-customCode'), to: 'hf', padded: true, out: again });
  const { architectures, auto_map, layer_widths } = (await openModel(again)).checkpoint.config;
  expect([architectures, auto_map, layer_widths]).toEqual([['LlamaForCausalLM'], undefined, undefined]);
});
