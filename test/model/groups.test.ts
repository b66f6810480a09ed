// Coupled groups: sizes over every family, and what they mean on the reference engine: a slice is gone when the rows of all
// its feeders are zero, when the columns of its readers are, and when neither is there.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readTensorFloat32 } from '../../src/checkpoint/index.js';
import { createReferenceEngine, type Engine } from '../../src/engine/index.js';
import {
  type BlockSource,
  blockGraph,
  columnsOfSlice,
  expertOf,
  type GroupUnit,
  groupsOf,
  type Linear,
  linearsOf,
  type Model,
  type ModelConfig,
  openModel,
  readModelConfig,
  rowsOfSlice,
  type Span,
  tensorNamesOf,
  toRows,
  toStored,
  weightName,
} from '../../src/model/index.js';
import { makeFolder } from '../api/make.js';
import { randomTensor, rngOf } from '../engine/numbers.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { ENGINE } from '../tolerances.js';

const RESIDUAL_SITES = /^(attention_in|mlp_in|expert_\d+_in)$/;

describe.each(Object.entries(FAMILY_CONFIGS))('%s', (family, settings) => {
  const inner = { ...settings, ...((settings.text_config as object | undefined) ?? {}) };
  const described = { num_hidden_layers: 2, n_layer: 2, ...inner };
  const config = readModelConfig({
    model_type: family,
    ...described,
    ...(settings.text_config === undefined ? {} : { text_config: described }),
  });
  const names = tensorNamesOf(config, () => true);

  test.each([0, 1])('the slices of block %i are its rows and columns, each in one group', (block) => {
    const linears = linearsOf(config, names, block);
    const byName = new Map(linears.map((linear) => [linear.name, linear]));
    const groups = groupsOf(config, names, block);
    const { heads, kvHeads } = config.widths[block]!;
    const shared = heads / kvHeads;
    for (const group of groups) {
      const { count, width, feeders, readers } = group.slices;
      expect(width).toBe(group.role === 'attention_out' ? shared * config.headDim : 1);
      const all = [...feeders, ...readers].map((name) => byName.get(name)!);
      expect(group.weights).toBe(all.reduce((sum, { rows, columns }) => sum + rows * columns, 0));
      for (const name of readers) {
        expect(byName.get(name)!.columns).toBe(count * width);
        const spans = Array.from({ length: count }, (_, slice) => columnsOfSlice(group, slice));
        expect(spans.flatMap(indices)).toEqual(upTo(count * width));
      }
      for (const name of feeders) {
        const { rows, kind } = byName.get(name)!;
        const times = { k: 1 / shared, v: 1 / shared, qkv: 1 + 2 / shared, gate_up: 2 }[kind as string] ?? 1;
        expect(rows, name).toBe(count * width * times);
        const spans = Array.from({ length: count }, (_, slice) => rowsOfSlice(byName.get(name)!, group, slice));
        expect(
          spans
            .flat()
            .flatMap(indices)
            .sort((a, b) => a - b),
        ).toEqual(upTo(rows));
      }
    }
    // Every linear reads a group's value or the residual, and feeds one.
    const reading = new Set(groups.flatMap(({ slices }) => slices.readers));
    const feeding = new Set(groups.flatMap(({ slices }) => slices.feeders));
    for (const { name, site, feeds, rows, columns } of linears) {
      expect(reading.has(name), name).toBe(!RESIDUAL_SITES.test(site));
      expect(feeding.has(name), name).toBe(feeds !== 'residual');
      if (!reading.has(name)) expect(columns).toBe(config.hidden);
      if (!feeding.has(name)) expect(rows).toBe(config.hidden);
    }
    const experts = config.mixtures[block]?.experts;
    expect(groups.length).toBe(1 + (experts ?? 1));
    expect(new Set(groups.map(({ id }) => id)).size).toBe(groups.length);
  });
});

const T = 7;
let folder: string;
let reference: Engine;
beforeAll(async () => {
  folder = await makeFolder();
  reference = createReferenceEngine();
});
afterAll(() => reference.close());

/** A block's tensors with some changed; `change` gets W as rows, or a bias as one column. */
type Change = (linear: Linear, part: 'weight' | 'bias', values: Float32Array, columns: number) => Float32Array;

