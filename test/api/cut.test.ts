// Cuts from end to end: every family loads again with the loss that its trial had, the budget is counted from the files, what cannot
// be is refused, and a killed run ends with the same bytes.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cut, evaluate, exportModel, heal } from '../../src/api/index.js';
import { readTensor } from '../../src/checkpoint/index.js';
import { cutHalves, openModel, readLinear } from '../../src/model/index.js';
import { type CutRecord, parseCutRecord, readFidelity } from '../../src/records/index.js';
import type { CutOptions } from '../../src/runs/index.js';
import { codeOf } from '../checkpoint/make.js';
import { FAMILY_CONFIGS, makeFamily, TEXT_FAMILIES } from '../families.js';
import { limit } from '../scale.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';

let folder: string;
let texts: Texts;
let tiny: string;
let outs = 0;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder);
  tiny = await makeTiny(join(folder, 'tiny'));
});

/** Options, where undefined takes one away. */
type More = { readonly [K in keyof CutOptions]?: CutOptions[K] | undefined };

const optionsOf = (checkpoint: string, more: More = {}): CutOptions =>
  ({
    checkpoint,
    out: join(folder, `out-${outs++}`),
    parameters: 0.85,
    multiple: 4,
    ...{ calibration: texts.calibration, validation: texts.validation },
    targetShares: { alpha: 0.5, gamma: 0.5 },
    calibrationSamples: 24,
    sequenceLength: LENGTH,
    greedyTokens: 0,
    threads: 2,
    ...more,
  }) as CutOptions;

/** The perplexity of the written checkpoint by itself. */
async function scoreOf(checkpoint: string): Promise<number> {
  const { text } = await evaluate({ checkpoint, text: texts.validation, sequenceLength: LENGTH, threads: 2 });
  return text!.perplexity;
}

/** The trial that was chosen: zeros in place of what was cut. */
const bestOf = ({ trials }: CutRecord): number =>
  Math.min(...trials.filter(({ exact }) => exact).map(({ validation }) => validation.perplexity));

const HEADLESS = ['gpt2', 'gpt_neox', 'opt'];

describe.each([...TEXT_FAMILIES.keys()])('%s', (family) => {
  let source: string;
  beforeAll(async () => {
    source = await makeFamily(join(folder, family), family, { blocks: 3 });
  });

  test('equal MLPs make a plain checkpoint, and the loss in the record is its own', {
    timeout: limit(60_000),
  }, async () => {
    const { out, record } = await cut(optionsOf(source));
    const { parameters } = record;
    const model = await openModel(out);
    expect(model.parameters).toBe(parameters.after);
    expect(model.config.uneven).toBe(false);
    expect(Math.abs(parameters.after - parameters.target)).toBeLessThanOrEqual(parameters.step);
    expect(parameters.after).toBeLessThan(parameters.before);
    expect(await scoreOf(out)).toBeCloseTo(record.cut.validation!, 6);
    expect(await readFile(join(out, 'config.json'), 'utf8')).not.toContain('layer_widths');
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('Widths');
    expect(parseCutRecord(await readFile(join(out, 'layerwise.json'), 'utf8'), out)).toEqual(record);
  });

  test('free widths of MLPs: what was cut has the loss of zeros in its place', { timeout: limit(60_000) }, async () => {
    const { out, record } = await cut(
      optionsOf(source, { widths: 'free', multiple: 1, allocation: 'log', maxTrials: 2, units: 'mlp' }),
    );
    expect(await scoreOf(out)).toBeCloseTo(record.cut.validation!, 6);
    expect(record.cut.validation! / bestOf(record)).toBeCloseTo(1, 4);
    expect(Math.abs(record.parameters.after - record.parameters.target)).toBeLessThanOrEqual(
      record.parameters.step / 2 + 1,
    );
  });

  test('heads, with their keys', { timeout: limit(60_000) }, async () => {
    const model = await openModel(source);
    const halves = cutHalves(model, 'heads', 1);
    const attention = halves.reduce((sum, half) => sum + half.slices * half.parameters, 0) / model.parameters;
    const equal = optionsOf(source, { units: 'heads', parameters: 1 - 0.5 * attention });
    if (HEADLESS.includes(family)) expect(await codeOf(cut(equal))).toBe('E_UNSUPPORTED_CUT');
    else {
      const { out, record } = await cut(equal);
      const [heads, kvHeads] = record.widths.after[0]!;
      const { config } = await openModel(out);
      expect(config.stated).toMatchObject({ heads, kvHeads });
      expect(record.widths.before[0]![0]! / record.widths.before[0]![1]!).toBe(heads / kvHeads);
      expect(await scoreOf(out)).toBeCloseTo(record.cut.validation!, 6);
    }
    const free = await cut(
      optionsOf(source, {
        units: 'heads',
        parameters: 1 - 0.3 * attention,
        widths: 'free',
        allocation: 'layerwise',
        maxTrials: 2,
      }),
    );
    expect(free.record.cut.validation! / bestOf(free.record)).toBeCloseTo(1, 4);
    expect(await scoreOf(free.out)).toBeCloseTo(free.record.cut.validation!, 6);
  });
});

