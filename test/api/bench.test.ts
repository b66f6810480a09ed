// Measuring a packed model: what the document holds, not how fast anything is.

import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { bench, inspectPacked, pack } from '../../src/api/index.js';
import { codeOf } from '../checkpoint/make.js';
import { makeFamily } from '../families.js';
import { makeFolder, makeTiny, useOwnCache } from './make.js';

let folder: string;
let model: string;

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  model = join(folder, 'model.lw');
  await pack({ checkpoint: await makeTiny(join(folder, 'checkpoint'), { blocks: 2 }), layout: 'tiles', out: model });
});

test('a model and its dense twin take turns; bytes and shares fit together', async () => {
  const result = await bench({ model, threads: 2, tokens: 3, promptTokens: 20, turns: 2 });
  const report = await inspectPacked(model);
  expect(result.model).toEqual({
    bytes: report.fileBytes,
    bitsPerWeight: report.all.bits,
    floorBitsPerWeight: report.all.floor,
    sparsity: report.sparsity,
  });
  expect(result.threads).toBe(2);
  expect(result.decode.map(({ values, layout }) => [values, layout])).toEqual([
    ['int8', 'tiles'],
    ['int8', 'dense'],
  ]);
  for (const [i, { tokensPerSecond, bytesPerToken, bandwidthShare }] of result.decode.entries()) {
    expect(tokensPerSecond).toBeGreaterThan(0);
    expect(bandwidthShare).toBeCloseTo((tokensPerSecond * bytesPerToken) / (result.bandwidthGBs * 1e9), 10);
    expect(result.prefill[i]).toMatchObject({ tokens: 20, values: 'int8' });
    expect(result.prefill[i]!.tokensPerSecond).toBeGreaterThan(0);
  }
  // Dense weights in tiles take more bytes than without.
  expect(result.decode[0]!.bytesPerToken).toBeGreaterThan(result.decode[1]!.bytesPerToken);
});

test.each([
  ['threads', 'THREADS'],
  ['tokens', 'TOKENS'],
  ['promptTokens', 'PROMPT_TOKENS'],
  ['turns', 'TURNS'],
])('%s that is no whole number from 1 is refused', async (name, code) => {
  expect(await codeOf(bench({ model, [name]: 0.5 }))).toBe(`E_OPTION_${code}`);
});

test('of a mixture a token reads its own experts alone', async () => {
  const mixture = join(folder, 'mixture.lw');
  const { linears, all, parts } = await pack({
    ...{ checkpoint: await makeFamily(join(folder, 'mixtral'), 'mixtral'), layout: 'dense', out: mixture },
  });
  const { decode } = await bench({ model: mixture, threads: 1, tokens: 1, promptTokens: 2, turns: 1 });
  const sum = (sizes: readonly { readonly bytes: number }[]): number =>
    sizes.reduce((total, { bytes }) => total + bytes, 0);
  const experts = sum(linears.filter(({ name }) => name.includes('.experts.')));
  const table = sum(parts.filter(({ part }) => part === 'embeddings'));
  // Two of five.
  expect(decode[0]!.bytesPerToken).toBeCloseTo(all.bytes - table - (3 / 5) * experts, 6);
});
