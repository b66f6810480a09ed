// The comparison with the dense model: rows against the textbook formulas, whole models against numpy in float64 by each of
// the three ways that the numbers are computed, greedy texts against writing both.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TEXTS } from '../../scripts/demo/texts.js';
import { evaluate, pack } from '../../src/api/index.js';
import { silent, withResources } from '../../src/base/index.js';
import { readTensorFloat32, writeCheckpoint } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import {
  compareModels,
  compareRows,
  compareStreams,
  summariseFidelity,
  type TokenFidelity,
} from '../../src/evaluate/index.js';
import { writeGreedily } from '../../src/generation/index.js';
import { type Model, openModel } from '../../src/model/index.js';
import { runBlocks } from '../../src/pipeline/index.js';
import { type Fidelity, readFidelity } from '../../src/records/index.js';
import { embedSamples } from '../../src/stream/index.js';
import { fromFloat32 } from '../../src/tensor/index.js';
import { loadTokenizer, makeWindows, type Windows } from '../../src/text/index.js';
import { makeFolder, makeTiny, useOwnCache } from '../api/make.js';
import { codeOf } from '../checkpoint/make.js';
import { EXACT, openCheckpoint } from '../decoder/make.js';
import { limit, runs } from '../scale.js';
import { FIDELITY } from '../tolerances.js';

const golden = JSON.parse(await readFile(new URL('../golden/fidelity.json', import.meta.url), 'utf8')) as {
  readonly divergence: number[];
  readonly agreement: number[];
  readonly nll: number[];
  readonly tail: number;
  readonly windows: number;
  readonly length: number;
  readonly tokens: number;
};
const demo = fileURLToPath(new URL('../../demo/model', import.meta.url));

let folder: string;
let engine: Engine;
let dense: Model;
let edited: Model;
let windows: Windows;
let text: string;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
  dense = await openModel(demo);
  await writeEdited(dense, join(folder, 'edited'));
  edited = await openModel(join(folder, 'edited'));
  const tokens = (await loadTokenizer(demo)).encode(TEXTS.test());
  windows = makeWindows(tokens, { length: golden.length, order: 'sequential', count: golden.windows, seed: 0 });
  text = join(folder, 'text.txt');
  await writeFile(text, TEXTS.test());
}, limit(60_000));
afterAll(() => engine.close());

/** The edit of scripts/golden/fidelity.py. */
async function writeEdited(model: Model, dir: string): Promise<void> {
  await mkdir(dir);
  await writeCheckpoint(model.checkpoint, dir, (name) => {
    if (!/(down|o)_proj/.test(name)) return undefined;
    const { dtype, shape } = model.checkpoint.tensors.get(name)!;
    const read = async (): Promise<Uint8Array> => {
      const weights = await readTensorFloat32(model.checkpoint, name);
      const columns = shape[1]!;
      for (const i of weights.keys()) {
        const [row, column] = [Math.floor(i / columns), i % columns];
        if (name.includes('down_proj') ? column % 3 === 0 : (row + column) % 2 === 0) weights[i] = 0;
      }
      return fromFloat32(weights, dtype);
    };
    return { name, dtype, shape, read };
  });
}

async function compare(how: 'residuals' | 'logits', a = edited, logits?: number): Promise<TokenFidelity> {
  return await withResources(async (own) => {
    const streamOf = async (model: Model) =>
      await own(runBlocks(engine, model, await embedSamples(own, engine, model, windows), silent));
    const [stream, reference] = [await streamOf(a), await streamOf(dense)];
    return how === 'residuals'
      ? await compareStreams(engine, dense, stream, reference, { logits })
      : await compareModels(engine, { model: a, stream }, { model: dense, stream: reference }, { logits });
  });
}

function expectGolden(got: Pick<Fidelity, 'divergence' | 'agreement' | 'tail' | 'tokens'>): void {
  expect(got.tokens).toBe(golden.windows * (golden.length - 1));
  expect(Math.abs(got.tail / golden.tail - 1)).toBeLessThanOrEqual(FIDELITY);
  for (const [w, value] of golden.divergence.entries()) {
    expect(Math.abs(got.divergence[w]! / value - 1), `window ${w}`).toBeLessThanOrEqual(FIDELITY);
    expect(got.agreement[w]).toBeCloseTo(golden.agreement[w]!, 12);
  }
}

