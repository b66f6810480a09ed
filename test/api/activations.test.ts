// Q-VLM from end to end: every family, the losses of the search by another way, what stays, evaluate and refusals, kills and threads.

import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import {
  type ActivationsOptions,
  evaluate,
  generate,
  inspect,
  pack,
  prune,
  quantise,
  quantiseActivations,
} from '../../src/api/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { type Model, openModel, readLinear, toRows, toStored } from '../../src/model/index.js';
import { asymmetricGrid, fullRange, roundAsymmetric } from '../../src/operators/index.js';
import { clipPieces, withClips } from '../../src/pipeline/index.js';
import { type ActivationsRecord, parseActivationsRecord } from '../../src/records/index.js';
import { openSource, prepareTexts } from '../../src/runs/index.js';
import { embedWindows, passBlock } from '../../src/stream/index.js';
import { fromFloat32, toFloat32 } from '../../src/tensor/index.js';
import { codeOf } from '../checkpoint/make.js';
import { makeFamily, TEXT_FAMILIES } from '../families.js';
import { limit } from '../scale.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(120_000) });

let folder: string;
let texts: Texts;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 12);
});

const optionsOf = (checkpoint: string, out: string): ActivationsOptions => ({
  ...{ checkpoint, out: join(folder, out), bits: 4, ...texts },
  ...{ calibrationSamples: 4, sequenceLength: LENGTH, threads: 2 },
});

const silent = () => {};

/** The residual after the last block on the calibration windows of a run. */
async function lastResidual(model: Model, options: ActivationsOptions): Promise<Float32Array[]> {
  const settings = { ...options, windowStart: undefined, seed: 0, calibrationOrder: 'random', onProgress: silent };
  const prepared = await prepareTexts({ ...settings, validation: undefined, test: undefined } as never, model);
  const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
  const stream = await embedWindows(model, prepared.calibration!.content);
  for (let block = 0; block < model.config.blocks; block++) {
    await passBlock(engine, model, block, [[stream, stream]]);
  }
  const values: Float32Array[] = [];
  for (const chunk of stream.chunks.keys()) values.push((await stream.read(chunk)).slice());
  await stream.close();
  await engine.close();
  return values;
}

const distance = (a: readonly Float32Array[], b: readonly Float32Array[]): number =>
  a.reduce((sum, one, c) => one.reduce((all, value, i) => all + (value - b[c]![i]!) ** 2, sum), 0);

/** What holds for every record. */
function expectSound({ stretches, layers, scores, base, together, range, grid }: ActivationsRecord): void {
  expect(stretches[0]!.from).toBe(0);
  for (const [i, { from, to, clips, loss, kept, validation }] of stretches.entries()) {
    expect(to - from).toBeLessThanOrEqual(3);
    expect(clips).toHaveLength(to - from);
    expect(to).toBe(stretches[i + 1]?.from ?? layers.length);
    // The promise of a joint search: at the output of what was searched, never worse.
    expect(loss.joint).toBeLessThanOrEqual(loss.greedy);
    expect(loss.joint).toBeLessThanOrEqual(loss.plain);
    if (kept) {
      if (!together) expect(validation).not.toBeNull();
      expect(layers.slice(from, to).map(({ clip }) => clip)).toEqual(clips);
    }
  }
  const mean = (name: keyof typeof scores): number => Math.log(scores[name].validation.perplexity);
  const others = (['minmax', 'greedy', 'joint'] as const).map(mean);
  expect(mean('chosen')).toBeLessThanOrEqual(Math.min(...others) + 1e-9);
  expect(base).toBe(mean('greedy') < mean('minmax') ? 'greedy' : 'minmax');
  for (const { sites, clip } of layers) {
    expect(grid).toContain(clip);
    for (const bounds of Object.values(sites)) {
      if (range === 'token') expect(bounds).toBeNull();
      else {
        expect(bounds!.low).toBeLessThanOrEqual(0);
        expect(bounds!.high).toBeGreaterThanOrEqual(0);
      }
    }
  }
}

