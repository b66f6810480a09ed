// Merged blocks (src/pipeline/merge.ts). The judge is the reference engine on the checkpoint's own blocks: two blocks of which each
// has another half of the heads and channels that count lose nothing, so the merged one gives the sum of both, norms and biases
// included.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRng, silent } from '../../src/base/index.js';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import {
  type BlockPart,
  type BlockSource,
  groupsOf,
  type Linear,
  type Model,
  openModel,
  partGraph,
  weightName,
} from '../../src/model/index.js';
import { blockFileSource, blockPath, fileShelf, repairSeams, requireMergeable } from '../../src/pipeline/index.js';
import { seamsOf } from '../../src/plan/index.js';
import { embedWindows, type Text } from '../../src/stream/index.js';
import type { Windows } from '../../src/text/index.js';
import { codeOf } from '../checkpoint/make.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { limit } from '../scale.js';
import { unevenConfig } from '../uneven.js';

let scratch: string;
let engine: Engine;
let judge: Engine;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-merge-'));
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
  judge = createReferenceEngine();
});
afterAll(async () => {
  await engine.close();
  await judge.close();
  await rm(scratch, { recursive: true, force: true });
});

const [WINDOWS, LENGTH] = [24, 16];

async function textOf(model: Model): Promise<Text> {
  const rng = createRng(5);
  const window = () => Int32Array.from({ length: LENGTH }, () => Math.floor(rng.uniform() * model.config.vocabulary));
  const windows: Windows = { windows: Array.from({ length: WINDOWS }, window), length: LENGTH };
  return { content: windows, embedded: await embedWindows(model, windows) };
}

async function embeddings(model: Model): Promise<Float32Array> {
  const { embedded } = await textOf(model);
  const parts = await Promise.all(embedded.chunks.map((_, chunk) => embedded.read(chunk)));
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

async function runPart(model: Model, block: number, part: BlockPart, x: Float32Array, source?: BlockSource) {
  const graph = partGraph(model, block, part, { length: LENGTH, ...(source ? { source } : {}) });
  const session = await judge.load(graph);
  const made = await session.run({
    x: { type: 'f32', shape: [WINDOWS, LENGTH, model.config.hidden], data: x.slice() },
  });
  await session.release();
  return made.y!.data as Float32Array;
}

/** base + Σ (what each block adds to x) */
async function addAll(
  model: Model,
  blocks: readonly number[],
  part: BlockPart,
  x: Float32Array,
): Promise<Float32Array> {
  const sum = x.slice();
  for (const block of blocks) {
    const y = await runPart(model, block, part, x);
    for (let i = 0; i < sum.length; i++) sum[i]! += y[i]! - x[i]!;
  }
  return sum;
}

async function sideBySide(model: Model, blocks: readonly number[], x: Float32Array): Promise<Float32Array> {
  if (model.config.parallel) return await addAll(model, blocks, 'block', x);
  return await addAll(model, blocks, 'mlp', await addAll(model, blocks, 'attention', x));
}

async function merge(model: Model, gone: readonly number[], fit: boolean) {
  const dir = await mkdtemp(join(scratch, 'run-'));
  const seams = seamsOf(model.config.blocks, new Set(gone));
  const way = { merge: true, fit, follow: undefined };
  const shelf = fileShelf(model, dir);
  await repairSeams({ engine, model, seams, way, text: await textOf(model), shelf, onProgress: silent });
  return await blockFileSource(blockPath(dir, seams[0]!.block));
}

/** Random blocks 0 … n − 1, in which the slices of o and down that count are others in each of them. */
async function makeShared(family: string, config: Readonly<Record<string, unknown>>, n: number): Promise<Model> {
  const dir = join(scratch, `${family}-${n}`);
  const plain = await openModel(await makeFamily(`${dir}-plain`, family, { blocks: n + 1, config }));
  const owners = new Map<string, { linear: Linear; width: number; count: number }>();
  for (let block = 0; block < n; block++) {
    for (const { slices } of groupsOf(plain.config, plain.tensorNames, block)) {
      const linear = plain.linears[block]!.find(({ name }) => slices.readers.includes(name))!;
      owners.set(weightName(linear), { linear, width: slices.width, count: slices.count });
    }
  }
  const change = (name: string, values: Float32Array): void => {
    if (name.endsWith('.bias')) for (let i = 0; i < values.length; i++) values[i]! *= 3;
    const owned = owners.get(name);
    if (!owned) return;
    const { linear, width } = owned;
    for (let i = 0; i < values.length; i++) {
      const column = linear.transposed ? Math.floor(i / linear.rows) : i % linear.columns;
      if (Math.floor(column / width) % n !== linear.block) values[i] = 0;
    }
  };
  return await openModel(await makeFamily(dir, family, { blocks: n + 1, config, change }));
}

const MERGED: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  llama: FAMILY_CONFIGS.llama!,
  mistral: FAMILY_CONFIGS.mistral!,
  qwen2: FAMILY_CONFIGS.qwen2!,
  phi3: FAMILY_CONFIGS.phi3!,
  gpt2: FAMILY_CONFIGS.gpt2!,
  gpt_neox: FAMILY_CONFIGS.gpt_neox!,
  'gpt_neox, one after another': { ...FAMILY_CONFIGS.gpt_neox, use_parallel_residual: false },
  opt: { ...FAMILY_CONFIGS.opt, do_layer_norm_before: true },
};

