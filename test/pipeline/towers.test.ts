// Either trunk of CLIP and SigLIP is pruned block by block, and scored by the cross-entropy of its classes as the pass goes along.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent, withResources } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { embedContent, readLogitScale, scoreSamples, withClasses } from '../../src/evaluate/index.js';
import { type Model, toRows, weightName } from '../../src/model/index.js';
import { findCriterion } from '../../src/operators/index.js';
import { blockFileSource, blockPath, pruneSequentially, readBlockFile, runBlocks } from '../../src/pipeline/index.js';
import { type Content, embedSamples } from '../../src/stream/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { contentOf, expectClose, open, runOf, textsOf, useTowers } from '../towers.js';
import { planOf } from './plans.js';

let scratch: string;
let engine: Engine;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-pruned-towers-'));
  engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(scratch, { recursive: true, force: true });
});
useTowers();

/** Prunes half of every row by Wanda, scored on `validation`; the loss of each sample and the weights of block 1. */
async function prune(model: Model, calibration: Content, validation: Content, dir: string) {
  return await withResources(async (own) => {
    const scored = await embedSamples(own, engine, model, validation);
    const { nll, divergences } = await pruneSequentially({
      engine,
      model,
      operator: findCriterion('wanda'),
      plan: planOf(model, () => 0.5, { kind: 'row' }),
      calibration: await embedSamples(own, engine, model, calibration),
      validation: scored,
      reference: await own(runBlocks(engine, model, scored, silent)),
      trace: undefined,
      dir,
      onProgress: silent,
    });
    const read = await readBlockFile(model, blockPath(dir, 1));
    const weights: Float32Array[] = [];
    for (const linear of model.linears[1]!) {
      const name = weightName(linear);
      weights.push(toRows(linear, toFloat32(await read(name), model.checkpoint.tensors.get(name)!.dtype)));
    }
    return { nll, divergences: divergences!, weights };
  });
}

describe.each(['clip', 'siglip'])('%s', (family) => {
  test.each(['vision', 'text'] as const)('the %s trunk is pruned and scored', async (trunk) => {
    const run = runOf(family);
    const plain = await open(family, trunk);
    const other = await open(family, trunk === 'vision' ? 'text' : 'vision');
    const classes = await embedContent(engine, other, contentOf(other, run));
    const model = withClasses(plain, classes, ['one', 'other'], await readLogitScale(plain.checkpoint));
    const content = { ...contentOf(model, run), labels: Int32Array.of(0, 1) };
    const dir = join(scratch, `${family}-${trunk}`);
    const { nll, divergences, weights } = await prune(model, contentOf(model, run), content, dir);
    for (const values of weights) expect(values.filter((value) => value === 0).length).toBe(values.length / 2);
    expect(Math.max(...divergences)).toBeGreaterThan(0);
    await withResources(async (own) => {
      const samples = await embedSamples(own, engine, model, content);
      const dense = await scoreSamples(engine, model, await own(runBlocks(engine, model, samples, silent)), content);
      const again = await own(
        runBlocks(engine, model, samples, silent, async (block, use) =>
          use(await blockFileSource(blockPath(dir, block))),
        ),
      );
      expectClose(await scoreSamples(engine, model, again, content), nll, 1e-5);
      expect(Math.max(...nll.map((loss, i) => Math.abs(loss - dense[i]!)))).toBeGreaterThan(1e-3);
    });
  });
});

test('what follows the end of a text of CLIP decides over no weight', async () => {
  const plain = await open('clip', 'text');
  const vectors = { count: 2, width: 24, values: new Float32Array(48).fill(1 / Math.sqrt(24)) };
  const model = withClasses(plain, vectors, ['one', 'other'], { factor: 1, shift: 0 });
  const one = textsOf([
    [97, 5, 6, 7, 98, 98, 98, 98],
    [97, 9, 10, 98, 98, 98, 98, 98],
  ]);
  const other = textsOf([
    [97, 5, 6, 7, 98, 40, 41, 42],
    [97, 9, 10, 98, 3, 4, 5, 6],
  ]);
  const labelled = { ...one, labels: Int32Array.of(0, 1) };
  const [a, b] = [
    await prune(model, one, labelled, join(scratch, 'pads-one')),
    await prune(model, other, labelled, join(scratch, 'pads-other')),
  ];
  const zeros = (weights: readonly Float32Array[]) => weights.map((values) => [...values].map((value) => value === 0));
  expect(zeros(b.weights)).toEqual(zeros(a.weights));
});