describe.each([...TEXT_FAMILIES.keys()])('%s', (family) => {
  test('rounds rows of weights, searches every layer, and evaluates as its record says', async () => {
    const checkpoint = await makeFamily(join(folder, family), family, { dtype: 'BF16' });
    const options = { ...optionsOf(checkpoint, `${family}-out`), activationRange: 'tensor' };
    const { record, out } = await quantiseActivations(options);
    expectSound(record);
    const [dense, rounded] = [await openModel(checkpoint), await openModel(out)];
    for (const linear of dense.linears.flat()) {
      const { rows, columns } = linear;
      const W = await readLinear(dense.checkpoint, linear);
      const wanted = new Float32Array(W.length);
      for (let r = 0; r < rows; r++) {
        const row = W.subarray(r * columns, (r + 1) * columns);
        const grid = asymmetricGrid(4, ...fullRange(row));
        for (let j = 0; j < columns; j++) wanted[r * columns + j] = roundAsymmetric(grid, row[j]!);
      }
      const stored = toRows(linear, toFloat32(fromFloat32(toStored(linear, wanted), 'BF16'), 'BF16'));
      expect(await readLinear(rounded.checkpoint, linear), linear.name).toEqual(stored);
    }
    // By another way: whole blocks with all clips, from the embeddings to the last residual.
    const layers = clipPieces(rounded).flatMap((piece) => piece.layers);
    expect(layers.map(({ block, name }) => `${block} ${name}`)).toEqual(
      record.layers.map(({ block, name }) => `${block} ${name}`),
    );
    const ranges = rounded.linears.map(
      (_, block) =>
        new Map(
          record.layers
            .filter((layer) => layer.block === block)
            .flatMap(({ sites }) => Object.entries(sites).map(([site, range]) => [site, range!] as const)),
        ),
    );
    const joint = record.stretches.flatMap(({ clips }) => clips);
    const target = await lastResidual(dense, options);
    const found = distance(await lastResidual(withClips(rounded, 4, ranges, joint), options), target);
    const { loss } = record.stretches.at(-1)!;
    expect(Math.abs(found / loss.joint - 1)).toBeLessThan(1e-2);
    const { text } = await evaluate({ checkpoint: out, text: texts.test, sequenceLength: LENGTH, threads: 1 });
    expect(text).toEqual(record.scores.chosen.test);
    const obeyed = await openSource(out, silent, { activations: 'obey' });
    for (const [block, linears] of dense.linears.entries()) {
      for (const { site } of linears) expect(obeyed.activations![block]!.has(site)).toBe(true);
    }
  });
});

