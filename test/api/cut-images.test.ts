// Cuts of models that read images from end to end: what was written has the scores of the record, config.json says its widths, layer
// scales count as if they were in the weights, and what cannot be said or done is refused by name.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cut, evaluate } from '../../src/api/index.js';
import { cutHalves, openModel } from '../../src/model/index.js';
import { type CutRecord, parseCutRecord } from '../../src/records/index.js';
import type { CutOptions } from '../../src/runs/index.js';
import { codeOf } from '../checkpoint/make.js';
import { limit } from '../scale.js';
import { type ImageSets, makeImageModel, makeSets } from './image-jobs.js';
import { differences, makeFolder, readTree, useOwnCache } from './make.js';

let folder: string;
let sets: ImageSets;
let outs = 0;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  sets = await makeSets(folder);
});

/** Options, where undefined takes one away. */
type More = { readonly [K in keyof CutOptions]?: CutOptions[K] | undefined };

const optionsOf = (checkpoint: string, more: More = {}): CutOptions =>
  ({
    ...{ checkpoint, out: join(folder, `out-${outs++}`), parameters: 0.85, ...sets },
    ...{ targetShares: { alpha: 0.5, gamma: 0.5 }, calibrationSamples: 20, threads: 2 },
    ...more,
  }) as CutOptions;

/** The multiple of which config.json can say MLPs' widths. */
const MULTIPLES = { vit: 8, deit: 8, 'deit-teacher': 8, dinov2: 32, 'dinov2-swiglu': 24 } as const;

/** The written checkpoint by itself has the scores of its record. */
async function expectScored(out: string, record: CutRecord): Promise<void> {
  const { images } = await evaluate({ checkpoint: out, images: sets.test, threads: 2 });
  const own = record.images!.cut.test!;
  expect(images!.evaluation!.ranks).toEqual(own.ranks);
  for (const [i, nll] of images!.evaluation!.nll.entries()) expect(nll).toBeCloseTo(own.nll[i]!, 5);
  expect((await openModel(out)).parameters).toBe(record.parameters.after);
}

/** The share of all parameters that is left without `share` of what `units` can lose. */
async function without(checkpoint: string, units: 'mlp' | 'heads' | 'all', share: number): Promise<number> {
  const model = await openModel(checkpoint);
  const all = cutHalves(model, units, 1).reduce((sum, half) => sum + half.slices * half.parameters, 0);
  return 1 - (share * all) / model.parameters;
}

describe.each(Object.entries(MULTIPLES))('%s', (family, multiple) => {
  let source: string;
  beforeAll(async () => {
    source = await makeImageModel(join(folder, family), family);
  });

  test('equal MLPs make a plain checkpoint', { timeout: limit(60_000) }, async () => {
    const { out, record } = await cut(optionsOf(source, { multiple, parameters: await without(source, 'mlp', 0.5) }));
    const text = await readFile(join(out, 'config.json'), 'utf8');
    expect(text).not.toContain('layer_widths');
    if (family.startsWith('dinov2')) expect(JSON.parse(text).mlp_ratio).toBe(1);
    const { config } = await openModel(out);
    expect(config.uneven).toBe(false);
    expect(config.stated.intermediate).toBe((await openModel(source)).config.stated.intermediate / 2);
    expect(record.loads).toEqual(['as it is: whatever loads the family: transformers, layerwise']);
    expect(record.loss).toBe('cross-entropy');
    expect(record.target).toEqual({ alpha: 0.5, gamma: 0.5 });
    await expectScored(out, record);
    const html = await readFile(join(out, 'report.html'), 'utf8');
    expect(html).toContain('Accuracy on the test images');
    expect(html.match(/.{0,60}erplexity.{0,40}/g) ?? []).toEqual([]);
    expect(parseCutRecord(await readFile(join(out, 'layerwise.json'), 'utf8'), out)).toEqual(record);
  });

  test('equal heads say their size', { timeout: limit(60_000) }, async () => {
    const parameters = await without(source, 'heads', 0.25);
    const { out, record } = await cut(optionsOf(source, { units: 'heads', parameters }));
    const written = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'));
    expect(written).toMatchObject({ num_attention_heads: 3, head_dim: 8 });
    expect(written.num_key_value_heads).toBeUndefined();
    expect(record.loads.join()).toContain('head_dim');
    await expectScored(out, record);
  });

  test('free widths of heads and channels', { timeout: limit(60_000) }, async () => {
    const how = { units: 'all', widths: 'free', multiple: 1, allocation: 'log', maxTrials: 2 };
    const { out, record } = await cut(optionsOf(source, { ...how, parameters: await without(source, 'all', 0.4) }));
    const { after, target, step } = record.parameters;
    expect(Math.abs(after - target)).toBeLessThanOrEqual(step / 2 + 1);
    expect(record.loads.join()).toContain('layerwise alone');
    await expectScored(out, record);
  });
});

