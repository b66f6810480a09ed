// Healing from end to end: every family after pruning, every width after quantising, after dropping blocks, by LoRA; zeros bit
// for bit, the same bytes for any number of threads and after kills; everything that is refused.

import { appendFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { drop, evaluate, type HealOptions, heal, prune, quantise } from '../../src/api/index.js';
import { openCheckpoint, readScales, readTensor, readTensorFloat32 } from '../../src/checkpoint/index.js';
import { openModel, readLinear, weightName } from '../../src/model/index.js';
import { readFidelity } from '../../src/records/index.js';
import { codeOf } from '../checkpoint/make.js';
import { makeFamily, TEXT_FAMILIES } from '../families.js';
import { limit } from '../scale.js';
import { type Fault, startRun } from './child.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(120_000) });

let folder: string;
let texts: Texts;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 24);
});

const optionsOf = (checkpoint: string, dense: string, out: string): HealOptions => ({
  ...{ checkpoint, dense, out, text: texts.calibration, validation: texts.validation },
  ...{ tokens: 2048, batch: 512, rate: 3e-3, sequenceLength: LENGTH, greedyTokens: 0, threads: 2 },
});

const pruned = async (checkpoint: string, out: string): Promise<string> => {
  const how = { allocation: 'uniform', criterion: 'magnitude', sparsity: 0.5, sequenceLength: LENGTH, threads: 2 };
  await prune({ checkpoint, out, ...how });
  return out;
};

/** Checks that what was zero has the bits it had, and returns the names of the tensors that changed. */
async function changed(before: string, after: string): Promise<string[]> {
  const [old, now] = [await openCheckpoint(before), await openCheckpoint(after)];
  expect([...now.tensors.keys()]).toEqual([...old.tensors.keys()]);
  const names: string[] = [];
  const model = await openModel(before);
  const linears = new Set(model.linears.flat().map(weightName));
  for (const name of old.tensors.keys()) {
    const [a, b] = [await readTensor(old, name), await readTensor(now, name)];
    if (!Buffer.from(a).equals(Buffer.from(b))) names.push(name);
    if (!linears.has(name)) continue;
    const [x, y] = [await readTensorFloat32(old, name), await readTensorFloat32(now, name)];
    for (const [i, value] of x.entries())
      if (value === 0 && !Object.is(y[i], value)) expect(`${name} ${i}`).toBe('zero');
  }
  return names;
}

const klOf = ({ fidelity }: { fidelity: { validation: Parameters<typeof readFidelity>[0] } | null }): number =>
  readFidelity(fidelity!.validation).divergence.mean;

describe.each([...TEXT_FAMILIES.keys()])('%s', (family) => {
  test('is healed after pruning: closer to the dense model, zeros where they were', async () => {
    const dense = await makeFamily(join(folder, family), family, { dtype: 'F16', blocks: 3 });
    const checkpoint = await pruned(dense, join(folder, `${family}-pruned`));
    const out = join(folder, `${family}-healed`);
    const { record } = await heal(optionsOf(checkpoint, dense, out));
    const { start, healed } = record.scores;
    expect(klOf(healed)).toBeLessThan(0.9 * klOf(start));
    expect(record.zeros.after).toBeGreaterThanOrEqual(record.zeros.before);
    const names = await changed(checkpoint, out);
    const model = await openModel(out);
    const linears = model.linears.flat().map(weightName);
    expect(names.filter((name) => linears.includes(name)).length).toBeGreaterThan(linears.length / 2);
    for (const name of names) expect(name.startsWith(model.tensorNames.blocks)).toBe(true);
    const halves = family === 'gpt_neox' ? ['block'] : ['attention', 'mlp'];
    expect(record.stream!.map(({ half }) => half)).toEqual([0, 1, 2].flatMap(() => halves));
    for (const { best, validation } of record.stream!) expect(best.loss).toBeLessThanOrEqual(validation[0]!.loss);
    const scored = await evaluate({ checkpoint: out, text: texts.validation, sequenceLength: LENGTH, threads: 2 });
    expect(scored.text!.perplexity).toBe(healed.perplexity.validation);
  });
});

