// Checkpoints whose blocks have unequal widths, through every command: what is packed is what was scored, and what a command
// writes still says how wide each block is.

import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import {
  bench,
  compress,
  drop,
  evaluate,
  exportModel,
  generate,
  grow,
  heal,
  inspect,
  pack,
  prune,
  quantise,
} from '../../src/api/index.js';
import { openModel } from '../../src/model/index.js';
import { readFidelity } from '../../src/records/index.js';
import { codeOf } from '../checkpoint/make.js';
import { makeFamily, TEXT_FAMILIES } from '../families.js';
import { limit } from '../scale.js';
import { unevenConfig } from '../uneven.js';
import { LENGTH, makeFolder, makeTexts, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(120_000) });

let folder: string;
let texts: Texts;
let count = 0;
const fresh = (ending = ''): string => join(folder, `out-${count++}${ending}`);
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 16);
});

const make = (family: string, blocks = 3) =>
  makeFamily(fresh(), family, { config: unevenConfig(family), blocks, dtype: 'F16' });
const widthsOf = async (dir: string) => (await openModel(dir)).config.widths;
const common = { sequenceLength: LENGTH, threads: 2, greedyTokens: 0 };

test.each([...TEXT_FAMILIES.keys()])('%s: a .lw file says what the checkpoint says', async (family) => {
  const [checkpoint, out] = [await make(family), fresh('.lw')];
  await pack({ checkpoint, out, values: 'f32', head: 'f32' });
  const asked = { text: texts.test, sequenceLength: LENGTH, threads: 2 };
  const [own, packed] = [await evaluate({ ...asked, checkpoint }), await evaluate({ ...asked, checkpoint: out })];
  expect(Math.abs(packed.text!.perplexity / own.text!.perplexity - 1)).toBeLessThan(1e-5);
  const compared = await evaluate({ ...asked, checkpoint: out, dense: checkpoint, greedyTokens: 8 });
  const { divergence, agreement, same } = readFidelity(compared.fidelity!);
  expect(divergence.mean).toBeLessThan(1e-6);
  expect([agreement.mean, same]).toEqual([1, 8]);
});

describe('llama', () => {
  let checkpoint: string;
  beforeAll(async () => {
    checkpoint = await make('llama');
  });

  test('is inspected, and every block has its widths', async () => {
    const { widths, loads } = await inspect(checkpoint);
    expect(widths).toEqual(await widthsOf(checkpoint));
    const formsOf = (all: typeof loads) => all?.map(({ form }) => form.replace('export --to ', ''));
    const everywhere = ['as it is', 'pack', 'hf --padded'];
    expect(formsOf(loads)).toEqual([...everywhere.slice(0, 2), 'gguf', 'hf --custom-code', 'hf --padded']);
    expect(formsOf((await inspect(await make('gemma2'))).loads)).toEqual(everywhere);
    // Heads that only a list can say are promised nothing that export refuses.
    const wide = { ...unevenConfig('gpt2'), layer_widths: [5, 2, 3].map((heads) => [heads, heads, 40]) };
    const gpt2 = await makeFamily(fresh(), 'gpt2', { config: wide, blocks: 3 });
    expect(formsOf((await inspect(gpt2)).loads)).toEqual(everywhere.slice(0, 2));
    expect(formsOf((await inspect(await make('gpt2'))).loads)).toEqual(everywhere);
    expect(await inspect(await makeFamily(fresh(), 'llama'))).toMatchObject({ widths: null, loads: null });
  });

  test('writes the same text packed and as a directory, and is timed', async () => {
    const out = fresh('.lw');
    await pack({ checkpoint, out, values: 'f32', head: 'f32' });
    const ask = { prompt: 'abc', maxTokens: 12, temperature: 0, threads: 1 };
    const texts_: string[] = [];
    for (const model of [checkpoint, out]) texts_.push((await generate({ ...ask, model })).text);
    expect(texts_[1]).toBe(texts_[0]);
    const timed = await bench({ model: out, threads: 1, promptTokens: 8, tokens: 4, turns: 2 });
    expect(timed.model.bytes).toBeGreaterThan(0);
  });

  test('is pruned with all that a block knows of itself, and what was written is what was scored', async () => {
    const out = fresh();
    const { manifest } = await prune({
      ...{ ...common, ...texts, checkpoint, out, calibrationSamples: 8 },
      ...{ sparsity: 0.5, beta: 0.2, criterion: 'sparsegpt' },
    });
    expect(await widthsOf(out)).toEqual(await widthsOf(checkpoint));
    const scored = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 2 });
    expect(scored.text!.perplexity).toBe(manifest.chosen.test!.perplexity);
    const healed = fresh();
    await heal({
      ...{ ...common, checkpoint: out, dense: checkpoint, out: healed, text: texts.calibration },
      ...{ validation: texts.validation, tokens: 512, batch: 256 },
    });
    expect(await widthsOf(healed)).toEqual(await widthsOf(checkpoint));
  });

  test('is quantised and packed with its own grids', async () => {
    const [out, packed] = [fresh(), fresh('.lw')];
    await quantise({ ...common, ...texts, checkpoint, out, calibrationSamples: 8, bits: 4, group: 128 });
    expect(await widthsOf(out)).toEqual(await widthsOf(checkpoint));
    await pack({ checkpoint: out, out: packed });
    const asked = { text: texts.test, sequenceLength: LENGTH, threads: 2 };
    const [own, got] = [
      await evaluate({ ...asked, checkpoint: out }),
      await evaluate({ ...asked, checkpoint: packed }),
    ];
    expect(Math.abs(got.text!.perplexity / own.text!.perplexity - 1)).toBeLessThan(0.02);
    expect(await codeOf(exportModel({ checkpoint: out, to: 'compressed-tensors', out: fresh() }))).toBe(
      'E_UNSUPPORTED_EXPORT',
    );
  });

  test('is compressed', async () => {
    const out = fresh('.lw');
    await compress({
      ...{ ...common, ...texts, checkpoint, out, calibrationSamples: 8 },
      ...{ bits: 6, maxTrials: 1, targetShares: { alpha: 0.5, gamma: 0.5 } },
    });
    expect((await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH })).text).toBeDefined();
  });

  test('loses a block and its entry, and gains one', async () => {
    const [first, , third] = await widthsOf(checkpoint);
    const dropped = fresh();
    await drop({ checkpoint, out: dropped, method: 'deepest', blocks: 1, sequenceLength: LENGTH });
    expect(await widthsOf(dropped)).toEqual([first, third]);
    const grown = fresh();
    await grow({ checkpoint, out: grown, method: 'copy', blocks: 1, where: '0', sequenceLength: LENGTH });
    const [, second] = await widthsOf(checkpoint);
    expect(await widthsOf(grown)).toEqual([first, first, second, third]);
    const between = { checkpoint, out: fresh(), method: 'average', blocks: 1, where: '0', sequenceLength: LENGTH };
    expect(await codeOf(grow(between))).toBe('E_UNSUPPORTED_GROW');
  });
});