async function output(model: Model, block: number, change: Change, config: ModelConfig = model.config) {
  const { tensors } = model.checkpoint;
  const changed = new Map<string, { readonly shape: readonly number[]; readonly values: Float32Array }>();
  const sizes = new Map(linearsOf(config, model.tensorNames, block).map((linear) => [linear.name, linear]));
  for (const linear of model.linears[block]!) {
    const own = sizes.get(linear.name)!;
    const weights = toRows(linear, await readTensorFloat32(model.checkpoint, weightName(linear)));
    const values = toStored(own, change(linear, 'weight', weights, linear.columns));
    const shape = linear.transposed ? [own.columns, own.rows] : [own.rows, own.columns];
    changed.set(weightName(linear), { shape, values });
    const bias = `${linear.name}.bias`;
    if (!tensors.has(bias)) continue;
    const numbers = change(linear, 'bias', await readTensorFloat32(model.checkpoint, bias), 1);
    changed.set(bias, { shape: [own.rows], values: numbers });
  }
  const others = new Map<string, Float32Array>();
  for (const name of tensors.keys()) others.set(name, await readTensorFloat32(model.checkpoint, name));
  const source: BlockSource = {
    folder: model.checkpoint.dir,
    find: (name) => {
      const { shape, values } = changed.get(name) ?? { shape: tensors.get(name)!.shape, values: others.get(name)! };
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      return { name, dtype: 'F32', shape, source: { kind: 'bytes', bytes } };
    },
  };
  const graph = blockGraph({ ...model, config }, block, { length: T, outputs: 'hidden', source });
  const session = await reference.load(graph);
  const { y } = await session.run({ x: randomTensor(rngOf(3), [2, T, config.hidden], 1) });
  await session.release();
  return y!.data as Float32Array;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const indices = ({ from, to }: Span): number[] => upTo(to - from).map((i) => from + i);
const unchanged: Change = (_, __, values) => values;

const zeroRows =
  (group: GroupUnit, slice: number): Change =>
  (linear, _, values, columns) => {
    if (!group.slices.feeders.includes(linear.name)) return values;
    const out = values.slice();
    for (const { from, to } of rowsOfSlice(linear, group, slice)) out.fill(0, from * columns, to * columns);
    return out;
  };
const zeroColumns =
  (group: GroupUnit, slice: number): Change =>
  (linear, part, values, columns) => {
    if (part === 'bias' || !group.slices.readers.includes(linear.name)) return values;
    const { from, to } = columnsOfSlice(group, slice);
    return values.map((value, i) => (i % columns >= from && i % columns < to ? 0 : value));
  };
/** Without the slice's rows and columns. */
const without =
  (group: GroupUnit, slice: number): Change =>
  (linear, part, values, columns) => {
    if (group.slices.feeders.includes(linear.name)) {
      const gone = new Set(rowsOfSlice(linear, group, slice).flatMap(indices));
      return values.filter((_, i) => !gone.has(Math.floor(i / columns)));
    }
    if (part === 'bias' || !group.slices.readers.includes(linear.name)) return values;
    const gone = new Set(indices(columnsOfSlice(group, slice)));
    return values.filter((_, i) => !gone.has(i % columns));
  };

const furthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

// Own q, k and v with shared keys; qkv and gate_up; qkv by heads, in parallel; [in, out] and biases; norms of heads; experts.
describe.each(['llama', 'phi3', 'gpt_neox', 'gpt2', 'opt', 'qwen2', 'qwen3', 'gemma2', 'mixtral'])('%s', (family) => {
  let model: Model;
  beforeAll(async () => {
    model = await openModel(await makeFamily(`${folder}/${family}`, family, { blocks: 1 }));
  });

  test('zero rows of all feeders do what zero columns of the readers do', async () => {
    const dense = await output(model, 0, unchanged);
    for (const group of groupsOf(model.config, model.tensorNames, 0)) {
      const last = group.slices.count - 1;
      for (const slice of new Set([0, 1, last])) {
        const rows = await output(model, 0, zeroRows(group, slice));
        const columns = await output(model, 0, zeroColumns(group, slice));
        expect(furthest(rows, columns), `${group.id} ${slice}`).toBeLessThanOrEqual(ENGINE.absolute);
        // No token may go to an expert, and ReLU may leave a channel silent.
        if (expertOf(group.role) === undefined && model.config.activation !== 'relu') {
          expect(furthest(rows, dense), `${group.id} ${slice}`).toBeGreaterThan(1e-3);
        }
      }
    }
  });

  test('a block without the slice does it too', async () => {
    const { config } = model;
    for (const group of groupsOf(config, model.tensorNames, 0)) {
      const heads = group.role === 'attention_out';
      // All experts of a block are equally wide.
      if (family === 'mixtral' && !heads) continue;
      const own = config.widths[0]!;
      const smaller = heads
        ? { heads: own.heads - own.heads / own.kvHeads, kvHeads: own.kvHeads - 1 }
        : { intermediate: own.intermediate - 1 };
      for (const slice of [0, 1]) {
        const zero = await output(model, 0, zeroColumns(group, slice));
        const gone = await output(model, 0, without(group, slice), { ...config, widths: [{ ...own, ...smaller }] });
        expect(furthest(zero, gone), `${group.id} ${slice}`).toBeLessThanOrEqual(ENGINE.absolute);
      }
    }
  });
});
