import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createSampler,
  createScheduler,
  type Finish,
  type Sampling,
  type Scheduler,
  type ScoredToken,
  type SequenceRequest,
  scoreToken,
} from '../../src/generation/index.js';
import { runs } from '../scale.js';
import { createFakeDecoder, fakeLogits } from './fake-decoder.js';

const V = 50;
const STOP = 13;

type Case = { readonly prompt: readonly number[]; readonly maxTokens: number; readonly sampling: Sampling };
type Got = {
  readonly tokens: readonly number[];
  readonly scores: readonly (ScoredToken | undefined)[];
  readonly prompt: readonly ScoredToken[];
  readonly finish: Finish;
};

/** What a request must get, computed without a scheduler. */
function alone({ prompt, maxTokens, sampling }: Case): Got {
  const sampler = createSampler(sampling);
  const all = [...prompt];
  const scores: ScoredToken[] = [];
  let finish: Finish = 'length';
  while (all.length - prompt.length < maxTokens) {
    const logits = fakeLogits(all, V);
    const token = sampler(logits);
    if (token === STOP) {
      finish = 'stop';
      break;
    }
    scores.push(scoreToken(logits, token, 2));
    all.push(token);
  }
  const told = prompt.slice(1).map((token, i) => scoreToken(fakeLogits(prompt.slice(0, i + 1), V), token, 1));
  return { tokens: all.slice(prompt.length), scores, prompt: told, finish };
}

/** Asks a scheduler; `promptScores` and `scores` always on. */
function ask(scheduler: Scheduler, cases: readonly Case[], more: Partial<SequenceRequest> = {}): Promise<Got>[] {
  const books = cases.map(() => ({
    tokens: [] as number[],
    scores: [] as (ScoredToken | undefined)[],
    prompt: [] as ScoredToken[],
  }));
  const finishes = scheduler.submit(
    cases.map((one, i) => ({
      ...one,
      stopTokens: new Set([STOP]),
      scores: 2,
      promptScores: 1,
      onPrompt: (scores) => books[i]!.prompt.push(...scores),
      onToken: (token, score) => {
        books[i]!.tokens.push(token);
        books[i]!.scores.push(score);
        return false;
      },
      ...more,
    })),
  );
  return finishes.map(async (finish, i) => ({ finish: await finish, ...books[i]! }));
}

const cases = fc.record({
  prompt: fc.array(fc.nat({ max: V - 1 }), { minLength: 1, maxLength: 40 }),
  maxTokens: fc.integer({ min: 0, max: 20 }),
  sampling: fc.record({
    temperature: fc.constantFrom(0, 0.5, 1.3),
    topP: fc.constantFrom(1, 0.9),
    topK: fc.constantFrom(undefined, 5),
    seed: fc.nat(),
  }),
});

