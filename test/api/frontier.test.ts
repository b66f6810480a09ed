// What is on the front of a small checkpoint: every cell is made by the other commands and scored against the dense model,
// and a run that is killed ends with the same record as one that was not, but for its speeds.

import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { evaluate, type FrontierOptions, frontier, pack, quantise } from '../../src/api/index.js';
import type { ProgressEvent } from '../../src/base/index.js';
import { type Frontier, parseFrontier } from '../../src/records/index.js';
import { limit } from '../scale.js';
import { type Fault, startRun } from './child.js';
import { byteTokenizer, LENGTH, makeFolder, makeTexts, makeTiny, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(240_000) });

let folder: string;
let texts: Texts;
let checkpoint: string;
let whole: Frontier;
const NAMES = ['dense', 'int4', 'int4-stream', 'q8_0'];

const asked = (name: string, change: Partial<FrontierOptions> = {}): FrontierOptions => ({
  ...{ checkpoint, text: texts.test, calibration: texts.calibration, contenders: NAMES },
  ...{ calibrationSamples: 8, sequenceLength: LENGTH, greedyTokens: 8, tokens: 2, turns: 2, threads: 2 },
  out: join(folder, name),
  ...change,
});

beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 12);
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 5, blocks: 2 });
  whole = (await frontier(asked('whole'))).frontier;
}, limit(240_000));

/** The record without what depends on the hour. */
const timeless = ({ contenders, ...record }: Frontier): unknown => ({
  ...record,
  contenders: contenders.map(({ form, ...one }) => ({
    ...one,
    form: form && { ...form, speed: form.speed && 'measured', fronts: form.fronts.bytes },
  })),
});