describe('one small llama', () => {
  test('heads and channels together: fewer parameters as asked for, in a plain checkpoint and in a free one', {
    timeout: limit(60_000),
  }, async () => {
    const equal = await cut(optionsOf(tiny, { units: 'all', parameters: 0.8, multiple: 8 }));
    const { config } = await openModel(equal.out);
    expect(config.uneven).toBe(false);
    expect(await scoreOf(equal.out)).toBeCloseTo(equal.record.cut.validation!, 6);
    const free = await cut(
      optionsOf(tiny, { units: 'all', parameters: 0.8, multiple: 1, widths: 'free', allocation: 'uniform' }),
    );
    const { after, target } = free.record.parameters;
    expect(Math.abs(after - target)).toBeLessThanOrEqual(48 + 1);
    expect((await openModel(free.out)).parameters).toBe(after);
  });

  test.each(['wanda-sp', 'flap', 'taylor'])(
    '%s without a repair moves values and computes none',
    {
      timeout: limit(60_000),
    },
    async (importance) => {
      const { out, record } = await cut(optionsOf(tiny, { importance, repair: 'none', targetShares: undefined }));
      expect(record.target).toBeUndefined();
      const [before, after] = [await openModel(tiny), await openModel(out)];
      const down = before.linears[1]!.find(({ kind }) => kind === 'down')!;
      const [W, narrow] = [
        await readLinear(before.checkpoint, down),
        await readLinear(after.checkpoint, after.linears[1]!.find(({ kind }) => kind === 'down')!),
      ];
      const columnsOf = (values: Float32Array, columns: number): string[] =>
        Array.from({ length: columns }, (_, j) => values.filter((_, i) => i % columns === j).join());
      const all = columnsOf(W, down.columns);
      const width = record.widths.after[1]![2];
      const places = columnsOf(narrow, width).map((column) => all.indexOf(column));
      expect(places.every((place, i) => place >= 0 && (i === 0 || place > places[i - 1]!))).toBe(true);
    },
  );

  test('FLAP as a whole, and the layer-wise sensitivities of halves', { timeout: limit(60_000) }, async () => {
    for (const more of [
      { importance: 'flap', allocation: 'flap', repair: 'none', targetShares: undefined },
      { allocation: 'layerwise', maxTrials: 2 },
      { allocation: 'atp', target: 'own', targetShares: undefined, maxTrials: 2 },
    ] as const) {
      const { out, record } = await cut(optionsOf(tiny, { units: 'all', widths: 'free', parameters: 0.8, ...more }));
      expect(record.allocation).toBe(more.allocation);
      expect(await scoreOf(out)).toBeCloseTo(record.cut.validation!, 6);
    }
  });

  // Flap needs sums that the dense pass does not take; with nothing to search there is no dense pass of the calibration text.
  const fixed = { hyperparameters: { line: 0.2, gain: 0.5 } };
  test.each([
    { importance: 'flap' },
    { importance: 'flap', ...fixed },
    { importance: 'wanda-sp', ...fixed },
    { importance: 'taylor', ...fixed },
    { importance: 'wanda-sp', ...fixed, validation: undefined },
  ])('the layer-wise sensitivities of halves without a Gram matrix: %j', { timeout: limit(60_000) }, async (more) => {
    const free = { units: 'all', widths: 'free', allocation: 'layerwise', maxTrials: 2, parameters: 0.8 };
    const bare = { repair: 'none', targetShares: undefined };
    const { out, record } = await cut(optionsOf(tiny, { ...free, ...bare, ...more }));
    expect(record.allocation).toBe('layerwise');
    expect(new Set((await openModel(out)).config.widths.map(({ intermediate }) => intermediate)).size).toBeGreaterThan(
      1,
    );
    if (record.cut.validation != null) expect(await scoreOf(out)).toBeCloseTo(record.cut.validation, 6);
  });

  test('least squares come nearer to the dense model than nothing, and the stream nearer still', {
    timeout: limit(60_000),
  }, async () => {
    const errorOf = async (more: More): Promise<number> =>
      (await cut(optionsOf(tiny, { parameters: 0.75, ...more }))).record.errors.at(-1)!;
    const bare = await errorOf({ repair: 'none', targetShares: undefined });
    const own = await errorOf({ target: 'own', targetShares: undefined });
    const stream = await errorOf({ targetShares: { alpha: 1, gamma: 1 } });
    expect(own).toBeLessThan(bare);
    expect(stream).toBeLessThan(own);
  });

  test('an interrupted run ends with the same bytes', { timeout: limit(120_000) }, async () => {
    const options = optionsOf(tiny, { widths: 'free', allocation: 'atp', maxTrials: 2, parameters: 0.8 });
    await cut(options);
    const whole = await readTree(options.out);
    for (const stop of [3, 9, 14]) {
      const again = { ...options, out: join(folder, `stopped-${stop}`) };
      let events = 0;
      const onProgress = (event: { readonly kind: string }): void => {
        if (event.kind === 'advance' && ++events === stop) throw new Error('stopped');
      };
      await expect(cut({ ...again, onProgress })).rejects.toThrow('stopped');
      await expect(cut(again)).rejects.toThrow('--resume');
      await cut({ ...again, resume: true });
      expect(differences(whole, await readTree(again.out)), `stopped at ${stop}`).toEqual([]);
    }
  });

  test.each([
    [{ parameters: 1.2 }, 'E_OPTION_PARAMETERS'],
    [{ parameters: 0.1 }, 'E_OPTION_PARAMETERS'],
    [{ parameters: 0.99999 }, 'E_OPTION_PARAMETERS'],
    [{ units: 'layers' }, 'E_OPTION_UNITS'],
    [{ widths: 'some' }, 'E_OPTION_WIDTHS'],
    [{ multiple: 0 }, 'E_OPTION_MULTIPLE'],
    [{ spare: '0' }, 'E_OPTION_CONFLICT'],
    [{ widths: 'free', spare: '2..1' }, 'E_OPTION_SPARE'],
    [{ widths: 'free', spare: '99' }, 'E_OPTION_SPARE'],
    [{ widths: 'free', spare: '0..99' }, 'E_OPTION_SPARE'],
    [{ importance: 'magnitude' }, 'E_OPTION_IMPORTANCE'],
    [{ allocation: 'atp' }, 'E_OPTION_CONFLICT'],
    [{ widths: 'free', allocation: 'owl' }, 'E_OPTION_ALLOCATION'],
    [{ widths: 'free', validation: undefined }, 'E_OPTION_VALIDATION'],
    [{ calibration: undefined }, 'E_OPTION_CALIBRATION'],
    [{ repair: 'bias', targetShares: undefined }, 'E_UNSUPPORTED_CUT'],
    [{ repair: 'none', target: 'stream' }, 'E_OPTION_CONFLICT'],
    [{ widths: 'free', allocation: 'log', hyperparameters: { rise: 3 } }, 'E_OPTION_HYPERPARAMETERS'],
  ] as const)('refuses %j with %s', async (more, code) => {
    const options = optionsOf(tiny, more);
    expect(await codeOf(cut(options))).toBe(code);
    await expect(readFile(join(options.out, 'config.json'))).rejects.toThrow();
  });
});

