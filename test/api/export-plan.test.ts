// Plans of a real checkpoint for other tools: names and dtypes come from its headers, and nothing is written that was refused.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { exportPlan, makePlan } from '../../src/api/index.js';
import { validatePlan } from '../../src/records/index.js';
import { makeFolder, makeTiny, useOwnCache } from './make.js';

let folder: string;
let checkpoint: string;
const plan = validatePlan({ units: { 'blocks.0': { bits: { bits: 4, group: 32 } } } }, 'plan');

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 4 });
});

test('a plan of bits becomes a file with every linear of the checkpoint', async () => {
  const out = join(folder, 'layers.json');
  const made = await exportPlan({ checkpoint, plan, to: 'auto-round', out });
  expect(await readFile(out, 'utf8')).toBe(made.text);
  const layers = JSON.parse(made.text) as Record<string, { readonly bits: number }>;
  expect(layers['model.layers.0.mlp.down_proj']).toEqual({ bits: 4, group_size: 32, sym: true, data_type: 'int' });
  expect(layers['model.layers.1.mlp.down_proj']).toEqual({ bits: 16 });
  expect(Object.values(layers).filter(({ bits }) => bits === 4)).toHaveLength(7);
  await expect(exportPlan({ checkpoint, plan, to: 'auto-round', out })).rejects.toThrow(
    expect.objectContaining({ code: 'E_OPTION_OUT_EXISTS' }),
  );
});

test('a plan of a policy can be exported as it is', async () => {
  const falling = await makePlan({ checkpoint, sparsity: 0.5, beta: -0.1 });
  const { text } = await exportPlan({ checkpoint, plan: falling, to: 'llm-compressor' });
  const rates = [...text.matchAll(/sparsity: (\S+)/g)].map(([, rate]) => Number(rate));
  expect(rates).toHaveLength(4);
  for (let i = 1; i < rates.length; i++) expect(rates[i]).toBeLessThan(rates[i - 1]!);
});

test('what is refused leaves no file', async () => {
  const out = join(folder, 'refused');
  const sparse = await makePlan({ checkpoint, sparsity: 0.5, beta: 0 });
  await expect(exportPlan({ checkpoint, plan: sparse, to: 'llama.cpp', out })).rejects.toThrow(
    expect.objectContaining({ code: 'E_UNSUPPORTED_EXPORT' }),
  );
  await expect(exportPlan({ checkpoint, plan, to: 'gguf', out })).rejects.toThrow(
    expect.objectContaining({ code: 'E_OPTION_EXPORT' }),
  );
  expect(existsSync(out)).toBe(false);
});
