// Removal of experts against PyTorch and transformers (scripts/golden/experts.py): what is measured, who stays, what merging
// makes, the tensors that are written, and the logits of what is written.

import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { removeExperts } from '../../src/api/remove-experts.js';
import { withResources } from '../../src/base/index.js';
import {
  openCheckpoint,
  readSafetensors,
  readTensor,
  readTensorFloat32,
  type TensorEdit,
} from '../../src/checkpoint/index.js';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import { plainGemm } from '../../src/linalg/index.js';
import { type Model, openModel } from '../../src/model/index.js';
import { alignExperts, mergedTensors } from '../../src/pipeline/index.js';
import { type ExpertSums, keepLargest, mergeExperts, scoreExperts } from '../../src/plan/index.js';
import { measureExperts } from '../../src/profile/index.js';
import { embedSamples } from '../../src/stream/index.js';
import { forwardLogits } from '../model/forward.js';
import { furthest, goldenDir, readGolden } from '../model/golden.js';
import { EXPERT_SCORES, LOGITS, MERGED } from '../tolerances.js';
import { makeFolder, useOwnCache } from './make.js';

const root = fileURLToPath(new URL('../golden/experts/', import.meta.url));
const CASES = readdirSync(root)
  .map((file) => file.replace('.safetensors', ''))
  .sort();

type GoldenBlock = {
  readonly tokens: readonly number[];
  readonly scores: readonly number[];
  readonly reap: readonly number[];
  readonly frequency: readonly number[];
  readonly merged: readonly { readonly expert: number; readonly into: number }[];
};
type GoldenExperts = {
  readonly count: number;
  readonly blocks: Readonly<Record<string, GoldenBlock>>;
  /** Of the tensors that the script wrote, by method. */
  readonly sha256: Readonly<Record<string, Readonly<Record<string, string>>>>;
};

async function readExperts(name: string) {
  const file = `${name}.safetensors`;
  const { tensors, metadata } = await readSafetensors(join(root, file));
  const holder = { dir: root, config: {}, tensors, shards: [], files: [] };
  const read = async (tensor: string) => new Float32Array((await readTensor(holder, tensor)).buffer);
  return { said: JSON.parse(metadata.golden!) as GoldenExperts, read };
}

const sumsOf = (engine: Engine, model: Model, windows: Awaited<ReturnType<typeof readGolden>>['windows']) =>
  withResources(async (own) =>
    measureExperts(engine, model, await embedSamples(own, engine, model, windows), () => {}),
  );

test('there are cases of both families', () => {
  expect(CASES).toEqual(['mixtral', 'mixtral-window-bf16', 'qwen3_moe', 'qwen3_moe-step-f16']);
});

describe.each(CASES)('%s', (name) => {
  let model: Model;
  let sums: readonly (ExpertSums | null)[];
  let golden: Awaited<ReturnType<typeof readExperts>>;
  let windows: Awaited<ReturnType<typeof readGolden>>['windows'];
  let folder: string;
  beforeAll(async () => {
    await useOwnCache();
    folder = await makeFolder();
    model = await openModel(goldenDir(name));
    golden = await readExperts(name);
    windows = (await readGolden(name)).windows;
    const engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
    sums = await sumsOf(engine, model, windows);
    await engine.close();
  });

  const blocks = (): readonly (readonly [block: number, golden: GoldenBlock, sums: ExpertSums])[] =>
    Object.entries(golden.said.blocks).map(([block, said]) => [Number(block), said, sums[Number(block)]!] as const);

  test('tokens are PyTorch’s, scores to rounding, and the sets that stay', () => {
    expect(sums.flatMap((one, block) => (one ? [String(block)] : []))).toEqual(Object.keys(golden.said.blocks));
    for (const [, said, own] of blocks()) {
      expect(own.tokens).toEqual(said.tokens);
      const scores = scoreExperts('reap', own);
      for (const [expert, score] of scores.entries()) {
        expect(Math.abs(score - said.scores[expert]!)).toBeLessThanOrEqual(EXPERT_SCORES * said.scores[expert]!);
      }
      expect(keepLargest(scores, golden.said.count)).toEqual(said.reap);
      expect(keepLargest(scoreExperts('frequency', own), golden.said.count)).toEqual(said.frequency);
      expect(mergeExperts(own, said.frequency)).toEqual(said.merged);
    }
  });

  test('the reference engine measures the same', async () => {
    const engine = createReferenceEngine();
    const plain = await sumsOf(engine, model, windows);
    await engine.close();
    for (const [block, own] of plain.entries()) {
      if (!own) continue;
      const other = sums[block]!;
      expect(own.tokens).toEqual(other.tokens);
      for (const key of ['contribution', 'agreement'] as const) {
        const most = Math.max(...own[key].map(Math.abs));
        for (const [i, value] of own[key].entries())
          expect(Math.abs(value - other[key][i]!)).toBeLessThanOrEqual(EXPERT_SCORES * most);
      }
    }
  });

  test.each(['reap', 'frequency', 'merge'] as const)(
    '%s: the tensors, and the logits of transformers',
    async (method) => {
      const kept = sums.map((_, block) => golden.said.blocks[block]?.[method === 'reap' ? 'reap' : 'frequency']);
      const edits = new Map<string, TensorEdit>();
      if (method === 'merge') {
        for (const [block, said, own] of blocks()) {
          const aligned = await alignExperts(model, block, said.merged, plainGemm);
          for (const edit of mergedTensors(model, block, aligned, own.tokens)) edits.set(edit.name, edit);
        }
      }
      const dir = join(folder, `${name}-${method}`);
      await removeExperts({ model, grids: undefined, onProgress: () => {}, edits }, dir, kept);
      const written = await openCheckpoint(dir);
      const hashes = golden.said.sha256[method];
      if (hashes) {
        expect([...written.tensors.keys()].sort()).toEqual(Object.keys(hashes).sort());
        for (const [tensor, hash] of Object.entries(hashes)) {
          const bytes = await readTensor(written, tensor);
          expect([tensor, createHash('sha256').update(bytes).digest('hex')]).toEqual([tensor, hash]);
        }
      }
      const smaller = await openModel(dir);
      for (const [block, said] of method === 'merge' ? blocks() : []) {
        for (const at of said.frequency.keys()) {
          for (const kind of ['gate', 'up', 'down'] as const) {
            const linear = smaller.linears[block]!.find((one) => one.expert === at && one.kind === kind)!;
            const values = await readTensorFloat32(written, `${linear.name}.weight`);
            const expected = await golden.read(`merged.${block}.${at}.${kind}`);
            const { dtype } = written.tensors.get(`${linear.name}.weight`)!;
            for (const [i, value] of values.entries())
              expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(
                MERGED[dtype]! * Math.max(1e-3, Math.abs(expected[i]!)),
              );
          }
        }
      }
      const engine = createReferenceEngine();
      const logits = await forwardLogits(engine, smaller, windows);
      await engine.close();
      expect(furthest(logits, await golden.read(`logits.${method}`))).toBeLessThanOrEqual(LOGITS);
    },
  );
});