test('blocks that are spared keep their tensors, and the others lose what they would have', async () => {
  const tiny = await makeTiny(join(folder, 'spared'), { blocks: 4 });
  const free = { widths: 'free', allocation: 'uniform', units: 'all', multiple: 1, spare: '3,0..1' } as const;
  const { out, record } = await cut(optionsOf(tiny, { ...free, parameters: 0.95 }));
  expect(record.spare).toEqual([0, 1, 3]);
  expect(record.command).toContain('--spare 0,1,3');
  expect(Math.abs(record.parameters.after - record.parameters.target)).toBeLessThanOrEqual(record.parameters.step / 2);
  const { before, after } = record.widths;
  expect(after.map((width, block) => JSON.stringify(width) === JSON.stringify(before[block]))).toEqual([
    true,
    true,
    false,
    true,
  ]);
  const [source, made] = [await openModel(tiny), await openModel(out)];
  for (const { name } of [...source.checkpoint.tensors.values()].filter(({ name }) => !name.includes('layers.2.'))) {
    expect(await readTensor(made.checkpoint, name), name).toEqual(await readTensor(source.checkpoint, name));
  }
});

test('experts get one width though blocks have different numbers of them, and the record says what loads it', {
  timeout: limit(60_000),
}, async () => {
  const config = { ...FAMILY_CONFIGS.mixtral, layer_experts: [5, 3, 4] };
  const source = await makeFamily(join(folder, 'some-experts'), 'mixtral', { config, blocks: 3 });
  for (const units of ['mlp', 'all']) {
    const { out, record } = await cut(optionsOf(source, { units }));
    const { widths, mixtures, uneven } = (await openModel(out)).config;
    expect([uneven, mixtures.map((mixture) => mixture!.experts)]).toEqual([false, [5, 3, 4]]);
    expect(widths[0]!.intermediate).toBeLessThan(48);
    expect(record.loads.map((line) => line.split(':')[0])).toEqual(['as it is', 'pack']);
    expect(record.loads[0]).toContain('layerwise alone');
    expect(await scoreOf(out)).toBeCloseTo(record.cut.validation!, 6);
  }
});

