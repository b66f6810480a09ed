// One sweep for many variants against the slow way: every variant as a model of its own, run from the first block on.

import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { readTensor } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { scoreDivergences } from '../../src/evaluate/index.js';
import { checkpointSource, type Model, openModel } from '../../src/model/index.js';
import { runBlocks, sweepVariants } from '../../src/pipeline/index.js';
import { embedWindows, type Text } from '../../src/stream/index.js';
import { fromFloat32, toFloat32 } from '../../src/tensor/index.js';
import { loadTokenizer, makeWindows, readCorpus, tokenizeCorpus } from '../../src/text/index.js';
import { LENGTH, makeFolder, makeTexts, makeTiny } from '../api/make.js';
import { DIVERGENCE } from '../tolerances.js';

let engine: Engine;
let model: Model;
let text: Text;
beforeAll(async () => {
  const folder = await makeFolder();
  const { validation } = await makeTexts(folder);
  model = await openModel(await makeTiny(join(folder, 'model'), { blocks: 3, dtype: 'F32' }));
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
  const tokens = await tokenizeCorpus(await loadTokenizer(model.checkpoint.dir), await readCorpus(validation));
  const windows = makeWindows(tokens, { length: LENGTH, order: 'sequential', count: 3, seed: 0 });
  text = { content: windows, embedded: await embedWindows(model, windows) };
});
afterAll(() => engine.close());

/** The linear with every third weight gone. */
async function thinned(linear: string): Promise<Uint8Array> {
  const bytes = await readTensor(model.checkpoint, `${linear}.weight`);
  const words = new Uint32Array(bytes.buffer);
  for (let i = 0; i < words.length; i += 3) words[i] = 0;
  return bytes;
}

test('every variant’s divergence is what the whole model gives with that linear replaced', async () => {
  const source = checkpointSource(model.checkpoint);
  const { base, variants } = await sweepVariants({
    engine,
    model,
    text,
    base: async () => source,
    variants: async (block) =>
      await Promise.all(
        model.linears[block]!.map(async ({ name }) => {
          const { dtype, shape } = model.checkpoint.tensors.get(`${name}.weight`)!;
          return { id: name, tensors: new Map([[`${name}.weight`, { dtype, shape, bytes: await thinned(name) }]]) };
        }),
      ),
    onProgress: silent,
  });
  expect([...variants.keys()]).toEqual(model.linears.flat().map(({ name }) => name));
  for (const value of base) expect(Math.abs(value)).toBeLessThanOrEqual(DIVERGENCE);

  const reference = await runBlocks(engine, model, text, silent);
  for (const { name } of model.linears.flat()) {
    const weights = await thinned(name);
    const replaced = {
      folder: source.folder,
      find: (tensor: string) =>
        tensor === `${name}.weight`
          ? { ...source.find(tensor), source: { kind: 'bytes', bytes: weights } as const }
          : source.find(tensor),
    };
    const seen = await runBlocks(engine, model, text, silent, (_, use) => use(replaced));
    const [slow] = await scoreDivergences(engine, model, [seen], reference);
    const fast = variants.get(name)!;
    expect(fast).toHaveLength(3);
    for (const [w, value] of fast.entries()) expect(Math.abs(value - slow![w]!)).toBeLessThanOrEqual(DIVERGENCE);
    expect(Math.max(...slow!)).toBeGreaterThan(100 * DIVERGENCE);
  }
});

test('a variant of another dtype counts as the numbers that it holds', async () => {
  const { name } = model.linears[1]![0]!;
  const { shape } = model.checkpoint.tensors.get(`${name}.weight`)!;
  const half = fromFloat32(toFloat32(await thinned(name), 'F32'), 'F16');
  const scores = async (dtype: 'F16' | 'F32', bytes: Uint8Array): Promise<readonly number[]> => {
    const { variants } = await sweepVariants({
      engine,
      model,
      text,
      base: async () => checkpointSource(model.checkpoint),
      variants: async (block) =>
        block === 1 ? [{ id: name, tensors: new Map([[`${name}.weight`, { dtype, shape, bytes }]]) }] : [],
      onProgress: silent,
    });
    return variants.get(name)!;
  };
  const expected = await scores('F32', fromFloat32(toFloat32(half, 'F16'), 'F32'));
  expect(Math.max(...expected)).toBeGreaterThan(100 * DIVERGENCE);
  for (const [w, value] of (await scores('F16', half)).entries()) {
    expect(Math.abs(value - expected[w]!)).toBeLessThanOrEqual(DIVERGENCE);
  }
});
