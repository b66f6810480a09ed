// Greedy writing on the GPU: the likeliest token by the processor's rule, whatever the logits are; and texts that are written ahead
// are those of a step for each token, with other sequences, from any position, cut anywhere.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import type { Decoder } from '../../src/decoder/decoder.js';
import { lowerModel } from '../../src/decoder/lower.js';
import { createDecoder } from '../../src/decoder/sequences.js';
import { argmax, createScheduler } from '../../src/generation/index.js';
import { checkChoice } from '../../src/generation/sampler.js';
import { LIKELIEST_GROUPS, likeliestKernel, nextKernel } from '../../src/gpu/kernels/likeliest.js';
import { describeTensors, openModel } from '../../src/model/index.js';
import { packInMemory } from '../../src/packed/index.js';
import { INT8 } from '../decoder/make.js';
import { goldenDir } from '../model/golden.js';
import { runs } from '../scale.js';
import { startGpu } from './gpu.js';

const started = await startGpu();
if ('reason' in started) console.warn(`skipped: greedy writing on the GPU (${started.reason})`);
const gpu = 'gpu' in started ? started.gpu : undefined;
afterAll(() => gpu?.close());

/** The choice of each row, and what the rows' inputs are then. */
async function choose(rows: readonly Float32Array[]) {
  const [count, width] = [rows.length, rows[0]!.length];
  const y = 64 * Math.ceil((count * width) / 64);
  const a = y + 2 * LIKELIEST_GROUPS * count;
  const [ids, positions, places] = [a + 64, a + 128, a + 192];
  let arena = new Uint32Array(a + 256);
  for (const [i, row] of rows.entries()) arena.set(new Uint32Array(row.buffer), i * width);
  arena.set([7, 8, 9], positions);
  arena.set([17, 18, 19], places);
  const parameters = { x: 0, xs: width, y, a, ids, positions, places };
  const call = { weights: new Uint8Array(16), cache: new Float32Array(4), parameters, y: count };
  for (const [kernel, x] of [
    [likeliestKernel(32, width), LIKELIEST_GROUPS],
    [nextKernel(32), 1],
  ] as const) {
    arena = Uint32Array.from(await gpu!.run({ ...call, code: kernel.code(), arena, x }));
  }
  const logits = new Float32Array(arena.buffer);
  return {
    choices: rows.map((_, i) => ({ token: arena[a + 2 * i]!, logit: logits[a + 2 * i + 1]! })),
    inputs: rows.map((_, i) => [arena[ids + i], arena[positions + i], arena[places + i]]),
  };
}

/** The token or the error's text. */
const outcome = (find: () => number): number | string => {
  try {
    return find();
  } catch (error) {
    return (error as Error).message;
  }
};

test.skipIf(!gpu)(
  'the likeliest token: the processor’s, and its error, of ties, zeros and what is no number',
  async () => {
    const few = fc.constantFrom(0, -0, 1, -1, 1e-45, -1e-45, 3.4e38, -3.4e38, 1e-39);
    const wild = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    const sure = fc.constant(Number.NEGATIVE_INFINITY);
    const number = fc.oneof({ weight: 6, arbitrary: few }, { weight: 1, arbitrary: fc.float({ noNaN: true }) });
    const kinds = [number, fc.oneof({ weight: 30, arbitrary: number }, { weight: 1, arbitrary: wild }), sure];
    const row = (width: number) =>
      fc.oneof(...kinds.map((kind) => fc.array(kind, { minLength: width, maxLength: width })));
    const shapes = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(2048, 2049, 4133));
    const draws = shapes.chain((width) => fc.array(row(width), { minLength: 1, maxLength: 3 }));
    await fc.assert(
      fc.asyncProperty(draws, async (drawn) => {
        const rows = drawn.map((one) => Float32Array.from(one));
        const { choices, inputs } = await choose(rows);
        for (const [i, one] of rows.entries()) {
          expect(outcome(() => checkChoice(choices[i]!))).toBe(outcome(() => argmax(one)));
          expect(inputs[i]).toEqual([choices[i]!.token, 8 + i, 18 + i]);
        }
      }),
      { numRuns: runs(12) },
    );
  },
);

