// Removal of experts from end to end, on small random mixtures of both families: what is written, what reads it, kills,
// threads, refusals.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import {
  compress,
  drop,
  type ExpertsOptions,
  evaluate,
  experts,
  exportModel,
  heal,
  inspect,
  prune,
  quantise,
} from '../../src/api/index.js';
import { openCheckpoint, readTensor, readTensorFloat32 } from '../../src/checkpoint/index.js';
import { createReferenceEngine } from '../../src/engine/index.js';
import { type Model, openModel } from '../../src/model/index.js';
import { parseExpertsRecord, readFidelity } from '../../src/records/index.js';
import { codeOf } from '../checkpoint/make.js';
import * as decoding from '../decoder/make.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { forwardLogits } from '../model/forward.js';
import { furthest } from '../model/golden.js';
import { limit } from '../scale.js';
import { LOGITS } from '../tolerances.js';
import {
  differences,
  HIDDEN,
  LENGTH,
  makeFolder,
  makeTexts,
  readTree,
  type Texts,
  useOwnCache,
  VOCABULARY,
} from './make.js';

vi.setConfig({ testTimeout: limit(120_000) });

const MIXTURES = ['mixtral', 'qwen3_moe'] as const;
/** In the order of the blocks: four of mixtral, and of qwen3_moe the second and the fourth of four. */
const BLOCKS = { mixtral: [0, 1, 2, 3], qwen3_moe: [1, 3] } as const;
const NUMBERS = { mixtral: 5, qwen3_moe: 6 } as const;
const KEY = { mixtral: 'num_local_experts', qwen3_moe: 'num_experts' } as const;

let folder: string;
let texts: Texts;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 24);
});

const common = { calibrationSamples: 24, sequenceLength: LENGTH, threads: 2 };
const optionsOf = (checkpoint: string, out: string, more: Partial<ExpertsOptions> = {}): ExpertsOptions => ({
  ...{ checkpoint, out: join(folder, out), keep: 0.6, ...texts, ...common, greedyTokens: 0 },
  ...more,
});

const WINDOW = Array.from({ length: LENGTH }, (_, t) => (97 + t * 7) % VOCABULARY);

async function logitsOf(model: Model): Promise<Float32Array> {
  const engine = createReferenceEngine();
  const logits = await forwardLogits(engine, model, { length: LENGTH, windows: [Int32Array.from(WINDOW)] });
  await engine.close();
  return logits;
}

