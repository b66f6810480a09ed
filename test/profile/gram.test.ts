// The Gram matrices of a block's inputs: their diagonal is what Wanda measures, they are the reference's, and neither workers
// nor threads change a bit of them.

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import { blockGraph, type Model, openModel } from '../../src/model/index.js';
import { type Grams, measureGrams, measureSquareSums } from '../../src/profile/index.js';
import { type Activations, embedWindows } from '../../src/stream/index.js';
import { GRAM } from '../tolerances.js';

const dir = fileURLToPath(new URL('../golden/families/qwen2/', import.meta.url));
const LENGTH = 512; // four windows are one chunk
const WINDOWS = 11;
let model: Model;
let from: Activations;
const engines: Engine[] = [];

beforeAll(async () => {
  model = await openModel(dir);
  const { vocabulary } = model.config;
  const windows = Array.from({ length: WINDOWS }, (_, w) =>
    Int32Array.from({ length: LENGTH }, (_, t) => (w * 7919 + t * (t + w)) % vocabulary),
  );
  from = await embedWindows(model, { length: LENGTH, windows });
  expect(from.chunks.length).toBeGreaterThan(2);
});
afterAll(async () => {
  await from.close();
  for (const engine of engines) await engine.close();
});

async function cpu(workers: number, threads: number): Promise<Engine> {
  const engine = await createOrtEngine({ device: 'cpu', workers, threads });
  engines.push(engine);
  return engine;
}

async function gramsOn(engine: Engine): Promise<Grams> {
  const session = await engine.load(blockGraph(model, 0, { length: LENGTH, outputs: 'gram' }));
  const grams = await measureGrams(engine, session, from);
  await session.release();
  return grams;
}

describe('Gram matrices', () => {
  test('have the sums of squares on their diagonals', async () => {
    const engine = await cpu(1, 1);
    const grams = await gramsOn(engine);
    const session = await engine.load(blockGraph(model, 0, { length: LENGTH, outputs: 'taps' }));
    const sums = await measureSquareSums(engine, session, from);
    expect(Object.keys(grams)).toEqual(Object.keys(sums));
    for (const [site, gram] of Object.entries(grams)) {
      const n = sums[site]!.length;
      expect(gram.length).toBe(n * n);
      for (let j = 0; j < n; j++) {
        expect(Math.abs(gram[j * n + j]! / sums[site]![j]! - 1)).toBeLessThanOrEqual(GRAM);
      }
    }
  });

  test("are the reference's, and symmetric, as a share of √(H_ii·H_jj)", async () => {
    const [got, expected] = [await gramsOn(await cpu(1, 2)), await gramsOn(createReferenceEngine())];
    for (const [site, H] of Object.entries(got)) {
      const R = expected[site]!;
      const n = Math.sqrt(R.length);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          const unit = Math.sqrt(R[i * n + i]! * R[j * n + j]!);
          expect(Math.abs(H[i * n + j]! - R[i * n + j]!) / unit).toBeLessThanOrEqual(GRAM);
          expect(Math.abs(H[i * n + j]! - H[j * n + i]!) / unit).toBeLessThanOrEqual(GRAM);
        }
      }
    }
  });

  test('are the same to the last bit with one thread, two, and two workers', async () => {
    const [one, two, workers] = [
      await gramsOn(await cpu(1, 1)),
      await gramsOn(await cpu(1, 2)),
      await gramsOn(await cpu(2, 1)),
    ];
    expect(two).toEqual(one);
    expect(workers).toEqual(one);
  });
});