describe('frontier', () => {
  test('a form for each contender, with its bytes, its distance and its speed', async () => {
    expect((await readdir(join(folder, 'whole'))).sort()).toEqual(
      ['html', 'json', 'md', 'svg'].map((ending) => `frontier.${ending}`),
    );
    const path = join(folder, 'whole', 'frontier.json');
    expect(parseFrontier(await readFile(path, 'utf8'), path)).toEqual(whole);
    expect(whole.contenders.map(({ name }) => name)).toEqual(NAMES);
    const [dense, int4, stream, q8] = whole.contenders.map(({ form }) => form!);
    expect(dense!.evaluation.perplexity).toBeCloseTo(whole.dense.perplexity, 3);
    expect(dense!.bitsPerWeight).toBe(32);
    expect(dense!.bytes).toBeGreaterThan(q8!.bytes / 2);
    for (const form of [dense!, int4!, stream!]) {
      expect(form.speed!.turns).toHaveLength(2);
      expect(form.fidelity.divergence).toHaveLength(whole.dense.windows);
    }
    expect(q8!.speed).toBeNull();
    expect(stream!.chosen).toContain('α = 0.5');
    // Every set has a front.
    expect(whole.contenders.some(({ form }) => form!.fronts.bytes)).toBe(true);
    expect(existsSync(join(folder, 'whole.partial'))).toBe(false);
  });

  test('a cell is what the other commands make and say', async () => {
    const [dir, out] = [join(folder, 'by-hand'), join(folder, 'by-hand.lw')];
    const common = { calibrationSamples: 8, sequenceLength: LENGTH, threads: 2, checkpoint };
    const { calibration } = texts;
    await quantise({ ...common, calibration, bits: 4, method: 'gptq', target: 'stream', out: dir });
    const { fileBytes, parts } = await pack({ checkpoint: dir, out });
    const { text, fidelity } = await evaluate({
      ...{ checkpoint: out, dense: checkpoint, text: texts.test },
      ...{ sequenceLength: LENGTH, greedyTokens: 8 },
    });
    const { form } = whole.contenders[2]!;
    expect(form).toMatchObject({ bytes: fileBytes, bitsPerWeight: parts[0]!.bits, evaluation: text, fidelity });
  });

  test.each([
    ['while a checkpoint is being made', { as: 'kill', event: 'int4-stream: trial', nth: 1 }],
    ['between a checkpoint and its packed file', { as: 'kill', event: 'int4-stream: packing', nth: 1 }],
    ['while a packed file is scored', { as: 'kill', event: 'int4: evaluating', nth: 1 }],
    ['while a GGUF file is scored', { as: 'kill', event: 'q8_0: evaluating', nth: 1 }],
    ['while speeds are measured', { as: 'kill', event: 'measuring speeds', nth: 1 }],
    ['before the output appears', { as: 'kill', op: 'rename', path: 'final', nth: 1 }],
  ] as [string, Fault][])('killed %s and resumed, it says the same', async (what, fault) => {
    const name = `killed-${what.replaceAll(' ', '-')}`;
    const options = asked(name);
    const ended = await startRun(options, join(folder, `${name}.log`), fault, undefined, 'frontier').done;
    expect(ended.code, ended.message).toBeUndefined();
    expect(existsSync(options.out)).toBe(false);
    await expect(frontier(options)).rejects.toMatchObject({ code: 'E_OPTION_OUT_PARTIAL' });
    const stages: string[] = [];
    const onProgress = (event: ProgressEvent): void => void (event.kind === 'stage' && stages.push(event.stage));
    const { frontier: resumed } = await frontier({ ...options, resume: true, onProgress });
    expect(timeless(resumed)).toEqual(timeless(whole));
    // What was finished is not made again.
    expect(stages.filter((stage) => stage.startsWith('dense: '))).toEqual([]);
    expect(existsSync(`${options.out}.partial`)).toBe(false);
  });

  test('zeros and bits are one form', async () => {
    const contenders = ['int4-8of16'];
    const { frontier: record } = await frontier(asked('small', { contenders, greedyTokens: 0 }));
    const [sparse] = record.contenders;
    expect(sparse!.form!.fidelity.greedy).toBeNull();
    // Masks take the place of zeros.
    expect(sparse!.form!.bitsPerWeight).toBeLessThan(whole.contenders[1]!.form!.bitsPerWeight);
  });

  test('the table of sensitivities is measured once, for all budgets', async () => {
    const stages: string[] = [];
    const onProgress = (event: ProgressEvent): void => void (event.kind === 'stage' && stages.push(event.stage));
    const demo = fileURLToPath(new URL('../../demo/model', import.meta.url));
    const contenders = ['mixed-3', 'mixed-3.5'];
    const { frontier: record } = await frontier(
      asked('mixed', { checkpoint: demo, contenders, greedyTokens: 0, onProgress }),
    );
    const measured = new Set(
      stages.filter((stage) => stage.includes('sensitivit')).map((stage) => stage.split(':')[0]),
    );
    expect([...measured]).toEqual(['mixed-3.5']);
    // The budget counts integers and scales; the file pads rows to whole groups.
    for (const [i, most] of [3.5, 3].entries()) {
      expect(record.contenders[i]!.form!.bitsPerWeight).toBeLessThanOrEqual(1.1 * most);
    }
  });

  test('a type of GGUF that would be another under its name is skipped', async () => {
    // Rows of 32 and 48 columns: blocks of 256 do not divide them.
    const { frontier: record } = await frontier(asked('named', { contenders: ['q4_k'], greedyTokens: 0 }));
    expect(record.contenders[0]).toMatchObject({
      form: null,
      skipped: expect.stringContaining('No linear can be Q4_K'),
    });
    expect(record.speeds).toBeNull();
  });

  test('what GGUF cannot hold is skipped with its reason, and the others are measured', async () => {
    const other = await makeTiny(join(folder, 'lowercase'), { blocks: 1 });
    const lowercase = { ...byteTokenizer(), normalizer: { type: 'Lowercase' } };
    await writeFile(join(other, 'tokenizer.json'), JSON.stringify(lowercase));
    const notes: string[] = [];
    const onProgress = (event: ProgressEvent): void => void (event.kind === 'note' && notes.push(event.text));
    const { frontier: record, out } = await frontier(
      asked('skipping', { checkpoint: other, contenders: ['dense', 'q8_0'], greedyTokens: 0, onProgress }),
    );
    const [dense, q8] = record.contenders;
    expect(dense!.form).not.toBeNull();
    expect(q8).toMatchObject({ form: null, skipped: expect.stringContaining('tokenizer.json') });
    expect(notes).toContainEqual(expect.stringContaining('q8_0 is skipped'));
    expect(await readFile(join(out, 'frontier.md'), 'utf8')).toContain('| 2 q8_0 | skipped: ');
  });

  test.each([
    ['a contender we do not know', { contenders: ['dense', 'int5'] }, 'E_OPTION_CONTENDERS'],
    ['no contender', { contenders: [] }, 'E_OPTION_CONTENDERS'],
    ['no turn', { turns: 0 }, 'E_OPTION_TURNS'],
    ['an output that is there', { out: undefined }, 'E_OPTION_OUT_EXISTS'],
    ['a text that is not there', { text: 'nowhere.txt' }, 'E_RESOURCE_NOT_FOUND'],
  ])('%s is refused before any work', async (_, change, code) => {
    const options = { ...asked('refused'), ...change };
    const given = { ...options, out: options.out ?? join(folder, 'whole') };
    await expect(frontier(given)).rejects.toMatchObject({ code });
    expect(existsSync(join(folder, 'refused.partial'))).toBe(false);
  });

  test('GPTQ without calibration text is refused by name', async () => {
    const { calibration: _, ...options } = asked('refused');
    await expect(frontier(options)).rejects.toMatchObject({
      code: 'E_OPTION_CALIBRATION',
      message: expect.stringContaining('int4-stream'),
    });
  });
});
