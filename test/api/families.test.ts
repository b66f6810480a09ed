// Whole jobs on every family, from texts to bytes: prune, evaluate, inspect, drop.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { drop, evaluate, inspect, prune, quantise } from '../../src/api/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { checkpointSource, type Model, openModel } from '../../src/model/index.js';
import { parseManifest } from '../../src/records/index.js';
import { makeFamily, TEXT_FAMILIES } from '../families.js';
import { forwardLogits } from '../model/forward.js';
import { furthest } from '../model/golden.js';
import { HIDDEN, LENGTH, makeFolder, makeTexts, type Texts, useOwnCache } from './make.js';

let folder: string;
let texts: Texts;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 24);
});

/** What `inspect` says of mixtures, three blocks deep. */
const EXPERTS: Readonly<Record<string, unknown>> = {
  mixtral: { count: 5, counts: [5, 5, 5], perToken: 2, width: 48, blocks: 3 },
  qwen3_moe: { count: 6, counts: [6], perToken: 2, width: 16, blocks: 1 },
};

/** Logits of `model` on a few windows, its blocks being those of `source` with the numbers `blocks`. */
async function logitsOf(model: Model, source: Model, blocks: readonly number[]): Promise<Float32Array> {
  const windows = [0, 1].map((w) => Int32Array.from({ length: LENGTH }, (_, t) => 97 + ((w * 31 + t * 7) % 26)));
  const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
  const { folder, find } = checkpointSource(source.checkpoint);
  const prefix = source.tensorNames.blocks;
  const logits = await forwardLogits(engine, model, { length: LENGTH, windows }, async (block) => ({
    folder,
    find: (name) => find(name.replace(`${prefix}${block}.`, `${prefix}${blocks[block]}.`)),
  }));
  await engine.close();
  return logits;
}

describe.each([...TEXT_FAMILIES.keys()])('%s', (family) => {
  let checkpoint: string;
  beforeAll(async () => {
    checkpoint = await makeFamily(join(folder, family), family, { dtype: 'F16', blocks: 3 });
  });

  test('is quantised, every weight on its grid, and what was written is what was scored', async () => {
    const out = join(folder, `${family}-quantised`);
    const common = { checkpoint, sequenceLength: LENGTH, calibrationSamples: 16, threads: 2 };
    const { manifest } = await quantise({ ...common, ...texts, out, bits: 3, group: 32 }); // reads the grids back
    expect(Object.values(manifest.bits!.linears).every(({ bits }) => bits === 3)).toBe(true);
    const scored = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 2 });
    expect(scored.text!.perplexity).toBe(manifest.chosen.test!.perplexity);
    expect(scored.text!.perplexity).not.toBe(manifest.dense.test!.perplexity);
  });

  test('is pruned, and what was written is what was scored', async () => {
    const out = join(folder, `${family}-pruned`);
    const common = { checkpoint, sequenceLength: LENGTH, calibrationSamples: 16, threads: 2 };
    const { manifest } = await prune({ ...common, ...texts, out, sparsity: 0.5, beta: 0.2 });
    const report = await inspect(out);
    expect(report.family).toBe(family);
    expect(report.experts).toEqual(EXPERTS[family] ?? null);
    expect(Math.abs(report.zeros - report.prunable / 2)).toBeLessThanOrEqual(0.5);
    expect(manifest.sparsity.realised).toBe(report.sparsity);
    const scored = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 2 });
    expect(scored.text!.perplexity).toBe(manifest.chosen.test!.perplexity);
    expect(scored.text!.perplexity).not.toBe(manifest.dense.test!.perplexity);
  });

  test('loses a block, and computes what the others did', async () => {
    const out = join(folder, `${family}-dropped`);
    const { record } = await drop({ checkpoint, out, method: 'deepest', blocks: 1, sequenceLength: LENGTH });
    expect(record.removed).toEqual([1]);
    const [before, after] = [await openModel(checkpoint), await openModel(out)];
    const without = <T>(all: readonly T[]): readonly T[] => all.toSpliced(1, 1);
    expect(after.config).toEqual({
      ...before.config,
      blocks: 2,
      windows: without(before.config.windows),
      mixtures: without(before.config.mixtures),
      widths: without(before.config.widths),
    });
    const [got, expected] = [await logitsOf(after, after, [0, 1]), await logitsOf(after, before, [0, 2])];
    expect(furthest(got, expected)).toBe(0);
    expect(await readFile(join(out, 'tokenizer.json'))).toEqual(await readFile(join(checkpoint, 'tokenizer.json')));
  });

  test('loses a block, and the one before it takes over what it did', async () => {
    const out = join(folder, `${family}-repaired`);
    const { record } = await drop({
      ...{ checkpoint, out, method: 'deepest', blocks: 1, repair: 'linear', sequenceLength: LENGTH },
      ...{ ...texts, calibrationSamples: 24 },
    });
    expect(record.repair!.seams).toMatchObject([{ block: 0, gap: [1] }]);
    expect(record.dropped.test).not.toBe(record.repair!.unrepaired.test);
    const scored = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 2 });
    expect(scored.text!.perplexity).toBe(record.dropped.test);
  });
});