describe.each(MIXTURES)('%s', (family) => {
  let checkpoint: string;
  beforeAll(async () => {
    checkpoint = await makeFamily(join(folder, family), family, { dtype: 'BF16', blocks: 4 });
  });

  test.each(['reap', 'frequency', 'merge'])(
    '%s: what stays keeps its bytes under its new name, and the rest is the source’s',
    async (method) => {
      const { record, out } = await experts(optionsOf(checkpoint, `${family}-${method}`, { method }));
      const stay = Math.round(0.6 * NUMBERS[family]);
      expect(record.blocks.map(({ block }) => block)).toEqual(BLOCKS[family]);
      expect(record.blocks.every(({ kept }) => kept.length === stay)).toBe(true);
      const [before, after] = [await openModel(checkpoint), await openModel(out)];
      expect(after.config).toEqual({
        ...before.config,
        mixtures: before.config.mixtures.map((mixture) => mixture && { ...mixture, experts: stay }),
      });
      const config = await readFile(join(checkpoint, 'config.json'), 'utf8');
      expect(await readFile(join(out, 'config.json'), 'utf8')).toBe(
        config.replace(`"${KEY[family]}": ${NUMBERS[family]}`, `"${KEY[family]}": ${stay}`),
      );
      const names = new Map(BLOCKS[family].map((block, i) => [block as number, record.blocks[i]!.kept]));
      const merged = new Set(
        record.blocks.flatMap(({ block, merged = [] }) => merged.map(({ into }) => `${block} ${into}`)),
      );
      let changed = 0;
      for (const [name, { dtype, shape }] of after.checkpoint.tensors) {
        const [, block, expert] = /layers\.(\d+)\..*experts\.(\d+)\./.exec(name) ?? [];
        const kept = names.get(Number(block ?? /layers\.(\d+)\./.exec(name)?.[1]));
        const source =
          expert === undefined ? name : name.replace(`experts.${expert}.`, `experts.${kept![Number(expert)]}.`);
        const [bytes, old] = [await readTensor(after.checkpoint, name), await readTensor(before.checkpoint, source)];
        expect(dtype).toBe('BF16');
        if (kept && /\.gate\.weight$/.test(name)) {
          expect(shape).toEqual([stay, HIDDEN]);
          expect([...bytes]).toEqual(
            kept.flatMap((row) => [...old.subarray(row * HIDDEN * 2, (row + 1) * HIDDEN * 2)]),
          );
        } else if (expert !== undefined && merged.has(`${block} ${kept![Number(expert)]}`))
          changed += Buffer.compare(bytes, old) === 0 ? 0 : 1;
        else expect([name, Buffer.compare(bytes, old)]).toEqual([name, 0]);
      }
      expect(changed).toBe(3 * merged.size);
      expect(merged.size > 0).toBe(method === 'merge');
      const plain = differences(await readTree(checkpoint), await readTree(out));
      expect(plain).toEqual(['config.json', 'layerwise.json', 'model.safetensors', 'report.html']);
      expect(parseExpertsRecord(await readFile(join(out, 'layerwise.json'), 'utf8'), 'layerwise.json')).toEqual(record);
      const report = await readFile(join(out, 'report.html'), 'utf8');
      expect(report).toContain(`${record.experts.after} of ${record.experts.before} experts`);
      expect(report).toContain('Which experts stay');
      const scored = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 2 });
      expect(scored.text!.perplexity).toBe(record.pruned.test);
      expect(record.pruned.test).not.toBe(record.dense.test);
      expect(record.parameters).toEqual({ before: before.parameters, after: after.parameters });
      expect(record.parameters.after).toBeLessThan(record.parameters.before);
    },
  );

  describe('different numbers from block to block', () => {
    let out: string;
    let counts: number[];
    beforeAll(async () => {
      const made = await experts(
        optionsOf(checkpoint, `${family}-free`, { perLayer: 'free', allocation: 'global', keep: 0.58 }),
      );
      out = made.out;
      counts = made.record.blocks.map(({ kept }) => kept.length);
      expect(made.record.allocation).toEqual({ policy: 'global', values: {} });
      expect(counts.reduce((a, b) => a + b)).toBe(Math.round(0.58 * NUMBERS[family] * counts.length));
      expect(new Set(counts).size).toBeGreaterThan(1);
    });

    test('config.json lists them, and inspect says them', async () => {
      const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'));
      const listed = [0, 1, 2, 3].map((block) => counts[(BLOCKS[family] as readonly number[]).indexOf(block)] ?? 0);
      expect(config.layer_experts).toEqual(listed);
      expect(config[KEY[family]]).toBe(Math.max(...counts));
      const { experts: said, loads } = await inspect(out);
      expect(said).toMatchObject({ count: Math.max(...counts), counts });
      expect(loads!.map(({ form }) => form)).toEqual(['as it is', 'pack']);
      expect(loads![0]!.loads).toBe('layerwise alone: others do not read layer_experts');
    });

    test('a packed file runs them: its logits are the engine’s, whole and token by token', async () => {
      const expected = await logitsOf(await openModel(out));
      for (const [threads, stride] of [
        [1, LENGTH],
        [2, 1],
      ] as const) {
        const decoder = await decoding.openCheckpoint(out, decoding.EXACT, { threads });
        const logits = await decoding.decodeAll(decoder, WINDOW, stride);
        await decoder.close();
        expect(furthest(logits, expected)).toBeLessThanOrEqual(LOGITS);
      }
    });

    test('is pruned, quantised, compressed, healed and loses a block like any other', async () => {
      const given = { checkpoint: out, ...texts, ...common, greedyTokens: 0 };
      const scoresOf = async (dir: string) =>
        (await evaluate({ checkpoint: dir, text: texts.test, sequenceLength: LENGTH, threads: 2 })).text!.perplexity;
      const pruned = await prune({ ...given, out: `${out}-pruned`, sparsity: 0.5, beta: 0.1 });
      expect(await scoresOf(pruned.out)).toBe(pruned.manifest.chosen.test!.perplexity);
      const quantised = await quantise({ ...given, out: `${out}-quantised`, bits: 4, group: 32 });
      expect(await scoresOf(quantised.out)).toBe(quantised.manifest.chosen.test!.perplexity);
      const compressed = await compress({ ...given, out: `${out}-compressed`, bits: 4.5 });
      expect((await inspect(compressed.out)).experts).toMatchObject({ counts });
      const dropped = await drop({ ...given, out: `${out}-dropped`, method: 'deepest', blocks: 1 });
      expect((await inspect(dropped.out)).experts!.counts).toEqual(
        family === 'mixtral' ? counts.toSpliced(2, 1) : counts,
      );
      expect(await scoresOf(dropped.out)).toBe(dropped.record.dropped.test);
      const healed = await heal({
        ...{ checkpoint: out, dense: checkpoint, out: `${out}-healed`, text: texts.calibration },
        ...{ validation: texts.validation, tokens: 2000, sequenceLength: LENGTH, threads: 2, greedyTokens: 0 },
      });
      const { start, healed: end } = healed.record.scores;
      const distance = (one: typeof start): number => readFidelity(one.fidelity!.validation!).divergence.mean;
      expect(distance(end)).toBeLessThan(distance(start));
      const again = optionsOf(out, `${family}-again`, { keep: 0.9, perLayer: 'free', allocation: 'uniform' });
      const { record } = await experts(again);
      expect(record.experts).toEqual({
        before: counts.reduce((a, b) => a + b),
        after: Math.round(0.9 * counts.reduce((a, b) => a + b)),
      });
    });

    test('no other form is written of it, and its blocks cannot keep one number', async () => {
      for (const to of ['hf', 'gguf', 'compressed-tensors']) {
        expect(await codeOf(exportModel({ checkpoint: out, to, out: join(folder, 'not-written') }))).toBe(
          'E_UNSUPPORTED_EXPORT',
        );
      }
      expect(await codeOf(experts(optionsOf(out, 'not-written')))).toBe('E_OPTION_PER_LAYER');
    });

    test('lists that do not fit the tensors are refused', async () => {
      const broken = `${out}-broken`;
      await mkdir(broken);
      for (const file of ['model.safetensors', 'tokenizer.json'])
        await writeFile(join(broken, file), await readFile(join(out, file)));
      const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'));
      const write = (layer_experts: unknown) =>
        writeFile(join(broken, 'config.json'), JSON.stringify({ ...config, layer_experts }));
      await write(undefined);
      expect(await codeOf(openModel(broken))).toBe('E_CHECKPOINT_SHAPE');
      const [most, least] = [Math.max(...counts), Math.min(...counts)];
      const swapped: Readonly<Record<number, number>> = { [most]: least, [least]: most };
      await write(config.layer_experts.map((count: number) => swapped[count] ?? count));
      expect(await codeOf(openModel(broken))).toBe('E_CHECKPOINT_SHAPE');
      await write(config.layer_experts.slice(1));
      expect(await codeOf(openModel(broken))).toBe('E_CHECKPOINT_CONFIG');
    });
  });

  test('β is searched on validation text, equal numbers once; the record has the trials, and the best is taken', async () => {
    const options = optionsOf(checkpoint, `${family}-atp`, { perLayer: 'free', keep: 0.58 });
    const { record } = await experts(options);
    const trials = record.trials!;
    expect(trials[0]!.beta).toBe(0);
    expect(trials.length).toBeGreaterThan(1);
    expect(trials.length).toBeLessThanOrEqual(7);
    const total = Math.round(0.58 * NUMBERS[family] * BLOCKS[family].length);
    for (const { experts: counts } of trials) expect(counts.reduce((a, b) => a + b)).toBe(total);
    const best = Math.min(...trials.map(({ perplexity }) => perplexity));
    const chosen = trials.find(({ beta }) => beta === record.allocation!.values.beta)!;
    expect(chosen.perplexity).toBe(best);
    expect(record.blocks.map(({ kept }) => kept.length)).toEqual(chosen.experts);
    expect(record.pruned.validation).toBe(best);
    const given = await experts({ ...options, out: `${options.out}-given`, beta: record.allocation!.values.beta! });
    expect(given.record.trials).toBeUndefined();
    expect(given.record.blocks).toEqual(record.blocks);
  });

  test('equal runs write equal bytes, whatever the threads and wherever they were killed', async () => {
    const options = optionsOf(checkpoint, `${family}-straight`, { perLayer: 'free', method: 'merge', keep: 0.58 });
    await experts({ ...options, threads: 1 });
    const straight = await readTree(options.out);
    const stop = new Error('stop');
    for (const at of ['validation: β 0.00', 'aligning experts', 'test: pruned']) {
      const out = join(folder, `${family}-${at.replaceAll(/\W/g, '-')}`);
      const stages: string[] = [];
      const onProgress = (event: { readonly kind: string; readonly stage?: string }) => {
        if (event.kind !== 'stage') return;
        stages.push(event.stage!);
        if (event.stage === at) throw stop;
      };
      await expect(experts({ ...options, out, onProgress })).rejects.toBe(stop);
      expect(stages).toContain(at);
      expect(await codeOf(openModel(out))).toBe('E_CHECKPOINT_DIRECTORY');
      expect(await codeOf(experts({ ...options, out }))).toBe('E_OPTION_OUT_PARTIAL');
      expect(await codeOf(experts({ ...options, out, keep: 0.7, resume: true }))).toBe('E_OPTION_RESUME');
      await experts({ ...options, out, resume: true });
      expect([at, differences(straight, await readTree(out))]).toEqual([at, []]);
    }
    expect((await readdir(folder)).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });
});

