// What is measured of experts: each on the tokens it was given, and what is assumed of those that were given none.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { blockGraph, type Model, openModel } from '../../src/model/index.js';
import { fillGrams, fillSquareSums, measureSquareSums, sampleInputs, unseenExperts } from '../../src/profile/index.js';
import { type Activations, embedWindows } from '../../src/stream/index.js';
import { goldenDir, readGolden } from '../model/golden.js';

describe('experts that were given no token', () => {
  const tokensPerExpert = [3, 0, 9, 0];

  test('are named; a block without experts has none', () => {
    expect(unseenExperts({ tokensPerExpert, expert_0_in: [1] })).toEqual([1, 3]);
    expect(unseenExperts({ tokensPerExpert: [1, 2] })).toEqual([]);
    expect(unseenExperts({ mlp_in: [0, 0] })).toEqual([]);
  });

  test('are taken to read what the others do in the mean, in each column alike', () => {
    const of = (...values: number[]) => Float64Array.from(values);
    const sums = {
      attention_in: of(0, 5),
      tokensPerExpert: of(...tokensPerExpert),
      expert_0_in: of(1, 3),
      expert_0_out: of(2, 2, 5),
      expert_1_in: of(0, 0),
      expert_1_out: of(0, 0, 0),
      expert_2_in: of(0, 8),
      expert_2_out: of(0, 0, 0),
      expert_3_in: of(0, 0),
      expert_3_out: of(0, 0, 0),
    };
    const unseen = { in: of(3, 3), out: of(1.5, 1.5, 1.5) };
    expect(fillSquareSums(sums)).toEqual({
      ...sums,
      expert_1_in: unseen.in,
      expert_1_out: unseen.out,
      expert_3_in: unseen.in,
      expert_3_out: unseen.out,
    });
  });

  test('and to have that number times the identity for a Gram matrix', () => {
    const of = (...values: number[]) => Float32Array.from(values);
    const grams = {
      tokensPerExpert: of(4, 0),
      expert_0_in: of(1, -2, -2, 7),
      expert_0_out: of(6),
      expert_1_in: of(0, 0, 0, 0),
      expert_1_out: of(0),
    };
    fillGrams(grams);
    expect(grams.expert_1_in).toEqual(of(4, 0, 0, 4));
    expect(grams.expert_1_out).toEqual(of(6));
    expect(grams.expert_0_in).toEqual(of(1, -2, -2, 7));
  });
});

describe('a golden mixture', () => {
  let engine: Engine;
  let model: Model;
  let from: Activations;
  beforeAll(async () => {
    engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
    model = await openModel(goldenDir('mixtral'));
    from = await embedWindows(model, (await readGolden('mixtral')).windows);
  });
  afterAll(async () => {
    await from.close();
    await engine.close();
  });
  const tokens = () => from.length * from.chunks.reduce((a, b) => a + b, 0);

  test('gives every token to as many experts as it should, and the idle one none', async () => {
    const session = await engine.load(blockGraph(model, 0, { length: from.length, outputs: 'taps' }));
    const sums = await measureSquareSums(engine, session, from);
    await session.release();
    expect(sums.tokensPerExpert!.reduce((a, b) => a + b)).toBe(2 * tokens());
    expect(unseenExperts(sums)).toEqual([4]);
    expect(sums.expert_4_in!.every((sum) => sum === 0)).toBe(true);
    expect(sums.expert_0_in!.every((sum) => sum > 0)).toBe(true);
  });

  test('shows the inputs of all experts at the same tokens, zeros where one was given none', async () => {
    const session = await engine.load(blockGraph(model, 0, { length: from.length, outputs: 'inputs' }));
    const { sites } = await sampleInputs(engine, session, from);
    await session.release();
    expect(sites.tokensPerExpert).toBeUndefined();
    const { width, data } = sites.expert_0_in!;
    expect(data.length).toBe(tokens() * width); // all of so short a text
    for (let token = 0; token < tokens(); token++) {
      const rows = [0, 1, 2, 3, 4].map((expert) =>
        sites[`expert_${expert}_in`]!.data.subarray(token * width, (token + 1) * width),
      );
      const read = rows.filter((row) => row.some((value) => value !== 0));
      expect(read).toHaveLength(2);
      expect(read[0]).toEqual(read[1]);
    }
  });
});
