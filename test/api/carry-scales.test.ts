// A quantised checkpoint that is written again: the scales of a linear go with it for as long as its weights lie on its grid,
// under its new name, and packing then stores the same integers; what left its grid is said. The scales of weights that
// another program edited are refused before any work.

import { copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { drop, pack, prune, quantise } from '../../src/api/index.js';
import type { ProgressEvent } from '../../src/base/index.js';
import { readScales } from '../../src/checkpoint/index.js';
import { type Linear, openModel, readLinear, weightName } from '../../src/model/index.js';
import type { Plan } from '../../src/records/index.js';
import { makeFamily } from '../families.js';
import { limit } from '../scale.js';
import { LENGTH, makeFolder, makeTexts, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(120_000) });

let folder: string;
let texts: Texts;
const quantised: Record<string, string> = {};
const FAMILIES = ['llama', 'gpt2'];

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 12);
  for (const family of FAMILIES) {
    const checkpoint = await makeFamily(join(folder, family), family, { seed: 4 });
    quantised[family] = join(folder, `${family}-4`);
    await quantise({ checkpoint, bits: 4, method: 'rtn', out: quantised[family], threads: 1 });
  }
}, limit(120_000));

const common = () => ({
  ...{ calibration: texts.calibration, sequenceLength: LENGTH, calibrationSamples: 8 },
  ...{ threads: 1, greedyTokens: 0 },
});

/** The grids of a checkpoint by the names of its linears; each is checked to fit the weights. */
async function gridsOf(dir: string) {
  const model = await openModel(dir);
  const linears = model.linears.flat().map((linear: Linear) => ({ ...linear, name: weightName(linear), linear }));
  const scales = await readScales(model.checkpoint, linears);
  const found = new Map<string, { readonly q: Int8Array; readonly scales: Float32Array; readonly bits: number }>();
  for (const { name, linear } of linears) {
    if (!scales?.grids.has(name)) continue;
    const { dtype } = model.checkpoint.tensors.get(name)!;
    found.set(name, await scales.read(name, await readLinear(model.checkpoint, linear), dtype));
  }
  return found;
}

function listen() {
  const notes: string[] = [];
  const onProgress = (event: ProgressEvent): void => {
    if (event.kind === 'note') notes.push(event.text);
  };
  return { notes, onProgress };
}

test.each(FAMILIES)('%s: drop renumbers them as it does the tensors', async (family) => {
  const out = join(folder, `${family}-dropped`);
  const { record } = await drop({ ...common(), checkpoint: quantised[family]!, blocks: 1, method: 'shortgpt', out });
  const [before, after] = [await gridsOf(quantised[family]!), await gridsOf(out)];
  const left = [...before].filter(([name]) => !name.includes(`.${record.removed[0]}.`));
  expect([...after.values()]).toEqual(
    left.map(([, grid]) => ({ ...grid, name: expect.any(String), rows: expect.any(Number) })),
  );
  expect(after.size).toBe(before.size / 2);
  const packed = await pack({ checkpoint: out, values: 'int8', out: `${out}.lw` });
  expect(packed.parts.find(({ part }) => part === 'linears')!.bits).toBeLessThan(7);
});

describe('prune', () => {
  test('by a mask keeps them; the zeros are zeros of the grid', async () => {
    const out = join(folder, 'masked');
    const { notes, onProgress } = listen();
    const { manifest } = await prune({
      ...{ ...common(), checkpoint: quantised.llama!, sparsity: 0.5, allocation: 'uniform', out, onProgress },
    });
    const [before, after] = [await gridsOf(quantised.llama!), await gridsOf(out)];
    expect([...after.keys()]).toEqual([...before.keys()]);
    for (const [name, { q, scales }] of after) {
      const old = before.get(name)!;
      expect(scales).toEqual(old.scales);
      expect(q.every((value, i) => value === 0 || value === old.q[i])).toBe(true);
    }
    expect(manifest.bits).toBeUndefined();
    expect(notes.join()).not.toContain('grid');
  });

  test('by a solver moves weights off their grid, and says so', async () => {
    const out = join(folder, 'solved');
    const { notes, onProgress } = listen();
    const asked = { sparsity: 0.5, allocation: 'uniform', criterion: 'sparsegpt', out, onProgress };
    await prune({ ...common(), checkpoint: quantised.llama!, ...asked });
    expect((await gridsOf(out)).size).toBe(0);
    expect(await readdir(out)).not.toContain('layerwise.scales');
    expect(notes.join()).toMatch(/14 linears \(model\.layers\.0\..*no longer on the grid/);
  });
});

test('quantise gives new ones to what its plan treats, and leaves the others theirs', async () => {
  const out = join(folder, 'twice');
  const { linears } = await openModel(quantised.llama!);
  const units = Object.fromEntries(linears[1]!.map(({ name }) => [name, { bits: { bits: 2, group: 64 } }]));
  const plan: Plan = { format: 'layerwise-plan', version: 2, units };
  const { manifest } = await quantise({
    ...{ checkpoint: quantised.llama!, plan, method: 'rtn', out, threads: 1 },
  });
  const [before, after] = [await gridsOf(quantised.llama!), await gridsOf(out)];
  expect(after.size).toBe(before.size);
  for (const [name, grid] of after) {
    if (name.includes('.1.')) expect(grid.bits).toBe(2);
    else expect(grid).toEqual(before.get(name));
  }
  expect(
    Object.values(manifest.bits!.linears)
      .map(({ bits }) => bits)
      .sort(),
  ).toEqual([2, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4]);
});

test('weights that are not on their grid are refused before any work', async () => {
  const dir = join(folder, 'edited');
  await mkdir(dir);
  for (const name of await readdir(quantised.llama!)) {
    if ((await stat(join(quantised.llama!, name))).isFile())
      await copyFile(join(quantised.llama!, name), join(dir, name));
  }
  const other = join(folder, 'llama', 'model.safetensors');
  await writeFile(join(dir, 'model.safetensors'), await readFile(other));
  const { onProgress } = listen();
  const asked = { ...common(), checkpoint: dir, blocks: 1, method: 'deepest', onProgress };
  await expect(drop({ ...asked, out: join(folder, 'refused') })).rejects.toMatchObject({ code: 'E_CHECKPOINT_SCALES' });
  expect(await readdir(folder)).not.toContain('refused');
});
