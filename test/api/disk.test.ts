// What a search writes: each exact trial one copy of the blocks and a record, surrogates and misalignments a record each.

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { prune } from '../../src/api/index.js';
import { blockTensorNames, openModel } from '../../src/model/index.js';
import type { PruneOptions } from '../../src/runs/index.js';
import { LENGTH, makeFolder, makeTexts, makeTiny, useOwnCache } from './make.js';
import { countWritten } from './written.js';

/** Records, headers of block files, the report. */
const RECORD = 16_384;
const REPORT = 1 << 20;

let folder: string;
let common: Omit<PruneOptions, 'out' | 'sparsity'>;
let texts: { readonly validation: string; readonly test: string };
/** Bytes of all blocks, and of the checkpoint. */
let blocks: number;
let whole: number;

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  const { calibration, validation, test } = await makeTexts(folder, 12);
  texts = { validation, test };
  const checkpoint = await makeTiny(join(folder, 'model'), { blocks: 6 });
  common = { checkpoint, calibration, calibrationSamples: 12, sequenceLength: LENGTH, maxTrials: 2, threads: 2 };
  const model = await openModel(checkpoint);
  const { tensors } = model.checkpoint;
  blocks = model.linears
    .flatMap((_, block) => blockTensorNames(model, block))
    .reduce((sum, name) => sum + tensors.get(name)!.length, 0);
  whole = (await stat(join(checkpoint, 'model.safetensors'))).size;
});

test.each(['wanda', 'sparsegpt'])(
  'a grid, %s: a copy for each exact trial, none for a surrogate',
  async (criterion) => {
    const out = join(folder, `grid-${criterion}`);
    const { result, bytes } = await countWritten(() =>
      prune({ ...common, ...texts, sparsity: 0.6, allocation: 'layerwise', criterion, out }),
    );
    const exact = result.trials.filter((trial) => trial.exact).length;
    const surrogates = result.trials.length - exact;
    expect(surrogates).toBeGreaterThan(20);
    expect(bytes).toBeGreaterThan(exact * blocks + whole);
    const most = exact * blocks + whole + (result.trials.length + 10 * exact) * RECORD + REPORT;
    expect(bytes).toBeLessThan(most);
    // So that the bound says something of surrogates.
    expect(surrogates * blocks).toBeGreaterThan(most);
  },
);

test('misalignments: one copy for the plan that is taken', async () => {
  const out = join(folder, 'aligned');
  const { result, bytes } = await countWritten(() =>
    prune({ ...common, sparsity: 0.6, allocation: 'neuronal', criterion: 'wanda', out }),
  );
  expect(result.manifest.plan.from?.policy).toBe('neuronal');
  expect(bytes).toBeGreaterThan(blocks + whole);
  expect(bytes).toBeLessThan(blocks + whole + 24 * RECORD + REPORT);
});