/** DINOv2 with layer scales far from 1, some of them negative, and the same function without: they are in the weights. */
async function makeScaled(): Promise<{ readonly scaled: string; readonly folded: string }> {
  const scales = new Map<string, Float32Array>();
  const factorOf = (block: string, half: string, i: number): number =>
    (i % 5 === 2 ? -1 : 1) * 2 ** (((7 * i + Number(block) + half.length) % 9) - 6);
  const halfOf = (name: string): readonly [block: string, half: 'o' | 'down'] | undefined => {
    const found = /layer\.(\d+)\.(?:(attention\.output\.dense|layer_scale1)|(mlp\.fc2|layer_scale2))\./.exec(name);
    return found ? [found[1]!, found[2] ? 'o' : 'down'] : undefined;
  };
  const write = (fold: boolean): Promise<string> =>
    makeImageModel(join(folder, fold ? 'folded' : 'scaled'), 'dinov2', {
      change: (name, values) => {
        const [block, half] = halfOf(name) ?? [];
        if (block === undefined || half === undefined) return undefined;
        const rows = 32;
        const across = values.length / rows;
        if (name.endsWith('lambda1')) {
          for (let i = 0; i < rows; i++) values[i] = fold ? 1 : factorOf(block, half, i);
          scales.set(name, values);
        } else if (fold) {
          for (let i = 0; i < values.length; i++) values[i]! *= factorOf(block, half, Math.floor(i / across));
        }
        return undefined;
      },
    });
  return { scaled: await write(false), folded: await write(true) };
}

test.each([
  { importance: 'obs' },
  { importance: 'obs', target: 'own', targetShares: undefined },
  { importance: 'wanda-sp' },
  { importance: 'flap', repair: 'bias', targetShares: undefined },
  { importance: 'obs', units: 'all', widths: 'free', multiple: 1, allocation: 'uniform' },
  {
    importance: 'flap',
    units: 'all',
    widths: 'free',
    multiple: 1,
    allocation: 'flap',
    targetShares: undefined,
    repair: 'none',
  },
])('layer scales count as if they were in the weights: %j', { timeout: limit(60_000) }, async (more) => {
  const { scaled, folded } = await makeScaled();
  const how = { multiple: 32, parameters: await without(scaled, 'mlp', 0.5), ...more };
  const [one, two] = [await cut(optionsOf(scaled, how)), await cut(optionsOf(folded, how))];
  expect(one.record.widths).toEqual(two.record.widths);
  for (const [i, nll] of one.record.images!.dense.test!.nll.entries())
    expect(nll).toBeCloseTo(two.record.images!.dense.test!.nll[i]!, 4);
  for (const [i, nll] of one.record.images!.cut.test!.nll.entries())
    expect(nll).toBeCloseTo(two.record.images!.cut.test!.nll[i]!, 3);
  for (const [i, error] of one.record.errors.entries()) expect(error).toBeCloseTo(two.record.errors[i]!, 4);
});

test('least squares come nearer to the dense model than nothing, the mean alone nearer too', {
  timeout: limit(60_000),
}, async () => {
  const source = await makeImageModel(join(folder, 'nearer'), 'vit');
  const errorOf = async (more: More): Promise<number> =>
    (await cut(optionsOf(source, { multiple: 8, ...more }))).record.errors.at(-1)!;
  const bare = await errorOf({ importance: 'flap', repair: 'none', targetShares: undefined });
  const mean = await errorOf({ importance: 'flap', repair: 'bias', targetShares: undefined });
  const fitted = await errorOf({ importance: 'flap', target: 'own', targetShares: undefined });
  expect(mean).toBeLessThan(bare);
  expect(fitted).toBeLessThan(mean);
});

test('an interrupted run ends with the same bytes', { timeout: limit(60_000) }, async () => {
  const source = await makeImageModel(join(folder, 'resumed'), 'deit');
  const options = optionsOf(source, { widths: 'free', allocation: 'atp', maxTrials: 2, multiple: 4 });
  await cut(options);
  const whole = await readTree(options.out);
  for (const stop of [3, 8]) {
    const again = { ...options, out: join(folder, `stopped-${stop}`) };
    let events = 0;
    const onProgress = (event: { readonly kind: string }): void => {
      if (event.kind === 'advance' && ++events === stop) throw new Error('stopped');
    };
    await expect(cut({ ...again, onProgress })).rejects.toThrow('stopped');
    await cut({ ...again, resume: true });
    expect(differences(whole, await readTree(again.out)), `stopped at ${stop}`).toEqual([]);
  }
});

test.each([
  ['convnext', {}, 'E_UNSUPPORTED_CUT'],
  ['convnextv2', { widths: 'free' }, 'E_UNSUPPORTED_CUT'],
  ['vit', { importance: 'taylor' }, 'E_UNSUPPORTED_CUT'],
  ['vit', { sequenceLength: 16 }, 'E_OPTION_SEQUENCE_LENGTH'],
  ['vit', { calibration: 'other' }, 'E_OPTION_CONFLICT'],
  ['vit', { images: undefined }, 'E_OPTION_CALIBRATION'],
  ['vit', { classes: 'names.txt' }, 'E_OPTION_CLASSES'],
  ['dinov2', { multiple: 8 }, 'E_UNSUPPORTED_CUT'],
  ['dinov2-swiglu', { multiple: 32 }, 'E_UNSUPPORTED_CUT'],
] as const)('refuses %s %j with %s', async (family, more, code) => {
  const source = await makeImageModel(join(folder, `refused-${outs}`), family);
  const options = optionsOf(source, more);
  expect(await codeOf(cut(options))).toBe(code);
  await expect(readFile(join(options.out, 'config.json'))).rejects.toThrow();
});
