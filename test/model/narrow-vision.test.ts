// Image models with fewer heads and channels against transformers: plain checkpoints with the same slices taken out by plain indexing
// (scripts/golden/cut_vision.py), the keys of config.json that say so, and the logits.

import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { withResources } from '../../src/base/index.js';
import { keepTensor, readTensorFloat32, type TensorEdit, writeReplaced } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { readOut } from '../../src/evaluate/index.js';
import {
  type CutUnits,
  cutHalves,
  headGraph,
  type Model,
  narrowBlock,
  openModel,
  type TrunkName,
  weightName,
  widthsAfter,
  widthsConfig,
} from '../../src/model/index.js';
import { fromFloat32 } from '../../src/tensor/index.js';
import { imagesOf, lastOf, runOf } from '../towers.js';
import { readVisionGolden, writeGoldenModel } from '../vision-golden.js';

type Case = { readonly keys: Readonly<Record<string, number>>; readonly outputs: readonly (readonly number[])[] };
const CASES = JSON.parse(await readFile(new URL('../golden/cut-vision.json', import.meta.url), 'utf8')) as Record<
  string,
  Case
>;

let root: string;
let engine: Engine;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'layerwise-narrow-'));
  engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(root, { recursive: true, force: true });
});

/** The script's rule: head h goes where h = 1 + block mod 2, channel c where 5c + block is odd. */
const stays = (kind: 'attention' | 'mlp', block: number, slice: number): boolean =>
  kind === 'attention' ? slice !== 1 + (block % 2) : (5 * slice + block) % 2 === 0;

async function writeNarrow(source: string, out: string, units: CutUnits, trunk: TrunkName | undefined): Promise<void> {
  const model = await openModel(source, undefined, trunk);
  const { checkpoint } = model;
  const halves = cutHalves(model, units, 1);
  const keep = new Map<string, number>();
  const zeroed = new Map<string, TensorEdit>();
  for (const { block, kind, slices, readers } of halves) {
    for (const name of readers) {
      const linear = model.linears[block]!.find((one) => one.name === name)!;
      const W = await readTensorFloat32(checkpoint, weightName(linear));
      const width = linear.columns / slices;
      const values = W.map((value, i) => (stays(kind, block, Math.floor((i % linear.columns) / width)) ? value : 0));
      const info = checkpoint.tensors.get(weightName(linear))!;
      zeroed.set(info.name, { ...keepTensor(checkpoint, info), read: async () => fromFloat32(values, 'F32') });
      keep.set(name, Array.from({ length: slices }, (_, i) => i).filter((i) => stays(kind, block, i)).length);
    }
  }
  const editOf = (name: string): TensorEdit =>
    zeroed.get(name) ?? keepTensor(checkpoint, checkpoint.tensors.get(name)!);
  const edits = new Map<string, TensorEdit>();
  for (const block of model.linears.keys())
    for (const [name, edit] of await narrowBlock(model, block, keep, editOf)) edits.set(name, edit);
  const config = await readFile(join(source, 'config.json'), 'utf8');
  const files = { 'config.json': widthsConfig(config, model, widthsAfter(model, halves, keep), true) };
  await mkdir(out);
  const become = (name: string) => {
    const edit = edits.get(name) ?? keepTensor(checkpoint, checkpoint.tensors.get(name)!);
    return 'remove' in edit ? [] : [edit];
  };
  await writeReplaced(checkpoint, out, ({ name }) => become(name), files);
}

const outputsOf = (model: Model, family: string): Promise<Float32Array> =>
  withResources(async (own) => {
    const last = await lastOf(own, engine, model, imagesOf(model, runOf(family)));
    const rows = await readOut(own, engine, model, last);
    const what = model.config.embeds ? 'vectors' : 'logits';
    const session = await own(engine.load(headGraph(model, what)));
    const x = { type: 'f32' as const, shape: [rows.chunks[0]!, rows.width], data: await rows.read(0) };
    return (await session.run({ x }))[what]!.data as Float32Array;
  });

test.each(Object.entries(CASES))('%s', async (name, { keys, outputs }) => {
  const [family, units] = name.split(' ') as [string, CutUnits];
  const golden = readVisionGolden(family);
  const trunk = family === 'clip' ? 'vision' : undefined;
  const source = await writeGoldenModel(golden, join(root, name));
  const out = join(root, `${name} cut`);
  await writeNarrow(source, out, units, trunk);
  const written = JSON.parse(await readFile(join(out, 'config.json'), 'utf8')) as Record<string, unknown>;
  const plain = structuredClone(golden.config) as Record<string, unknown>;
  Object.assign((trunk ? plain.vision_config : plain) as object, keys);
  expect(written).toEqual(plain);
  const got = await outputsOf(await openModel(out, undefined, trunk), family);
  const wanted = outputs.flat();
  expect(got.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(got[i]! - value)).toBeLessThan(2e-4);
});