describe.skipIf(!gpu).each(['llama', 'gpt2'])('%s', (name) => {
  const POSITIONS = 24;
  let decoder: Decoder;
  beforeAll(async () => {
    const { checkpoint, config, tensorNames } = await openModel(goldenDir(name));
    const packed = await packInMemory({ checkpoint, tensors: describeTensors(config, tensorNames) }, INT8, silent);
    const program = lowerModel(config, tensorNames, (weight) => packed.tensors.get(weight)!.layout.values !== 'f32');
    const limits = { sequences: 3, positions: POSITIONS, tokens: 16, picked: 4 };
    const session = await gpu!.backend({ watched: true }).open(program, packed, limits);
    decoder = createDecoder(program, session, limits, packed.weightBytes);
  });
  afterAll(() => decoder.close());
  const prompts = [
    [1, 5, 9, 2, 7],
    [3, 8],
  ];

  test('tokens written ahead are those of steps; what is behind a cut is forgotten', async () => {
    const sequences = prompts.map(() => decoder.open());
    /** The next token of each after these. */
    const step = async (tokens: readonly (readonly number[])[]): Promise<number[]> => {
      const parts = tokens.map((own, i) => ({ sequence: sequences[i]!, tokens: own, logits: 'last' as const }));
      return (await decoder.step(parts)).map(argmax);
    };
    const first = await step(prompts);
    const expected = [first];
    for (let i = 0; i < 12; i++) expected.push(await step(expected.at(-1)!.map((token) => [token])));

    expect(new Set(expected.flat()).size).toBeGreaterThan(3);

    const starts = (tokens: readonly number[]) => sequences.map((sequence, i) => ({ sequence, token: tokens[i]! }));
    for (const [i, prompt] of prompts.entries()) decoder.truncate(sequences[i]!, prompt.length);
    const found: number[][] = [];
    for await (const choices of decoder.greedy!.write(starts(first), 9)) {
      found.push(choices.map(checkChoice));
      if (found.length === 4) break;
    }
    expect(found).toEqual(expected.slice(1, 5));
    // On by a step, then to the last position of the longer one.
    found.push(await step(found.at(-1)!.map((token) => [token])));
    for await (const choices of decoder.greedy!.write(starts(found.at(-1)!), 7)) found.push(choices.map(checkChoice));
    expect(found).toEqual(expected.slice(1));
    const room = POSITIONS - prompts[0]!.length - 12;
    const over = decoder.greedy!.write(starts(found.at(-1)!), room + 1).next();
    await expect(over).rejects.toMatchObject({ code: 'E_INTERNAL_STEP' });
    for (const sequence of sequences) decoder.release(sequence);
  });

  test('requests get the same texts ahead and step by step', async () => {
    const texts = async (own: Decoder): Promise<number[][]> => {
      const scheduler = createScheduler(own);
      const made = prompts.map((): number[] => []);
      const requests = prompts.map((prompt, i) => ({
        ...{ prompt, maxTokens: 10 + i, sampling: { temperature: 0, topP: 1, seed: 1 }, stopTokens: new Set<number>() },
        onToken: (token: number) => {
          made[i]!.push(token);
          return i === 0 && made[i]!.length === 6;
        },
      }));
      await Promise.all(scheduler.submit(requests));
      await scheduler.close();
      return made;
    };
    let written = 0;
    const { greedy } = decoder;
    const counting: Decoder = {
      ...decoder,
      greedy: {
        ...greedy!,
        async *write(...args) {
          for await (const choices of greedy!.write(...args)) {
            written++;
            yield choices;
          }
        },
      },
    };
    const expected = await texts({ ...decoder, greedy: undefined });
    expect(expected.map(({ length }) => length)).toEqual([6, 11]);
    expect(await texts(counting)).toEqual(expected);
    // The second's first token came with the prompt, five beside the first, and five alone.
    expect(written).toBe(10);
  });
});

test.skipIf(!gpu)('a cap on logits is put on by the processor, so nothing is written ahead', async () => {
  const { config, tensorNames } = await openModel(goldenDir('gemma2'));
  const program = lowerModel(config, tensorNames, () => true);
  expect(program.logitCap).toBeDefined();
  const limits = { sequences: 1, positions: 8, tokens: 8, picked: 8 };
  const session = { threads: 1, write: () => expect.fail() } as unknown as Parameters<typeof createDecoder>[1];
  expect(createDecoder(program, session, limits, 0).greedy).toBeUndefined();
  expect(createDecoder({ ...program, logitCap: undefined }, session, limits, 0).greedy).toBeDefined();
});