test('a DeciLM that is cut has a list that Layerwise reads, and no names of code that reads its own', {
  timeout: limit(60_000),
}, async () => {
  const config = {
    ...{ ...FAMILY_CONFIGS.llama, model_type: 'nemotron-nas', architectures: ['DeciLMForCausalLM'] },
    ...{ num_key_value_heads: null, intermediate_size: null, auto_map: { AutoConfig: 'configuration_decilm.X' } },
    block_configs: [40, 32, 24].map((intermediate_size) => ({
      ...{ attention: { n_heads_in_group: 2 }, ffn: { intermediate_size } },
    })),
  };
  const source = await makeFamily(join(folder, 'decilm'), 'llama', { config, blocks: 3 });
  const free = { widths: 'free', allocation: 'uniform', multiple: 1 } as const;
  const { out, record } = await cut(optionsOf(source, free));
  const { block_configs, layer_widths, ...names } = (await openModel(out)).checkpoint.config;
  expect([block_configs, layer_widths]).toEqual([undefined, record.widths.after]);
  expect(names).toMatchObject({ model_type: 'llama', architectures: ['LlamaForCausalLM'] });
  expect(names).not.toHaveProperty('auto_map');
  const padded = join(folder, 'decilm-padded');
  await exportModel({ checkpoint: out, to: 'hf', padded: true, out: padded });
  expect((await openModel(padded)).checkpoint.config).toMatchObject({
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
  });
  expect(await scoreOf(padded)).toBeCloseTo(record.cut.validation!, 5);
});

test('a cut is healed towards the dense model, and keeps its widths', { timeout: limit(120_000) }, async () => {
  const source = await makeFamily(join(folder, 'healed'), 'llama', { blocks: 3 });
  const { out } = await cut(optionsOf(source, { widths: 'free', multiple: 1, allocation: 'flap', parameters: 0.8 }));
  const again = { checkpoint: out, dense: source, text: texts.calibration, validation: texts.validation };
  const healed = await heal({
    ...again,
    ...{
      out: join(folder, 'cut-healed'),
      tokens: 4000,
      batch: 256,
      sequenceLength: LENGTH,
      greedyTokens: 0,
      threads: 2,
    },
  });
  const { start, healed: after } = healed.record.scores;
  const kl = ({ fidelity }: typeof start): number => readFidelity(fidelity!.validation).divergence.mean;
  expect(kl(after)).toBeLessThan(kl(start));
  const [narrow, trained] = [await openModel(out), await openModel(healed.out)];
  expect(new Set(narrow.config.widths.map(({ intermediate }) => intermediate)).size).toBeGreaterThan(1);
  expect(trained.config.widths).toEqual(narrow.config.widths);
  expect(await scoreOf(healed.out)).toBeCloseTo(after.perplexity.validation, 6);
});