describe.each([
  ['llama', 4, 32],
  ['gpt2', 3, 32],
  ['llama', 2, 'row'],
  ['opt', 8, 'row'],
] as const)('%s in %i bits', (family, bits, group) => {
  test('stays on the grid, with other scales', async () => {
    const name = join(folder, `${family}-${bits}`);
    const dense = await makeFamily(name, family, { dtype: 'BF16', blocks: 2 });
    const checkpoint = `${name}-bits`;
    await quantise({ checkpoint: dense, out: checkpoint, bits, group, method: 'rtn', threads: 2 });
    const out = `${name}-healed`;
    const { record } = await heal(optionsOf(checkpoint, dense, out));
    if (bits < 8) expect(klOf(record.scores.healed)).toBeLessThan(klOf(record.scores.start));
    const model = await openModel(out);
    const linears = model.linears.flat();
    const grids = async (dir: string) => {
      const of = await openModel(dir);
      const named = of.linears.flat().map((linear) => ({ ...linear, name: weightName(linear) }));
      const scales = (await readScales(of.checkpoint, named))!;
      return await Promise.all(
        of.linears.flat().map(async (linear) => {
          const { dtype } = of.checkpoint.tensors.get(weightName(linear))!;
          return await scales.read(weightName(linear), await readLinear(of.checkpoint, linear), dtype);
        }),
      );
    };
    const [before, after] = [await grids(checkpoint), await grids(out)]; // reads them back, or throws
    expect(after.map(({ bits: b, group: g, dtype }) => [b, g, dtype])).toEqual(
      before.map(({ bits: b, group: g, dtype }) => [b, g, dtype]),
    );
    expect(after).toHaveLength(linears.length);
    if (bits < 8) expect(after.some(({ scales }, i) => scales.join() !== before[i]!.scales.join())).toBe(true);
    await changed(checkpoint, out);
  });
});