test('experts that no token is given to go first, and nothing changes but rounding where their logits count for nothing', async () => {
  // Of two opposite rows one is never below 0, which the idle expert's is: it is none of the first two. mixtral scales the
  // weights of the chosen to add up to 1, so the others' logits do not matter.
  const change = (name: string, router: Float32Array): void => {
    if (!name.endsWith('block_sparse_moe.gate.weight')) return;
    const row = (expert: number) => router.subarray(expert * HIDDEN, (expert + 1) * HIDDEN);
    row(1).set(row(0).map((value) => -value));
    row(4).set(row(3).map((value) => -value));
    row(2).fill(0);
  };
  const checkpoint = await makeFamily(join(folder, 'idle'), 'mixtral', { change });
  for (const method of ['reap', 'frequency', 'merge']) {
    const notes: string[] = [];
    const onProgress = (event: { readonly kind: string; readonly text?: string }) => {
      if (event.kind === 'note') notes.push(event.text!);
    };
    const options = optionsOf(checkpoint, `idle-${method}`, { method, keep: 0.8, onProgress });
    const { record, out } = await experts(options);
    expect(record.blocks.map(({ kept }) => kept)).toEqual([
      [0, 1, 3, 4],
      [0, 1, 3, 4],
    ]);
    expect(notes.join()).toContain('2 experts were given no calibration token, so they score 0 and go first (');
    expect(
      furthest(await logitsOf(await openModel(out)), await logitsOf(await openModel(checkpoint))),
    ).toBeLessThanOrEqual(1e-6);
  }
});

