// The likelihoods of requests: on a decoder without a model, against what its logits give; on the checkpoint that ships with
// the project, many at once to the bit as one at a time.

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRng, type ProgressEvent, silent } from '../../src/base/index.js';
import type { Decoder } from '../../src/decoder/index.js';
import { scoreRequests } from '../../src/generation/index.js';
import type { EncodedRequest, Likelihood } from '../../src/zeroshot/index.js';
import { decodeAll, EXACT, INT8, openCheckpoint } from '../decoder/make.js';
import { createFakeDecoder, fakeLogits } from './fake-decoder.js';

/** Items of several choices behind one context, some of them behind the same examples; tokens below `vocabulary`. */
function makeRequests(count: number, vocabulary: number, longest: number): EncodedRequest[] {
  const rng = createRng(3);
  const tokens = (most: number): number[] => Array.from({ length: 1 + rng.below(most) }, () => rng.below(vocabulary));
  const examples = tokens(longest >> 2);
  return Array.from({ length: count }, (_, item) => {
    const context = [...(item % 3 === 0 ? [] : examples), ...tokens(longest >> 2)];
    return Array.from({ length: 1 + rng.below(4) }, () => {
      const choice = tokens(longest >> 2);
      const whole = Int32Array.from([...context, ...choice]);
      return { input: whole.subarray(0, -1), targets: whole.subarray(-choice.length), cut: 'nothing' as const };
    });
  })
    .flat()
    .filter(({ input, targets }) => input.length >= targets.length);
}

describe('on a decoder without a model', () => {
  const requests = makeRequests(30, 50, 60);

  test('every request has the likelihood that the logits give it, for any number of sequences', async () => {
    const results: (readonly Likelihood[])[] = [];
    for (const sequences of [1, 3, 100]) {
      const decoder = createFakeDecoder({ sequences });
      const events: ProgressEvent[] = [];
      results.push(await scoreRequests(decoder, requests, (event) => events.push(event)));
      expect(events).toEqual(requests.map(() => ({ kind: 'advance' })));
      expect(decoder.openCount).toBe(0);
      expect(Math.max(...decoder.steps.map(({ length }) => length))).toBe(
        Math.min(sequences, decoder.steps[0]!.length),
      );
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    for (const [i, { input, targets }] of requests.entries()) {
      let sum = 0;
      let greedy = true;
      for (const [t, target] of targets.entries()) {
        const row = [...fakeLogits([...input.subarray(0, input.length - targets.length + t + 1)], 50)];
        sum += row[target]! - Math.log(row.reduce((z, logit) => z + Math.exp(logit), 0));
        greedy &&= row[target] === Math.max(...row);
      }
      expect(results[0]![i]!.logProbability).toBeCloseTo(sum, 10);
      expect(results[0]![i]!.greedy).toBe(greedy);
    }
  });

  test('a step holds no more logits than there is room for', async () => {
    const vocabulary = 1 << 22; // four rows
    const zeros = new Float32Array(vocabulary);
    const fake = createFakeDecoder({ vocabulary: 50, sequences: 2 });
    const wanted: number[] = [];
    const decoder: Decoder = {
      ...fake,
      info: { ...fake.info, vocabulary },
      step: async (parts) => {
        const rows = await fake.step(parts);
        wanted.push(rows.reduce((sum, { length }) => sum + length / 50, 0));
        return rows.map(({ length }) => (length === 50 ? zeros : new Float32Array((length / 50) * vocabulary)));
      },
    };
    const scored = await scoreRequests(decoder, requests.slice(0, 6), silent);
    expect(scored[0]!.logProbability).toBeCloseTo(-requests[0]!.targets.length * Math.log(vocabulary), 4);
    expect(Math.max(...wanted)).toBe(4);
  });

  test('logits that are no numbers are refused by the request, and nothing stays open', async () => {
    const fake = createFakeDecoder();
    const step: Decoder['step'] = async (parts) => (await fake.step(parts)).map((rows) => rows.fill(Number.NaN));
    await expect(scoreRequests({ ...fake, step }, requests, silent)).rejects.toMatchObject({
      code: 'E_NUMERIC_LOSS',
      message: expect.stringMatching(/^The model's log-probability of request \d+ is NaN; its weights are broken\.$/),
    });
    expect(fake.openCount).toBe(0);
  });

  test('a step that fails leaves nothing open', async () => {
    const decoder = createFakeDecoder();
    decoder.failNext(new Error('gone'));
    await expect(scoreRequests(decoder, requests, silent)).rejects.toThrow('gone');
    expect(decoder.openCount).toBe(0);
  });
});

describe.each([
  ['f32', EXACT],
  ['int8', INT8],
  ['int4', { ...INT8, values: 'int4' }],
] as const)('a trained checkpoint in %s', (_, settings) => {
  const demo = fileURLToPath(new URL('../../demo/model/', import.meta.url));
  let one: Decoder;
  let many: Decoder;
  beforeAll(async () => {
    one = await openCheckpoint(demo, settings, { threads: 1, sequences: 1, positions: 128 });
    many = await openCheckpoint(demo, settings, { threads: 2, sequences: 8, positions: 160 });
  });
  afterAll(() => Promise.all([one.close(), many.close()]));

  test('many requests at once have the log-probabilities of one at a time, to the bit', async () => {
    const requests = makeRequests(40, one.info.vocabulary, 120);
    const alone: Likelihood[] = [];
    for (const request of requests) alone.push(...(await scoreRequests(one, [request], silent)));
    for (const together of [await scoreRequests(many, requests, silent), await scoreRequests(one, requests, silent)]) {
      expect(together).toEqual(alone);
    }
  });

  test('logits of a long window have the same bits in one pass, in passes of 16 tokens, and token by token', async () => {
    const tokens = Array.from({ length: 120 }, (_, i) => (i * 7919 + 13) % one.info.vocabulary);
    const whole = await decodeAll(many, tokens);
    for (const stride of [16, 1]) expect(await decodeAll(one, tokens, stride)).toEqual(whole);
  });
});
