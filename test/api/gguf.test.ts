// Every job on a GGUF file of F32 weights does what it does on the checkpoint that the file was made from, and its records
// name the file.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { drop, evaluate, generate, inspect, makePlan, pack, profile, prune } from '../../src/api/index.js';
import { openCheckpoint, readTensor } from '../../src/checkpoint/index.js';
import { parseManifest } from '../../src/records/index.js';
import { convert } from '../gguf/make.js';
import { LENGTH, makeFolder, makeTexts, makeTiny, type Texts, useOwnCache } from './make.js';

let folder: string;
let dir: string;
let file: string;
let texts: Texts;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder);
  dir = await makeTiny(join(folder, 'model'), { seed: 2 });
  file = await convert(dir, join(folder, 'tiny.gguf'));
});

const common = { sequenceLength: LENGTH, threads: 1 };

async function tensorsOf(path: string): Promise<Record<string, string>> {
  const checkpoint = await openCheckpoint(path);
  const entries = [...checkpoint.tensors.keys()].sort().map(async (name) => {
    return [
      name,
      createHash('sha256')
        .update(await readTensor(checkpoint, name))
        .digest('hex'),
    ] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

test('a file that is not there is not looked for on the Hub', async () => {
  await expect(inspect('models/none.gguf')).rejects.toMatchObject({ code: 'E_CHECKPOINT_DIRECTORY' });
});

test('inspect', async () => {
  const [source, twin] = [await inspect(dir), await inspect(file)];
  expect({ ...twin, checkpoint: dir }).toEqual(source);
  expect(twin.checkpoint).toBe(file);
});

test('evaluate', async () => {
  const asked = { ...common, text: texts.test };
  const [source, twin] = [
    await evaluate({ checkpoint: dir, ...asked }),
    await evaluate({ checkpoint: file, ...asked }),
  ];
  expect(source.text!.perplexity).toBeGreaterThan(1);
  expect(twin.text).toEqual(source.text);
});

test('prune, whose record names the file and its digest', async () => {
  const asked = {
    ...common,
    sparsity: 0.5,
    allocation: 'uniform',
    criterion: 'wanda',
    calibration: texts.calibration,
    calibrationSamples: 8,
  } as const;
  await prune({ checkpoint: dir, ...asked, out: join(folder, 'pruned-source') });
  const out = join(folder, 'pruned-twin');
  await prune({ checkpoint: file, ...asked, out });
  expect(await tensorsOf(out)).toEqual(await tensorsOf(join(folder, 'pruned-source')));
  const { source } = parseManifest(await readFile(join(out, 'layerwise.json'), 'utf8'), out);
  expect(source.name).toBe('tiny.gguf');
  expect(source.hashes.gguf).toBe(
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex'),
  );
});

test('profile and plan: a profile of the file fits the file, not another', async () => {
  const asked = { ...common, calibration: texts.calibration, calibrationSamples: 8 };
  const { profile: measured } = await profile({ checkpoint: file, ...asked });
  expect(measured.source.name).toBe('tiny.gguf');
  const planned = { sparsity: 0.5, allocation: 'owl', profile: measured } as const;
  expect(await makePlan({ checkpoint: file, ...planned })).toBeTruthy();
  const other = await convert(await makeTiny(join(folder, 'other'), { seed: 3 }), join(folder, 'other.gguf'));
  await expect(makePlan({ checkpoint: other, ...planned })).rejects.toThrow(/other\.gguf/);
});

test('drop', async () => {
  const out = join(folder, 'dropped');
  await drop({ checkpoint: file, blocks: 1, method: 'shortgpt', calibration: texts.calibration, ...common, out });
  expect((await openCheckpoint(out)).config.num_hidden_layers).toBe(3);
});

test('pack and generate', async () => {
  const packed = join(folder, 'tiny.lw');
  await pack({ checkpoint: file, out: packed, values: 'f32' });
  const asked = { prompt: 'once', maxTokens: 8, temperature: 0, threads: 1 };
  const texts_ = await Promise.all(
    [dir, file, packed].map(async (model) => (await generate({ model, ...asked })).text),
  );
  expect(new Set(texts_).size).toBe(1);
});
