// Unlearning from end to end: every family, what changes and what does not, the search, kills and threads, refusals.

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { evaluate, type UnlearnOptions, unlearn } from '../../src/api/index.js';
import { drawDirection, layersToTry } from '../../src/api/unlearn-trials.js';
import { openCheckpoint, readTensor } from '../../src/checkpoint/index.js';
import { createOrtEngine } from '../../src/engine/index.js';
import { openModel } from '../../src/model/index.js';
import { knownParts, parseUnlearnRecord } from '../../src/records/index.js';
import { embedWindows, passBlock } from '../../src/stream/index.js';
import { steeredTensors } from '../../src/train/index.js';
import { codeOf } from '../checkpoint/make.js';
import { makeFamily, TEXT_FAMILIES } from '../families.js';
import { limit } from '../scale.js';
import { items } from '../zeroshot/golden.js';
import { differences, LENGTH, makeFolder, makeTiny, readTree, stutter, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(120_000) });

let folder: string;
let forget: string;
let retain: string;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  [forget, retain] = [join(folder, 'forget.txt'), join(folder, 'retain.txt')];
  // Capital letters are a subject of their own.
  await writeFile(forget, stutter(5, 40 * LENGTH).toUpperCase());
  await writeFile(retain, stutter(6, 40 * LENGTH));
});

const optionsOf = (checkpoint: string, out: string): UnlearnOptions => ({
  ...{ checkpoint, out: join(folder, out), forget, retain, layer: 2, beta: 3, alpha: 20, steps: 20, rate: 3e-3 },
  ...{ batch: 256, sequenceLength: LENGTH, threads: 2 },
});

async function changed(before: string, after: string): Promise<string[]> {
  const [old, now] = [await openCheckpoint(before), await openCheckpoint(after)];
  expect([...now.tensors.keys()]).toEqual([...old.tensors.keys()]);
  const names: string[] = [];
  for (const [name, { dtype }] of old.tensors) {
    expect(now.tensors.get(name)!.dtype).toBe(dtype);
    if (Buffer.compare(await readTensor(old, name), await readTensor(now, name)) !== 0) names.push(name);
  }
  return names;
}

describe.each([...TEXT_FAMILIES.keys()])('%s', (family) => {
  test('down of three blocks changes and nothing else; the residual before them keeps its bits', async () => {
    const checkpoint = await makeFamily(join(folder, family), family, { dtype: 'BF16', blocks: 4 });
    const { record, out } = await unlearn({ ...optionsOf(checkpoint, `${family}-out`), layer: 3 });
    const [dense, model] = [await openModel(checkpoint), await openModel(out)];
    const names = await changed(checkpoint, out);
    const steered = steeredTensors(dense, 3);
    expect(record.tensors).toEqual(steered);
    for (const name of names) expect(steered).toContain(name);
    if (dense.config.mixtures.every((mixture) => !mixture)) {
      expect(names.sort()).toEqual([...steered].sort());
      expect(steered).toHaveLength(3);
    } else expect(names.length).toBeGreaterThan(2);
    expect(record.trials).toHaveLength(1);
    expect(record.trials[0]!.kept).toBeLessThan(record.trials[0]!.start);
    expect(record.leaks.map(({ name }) => name)).toEqual(['relearn', 'ablate', 'int4']);
    expect(record.suppressed.forget.nll).not.toBe(record.dense.forget.nll);
    const engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
    const windows = { length: LENGTH, windows: [Int32Array.from({ length: LENGTH }, (_, t) => 65 + (t % 26))] };
    const residual = async (of: typeof model, blocks: number): Promise<Float32Array> => {
      const stream = await embedWindows(of, windows);
      for (let block = 0; block < blocks; block++) await passBlock(engine, of, block, [[stream, stream]]);
      return (await stream.read(0)).slice();
    };
    expect(await residual(model, 1)).toEqual(await residual(dense, 1));
    expect(await residual(model, 4)).not.toEqual(await residual(dense, 4));
    await engine.close();
  });
});