describe('createScheduler', () => {
  test('what a request gets does not depend on what else runs, how prompts are cut, or what ran before', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(cases, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 20 }),
        async (some, sequences, chunk) => {
          const decoder = createFakeDecoder({ vocabulary: V, sequences });
          const scheduler = createScheduler(decoder, { chunk, queue: 100 });
          expect(await Promise.all(ask(scheduler, some))).toEqual(some.map(alone));
          // Again, one after the other, beginnings shared with what is still there; and without scores of prompts.
          for (const one of some) {
            const [got] = await Promise.all(ask(scheduler, [one], { promptScores: undefined }));
            expect(got).toEqual({ ...alone(one), prompt: [] });
          }
          expect(scheduler.state).toMatchObject({ running: 0, waiting: 0, failure: undefined });
          await scheduler.close();
          expect(decoder.openCount).toBe(0);
        },
      ),
      { numRuns: runs(100) },
    );
  });

  test('requests that come at any time and leave at any time get theirs or their reason', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(cases, fc.nat({ max: 30 }), fc.option(fc.nat({ max: 40 }))), { minLength: 1, maxLength: 12 }),
        async (some) => {
          const decoder = createFakeDecoder({ vocabulary: V, sequences: 2 });
          const scheduler = createScheduler(decoder, { chunk: 5, queue: 100 });
          const turns = async (count: number): Promise<void> => {
            for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
          };
          const asked = some.map(async ([one, before, leaves]) => {
            await turns(before);
            const controller = new AbortController();
            const reason = new Error('gone');
            const [got] = ask(scheduler, [one], { signal: controller.signal });
            const outcome = got!.then(
              (value) => expect(value).toEqual(alone(one)),
              (error) => {
                expect(error).toBe(reason);
                expect(leaves).not.toBeNull();
              },
            );
            if (leaves !== null) {
              await turns(leaves);
              controller.abort(reason);
            }
            await outcome;
          });
          await Promise.all(asked);
          expect(scheduler.state).toMatchObject({ running: 0, waiting: 0 });
          await scheduler.close();
          expect(decoder.openCount).toBe(0);
        },
      ),
      { numRuns: runs(100) },
    );
  });

  const slow: Case = { prompt: [1, 2, 3], maxTokens: 50, sampling: { temperature: 0, topP: 1, seed: 0 } };
  const endless = { stopTokens: new Set<number>() };

  test('each step has a token of every running sequence and a bounded part of prompts', async () => {
    const decoder = createFakeDecoder({ vocabulary: V, sequences: 3 });
    const scheduler = createScheduler(decoder, { chunk: 8 });
    const long = { ...slow, prompt: Array.from({ length: 30 }, (_, i) => i), maxTokens: 20 };
    await Promise.all(ask(scheduler, [slow, long, slow], { ...endless, promptScores: undefined }));
    for (const parts of decoder.steps) {
      const prefill = parts.filter(({ tokens }) => tokens.length > 1);
      expect(prefill.reduce((sum, { tokens }) => sum + tokens.length, 0)).toBeLessThanOrEqual(8);
    }
    // While the long prompt was read, the first request went on writing.
    const reading = decoder.steps.filter((parts) => parts.some(({ tokens }) => tokens.length === 8));
    expect(reading.length).toBeGreaterThanOrEqual(3);
    for (const parts of reading.slice(1)) expect(parts.some(({ tokens }) => tokens.length === 1)).toBe(true);
  });

  test('the queue is bounded, all or nothing', async () => {
    const decoder = createFakeDecoder({ vocabulary: V, sequences: 2 });
    const scheduler = createScheduler(decoder, { queue: 3 });
    expect(scheduler.capacity).toBe(5);
    const first = ask(scheduler, [slow, slow, slow, slow], endless);
    expect(() => ask(scheduler, [slow, slow], endless)).toThrowError(
      expect.objectContaining({ code: 'E_RESOURCE_QUEUE', facts: expect.objectContaining({ queue: 3 }) }),
    );
    const last = ask(scheduler, [slow], endless);
    expect(() => ask(scheduler, [slow], endless)).toThrowError(/Try again later/);
    await Promise.all([...first, ...last]);
    await Promise.all(ask(scheduler, [slow], endless));
  });

  test('a cancelled request makes room at once where it waits, after the step where it runs', async () => {
    const decoder = createFakeDecoder({ vocabulary: V, sequences: 1, delay: 2 });
    const scheduler = createScheduler(decoder, { queue: 1 });
    const [first, second] = [new AbortController(), new AbortController()];
    const running = ask(scheduler, [slow], { ...endless, signal: first.signal })[0]!;
    while (scheduler.state.running === 0) await new Promise((resolve) => setImmediate(resolve));
    const waiting = ask(scheduler, [slow], { ...endless, signal: second.signal })[0]!;
    expect(scheduler.state).toMatchObject({ running: 1, waiting: 1 });
    second.abort(new Error('second'));
    expect(scheduler.state).toMatchObject({ running: 1, waiting: 0 });
    await expect(waiting).rejects.toThrow('second');
    first.abort(new Error('first'));
    await expect(running).rejects.toThrow('first');
    expect(scheduler.state).toMatchObject({ running: 0 });
    await expect(ask(scheduler, [slow], { signal: first.signal })[0]).rejects.toThrow('first'); // cancelled before it came
    expect(await Promise.all(ask(scheduler, [slow]))).toEqual([alone(slow)]);
  });

  test('a step that fails takes only those in it along', async () => {
    const decoder = createFakeDecoder({ vocabulary: V, sequences: 1 });
    const scheduler = createScheduler(decoder);
    decoder.failNext(new Error('lost'));
    const [first, second] = ask(scheduler, [slow, slow]);
    await expect(first).rejects.toThrow('lost');
    expect(await second).toEqual(alone(slow));
    expect(scheduler.state.failure).toBeUndefined();
    await scheduler.close();
    expect(decoder.openCount).toBe(0);
  });

  test('a listener that throws ends its request alone', async () => {
    const scheduler = createScheduler(createFakeDecoder({ vocabulary: V }));
    const bad = ask(scheduler, [slow], {
      onToken: () => {
        throw new Error('listener');
      },
    })[0]!;
    const good = ask(scheduler, [slow])[0]!;
    await expect(bad).rejects.toThrow('listener');
    expect(await good).toEqual(alone(slow));
  });

  test('close cancels what runs and waits, and takes nothing more', async () => {
    const decoder = createFakeDecoder({ vocabulary: V, sequences: 1 });
    const scheduler = createScheduler(decoder);
    const outcomes = Promise.allSettled(ask(scheduler, [slow, slow, slow], endless));
    await scheduler.close();
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(() => ask(scheduler, [slow])).toThrowError(expect.objectContaining({ code: 'E_RESOURCE_CLOSED' }));
    expect(decoder.openCount).toBe(0);
  });

  test('a prompt that began before is not read again', async () => {
    const decoder = createFakeDecoder({ vocabulary: V, sequences: 2 });
    const scheduler = createScheduler(decoder);
    const [first] = await Promise.all(ask(scheduler, [slow], { ...endless, promptScores: undefined }));
    const next = { ...slow, prompt: [...slow.prompt, ...first!.tokens.slice(0, 40), 4, 5], maxTokens: 1 };
    const before = decoder.steps.length;
    const [got] = await Promise.all(ask(scheduler, [next], { promptScores: undefined }));
    expect(decoder.steps.slice(before).flatMap((parts) => parts.map(({ tokens }) => tokens))).toEqual([[4, 5]]);
    expect(got!.tokens).toEqual(alone(next).tokens);
  });
});