test('experts with the same neurons in another order merge into one of them', async () => {
  // Experts 1 and 0 are one function; with --align none their average is another.
  const turn = (values: Float32Array, rows: number, columns: number, byRow: boolean) =>
    Float32Array.from(values, (_, i) => {
      const [r, c] = [Math.floor(i / columns), i % columns];
      return byRow ? values[((r + 5) % rows) * columns + c]! : values[r * columns + ((c + 5) % columns)]!;
    });
  const width = FAMILY_CONFIGS.mixtral!.intermediate_size as number;
  const seen = new Map<string, Float32Array>();
  const change = (name: string, values: Float32Array): void => {
    if (name.includes('.experts.0.')) seen.set(name.replace('.0.w', '.1.w'), values);
    const twin = seen.get(name);
    if (twin) values.set(name.includes('.w2.') ? turn(twin, HIDDEN, width, false) : turn(twin, width, HIDDEN, true));
    if (!name.endsWith('.gate.weight')) return;
    // Where the first row's logit is below 0 the second's is above it. The third is far from 0 and so given half of the tokens.
    for (let c = 0; c < HIDDEN; c++) {
      values[HIDDEN + c] = 0.9 * values[c]!;
      values[2 * HIDDEN + c]! *= 3;
    }
  };
  const checkpoint = await makeFamily(join(folder, 'twins'), 'mixtral', {
    change,
    blocks: 1,
    config: { ...FAMILY_CONFIGS.mixtral, num_local_experts: 3, num_experts_per_tok: 1 },
  });
  const source = await openCheckpoint(checkpoint);
  for (const align of ['neurons', 'none']) {
    const { record, out } = await experts(
      optionsOf(checkpoint, `twins-${align}`, { method: 'merge', keep: 0.67, align }),
    );
    const { kept, merged } = record.blocks[0]!;
    const [{ expert, into }] = merged as [{ expert: number; into: number }];
    expect([expert, into].sort()).toEqual([0, 1]);
    const written = await openCheckpoint(out);
    const moved = async (kind: string) => {
      const name = (at: number) => `model.layers.0.block_sparse_moe.experts.${at}.${kind}.weight`;
      return furthest(
        await readTensorFloat32(written, name(kept.indexOf(into))),
        await readTensorFloat32(source, name(into)),
      );
    };
    for (const kind of ['w1', 'w2', 'w3']) {
      if (align === 'neurons') expect(await moved(kind)).toBeLessThanOrEqual(1e-6);
      else expect(await moved(kind)).toBeGreaterThan(0.01);
    }
  }
});