describe('whole models against numpy', () => {
  test('the windows are those of the golden values', () => {
    expect(windows.windows.reduce((sum, window) => sum + window.reduce((a, b) => a + b, 0), 0)).toBe(golden.tokens);
  });

  test.each(['residuals', 'logits'] as const)('from %s', async (how) => {
    expectGolden(summariseFidelity(await compare(how)));
  });

  test('in parts of a few rows the numbers are the same', async () => {
    for (const how of ['residuals', 'logits'] as const) {
      const whole = summariseFidelity(await compare(how));
      const parts = summariseFidelity(await compare(how, edited, 7 * dense.config.vocabulary));
      expect(parts.agreement).toEqual(whole.agreement);
      for (const [w, value] of parts.divergence.entries()) expect(value).toBeCloseTo(whole.divergence[w]!, 6);
    }
  });

  test('a model is at no distance from itself', async () => {
    for (const how of ['residuals', 'logits'] as const) {
      const { divergence, agreement, tail } = summariseFidelity(await compare(how, dense));
      expect([...divergence, tail].every((value) => value === 0)).toBe(true);
      expect(agreement.every((share) => share === 1)).toBe(true);
    }
  });
});

describe('evaluate --dense', () => {
  /** The first windows of the text, so that all ways see what numpy saw. */
  async function shortText(): Promise<string> {
    const path = join(folder, 'short.txt');
    const tokenizer = await loadTokenizer(demo);
    await writeFile(
      path,
      tokenizer.decode(
        windows.windows.flatMap((window) => [...window]),
        true,
      ),
    );
    return path;
  }

  test(
    'a checkpoint and a packed file have numpy’s numbers, and part from the dense text where they would by writing',
    async () => {
      const packed = join(folder, 'edited.lw');
      await pack({ checkpoint: join(folder, 'edited'), out: packed, values: 'f32' });
      const options = { text: await shortText(), dense: demo, sequenceLength: golden.length, threads: 2 };
      const results = [];
      for (const checkpoint of [join(folder, 'edited'), packed]) {
        const { text: scores, fidelity, source } = await evaluate({ checkpoint, ...options });
        expectGolden(fidelity!);
        for (const [w, loss] of golden.nll.entries()) expect(scores!.nll[w]).toBeCloseTo(loss, 4);
        expect(source).toMatchObject({ name: 'short.txt', hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
        const alone = await evaluate({ ...options, checkpoint, dense: undefined } as never);
        expect(alone.text).toEqual(scores);
        results.push(fidelity!.greedy!);
      }
      expect(results[1]!.same).toEqual(results[0]!.same);
      // Write with both, and look.
      const prompts = windows.windows.slice(0, 8).map((window) => [...window.subarray(0, 32)]);
      const write = async (dir: string): Promise<number[][]> => {
        const decoder = await openCheckpoint(dir, EXACT, { threads: 1, sequences: 8, positions: 96 });
        const texts = await writeGreedily(decoder, prompts, 64);
        await decoder.close();
        return texts;
      };
      const [a, b] = [await write(demo), await write(join(folder, 'edited'))];
      const same = a.map((tokens, i) => {
        const at = tokens.findIndex((token, t) => token !== b[i]![t]);
        return at < 0 ? 64 : at;
      });
      const [greedy] = results;
      expect(greedy).toMatchObject({ prompt: 32, tokens: 64, same });
      expect(same.some((count) => count > 0)).toBe(true);
      const worst = same.indexOf(Math.min(...same));
      const tokenizer = await loadTokenizer(demo);
      const words = (tokens: readonly number[]) => tokenizer.decode([...tokens], true);
      for (const { worst: told } of results) {
        expect(told).toEqual({
          prompt: words(prompts[worst]!),
          same: words(a[worst]!.slice(0, same[worst])),
          dense: words(a[worst]!.slice(same[worst])),
          edited: words(b[worst]!.slice(same[worst])),
        });
      }
    },
    limit(60_000),
  );

  test(
    'a model and itself packed exactly write the same',
    async () => {
      const packed = join(folder, 'demo.lw');
      await pack({ checkpoint: demo, out: packed, values: 'f32' });
      for (const checkpoint of [demo, packed]) {
        const options = { checkpoint, dense: demo, text: await shortText(), sequenceLength: golden.length };
        const { fidelity } = await evaluate({ ...options, greedyTokens: 20 });
        expect(readFidelity(fidelity!).divergence.mean).toBeLessThan(1e-9);
        expect(fidelity!.greedy).toEqual({ prompt: 32, tokens: 20, same: Array(8).fill(20), worst: null });
        expect((await evaluate({ ...options, greedyTokens: 0 })).fidelity!.greedy).toBeNull();
      }
    },
    limit(60_000),
  );

  test('what is no original of the model is refused by name', async () => {
    const tiny = await makeTiny(join(folder, 'tiny'));
    const base = { checkpoint: demo, text };
    expect(await codeOf(evaluate({ ...base, dense: tiny }))).toBe('E_OPTION_DENSE');
    expect(await codeOf(evaluate({ checkpoint: demo, dense: demo, tasks: ['piqa'], data: '.' } as never))).toBe(
      'E_OPTION_TEXT',
    );
    expect(await codeOf(evaluate({ ...base, greedyTokens: 3 }))).toBe('E_OPTION_DENSE');
    expect(await codeOf(evaluate({ ...base, dense: demo, greedyTokens: -1 }))).toBe('E_OPTION_GREEDY_TOKENS');
    const other = join(folder, 'other-tokens');
    await writeEdited(dense, other);
    const tokenizer = JSON.parse(await readFile(join(other, 'tokenizer.json'), 'utf8'));
    const { vocab } = tokenizer.model;
    const [first, second] = [...windows.windows[0]!].map((token) =>
      Object.keys(vocab).find((word) => vocab[word] === token),
    );
    [vocab[first!], vocab[second!]] = [vocab[second!], vocab[first!]];
    await writeFile(join(other, 'tokenizer.json'), JSON.stringify(tokenizer));
    expect(await codeOf(evaluate({ ...base, dense: other }))).toBe('E_OPTION_DENSE');
  });
});

describe('rows of logits', () => {
  const row = (size: number) => fc.float32Array({ minLength: size, maxLength: size, noNaN: true, min: -50, max: 50 });
  const pair = fc.integer({ min: 1, max: 40 }).chain((size) => fc.tuple(row(size), row(size)));

  test('have the divergence of the textbook, which is never negative', () => {
    fc.assert(
      fc.property(pair, ([q, p]) => {
        const softmax = (x: Float32Array): number[] => {
          const e = [...x].map((value) => Math.exp(value));
          const sum = e.reduce((a, b) => a + b, 0);
          return e.map((value) => value / sum);
        };
        const [Q, P] = [softmax(q), softmax(p)];
        const expected = Q.reduce((sum, value, i) => sum + value * Math.log(value / P[i]!), 0);
        const { divergence, denseChoice, choice } = compareRows(q, p);
        expect(Math.abs(divergence - expected)).toBeLessThanOrEqual(1e-9 * (1 + expected));
        expect(divergence).toBeGreaterThanOrEqual(-1e-12);
        expect(denseChoice).toBe(q.indexOf(Math.max(...q)));
        expect(choice).toBe(p.indexOf(Math.max(...p)));
      }),
      { numRuns: runs(300) },
    );
  });

  test('are the same rows when a number is added to all logits', () => {
    fc.assert(
      fc.property(pair, fc.integer({ min: -64, max: 64 }), ([q, p], shift) => {
        const whole = (x: Float32Array, add = 0) => x.map((value) => Math.round(value) + add);
        const one = compareRows(whole(q), whole(p));
        const other = compareRows(whole(q, shift), whole(p));
        expect(other.divergence).toBeCloseTo(one.divergence, 9);
        expect([other.choice, other.denseChoice]).toEqual([one.choice, one.denseChoice]);
      }),
      { numRuns: runs(100) },
    );
  });
});

test('the tail is exceeded by at most one token in a thousand, and is the least such value', () => {
  fc.assert(
    fc.property(
      fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 700 }), fc.integer()),
      ([count, perWindow, seed]) => {
        const n = count * perWindow;
        const divergence = Float32Array.from({ length: n }, (_, i) => Math.abs(Math.imul(i + 1, seed | 1) % 997) / 10);
        const choices = (step: number) => Int32Array.from({ length: n }, (_, i) => (i % step === 0 ? 1 : 0));
        const tokens = { perWindow, divergence, denseChoice: new Int32Array(n), choice: choices(3) };
        const { tail, agreement, windows, divergence: means } = summariseFidelity(tokens);
        const above = (value: number): number => divergence.filter((one) => one > value).length;
        expect(above(tail) * 1000).toBeLessThanOrEqual(n);
        const below = divergence.filter((one) => one < tail);
        if (below.length > 0) expect(above(below.reduce((a, b) => Math.max(a, b))) * 1000).toBeGreaterThan(n);
        expect(windows).toBe(count);
        expect((agreement.reduce((a, b) => a + b, 0) / count) * n).toBeCloseTo(n - Math.ceil(n / 3), 6);
        expect((means.reduce((a, b) => a + b, 0) / count) * n).toBeCloseTo(
          divergence.reduce((a, b) => a + b, 0),
          2,
        );
      },
    ),
    { numRuns: runs(100) },
  );
});
