// Bits by ATP's progression from end to end: a given β, a search, the command of the record, refusals.

import { join } from 'node:path';
import { beforeAll, expect, test, vi } from 'vitest';
import { quantise } from '../../src/api/index.js';
import { parseCall, quantiseOptions } from '../../src/cli/index.js';
import { progressionBits } from '../../src/plan/index.js';
import { commandOf, normaliseQuantise, type QuantiseOptions } from '../../src/runs/index.js';
import { codeOf } from '../checkpoint/make.js';
import { limit } from '../scale.js';
import { differences, LENGTH, makeFolder, makeTexts, makeTiny, readTree, type Texts, useOwnCache } from './make.js';

vi.setConfig({ testTimeout: limit(120_000) });

let folder: string;
let source: string;
let texts: Texts;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 12);
  source = await makeTiny(join(folder, 'source'), { blocks: 6 });
});

const optionsOf = (out: string, changes: Partial<QuantiseOptions> = {}): QuantiseOptions => ({
  ...{ checkpoint: source, out: join(folder, out), bits: 3.5, allocation: 'progression', group: 32, ...texts },
  ...{ sequenceLength: LENGTH, calibrationSamples: 8, threads: 2, greedyTokens: 0, ...changes },
});

test('a given β makes that plan, beside the flat one', async () => {
  const { manifest } = await quantise(optionsOf('given', { beta: 0.5, method: 'rtn' }));
  const wanted = progressionBits(Array(6).fill(1), 3.5, 0.5, [2, 3, 4, 8]);
  expect(new Set(wanted).size).toBeGreaterThan(1);
  for (const [name, { bits }] of Object.entries(manifest.bits!.linears)) {
    expect(bits, name).toBe(wanted[Number(/layers\.(\d+)/.exec(name)![1])]);
  }
  expect(manifest.plan.from).toEqual({ policy: 'progression', values: { beta: 0.5 } });
  expect(manifest.uniform!.validation).not.toBeNull();
  expect(manifest.command).toContain('--bits 3.5 --group 32 --allocation progression --beta 0.5');
});

test('β is searched on validation text, never worse than flat there; a resumed run has the same bytes', async () => {
  const whole = await quantise(optionsOf('searched'));
  const { manifest } = whole;
  const losses = manifest.trials.map(({ validation }) => validation.perplexity);
  expect(losses.length).toBeGreaterThan(2);
  expect(manifest.trials[0]!.beta).toBe(0);
  expect(manifest.chosen.validation!.perplexity).toBe(Math.min(...losses));
  expect(manifest.search!.method).toContain('common difference β');
  const stop = new Error('stop');
  let trials = 0;
  const options = optionsOf('stopped');
  const onProgress = (event: { readonly kind: string }) => {
    if (event.kind === 'note' && ++trials === 3) throw stop;
  };
  await expect(quantise({ ...options, onProgress })).rejects.toBe(stop);
  const { out } = await quantise({ ...options, resume: true });
  expect(differences(await readTree(whole.out), await readTree(out))).toEqual([]);
});

test('the command of the record comes to the same settings', async () => {
  for (const changes of [{ beta: 0.25 }, { maxTrials: 3 }, { group: 'row' as const }]) {
    const settings = normaliseQuantise(optionsOf('x', changes));
    const words = commandOf(settings).replace('<dir>', join(folder, 'x')).split(' ');
    const { argument, values } = await parseCall(words.slice(1));
    const again = normaliseQuantise(await quantiseOptions(argument, values));
    expect({ ...again, threads: 0, onProgress: 0 }).toEqual({ ...settings, threads: 0, onProgress: 0 });
  }
});

test('what does not fit is refused before any work', async () => {
  const code = (changes: Partial<Record<keyof QuantiseOptions, unknown>>): Promise<string | undefined> =>
    codeOf(quantise({ ...optionsOf('not-written'), ...changes } as QuantiseOptions));
  expect(await code({ bits: 1.5 })).toBe('E_OPTION_BITS');
  expect(await code({ bits: undefined })).toBe('E_OPTION_BITS');
  expect(await code({ allocation: 'owl' })).toBe('E_OPTION_ALLOCATION');
  expect(await code({ allocation: undefined })).toBe('E_OPTION_BITS');
  expect(await code({ allocation: undefined, bits: 4, beta: 0.1 })).toBe('E_OPTION_BETA');
  expect(await code({ allocation: undefined, bits: 4, maxTrials: 3 })).toBe('E_OPTION_MAX_TRIALS');
  expect(await code({ validation: undefined })).toBe('E_OPTION_VALIDATION');
  expect(await code({ beta: 1.1 })).toBe('E_OPTION_BETA');
  expect(await code({ group: 48 })).toBe('E_OPTION_GROUP');
});
