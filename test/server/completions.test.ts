// /v1/completions over real HTTP, against what the decoder must give, computed on the side.

import { afterAll, describe, expect, test } from 'vitest';
import { argmax, scoreToken } from '../../src/generation/index.js';
import { fakeLogits } from '../generation/fake-decoder.js';
import { language, makeServer } from './make.js';

const made = await makeServer();
const { post } = made;
afterAll(() => made.server.stop());

const { tokenizer } = language;
const V = 768;
const END = tokenizer.tokenId('<|endoftext|>')!;

/** What greedy writes after `prompt`. */
function greedy(prompt: readonly number[], count: number): number[] {
  const all = [...prompt];
  for (let i = 0; i < count; i++) {
    const token = argmax(fakeLogits(all, V));
    if (token === END) break;
    all.push(token);
  }
  return all.slice(prompt.length);
}

// biome-ignore lint/suspicious/noExplicitAny: answers as they come over the wire
const ask = async (body: object): Promise<any> => {
  const response = await post('/v1/completions', { model: 'demo', ...body });
  expect(response.status, await response.clone().text()).toBe(200);
  return response.json();
};

describe('POST /v1/completions', () => {
  test('text, reason, usage', async () => {
    const prompt = [...tokenizer.encode('Once upon a time')];
    const answer = await ask({ prompt: 'Once upon a time', temperature: 0, max_tokens: 12 });
    expect(answer).toEqual({
      id: expect.stringMatching(/^cmpl-/),
      object: 'text_completion',
      created: expect.any(Number),
      model: 'demo',
      choices: [
        {
          ...{ index: 0, logprobs: null, finish_reason: 'length' },
          text: tokenizer.decode([...prompt, ...greedy(prompt, 12)]).slice('Once upon a time'.length),
        },
      ],
      usage: { prompt_tokens: prompt.length, completion_tokens: 12, total_tokens: prompt.length + 12 },
    });
  });

  test('16 tokens unless told otherwise; an empty prompt begins with the BOS token', async () => {
    const answer = await ask({ prompt: '', temperature: 0 });
    expect(answer.usage).toMatchObject({ prompt_tokens: 1, completion_tokens: 16 });
    expect(answer.choices[0].text).toBe(tokenizer.decode(greedy([END], 16)));
    expect((await ask({ temperature: 0 })).choices).toEqual(answer.choices);
    expect((await ask({ prompt: [END], temperature: 0 })).choices).toEqual(answer.choices);
  });

  test('prompts as text, token ids, and lists of both; n of each in order', async () => {
    const [one, two] = ['Once', 'The end'].map((text) => [...tokenizer.encode(text)]);
    const plain = { temperature: 0, max_tokens: 5 };
    const [a, b] = [
      (await ask({ ...plain, prompt: 'Once' })).choices[0].text,
      (await ask({ ...plain, prompt: two })).choices[0].text,
    ];
    for (const prompt of [
      ['Once', 'The end'],
      [one, two],
      ['Once', two],
    ]) {
      const { choices } = await ask({ ...plain, prompt, n: 2 });
      expect(choices.map(({ text, index }: { text: string; index: number }) => [index, text])).toEqual([
        [0, a],
        [1, a],
        [2, b],
        [3, b],
      ]);
    }
    expect((await ask({ ...plain, prompt: one })).choices[0].text).toBe(a);
  });

  test('the same seed writes the same, whatever else runs; each of n has its own', async () => {
    const body = { prompt: 'A', max_tokens: 10, temperature: 1.2, top_p: 0.9, top_k: 40, seed: 7, n: 3 };
    const first = await ask(body);
    const others = Array.from({ length: 8 }, (_, i) => ask({ ...body, seed: i, n: 1 }));
    const second = await ask(body);
    await Promise.all(others);
    expect(second.choices).toEqual(first.choices);
    expect(new Set(first.choices.map(({ text }: { text: string }) => text)).size).toBe(3);
    expect((await ask({ ...body, seed: undefined, n: 1 })).choices[0].text).not.toBe(
      (await ask({ ...body, seed: undefined, n: 1 })).choices[0].text,
    );
  });

  test('stop strings end the text and are no part of it, scores neither', async () => {
    const whole = (await ask({ prompt: 'A', temperature: 0, max_tokens: 40 })).choices[0].text as string;
    const stop = whole.slice(9, 13);
    for (const asked of [stop, ['nowhere', stop]]) {
      const { choices } = await ask({ prompt: 'A', temperature: 0, max_tokens: 40, stop: asked, logprobs: 1 });
      expect(choices[0]).toMatchObject({ text: whole.slice(0, whole.indexOf(stop)), finish_reason: 'stop' });
      const { text_offset } = choices[0].logprobs;
      expect(text_offset.at(-1)).toBeLessThan(whole.indexOf(stop));
    }
  });

  test('logprobs: the token’s, the likeliest, where it begins', async () => {
    const prompt = [...tokenizer.encode('A')];
    const { choices } = await ask({ prompt: 'A', temperature: 0, max_tokens: 6, logprobs: 3 });
    const { tokens, token_logprobs, top_logprobs, text_offset } = choices[0].logprobs;
    const all = [...prompt];
    let text = '';
    for (const [i, token] of greedy(prompt, 6).entries()) {
      const { logprob, top } = scoreToken(fakeLogits(all, V), token, 3);
      expect(token_logprobs[i]).toBe(logprob);
      expect(Object.values(top_logprobs[i])).toEqual(top.map((one) => one.logprob));
      expect(Object.keys(top_logprobs[i])[0]).toBe(tokens[i]);
      expect(text_offset[i]).toBe(text.length);
      all.push(token);
      text = tokenizer.decode(all.slice(1)).replace(/\ufffd$/, '');
    }
    expect(tokens).toHaveLength(6);
  });

  test('echo and logprobs as lm-eval asks for them: token ids, one token more than the text', async () => {
    const texts = ['Once upon a time there was', 'The cat sat'].map((text) => [...tokenizer.encode(text)]);
    const { choices } = await ask({
      ...{ prompt: texts, temperature: 0, max_tokens: 1, logprobs: 1, seed: 1234, echo: true },
    });
    for (const [i, tokens] of texts.entries()) {
      const { logprobs, text, index } = choices[i];
      expect(index).toBe(i);
      // As lm-eval reads it: scores of what follows the context, the generated token left out.
      const context = 2;
      const scores: number[] = logprobs.token_logprobs.slice(context, -1);
      const expected = tokens.slice(context).map((token, j) => {
        const { logprob, top } = scoreToken(fakeLogits(tokens.slice(0, context + j), V), token, 1);
        return { logprob, best: top[0]!.logprob };
      });
      expect(scores).toEqual(expected.map(({ logprob }) => logprob));
      const tops: Record<string, number>[] = logprobs.top_logprobs.slice(context, -1);
      expect(tops.map((top) => Math.max(...Object.values(top)))).toEqual(expected.map(({ best }) => best));
      expect(logprobs.token_logprobs[0]).toBeNull();
      expect(logprobs.top_logprobs[0]).toBeNull();
      expect(logprobs.tokens).toHaveLength(tokens.length + 1);
      expect(text.startsWith(tokenizer.decode(tokens))).toBe(true);
      expect(logprobs.text_offset[0]).toBe(0);
      expect(logprobs.text_offset.at(-1)).toBe(tokenizer.decode(tokens).length);
    }
  });

  test('a token that greedy would choose has the score of the likeliest, to the bit', async () => {
    const prompt = [...tokenizer.encode('A')];
    const tokens = [...prompt, ...greedy(prompt, 10)];
    const { choices } = await ask({ prompt: tokens, temperature: 0, max_tokens: 1, logprobs: 1, echo: true });
    const { token_logprobs, top_logprobs } = choices[0].logprobs;
    for (let i = prompt.length; i < tokens.length; i++) {
      expect(token_logprobs[i]).toBe(Math.max(...Object.values(top_logprobs[i] as Record<string, number>)));
    }
  });

  test('echo with max_tokens 0 is the prompt and its scores alone', async () => {
    const { choices, usage } = await ask({ prompt: 'Once upon', max_tokens: 0, echo: true, logprobs: 0 });
    expect(choices[0]).toMatchObject({ text: 'Once upon', finish_reason: 'length' });
    expect(choices[0].logprobs.tokens.join('')).toBe('Once upon');
    expect(choices[0].logprobs.token_logprobs.slice(1)).not.toContain(null);
    expect(usage.completion_tokens).toBe(0);
    expect((await ask({ prompt: 'Once upon', max_tokens: 0 })).choices[0]).toMatchObject({ text: '' });
  });

  test('penalties and biases change what is taken, and not the scores', async () => {
    const prompt = [...tokenizer.encode('A')];
    const body = { prompt: 'A', temperature: 0, max_tokens: 12, logprobs: 0 };
    const asked = {
      repetition_penalty: 1.7,
      frequency_penalty: 0.4,
      presence_penalty: 0.3,
      logit_bias: { 5: 2.5, 9: -4 },
    };
    const all = [...prompt];
    const scores: number[] = [];
    while (all.length < prompt.length + 12) {
      const logits = fakeLogits(all, V);
      const written = all.slice(prompt.length);
      const adjusted = logits.map((logit, token) => {
        const biased = Math.fround(logit + ({ 5: 2.5, 9: -4 }[token] ?? 0));
        const repeated = all.includes(token) ? (biased > 0 ? biased / 1.7 : biased * 1.7) : biased;
        const times = written.filter((one) => one === token).length;
        return Math.fround(repeated) - (times > 0 ? 0.4 * times + 0.3 : 0);
      });
      const token = argmax(adjusted);
      if (token === END) break;
      scores.push(scoreToken(logits, token, 0).logprob);
      all.push(token);
    }
    const { choices } = await ask({ ...body, ...asked });
    expect(choices[0].text).toBe(tokenizer.decode(all).slice(1));
    expect(choices[0].logprobs.token_logprobs).toEqual(scores);
    expect(choices[0].text).not.toBe((await ask(body)).choices[0].text);
    for (const name of ['repetition_penalty', 'logit_bias'] as const) {
      const one = await ask({ ...body, [name]: name === 'logit_bias' ? { 5: 100 } : 0.01 });
      expect(one.choices[0].text).not.toBe((await ask(body)).choices[0].text);
    }
    const sampled = { ...body, temperature: 2, seed: 3, min_p: 1 };
    expect((await ask(sampled)).choices[0].text).toBe((await ask(body)).choices[0].text);
  });

  test('offsets count characters, not UTF-16 units', async () => {
    const prompt = 'a😀b';
    const tokens = [...tokenizer.encode(prompt)];
    const { choices } = await ask({ prompt, max_tokens: 1, echo: true, logprobs: 1, temperature: 0 });
    const { text_offset } = choices[0].logprobs;
    const characters = [...choices[0].text];
    expect(text_offset.slice(0, -1)).toEqual(
      tokens.map((_, i) => [...tokenizer.decode(tokens.slice(0, i)).replace(/\ufffd$/, '')].length),
    );
    expect(characters[text_offset.at(-2)]).toBe('b');
    expect(text_offset.at(-1)).toBe(3);
  });

  test('as a stream: the pieces are the same text, and usage comes last where asked for', async () => {
    for (const more of [{}, { echo: true }, { logprobs: 2 }, { echo: true, logprobs: 2 }]) {
      const body = { prompt: ['Once', 'A'], temperature: 0.9, seed: 3, max_tokens: 20, stop: ['zzz'], ...more };
      const whole = await ask(body);
      const response = await post('/v1/completions', {
        ...body,
        stream: true,
        stream_options: { include_usage: true },
      });
      expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
      const events = (await response.text()).split('\n\n').filter((one) => one !== '');
      expect(events.pop()).toBe('data: [DONE]');
      const chunks = events.map((one) => JSON.parse(one.replace(/^data: /, '')));
      expect(chunks.pop()).toMatchObject({ choices: [], usage: whole.usage });
      for (const { index, text, finish_reason, logprobs } of whole.choices) {
        const mine = chunks.flatMap(({ choices }) => choices).filter((one) => one.index === index);
        expect(mine.map((one) => one.text).join('')).toBe(text);
        expect(mine.map((one) => one.finish_reason).filter((one) => one !== null)).toEqual([finish_reason]);
        const told = mine.map((one) => one.logprobs).filter((one) => one !== null);
        for (const key of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset']) {
          expect(told.flatMap((one) => one[key])).toEqual(logprobs?.[key] ?? []);
        }
        if (!('logprobs' in more)) expect(mine.length).toBeGreaterThan(5);
      }
    }
  });

  test.each([
    ['prompt', { prompt: [] }, /non-empty/],
    ['prompt', { prompt: [1, 'a'] }, /token ids/],
    ['prompt', { prompt: { text: 'a' } }, /token ids/],
    ['prompt', { prompt: [V] }, /below 768, got 768/],
    ['temperature', { prompt: 'a', temperature: -1 }, /temperature/],
    ['temperature', { prompt: 'a', temperature: 'hot' }, /temperature/],
    ['max_tokens', { prompt: 'a', max_tokens: 1.5 }, /max_tokens/],
    ['n', { prompt: 'a', n: 1000 }, /n:/],
    ['logprobs', { prompt: 'a', logprobs: true }, /logprobs/],
    ['stop', { prompt: 'a', stop: [''] }, /non-empty/],
    ['stop', { prompt: 'a', stop: ['\ud800'] }, /surrogate/],
    ['best_of', { prompt: 'a', best_of: 3 }, /does not have this parameter/],
    ['suffix', { prompt: 'a', suffix: 'b' }, /does not have this parameter/],
    ['logit_bias', { prompt: 'a', logit_bias: { 768: 1 } }, /below 768, got 768/],
    ['logit_bias', { prompt: 'a', logit_bias: { word: 1 } }, /token ids below 768, got word/],
    ['frequency_penalty', { prompt: 'a', frequency_penalty: 3 }, /frequency_penalty/],
    ['repetition_penalty', { prompt: 'a', repetition_penalty: 0 }, /repetition_penalty/],
    ['min_p', { prompt: 'a', min_p: 1.5 }, /min_p/],
    ['stop', { prompt: 'a', stop: 5 }, /a string, or a list/],
    ['prompt', { prompt: 'a\ud83d' }, /lone surrogate/],
    ['response_format', { prompt: 'a', response_format: { type: 'json_object' } }, /does not have this parameter/],
    ['guided_regex', { prompt: 'a', guided_regex: 'a+' }, /does not have this parameter/],
    ['stop_token_ids', { prompt: 'a', stop_token_ids: [1] }, /does not have this parameter/],
    ['ignore_eos', { prompt: 'a', ignore_eos: true }, /does not have this parameter/],
    ['min_tokens', { prompt: 'a', min_tokens: 2 }, /does not have this parameter/],
    ['use_beam_search', { prompt: 'a', use_beam_search: true }, /does not have this parameter/],
    ['repeat_penalty', { prompt: 'a', repeat_penalty: 1.1 }, /see repetition_penalty/],
    ['n_predict', { prompt: 'a', n_predict: 5 }, /see max_tokens/],
    ['skip_special_tokens', { prompt: 'a', skip_special_tokens: false }, /does not have this parameter/],
    ['add_special_tokens', { prompt: 'a', add_special_tokens: false }, /does not have this parameter/],
    ['chat_template_kwargs', { prompt: 'a', chat_template_kwargs: { a: 1 } }, /does not have this parameter/],
    [null, { prompt: 'a', max_tokens: 1000 }, /maximum context length is 256/],
    [null, { prompt: 'word '.repeat(300) }, /maximum context length is 256/],
    [null, { prompt: 'x'.repeat(500_000) }, /500000 characters/],
    [null, { prompt: new Array(30).fill('a') }, /at most 20/],
  ] as const)('%s refused by name, case %#', async (param, body, message) => {
    const response = await post('/v1/completions', body);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: {
        message: expect.stringMatching(message),
        type: 'invalid_request_error',
        param,
        code: expect.any(String),
      },
    });
  });

  test('what asks for nothing is no reason to refuse', async () => {
    const neutral = {
      best_of: 1,
      suffix: null,
      logit_bias: {},
      frequency_penalty: 0,
      presence_penalty: null,
      ...{ min_p: 0, repetition_penalty: 1, typical_p: 1, ignore_eos: false, add_special_tokens: true, min_tokens: 0 },
      user: 'me',
    };
    await ask({ prompt: 'a', max_tokens: 1, ...neutral, top_k: -1, stop: null, seed: -5, unheard_of: [1] });
  });
});