describe.each(Object.entries(MERGED))('%s', (name, config) => {
  const family = name.split(',')[0]!;

  test(
    'two blocks that share the heads and channels that count give side by side what both add',
    async () => {
      const model = await makeShared(family, config, 2);
      const source = await merge(model, [1], false);
      const x = await embeddings(model);
      const wanted = await sideBySide(model, [0, 1], x);
      const got = await runPart(model, 0, 'block', x, source);
      const largest = wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - x[i]!)), 0);
      const apart = got.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0);
      expect(largest).toBeGreaterThan(0.5);
      expect(apart / largest).toBeLessThan(1e-4);
    },
    limit(60_000),
  );

  test(
    'where something is lost, a fit to the dense stream ends nearer to it',
    async () => {
      const model = await openModel(await makeFamily(join(scratch, `${name}-random`), family, { blocks: 3, config }));
      const x = await embeddings(model);
      const dense = await runPart(model, 1, 'block', await runPart(model, 0, 'block', x));
      const apart = async (fit: boolean): Promise<number> => {
        const y = await runPart(model, 0, 'block', x, await merge(model, [1], fit));
        return y.reduce((sum, value, i) => sum + (value - dense[i]!) ** 2, 0);
      };
      expect(await apart(true)).toBeLessThan(0.9 * (await apart(false)));
    },
    limit(60_000),
  );
});

test('more than two blocks merge, also where the first of them are gone', async () => {
  const config = { ...FAMILY_CONFIGS.llama, num_attention_heads: 4, num_key_value_heads: 4 };
  const model = await makeShared('llama', config, 3);
  const x = await embeddings(model);
  const wanted = await sideBySide(model, [0, 1, 2], x);
  for (const gone of [
    [1, 2],
    [0, 1],
  ]) {
    const block = [0, 1, 2].find((one) => !gone.includes(one))!;
    const removed = gone[0] === 0 ? [0, 1] : gone;
    const got = await runPart(model, block, 'block', x, await merge(model, removed, false));
    for (let i = 0; i < x.length; i += 7) expect(Math.abs(got[i]! - wanted[i]!)).toBeLessThan(1e-3);
  }
});

describe('blocks that have no common block are refused by name', () => {
  test.each([
    ['llama', unevenConfig('llama'), /differ from block to block/],
    ['mixtral', {}, /experts/],
    ['qwen3_moe', {}, /experts/],
    ['qwen3', {}, /queries and keys of each head/],
    ['gemma2', {}, /behind what is added|of each head/],
    ['gemma3_text', {}, /of each head/],
    ['opt', {}, /behind what is added/],
    ['opt', { do_layer_norm_before: true, enable_bias: false }, /bias of a norm/],
    ['qwen2', { use_sliding_window: true, sliding_window: 4, max_window_layers: 1 }, /reaches back differently/],
  ])('%s %j', async (family, other, reason) => {
    const config = { ...FAMILY_CONFIGS[family], ...other };
    const dir = await mkdtemp(join(scratch, 'refused-'));
    const model = await openModel(await makeFamily(dir, family, { blocks: 3, config }));
    expect(await codeOf(Promise.resolve().then(() => requireMergeable(model)))).toBe('E_UNSUPPORTED_MERGE');
    expect(() => requireMergeable(model)).toThrow(reason);
    expect(() => requireMergeable(model)).toThrow(`two blocks of ${model.config.family}`);
  });
});
