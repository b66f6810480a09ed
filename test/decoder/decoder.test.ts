// Decoders of tiny checkpoints of every family: their logits against transformers', and against themselves with other
// numbers of threads, other company in a step, and tokens spread otherwise over steps.

import { afterEach, describe, expect, test } from 'vitest';
import type { Decoder, StepPart } from '../../src/decoder/index.js';
import { TEXT_FAMILIES } from '../families.js';
import { furthest, goldenCases, goldenDir, goldenFamily, readGolden } from '../model/golden.js';
import { LOGITS } from '../tolerances.js';
import { decodeAll, EXACT, INT8, openCheckpoint } from './make.js';

const open: Decoder[] = [];
const opened = async (...from: Parameters<typeof openCheckpoint>): Promise<Decoder> => {
  const decoder = await openCheckpoint(...from);
  open.push(decoder);
  return decoder;
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((decoder) => decoder.close()));
});

test('every family is there', () => {
  expect(new Set(goldenCases.map(goldenFamily))).toEqual(new Set(TEXT_FAMILIES.keys()));
});

describe('in float32', () => {
  test.each(goldenCases)('%s agrees with transformers', async (name) => {
    const golden = await readGolden(name);
    const decoder = await opened(goldenDir(name), EXACT, { threads: 2, positions: golden.windows.length });
    const logits = [];
    for (const window of golden.windows.windows) logits.push(...(await decodeAll(decoder, [...window])));
    expect(furthest(Float32Array.from(logits), golden.logits)).toBeLessThanOrEqual(LOGITS);
  });
});

describe.each(['llama', 'qwen3', 'gpt_neox', 'gemma2', 'mixtral', 'qwen3_moe'])('%s', (name) => {
  const tokensOf = async (): Promise<number[]> => [...(await readGolden(name)).windows.windows[0]!];

  test.each([
    ['f32', EXACT],
    ['int8', INT8],
    ['int4', { ...INT8, values: 'int4', head: 'int4' }],
    ['int3', { ...INT8, values: 'int3' }],
    ['int2', { ...INT8, values: 'int2', head: 'int4' }],
  ] as const)(
    'in %s, gives the same bits with 1, 2 and 3 threads, and however its tokens are spread over steps',
    async (_, settings) => {
      const tokens = await tokensOf();
      const results: Float32Array[] = [];
      for (const threads of [1, 2, 3]) {
        const decoder = await opened(goldenDir(name), settings, { threads });
        for (const stride of [tokens.length, 1, 5]) results.push(await decodeAll(decoder, tokens, stride));
      }
      for (const result of results) expect(result).toEqual(results[0]);
    },
  );

  test('gives a sequence the same bits in company, and after it was cut back', async () => {
    const tokens = await tokensOf();
    const decoder = await opened(goldenDir(name), INT8, { threads: 2, sequences: 3 });
    const { vocabulary } = decoder.info;
    const alone = await decodeAll(decoder, tokens);
    const [a, b, c] = [decoder.open(), decoder.open(), decoder.open()];
    const half = Math.floor(tokens.length / 2);
    const part = (sequence: number, from: number, to: number, logits: StepPart['logits']): StepPart => {
      return { sequence, tokens: tokens.slice(from, to), logits };
    };
    const first = await decoder.step([part(a, 0, half, 'all'), part(b, 3, 9, 'none'), part(c, 0, 2, 'last')]);
    expect(first[0]).toEqual(alone.subarray(0, half * vocabulary));
    expect(first[1]).toHaveLength(0);
    expect(first[2]).toEqual(alone.subarray(vocabulary, 2 * vocabulary));
    // Wrong tokens, cut away again, leave nothing behind.
    await decoder.step([{ sequence: a, tokens: [1, 1, 1], logits: 'none' }]);
    decoder.truncate(a, half);
    const [rest] = await decoder.step([part(a, half, tokens.length, 'all'), part(c, 2, 3, 'last')]);
    expect(rest).toEqual(alone.subarray(half * vocabulary));
  });
});