describe('one model', () => {
  let source: string;
  beforeAll(async () => {
    source = await makeTiny(join(folder, 'source'), { blocks: 3 });
  });

  test('layers are put together by entropy, by measured gains, or three at a time', async () => {
    const made = async (dependency: string, changes: Partial<ActivationsOptions> = {}) => {
      const out = `${dependency}-${JSON.stringify(changes).length}`;
      return (await quantiseActivations({ ...optionsOf(source, out), dependency, ...changes })).record;
    };
    const spans = ({ stretches }: ActivationsRecord) => stretches.map(({ from, to }) => to - from);
    const fixed = await made('fixed');
    expect(spans(fixed)).toEqual([3, 3, 3, 3]);
    expect(fixed.dependencies).toBeNull();
    for (const dependency of ['entropy', 'measured']) {
      const record = await made(dependency);
      expectSound(record);
      expect(record.dependencies).toHaveLength(11);
      expect(record.threshold).toBeCloseTo(record.dependencies!.reduce((a, b) => a + b, 0) / 11, 10);
      for (const value of record.dependencies!) expect(value).toBeGreaterThanOrEqual(0);
    }
    // Of layers searched one at a time, joint and greedy are the same.
    const alone = await made('entropy', { threshold: 99, bits: 6 });
    expect(spans(alone)).toEqual(Array.from({ length: 12 }, () => 1));
    expect(alone.grid).toEqual([1, 0.995, 0.99, 0.985, 0.98]);
    expect(alone.scores.joint).toEqual(alone.scores.greedy);
    const eight = await made('fixed', { bits: 8 });
    const rise = (record: ActivationsRecord) =>
      Math.abs(Math.log(record.scores.minmax.test!.perplexity / record.scores.dense.test!.perplexity));
    expect(rise(eight)).toBeLessThan(rise(fixed));
  });

  test('ends with the same bytes on any number of threads, and after an interruption anywhere', async () => {
    const whole = await quantiseActivations({
      ...optionsOf(source, 'straight'),
      ...{ threads: 1, dependency: 'measured', activationRange: 'tensor' },
    });
    const expected = await readTree(whole.out);
    expect(parseActivationsRecord(await readFile(join(whole.out, 'layerwise.json'), 'utf8'), '')).toEqual(whole.record);
    const stop = new Error('stop');
    const until = (stage: string, count: number) => {
      let [now, steps] = ['', 0];
      return (event: { readonly kind: string; readonly stage?: string }) => {
        if (event.kind === 'stage') now = event.stage!;
        if (event.kind === 'advance' && now.startsWith(stage) && ++steps === count) throw stop;
      };
    };
    const stages = ['rounding', 'ranges', 'greedy clips', 'dependencies', 'joint clips', 'clips kept', 'test: greedy'];
    const options = { ...optionsOf(source, 'parts'), dependency: 'measured', activationRange: 'tensor' };
    for (const [i, stage] of stages.entries()) {
      const run = quantiseActivations({ ...options, resume: i > 0, onProgress: until(stage, 2) });
      await expect(run, stage).rejects.toBe(stop);
    }
    expect(await codeOf(quantiseActivations(options))).toBe('E_OPTION_OUT_PARTIAL');
    expect(await codeOf(quantiseActivations({ ...options, bits: 6, resume: true }))).toBe('E_OPTION_RESUME');
    const { out } = await quantiseActivations({ ...options, resume: true });
    expect(differences(expected, await readTree(out))).toEqual([]);
  });

  test('whoever would not quantise activations refuses; without the record it is a checkpoint like others', async () => {
    const { out, record } = await quantiseActivations(optionsOf(source, 'refused'));
    const to = (name: string): string => join(folder, name);
    const refused = 'E_UNSUPPORTED_ACTIVATIONS';
    expect(await codeOf(pack({ checkpoint: out, out: to('x.lw') }))).toBe(refused);
    expect(await codeOf(prune({ checkpoint: out, out: to('x'), sparsity: 0.5, ...texts }))).toBe(refused);
    expect(await codeOf(quantise({ checkpoint: out, out: to('x'), bits: 4, method: 'rtn' }))).toBe(refused);
    expect(await codeOf(quantiseActivations(optionsOf(out, 'x')))).toBe(refused);
    expect(await codeOf(generate({ model: out, prompt: 'a' } as never))).toBe(refused);
    const dense = { text: texts.test, sequenceLength: LENGTH };
    expect(await codeOf(evaluate({ checkpoint: source, dense: out, ...dense }))).toBe(refused);
    expect((await inspect(out)).blocks).toBe(3);
    const notes: string[] = [];
    const compared = await evaluate({
      ...{ checkpoint: out, dense: source, ...dense },
      onProgress: (event) => void (event.kind === 'note' && notes.push(event.text)),
    });
    expect(compared.fidelity!.greedy).toBeNull();
    expect(notes.join()).toMatch(/Activations are quantised to 4 bits.*Greedy texts are not compared/);
    const path = join(out, 'layerwise.json');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"attention_in": null', '"elsewhere": null'));
    expect(await codeOf(evaluate({ checkpoint: out, ...dense }))).toBe('E_CHECKPOINT_ACTIVATIONS');
    await rm(path);
    const plain = await evaluate({ checkpoint: out, ...dense });
    expect(plain.text).toEqual(record.scores.weights.test);
  });

  test('bad options are refused before any work', async () => {
    const code = (changes: Partial<Record<keyof ActivationsOptions, unknown>>): Promise<string | undefined> =>
      codeOf(quantiseActivations({ ...optionsOf(source, 'not-written'), ...changes } as ActivationsOptions));
    expect(await code({ bits: 5 })).toBe('E_OPTION_BITS');
    expect(await code({ bits: undefined })).toBe('E_OPTION_BITS');
    expect(await code({ activationBits: 16 })).toBe('E_OPTION_ACTIVATION_BITS');
    expect(await code({ dependency: 'guessed' })).toBe('E_OPTION_DEPENDENCY');
    expect(await code({ activationRange: 'channel' })).toBe('E_OPTION_ACTIVATION_RANGE');
    expect(await code({ dependency: 'fixed', threshold: 1 })).toBe('E_OPTION_THRESHOLD');
    expect(await code({ threshold: -1 })).toBe('E_OPTION_THRESHOLD');
    expect(await code({ calibration: undefined })).toBe('E_OPTION_CALIBRATION');
    expect(await code({ validation: undefined })).toBe('E_OPTION_VALIDATION');
    const { out } = await quantise({ checkpoint: source, out: join(folder, 'scaled'), bits: 4, method: 'rtn' });
    expect(await code({ checkpoint: out })).toBe('E_UNSUPPORTED_ACTIVATIONS');
  });
});