describe('a run', () => {
  let source: string;
  beforeAll(async () => {
    source = await makeTiny(join(folder, 'tiny'), { blocks: 5 });
  });

  test('suppresses the forget text and keeps the other; the record can be read', async () => {
    const { record, out } = await unlearn({ ...optionsOf(source, 'one'), beta: 10, steps: 60 });
    const { dense, suppressed, windows } = record;
    expect(suppressed.forget.nll - dense.forget.nll).toBeGreaterThan(3 * (suppressed.retain.nll - dense.retain.nll));
    expect(suppressed.forget.nll).toBeGreaterThan(dense.forget.nll + 0.05);
    expect(windows.forget).toEqual({ training: 20, validation: 10, heldOut: 10 });
    expect(record.trials[0]!.coefficient / record.trials[0]!.length).toBeCloseTo(10, 6);
    const written = await readFile(join(out, 'layerwise.json'), 'utf8');
    expect(parseUnlearnRecord(written, 'layerwise.json')).toEqual(record);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('suppressed, not erased');
    for (const { name, scores, back } of record.leaks) {
      const share = (suppressed.forget.nll - scores.forget.nll) / (suppressed.forget.nll - dense.forget.nll);
      expect(back.nll, name).toBeCloseTo(share, 9);
    }
    expect(record.leaks[0]!.back.nll).toBeGreaterThan(0.1);
  });

  test('searches block and β: the largest loss on the forget text within the tolerance', async () => {
    const { layer: _, beta: __, ...options } = optionsOf(source, 'search');
    const { record } = await unlearn({ ...options, tolerance: 0.02, steps: 30 });
    const { trials, chosen, before, tolerance, within } = record;
    expect(trials.map(({ layer }) => layer).slice(0, 2)).toEqual(layersToTry(5));
    expect(trials.map(({ beta }) => beta)).toEqual([5, 5, 2, 3, 10]);
    const kept = trials.filter(({ retain: loss }) => loss <= before.retain + tolerance);
    expect(within).toBe(kept.length > 0);
    const best = within
      ? kept.reduce((a, b) => (b.forget > a.forget ? b : a))
      : trials.reduce((a, b) => (b.retain < a.retain ? b : a));
    expect(chosen).toMatchObject({ layer: best.layer, beta: best.beta });
  });

  test('rmu has a fixed length, and the published draw lies among positive numbers', async () => {
    const { beta: _, ...options } = optionsOf(source, 'rmu');
    const { record } = await unlearn({ ...options, method: 'rmu', coefficient: 4, official: true });
    expect(record).toMatchObject({ chosen: { layer: 2, beta: null, coefficient: 4 }, direction: 'official' });
    const lengthOf = (u: Float32Array): number => Math.sqrt(u.reduce((sum, value) => sum + value ** 2, 0));
    const [published, own] = [drawDirection(4096, 1, true), drawDirection(4096, 1, false)];
    for (const u of [published, own]) expect(lengthOf(u)).toBeCloseTo(1, 5);
    const along = (u: Float32Array): number => u.reduce((sum, value) => sum + value, 0) / 64;
    expect(along(published)).toBeCloseTo(0.866, 2);
    expect(Math.abs(along(own))).toBeLessThan(0.05);
    expect(own).toEqual(drawDirection(4096, 1, false));
    expect(own).not.toEqual(drawDirection(4096, 2, false));
  });

  test('ends with the same bytes on any number of threads, and after an interruption in training or in a leak test', async () => {
    const straight = await unlearn({ ...optionsOf(source, 'straight'), threads: 1 });
    const stop = new Error('stop');
    const until = (stage: string, count: number) => {
      let [now, steps] = ['', 0];
      return (event: { readonly kind: string; readonly stage?: string }) => {
        if (event.kind === 'stage') now = event.stage!;
        if (event.kind === 'advance' && now.startsWith(stage) && ++steps === count) throw stop;
      };
    };
    for (const [i, stage] of ['steering', 'whole model'].entries()) {
      const options = optionsOf(source, `part-${i}`);
      await expect(unlearn({ ...options, onProgress: until(stage, 11) })).rejects.toBe(stop);
      expect(await codeOf(unlearn(options))).toBe('E_OPTION_OUT_PARTIAL');
      expect(await codeOf(unlearn({ ...options, steps: 21, resume: true }))).toBe('E_OPTION_RESUME');
      const { out } = await unlearn({ ...options, resume: true });
      expect(differences(await readTree(straight.out), await readTree(out)), stage).toEqual([]);
    }
  });

  test('bad texts and options are refused before any work', async () => {
    const code = (changes: Partial<UnlearnOptions>): Promise<string | undefined> =>
      codeOf(unlearn({ ...optionsOf(source, 'not-written'), ...changes }));
    const write = async (name: string, text: string): Promise<string> => {
      await writeFile(join(folder, name), text);
      return join(folder, name);
    };
    expect(await code({ retain: forget })).toBe('E_OPTION_RETAIN');
    const both = await write('both.txt', `${stutter(6, 999)}${await readFile(forget, 'utf8')}`);
    expect(await code({ retain: both })).toBe('E_OPTION_RETAIN');
    expect(await code({ forget: both, retain: forget })).toBe('E_OPTION_RETAIN');
    expect(await code({ forget: await write('short.txt', stutter(9, 5 * LENGTH)) })).toBe('E_OPTION_FORGET');
    expect(await code({ retain: await write('short.txt', stutter(9, 5 * LENGTH)) })).toBe('E_OPTION_RETAIN');
    expect(await code({ forget: await write('empty.txt', '') })).toMatch(/^E_(TEXT|OPTION)_/);
    expect(await code({ layer: 1 })).toBe('E_OPTION_LAYER');
    expect(await code({ layer: 5 })).toBe('E_OPTION_LAYER');
    expect(await code({ beta: 0 })).toBe('E_OPTION_BETA');
    expect(await code({ alpha: -1 })).toBe('E_OPTION_ALPHA');
    expect(await code({ steps: 0 })).toBe('E_OPTION_STEPS');
    expect(await code({ method: 'erase' })).toBe('E_OPTION_METHOD');
    expect(await code({ method: 'rmu' })).toBe('E_OPTION_BETA');
    expect(await code({ coefficient: 4 })).toBe('E_OPTION_COEFFICIENT');
    const small = await makeTiny(join(folder, 'small'), { blocks: 2 });
    expect(await code({ checkpoint: small })).toBe('E_UNSUPPORTED_UNLEARN');
    const quantised = await makeTiny(join(folder, 'quantised'));
    await writeFile(join(quantised, 'layerwise.scales'), '');
    expect(await code({ checkpoint: quantised })).toBe('E_UNSUPPORTED_UNLEARN');
    expect((await readdir(folder)).filter((name) => name.startsWith('not-written'))).toEqual([]);
  });
});