test.each(['llama', 'mistral', 'qwen2', 'phi3', 'gpt2', 'gpt_neox'])(
  '%s: two blocks merge into one',
  async (family) => {
    const checkpoint = await makeFamily(join(folder, `${family}-to-merge`), family, { blocks: 3 });
    const out = join(folder, `${family}-merged`);
    const { record } = await drop({
      ...{ checkpoint, out, method: 'deepest', blocks: 1, merge: true, sequenceLength: LENGTH },
      ...{ ...texts, calibrationSamples: 24 },
    });
    expect(record.repair).toMatchObject({ method: 'own', merge: true, seams: [{ block: 0, gap: [1] }] });
    const scored = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 2 });
    expect(scored.text!.perplexity).toBe(record.dropped.test);
    expect(scored.text!.perplexity).not.toBe(record.repair!.unrepaired.test);
  },
);

describe('a mixture with an expert that no token is given to', () => {
  const IDLE = 4;
  let checkpoint: string;
  beforeAll(async () => {
    // Of two opposite rows of a router one is never below 0, which the idle expert's is: it is none of the first two.
    const change = (name: string, router: Float32Array): void => {
      if (!name.endsWith('block_sparse_moe.gate.weight')) return;
      const row = (expert: number) => router.subarray(expert * HIDDEN, (expert + 1) * HIDDEN);
      for (const pair of [0, 2]) row(pair + 1).set(row(pair).map((value) => -value));
      row(IDLE).fill(0);
    };
    checkpoint = await makeFamily(join(folder, 'idle'), 'mixtral', { change });
  });
  const common = { sequenceLength: LENGTH, threads: 1, sparsity: 0.5, allocation: 'uniform' };

  test('says which, in the notes and in layerwise.json', async () => {
    const notes: string[] = [];
    const out = join(folder, 'mixture-pruned');
    const { manifest } = await prune({
      ...{ ...common, checkpoint, out, calibration: texts.calibration, calibrationSamples: 4 },
      onProgress: (event) => event.kind === 'note' && notes.push(event.text),
    });
    expect(manifest.unseenExperts).toEqual([[IDLE], [IDLE]]);
    expect(notes).toEqual([
      expect.stringMatching(/^Warning: 2 experts were given no .*\(4 of block 0; 4 of block 1\)/),
    ]);
    const again = parseManifest(await readFile(join(out, 'layerwise.json'), 'utf8'), 'layerwise.json');
    expect(again.unseenExperts).toEqual([[IDLE], [IDLE]]);
  });

  test('and has nothing to say where a criterion looks at weights alone', async () => {
    const out = join(folder, 'mixture-magnitude');
    const { manifest } = await prune({ ...common, checkpoint, out, criterion: 'magnitude' });
    expect(manifest.unseenExperts).toBeUndefined();
  });
});