describe('what is refused, before a text is read', () => {
  let checkpoint: string;
  beforeAll(async () => {
    checkpoint = await makeFamily(join(folder, 'refused'), 'mixtral');
  });
  const code = (more: Partial<ExpertsOptions>): Promise<string | undefined> =>
    codeOf(experts({ ...optionsOf(checkpoint, 'not-written'), calibration: join(folder, 'none.txt'), ...more }));

  test.each([0, 1, -0.5, 1.5, Number.NaN, 0.2, 0.95])('--keep %s', async (keep) => {
    expect(await code({ keep })).toBe('E_OPTION_KEEP');
  });

  test.each<[string, Partial<ExpertsOptions>]>([
    ['E_OPTION_METHOD', { method: 'random' }],
    ['E_OPTION_PER_LAYER', { perLayer: 'some' }],
    ['E_OPTION_ALLOCATION', { perLayer: 'free', allocation: 'owl' }],
    ['E_OPTION_ALIGN', { method: 'merge', align: 'heads' }],
    ['E_OPTION_CONFLICT', { allocation: 'global' }],
    ['E_OPTION_CONFLICT', { beta: 0.1 }],
    ['E_OPTION_CONFLICT', { align: 'none' }],
    ['E_OPTION_CONFLICT', { perLayer: 'free', allocation: 'global', beta: 0.1 }],
    ['E_OPTION_HYPERPARAMETERS', { perLayer: 'free', beta: 5 }],
    ['E_OPTION_MAX_TRIALS', { maxTrials: 0 }],
    ['E_RESOURCE_NOT_FOUND', {}],
  ])('%s', async (expected, more) => {
    expect(await code(more)).toBe(expected);
    expect((await readdir(folder)).filter((name) => name.startsWith('not-written'))).toEqual([]);
  });

  test('a search without validation text, no calibration text, a model without experts, experts too wide to align', async () => {
    const { validation: _, ...rest } = optionsOf(checkpoint, 'not-written', { perLayer: 'free' });
    expect(await codeOf(experts(rest))).toBe('E_OPTION_VALIDATION');
    const { calibration: __, ...without } = optionsOf(checkpoint, 'not-written');
    expect(await codeOf(experts(without as ExpertsOptions))).toBe('E_OPTION_CALIBRATION');
    const llama = await makeFamily(join(folder, 'no-experts'), 'llama');
    expect(await code({ checkpoint: llama })).toBe('E_UNSUPPORTED_EXPERTS');
    const config = { ...FAMILY_CONFIGS.mixtral, hidden_size: 8, intermediate_size: 4097, num_key_value_heads: 4 };
    const wide = await makeFamily(join(folder, 'wide'), 'mixtral', { config, blocks: 1 });
    expect(await code({ checkpoint: wide, method: 'merge' })).toBe('E_UNSUPPORTED_MERGE');
    expect(await code({ checkpoint: wide, method: 'merge', align: 'none' })).toBe('E_RESOURCE_NOT_FOUND');
  });
});
