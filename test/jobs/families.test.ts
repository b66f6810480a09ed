// Whole jobs on every family, from texts to bytes: prune, evaluate, inspect, drop.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/index.js';
import { drop, evaluate, inspect, prune } from '../../src/jobs/index.js';
import { checkpointSource, FAMILIES, type Model, openModel } from '../../src/model/index.js';
import { makeFamily } from '../families.js';
import { forwardLogits } from '../model/forward.js';
import { furthest } from '../model/golden.js';
import { LENGTH, makeFolder, makeTexts, type Texts, useOwnCache } from './make.js';

let folder: string;
let texts: Texts;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 24);
});

/** Logits of `model` on a few windows, its blocks being those of `source` with the numbers `blocks`. */
async function logitsOf(model: Model, source: Model, blocks: readonly number[]): Promise<Float32Array> {
  const windows = [0, 1].map((w) => Int32Array.from({ length: LENGTH }, (_, t) => 97 + ((w * 31 + t * 7) % 26)));
  const engine = await createOrtEngine({ device: 'cpu', lanes: 1, threads: 1 });
  const { folder, find } = checkpointSource(source.checkpoint);
  const prefix = source.layout.blocks;
  const logits = await forwardLogits(engine, model, { length: LENGTH, windows }, async (block) => ({
    folder,
    find: (name) => find(name.replace(`${prefix}${block}.`, `${prefix}${blocks[block]}.`)),
  }));
  await engine.close();
  return logits;
}

describe.each([...FAMILIES.keys()])('%s', (family) => {
  let checkpoint: string;
  beforeAll(async () => {
    checkpoint = await makeFamily(join(folder, family), family, { dtype: 'F16', blocks: 3 });
  });

  test('is pruned, and what was written is what was scored', async () => {
    const out = join(folder, `${family}-pruned`);
    const common = { checkpoint, sequenceLength: LENGTH, calibrationSamples: 16, threads: 2 };
    const { manifest } = await prune({ ...common, ...texts, out, sparsity: 0.5, beta: 0.2 });
    const report = await inspect(out);
    expect(report.family).toBe(family);
    expect(Math.abs(report.zeros - report.prunable / 2)).toBeLessThanOrEqual(0.5);
    expect(manifest.sparsity.realised).toBe(report.sparsity);
    const scored = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 2 });
    expect(scored.perplexity).toBe(manifest.chosen.test!.perplexity);
    expect(scored.perplexity).not.toBe(manifest.dense.test!.perplexity);
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
    });
    const [got, expected] = [await logitsOf(after, after, [0, 1]), await logitsOf(after, before, [0, 2])];
    expect(furthest(got, expected)).toBe(0);
    expect(await readFile(join(out, 'tokenizer.json'))).toEqual(await readFile(join(checkpoint, 'tokenizer.json')));
  });
});