describe('a llama', () => {
  let dense: string;
  let checkpoint: string;
  beforeAll(async () => {
    dense = await makeTiny(join(folder, 'dense'), { dtype: 'BF16', shards: 2 });
    checkpoint = await pruned(dense, join(folder, 'sparse'));
  });
  const common = (out: string): HealOptions => optionsOf(checkpoint, dense, join(folder, out));

  test('after blocks were dropped, by the record or by the norms', async () => {
    const shorter = join(folder, 'shorter');
    await drop({ checkpoint: dense, out: shorter, blocks: 1, method: 'deepest', threads: 2 });
    const { record } = await heal({ ...optionsOf(shorter, dense, join(folder, 'shorter-healed')), loss: 'stream' });
    expect(klOf(record.scores.healed)).toBeLessThan(klOf(record.scores.start));
    const both = await pruned(shorter, join(folder, 'shorter-sparse'));
    const again = await heal({ ...optionsOf(both, dense, join(folder, 'shorter-sparse-healed')), loss: 'stream' });
    expect(again.record.stream).toHaveLength(6);
    expect(klOf(again.record.scores.healed)).toBeLessThan(klOf(again.record.scores.start));
    // Other norms: no telling.
    const lost = await heal({
      ...optionsOf(shorter, dense, join(folder, 'norms-healed')),
      ...{ train: 'norms', loss: 'kl', tokens: 512 },
    });
    await rm(join(lost.out, 'layerwise.json'));
    const blind = optionsOf(lost.out, dense, join(folder, 'never'));
    expect(await codeOf(heal(blind))).toBe('E_OPTION_LOSS');
    expect((await heal({ ...blind, loss: 'kl', tokens: 512 })).record.stream).toBeNull();
  });

  test('new blocks alone, all of them', async () => {
    const grown = await makeTiny(join(folder, 'grown'), { dtype: 'BF16', blocks: 5 });
    await writeFile(join(grown, 'layerwise.json'), JSON.stringify({ format: 'layerwise-grow', grown: [4] }));
    const { record, out } = await heal({ ...optionsOf(grown, dense, join(folder, 'grown-healed')), train: 'new' });
    expect(record.stream).toBeNull();
    expect(klOf(record.scores.healed)).toBeLessThan(klOf(record.scores.start));
    const names = await changed(grown, out);
    expect(names.length).toBe(9);
    expect(names.every((name) => name.startsWith('model.layers.4.'))).toBe(true);
  });

  test('norms alone, or some blocks alone', async () => {
    const norms = await heal({ ...common('only-norms'), train: 'norms', loss: 'kl' });
    expect((await changed(checkpoint, norms.out)).every((name) => /norm/.test(name))).toBe(true);
    expect(norms.record.stream).toBeNull();
    const blocks = await heal({ ...common('only-blocks'), train: 'blocks 1..2' });
    const names = await changed(checkpoint, blocks.out);
    expect(names.length).toBeGreaterThan(0);
    expect(names.every((name) => /layers\.[12]\./.test(name))).toBe(true);
    expect(blocks.record.stream!.map(({ block }) => block)).toEqual([1, 1, 2, 2]);
  });

  test('on the likelihood of text', async () => {
    const { record } = await heal({ ...common('nll'), loss: 'nll', rate: 1e-3 });
    expect(record.whole!.loss).toBe('nll');
    expect(record.scores.healed.perplexity.validation).toBeLessThan(record.scores.start.perplexity.validation);
  });

  test('by LoRA, merged: zeros stay', async () => {
    const { record, out } = await heal({ ...common('lora'), train: 'lora', rank: 4 });
    expect(klOf(record.scores.healed)).toBeLessThan(klOf(record.scores.start));
    const names = await changed(checkpoint, out);
    expect(names.every((name) => /_proj/.test(name))).toBe(true);
    expect(record.trained.tensors).toBe(28);
  });

  test('by LoRA, as an adapter in the form of PEFT', async () => {
    const { record, out } = await heal({ ...common('adapter'), train: 'lora', rank: 4, adapter: true, loss: 'kl' });
    expect(klOf(record.scores.healed)).toBeLessThan(klOf(record.scores.start));
    expect((await readdir(out)).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'layerwise.json',
      'report.html',
    ]);
    const config = JSON.parse(await readFile(join(out, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({ peft_type: 'LORA', r: 4, lora_alpha: 8, fan_in_fan_out: false });
    const { readSafetensors } = await import('../../src/checkpoint/index.js');
    const { tensors } = await readSafetensors(join(out, 'adapter_model.safetensors'));
    expect(tensors.size).toBe(56);
    const module = 'base_model.model.model.layers.1.mlp.down_proj';
    expect(tensors.get(`${module}.lora_A.weight`)!.shape).toEqual([4, 48]);
    expect(tensors.get(`${module}.lora_B.weight`)!.shape).toEqual([32, 4]);
  });

  test('the same bytes for any number of threads, and after kills', async () => {
    const whole = await heal({ ...common('whole'), tokens: 4096, threads: 1 });
    const expected = await readTree(whole.out);
    const three = await heal({ ...common('three'), tokens: 4096, threads: 3 });
    expect(differences(await readTree(three.out), expected)).toEqual([]);
    const faults: readonly Fault[] = [
      { as: 'kill', event: 'against the dense stream: advance', nth: 20 },
      { as: 'kill', op: 'write', path: 'stream/block-2-mlp', nth: 3 },
      { as: 'kill', op: 'rename', path: 'whole/model.state', nth: 2 },
      { as: 'kill', event: 'whole model, kl: advance', nth: 3 },
      { as: 'kill', op: 'open', path: 'final/model', nth: 1 },
      { as: 'kill', op: 'renamed', path: 'final ->', nth: 1 },
    ];
    const options = { ...common('killed'), tokens: 4096 };
    for (const [i, fault] of faults.entries()) {
      const log = join(folder, 'killed.log');
      const { code } = await startRun({ ...options, resume: i > 0 }, log, fault, undefined, 'heal').done;
      expect(code, JSON.stringify(fault)).toBeUndefined();
    }
    const { record } = await heal({ ...options, resume: true });
    expect(record).toEqual(whole.record);
    expect(differences(await readTree(options.out), expected)).toEqual([]);
    expect((await readdir(folder)).filter((name) => name.startsWith('killed.partial'))).toEqual([]);
  });

  test('a learning rate that is too high ends with its name, and --resume writes the best state', async () => {
    const options = { ...common('wild'), loss: 'kl', rate: 1, tokens: 4096 };
    expect(await codeOf(heal(options))).toBe('E_NUMERIC_DIVERGED');
    const { record } = await heal({ ...options, resume: true });
    expect(record.whole!.ended).toBe('diverged');
    expect(klOf(record.scores.healed)).toBeLessThanOrEqual(klOf(record.scores.start));
  });

  const REFUSED: readonly (readonly [string, () => Promise<Partial<HealOptions>>, string])[] = [
    ['no dense model', async () => ({ dense: undefined as never }), 'E_OPTION_DENSE'],
    ['no text', async () => ({ text: undefined as never }), 'E_OPTION_TEXT'],
    ['no validation text', async () => ({ validation: undefined as never }), 'E_OPTION_VALIDATION'],
    ['validation text that is trained on', async () => ({ validation: texts.calibration }), 'E_OPTION_VALIDATION'],
    ['test text that is trained on', async () => ({ test: texts.calibration }), 'E_OPTION_TEST'],
    ['test text that is validation text', async () => ({ test: texts.validation }), 'E_OPTION_TEST'],
    ['something else to train', async () => ({ train: 'all' }), 'E_OPTION_TRAIN'],
    ['blocks backwards', async () => ({ train: 'blocks 2..1' }), 'E_OPTION_TRAIN'],
    ['blocks that are not there', async () => ({ train: 'blocks 2..4' }), 'E_OPTION_TRAIN'],
    ['new blocks where none was grown', async () => ({ train: 'new' }), 'E_OPTION_TRAIN'],
    ['new blocks against the stream', async () => ({ train: 'new', loss: 'stream' }), 'E_OPTION_LOSS'],
    ['another loss', async () => ({ loss: 'mse' }), 'E_OPTION_LOSS'],
    ['no rate', async () => ({ rate: 0 }), 'E_OPTION_RATE'],
    ['a rate above 1', async () => ({ rate: 2 }), 'E_OPTION_RATE'],
    ['no tokens', async () => ({ tokens: 0 }), 'E_OPTION_TOKENS'],
    ['an empty batch', async () => ({ batch: 0 }), 'E_OPTION_BATCH'],
    ['a rank without lora', async () => ({ rank: 4 }), 'E_OPTION_RANK'],
    ['an adapter without lora', async () => ({ adapter: true }), 'E_OPTION_ADAPTER'],
    [
      'a dense model of another family',
      async () => ({ dense: await makeFamily(join(folder, 'o'), 'opt') }),
      'E_OPTION_DENSE',
    ],
    [
      'a dense model with another head',
      async () => ({ dense: await makeTiny(join(folder, 'h'), { seed: 9, dtype: 'BF16' }) }),
      'E_OPTION_DENSE',
    ],
    ['the checkpoint itself', async () => ({ dense: checkpoint }), 'E_OPTION_DENSE'],
    ['text that is too short', async () => ({ text: await shortText() }), 'E_OPTION_TEXT_SHORT'],
    ['output that is there', async () => ({ out: dense }), 'E_OPTION_OUT_EXISTS'],
    ['output inside the dense model', async () => ({ out: join(dense, 'inside') }), 'E_OPTION_OUT'],
  ];

  const shortText = async (): Promise<string> => {
    const path = join(folder, 'short.txt');
    await writeFile(path, 'short');
    return path;
  };

  test.each(REFUSED)('refuses %s', async (_, change, code) => {
    const out = join(folder, 'refused');
    expect(await codeOf(heal({ ...common('refused'), out, ...(await change()) }))).toBe(code);
    expect((await readdir(folder)).filter((name) => name.startsWith('refused'))).toEqual([]);
  });

  test('refuses LoRA on weights that lie on a grid, unless as an adapter; and adapters of experts', async () => {
    const bits = join(folder, 'grid');
    await quantise({ checkpoint: dense, out: bits, bits: 4, group: 32, method: 'rtn', threads: 2 });
    const options = { ...optionsOf(bits, dense, join(folder, 'grid-lora')), train: 'lora', loss: 'kl', tokens: 512 };
    expect(await codeOf(heal(options))).toBe('E_OPTION_TRAIN');
    const { record } = await heal({ ...options, adapter: true });
    expect(record.adapter).toBe(true);
    const experts = await makeFamily(join(folder, 'experts'), 'mixtral');
    const sparse = await pruned(experts, join(folder, 'experts-sparse'));
    const adapter = { ...optionsOf(sparse, experts, join(folder, 'experts-lora')), train: 'lora', adapter: true };
    expect(await codeOf(heal(adapter))).toBe('E_UNSUPPORTED_ADAPTER');
  });

  test('refuses to continue another run, and to start over one that is there', async () => {
    const options = { ...common('other'), loss: 'kl' };
    const fault: Fault = { as: 'kill', event: 'whole model, kl: advance', nth: 1 };
    await startRun(options, join(folder, 'other.log'), fault, undefined, 'heal').done;
    expect(await codeOf(heal(options))).toBe('E_OPTION_OUT_PARTIAL');
    expect(await codeOf(heal({ ...options, rate: 1e-4, resume: true }))).toBe('E_OPTION_RESUME');
    const moved = join(folder, 'dense-copy');
    await cp(dense, moved, { recursive: true });
    await appendFile(join(moved, 'generation_config.json'), ' ');
    await mkdir(join(folder, 'x'));
    expect((await heal({ ...options, resume: true })).record.whole).not.toBeNull();
  });
});
