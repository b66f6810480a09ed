// Whole models on the GPU: the perplexity of the demo model in each layout is the CPU's to 0.02 %; and what goes wrong with a
// device has a name.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateStories } from '../../scripts/demo/stories.js';
import { silent } from '../../src/base/index.js';
import type { DecodeBackend, Limits, Weights } from '../../src/decoder/backend.js';
import { lowerModel } from '../../src/decoder/lower.js';
import { createDecoder } from '../../src/decoder/sequences.js';
import { createWasmBackend } from '../../src/decoder/wasm/backend.js';
import { startSingle } from '../../src/decoder/wasm/single.js';
import { scoreWindows } from '../../src/generation/index.js';
import {
  encodeDense,
  encodeFixedTiles,
  encodeMaskedTiles,
  encodeSortedTiles,
  type QuantisedMatrix,
} from '../../src/layouts/index.js';
import { describeTensors, openModel } from '../../src/model/index.js';
import { packInMemory } from '../../src/packed/index.js';
import { loadTokenizer } from '../../src/text/index.js';
import { SOFTWARE_ENVIRONMENT } from '../gpu-process.js';
import { IS_FULL } from '../matrix.js';
import { startGpu } from './gpu.js';
import { largest, relay } from './relaid.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const DEMO = join(root, 'demo/model');
const kernels = await readFile(join(root, 'dist/kernels/runtime-single.wasm'));
const started = await startGpu();
if ('reason' in started) console.warn(`skipped: whole models on the GPU (${started.reason})`);
const gpu = 'gpu' in started ? started.gpu : undefined;
const cpu = createWasmBackend(() => startSingle(kernels));
afterAll(() => gpu?.close());

/** Eight windows of a story: with fewer, single roundings weigh more than the bound. */
const LENGTH = 64;
const limits: Limits = { sequences: 2, positions: LENGTH, tokens: LENGTH, picked: LENGTH };
let windows: Int32Array[];
beforeAll(async () => {
  const tokenizer = await loadTokenizer(DEMO, silent);
  const tokens = [...tokenizer.encode(generateStories(5, 4000), false)];
  windows = Array.from({ length: 8 }, (_, w) => Int32Array.from(tokens.slice(w * LENGTH, (w + 1) * LENGTH)));
});

async function programOf(weights: Weights) {
  const { config, tensorNames } = await openModel(DEMO);
  return lowerModel(config, tensorNames, (weight) => weights.tensors.get(weight)!.layout.values !== 'f32');
}

async function perplexity(backend: DecodeBackend, weights: Weights, count = windows.length): Promise<number> {
  const program = await programOf(weights);
  const session = await backend.open(program, weights, limits);
  const decoder = createDecoder(program, session, limits, weights.weightBytes);
  try {
    const nll = await scoreWindows(decoder, { windows: windows.slice(0, count), length: LENGTH }, silent);
    return Math.exp(nll.reduce((sum, one) => sum + one, 0) / nll.length);
  } finally {
    await decoder.close();
  }
}

const packDemo = async (values: 'f32' | 'int8' | 'int4' | 'int3' | 'int2') => {
  const { checkpoint, config, tensorNames } = await openModel(DEMO);
  const source = { checkpoint, tensors: describeTensors(config, tensorNames) };
  return await packInMemory(source, { values, layout: 'auto', head: values === 'f32' ? 'f32' : 'int8' }, silent);
};

const all = ({ q }: QuantisedMatrix): Int8Array => q;

describe.skipIf(!gpu)('perplexity', () => {
  // The bits of every kernel are judged in linear.test.ts, so a few whole models are enough unless all are asked for.
  const few = [
    ['int4 dense', 'int4', all, encodeDense],
    ['int8 12:16', 'int8', largest(12, 16), encodeFixedTiles],
  ] as const;
  const others = [
    ['int8 dense', 'int8', all, encodeDense],
    ['int3 dense', 'int3', all, encodeDense],
    ['int2 dense', 'int2', all, encodeDense],
    ['int4 12:16', 'int4', largest(12, 16), encodeFixedTiles],
    ['int4 8:16 with masks', 'int4', largest(8, 16), encodeMaskedTiles],
    ['int8 unstructured', 'int8', largest(88, 128), encodeSortedTiles],
    ['int4 unstructured', 'int4', largest(88, 128), encodeSortedTiles],
  ] as const;
  test.each(IS_FULL ? [...few, ...others] : few)('%s: the CPU’s to 0.02 %%', async (_, values, keeps, encode) => {
    const weights = await relay(await packDemo(values), keeps, encode);
    const expected = await perplexity(cpu, weights);
    const found = await perplexity(gpu!.backend(), weights);
    expect(Number.isFinite(expected)).toBe(true);
    expect(Math.abs(found / expected - 1)).toBeLessThanOrEqual(2e-4);
  });

  test('f32: the CPU’s to 0.0002 %', async () => {
    const expected = await perplexity(cpu, await packDemo('f32'), 4);
    const found = await perplexity(gpu!.backend(), await packDemo('f32'), 4);
    expect(Math.abs(found / expected - 1)).toBeLessThanOrEqual(2e-6);
  });
});