describe('with a decoder that writes ahead', () => {
  const greedy = fc.record({ ahead: fc.integer({ min: 1, max: 4 }), most: fc.integer({ min: 1, max: 3 }) });
  const plain = { scores: undefined, promptScores: undefined };
  const expected = (one: Case) => {
    const { tokens, finish } = alone(one);
    return { tokens, finish, prompt: [], scores: tokens.map(() => undefined) };
  };

  test('texts are the same, whoever comes and leaves, and whoever needs logits beside them', async () => {
    const seen = { written: 0, steps: 0 };
    const some = fc.tuple(cases, fc.boolean(), fc.nat({ max: 30 }), fc.option(fc.nat({ max: 40 })));
    await fc.assert(
      fc.asyncProperty(
        fc.array(some, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 3 }),
        greedy,
        async (requests, sequences, writes) => {
          const decoder = createFakeDecoder({ vocabulary: V, sequences, greedy: writes });
          const scheduler = createScheduler(decoder, { chunk: 9, queue: 100 });
          const turns = async (count: number): Promise<void> => {
            for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
          };
          const asked = requests.map(async ([given, draws, before, leaves]) => {
            const one = draws ? given : { ...given, sampling: { ...given.sampling, temperature: 0 } };
            await turns(before);
            const controller = new AbortController();
            const reason = new Error('gone');
            const [got] = ask(scheduler, [one], { ...plain, signal: controller.signal });
            const outcome = got!.then(
              (value) => expect(value).toEqual(expected(one)),
              (error) => {
                expect(error).toBe(reason);
                expect(leaves).not.toBeNull();
              },
            );
            if (leaves !== null) {
              await turns(leaves);
              controller.abort(reason);
            }
            await outcome;
          });
          await Promise.all(asked);
          seen.written += decoder.written.tokens;
          seen.steps += decoder.steps.length;
          await scheduler.close();
          expect(decoder.openCount).toBe(0);
        },
      ),
      { numRuns: runs(100) },
    );
    expect(seen.written).toBeGreaterThan(0);
    expect(seen.steps).toBeGreaterThan(0);
  });

  const greedily: Case = { prompt: [1, 2, 3], maxTokens: 20, sampling: { temperature: 0, topP: 1, seed: 0 } };
  const both = { ahead: 3, most: 2 };

  test('only where nobody needs logits', async () => {
    const biased = { ...greedily, sampling: { ...greedily.sampling, logitBias: new Map([[4, 1]]) } };
    const drawn = { ...greedily, sampling: { ...greedily.sampling, temperature: 1 } };
    for (const [one, more] of [
      [biased, plain],
      [drawn, plain],
      [greedily, { ...plain, scores: 1 }],
    ] as const) {
      const decoder = createFakeDecoder({ vocabulary: V, greedy: both });
      await Promise.all(ask(createScheduler(decoder), [one], more));
      expect(decoder.written.times).toBe(0);
    }
    const decoder = createFakeDecoder({ vocabulary: V, greedy: both });
    const all = ask(createScheduler(decoder), [greedily, greedily, greedily], plain);
    await Promise.all(all);
    expect(decoder.written.times).toBe(0); // three run, two can write
    const free = createFakeDecoder({ vocabulary: V, greedy: both });
    expect(
      await Promise.all(ask(createScheduler(free), [greedily], { ...plain, stopTokens: new Set() })),
    ).toMatchObject([{ finish: 'length' }]);
    // The first token is the prompt's, the others come at one go.
    expect(free.written).toEqual({ times: 1, tokens: 19 });
  });

  test('a listener that ends the text, one that throws, and logits that are no numbers', async () => {
    const decoder = createFakeDecoder({ vocabulary: V, sequences: 1, greedy: both });
    const scheduler = createScheduler(decoder);
    const count = (most: number, end: () => boolean) => {
      let seen = 0;
      return { ...plain, stopTokens: new Set<number>(), onToken: () => (++seen >= most ? end() : false) };
    };
    const [stopped] = ask(
      scheduler,
      [greedily],
      count(5, () => true),
    );
    expect((await stopped!).finish).toBe('stop');
    const [thrown] = ask(
      scheduler,
      [greedily],
      count(5, () => {
        throw new Error('listener');
      }),
    );
    await expect(thrown).rejects.toThrow('listener');
    // What was written behind an end is not taken for read: the same prompt goes on as alone.
    expect((await Promise.all(ask(scheduler, [greedily], plain)))[0]).toEqual(expected(greedily));
    const other = createFakeDecoder({ vocabulary: V, greedy: both });
    const { write } = other.greedy!;
    const damaged = {
      ...other,
      greedy: {
        most: 2,
        async *write(...args: Parameters<typeof write>) {
          for await (const choices of write(...args)) yield choices.map((one) => ({ ...one, logit: Number.NaN }));
        },
      },
    };
    const [nan] = ask(createScheduler(damaged), [greedily], plain);
    await expect(nan).rejects.toMatchObject({ code: 'E_NUMERIC_LOGITS' });
  });

  test('a device that fails takes along who wrote, by its error, and the next one goes on', async () => {
    const decoder = createFakeDecoder({ vocabulary: V, sequences: 1, greedy: both });
    const scheduler = createScheduler(decoder);
    let failed = false;
    const [first, second] = ask(scheduler, [greedily, greedily], {
      ...plain,
      onToken: () => {
        if (!failed && decoder.written.tokens === 2) decoder.failNext(new Error('lost'));
        failed ||= decoder.written.tokens === 2;
        return false;
      },
    });
    await expect(first).rejects.toThrow('lost');
    expect((await second!).finish).toBe(alone(greedily).finish);
    await scheduler.close();
    expect(decoder.openCount).toBe(0);
  });
});