test('questions before and after: as evaluate scores both checkpoints; subjects above chance are told from the others', async () => {
  const checkpoint = fileURLToPath(new URL('../../demo/model/', import.meta.url));
  const asked = { data: items, tasks: ['tofu_forget01', 'mmlu'] };
  const options = { ...optionsOf(checkpoint, 'asked'), ...asked, steps: 4 };
  const { record, out } = await unlearn(options);
  const { setup, dense, suppressed, parts } = record.tasks!;
  expect(setup.tasks.map(({ task }) => task)).toEqual(asked.tasks);
  const scoresOf = async (of: string) =>
    (await evaluate({ checkpoint: of, ...asked, sequenceLength: LENGTH, threads: 2 })).tasks!.scores;
  expect(dense).toEqual(await scoresOf(checkpoint));
  expect(suppressed).toEqual(await scoresOf(out));
  expect(dense.tasks.tofu_forget01!.probability).not.toEqual(suppressed.tasks.tofu_forget01!.probability);
  expect(parts.map(({ part, chance }) => [part, chance])).toEqual([
    ['mmlu_small_sums', 0.25],
    ['mmlu_farm_life', 0.25],
  ]);
  expect(record.command).toContain('--tasks tofu_forget01,mmlu --data');
  expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('tofu_forget01, truth_ratio');
  const [known, guessed] = [0.4, 0.3].map((value) => ({ ...parts[0]!, dense: { value, stderr: 0.05 } }));
  expect(knownParts([known!, guessed!, parts[0]!])).toEqual([known]);
  expect(await codeOf(unlearn({ ...options, out: join(folder, 'no-data'), data: folder }))).toBe('E_OPTION_DATA');
});