describe.skipIf(!gpu)('what goes wrong has a name', () => {
  const failure = (work: Promise<unknown>): Promise<{ code: string; message: string }> =>
    work.then(
      () => Promise.reject(new Error('expected an error')),
      ({ code, message }) => ({ code, message }),
    );

  test('a tensor, or a cache, that no buffer of this GPU holds, before anything is read', async () => {
    const packed = await packDemo('f32');
    const program = await programOf(packed);
    const small = await failure(
      gpu!.backend({ largestBuffer: 250_000 }).open(program, packed, { ...limits, tokens: 1, picked: 1, positions: 1 }),
    );
    expect(small).toMatchObject({
      code: 'E_RESOURCE_MEMORY',
      message: expect.stringMatching(/^tensor .*more than one buffer/),
    });
    const weights = await relay(await packDemo('int8'), all, encodeDense);
    const far = { sequences: 8, positions: 8192, tokens: 1, picked: 1 };
    const long = await failure(gpu!.backend({ largestBuffer: 2 ** 22 }).open(await programOf(weights), weights, far));
    expect(long).toMatchObject({
      code: 'E_RESOURCE_MEMORY',
      message: expect.stringMatching(/^keys and values.*8 sequences of 8192/),
    });
  });

  test('weights in several shards give the same numbers', async () => {
    const weights = await relay(await packDemo('int8'), all, encodeDense);
    const whole = await perplexity(gpu!.backend(), weights, 1);
    expect(await perplexity(gpu!.backend({ largestBuffer: 1.5 * 2 ** 20 }), weights, 1)).toBe(whole);
  });

  test('a device that is lost: who writes then, and every step after it, by name', async () => {
    const weights = await relay(await packDemo('int8'), all, encodeDense);
    const backend = gpu!.backend();
    const session = await backend.open(await programOf(weights), weights, limits);
    const rows = { tokens: [1], positions: [0], runs: [{ sequence: 0, start: 0, from: 0, count: 1 }], picks: [0] };
    await session.step(rows);
    const writer = session.write!(rows, 50);
    expect(await writer.next()).toMatchObject({ done: false, value: [{ token: expect.any(Number) }] });
    await backend.lose();
    const lost = { code: 'E_RESOURCE_DEVICE', message: expect.stringMatching(/lost|failed/) };
    // What was written before the loss may still come.
    const rest = (async () => {
      while (!(await writer.next()).done);
    })();
    expect(await failure(rest)).toMatchObject(lost);
    expect(await failure(session.step(rows))).toMatchObject(lost);
    expect(await failure(session.step(rows))).toMatchObject(lost);
    await session.close();
  });
});

describe('the command line', () => {
  const main = join(root, 'dist/cli/main.js');
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'layerwise-gpu-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const run = (args: readonly string[], environment: Readonly<Record<string, string>>) =>
    promisify(execFile)(process.execPath, [main, ...args], { env: { ...process.env, ...environment } });
  const ask = [
    'generate',
    DEMO,
    '--values',
    'int8',
    '--prompt',
    'The night',
    '--temperature',
    '0',
    '--max-tokens',
    '6',
  ];

  test.skipIf(!gpu)('generate --device webgpu writes what the cpu writes', async () => {
    const { stdout } = await run(ask, {});
    expect((await run([...ask, '--device', 'webgpu'], SOFTWARE_ENVIRONMENT)).stdout).toBe(stdout);
  });

  test('without an adapter, or the package, it ends by name and computes nothing', async () => {
    const nothing = join(folder, 'none.json');
    await writeFile(nothing, '{}');
    const none = { VK_ICD_FILENAMES: nothing, VK_DRIVER_FILES: nothing };
    const failed = await run([...ask, '--device', 'webgpu', '--json'], none).catch((error) => error);
    expect(failed.code).toBe(1);
    expect(`${failed.stdout}${failed.stderr}`).toMatch(/E_RESOURCE_DEVICE/);
    expect(failed.stdout).not.toMatch(/"text"/);
  });
});
