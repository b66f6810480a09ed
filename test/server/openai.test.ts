// The official client, unmodified.

import OpenAI, { APIError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from 'openai';
import { afterAll, describe, expect, test } from 'vitest';
import { argmax, scoreToken } from '../../src/generation/index.js';
import { fakeLogits } from '../generation/fake-decoder.js';
import { language, makeServer } from './make.js';

const made = await makeServer({ apiKey: 'secret', queue: 2, info: { sequences: 1 } });
const plain = await makeServer({ chat: false });
const tools = await makeServer({
  chat: "{% for m in messages %}{{ m['content'] }}{% for c in m['tool_calls'] or [] %}{{ c['function']['name'] }}{{ c['function']['arguments'] | tojson }}{% endfor %}{{ m.tool_call_id }}/{% endfor %}{{ enable_thinking }}",
});
const unsupported = await makeServer({ chat: "{{ messages | groupby('role') }}" });
const clientOf = (url: string, apiKey = 'secret') => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const client = clientOf(made.server.url);
afterAll(() => Promise.all([made, plain, tools, unsupported].map(({ server }) => server.stop())));

const { tokenizer } = language;
const messages = [
  { role: 'system', content: 'Be brief.' },
  {
    role: 'user',
    content: [
      { type: 'text', text: 'Say' },
      { type: 'text', text: ' something.' },
    ],
  },
] as const satisfies OpenAI.ChatCompletionMessageParam[];
const PROMPT = '<|endoftext|>[system] Be brief.\n[user] Say something.\n[assistant]';

function greedy(prompt: readonly number[], count: number): number[] {
  const all = [...prompt];
  for (let i = 0; i < count; i++) all.push(argmax(fakeLogits(all, 768)));
  return all.slice(prompt.length);
}

test('models', async () => {
  const ids: string[] = [];
  for await (const { id } of client.models.list()) ids.push(id);
  expect(ids).toEqual(['demo']);
  expect((await client.models.retrieve('demo')).owned_by).toBe('layerwise');
});

describe('completions', () => {
  const body = { model: 'demo', prompt: 'Once', max_tokens: 20, seed: 5, logprobs: 2 } as const;

  test('whole and as a stream', async () => {
    const whole = await client.completions.create(body);
    expect(whole.choices[0]!.text.length).toBeGreaterThan(0);
    expect(whole.choices[0]!.logprobs!.tokens!.length).toBe(whole.usage!.completion_tokens);
    let text = '';
    for await (const { choices } of await client.completions.create({ ...body, stream: true })) {
      text += choices[0]!.text;
    }
    expect(text).toBe(whole.choices[0]!.text);
  });

  test('a stream that is left is cancelled', async () => {
    const stream = await client.completions.create({ ...body, max_tokens: 200, stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    const page = async (): Promise<string> => (await made.get('/metrics')).text();
    while (!/calls_total\{outcome="cancelled"\} 1/.test(await page())) await new Promise((r) => setTimeout(r, 5));
    expect(await page()).toMatch(/^layerwise_running_sequences 0$/m);
  });
});

describe('chat', () => {
  const body = { model: 'demo', messages: [...messages], max_completion_tokens: 20, temperature: 0 };

  test('whole: the template’s text is what the model reads', async () => {
    const prompt = [...tokenizer.encode(PROMPT, false)];
    const answer = await client.chat.completions.create({ ...body, logprobs: true, top_logprobs: 2 });
    const [choice] = answer.choices;
    const tokens = greedy(prompt, 20);
    expect(choice).toMatchObject({ index: 0, finish_reason: 'length', message: { role: 'assistant', refusal: null } });
    expect(choice!.message.content).toBe(
      tokenizer.decode([...prompt, ...tokens]).slice(tokenizer.decode(prompt).length),
    );
    expect(answer.usage).toMatchObject({ prompt_tokens: prompt.length, completion_tokens: 20 });
    const content = choice!.logprobs!.content!;
    const first = scoreToken(fakeLogits(prompt, 768), tokens[0]!, 2);
    expect(content[0]).toMatchObject({ logprob: first.logprob, bytes: [...tokenizer.tokenBytes(tokens[0]!)] });
    expect(content.map((one) => one.top_logprobs.length)).toEqual(new Array(20).fill(2));
    expect(content[0]!.top_logprobs.map((one) => one.logprob)).toEqual(first.top.map((one) => one.logprob));
    const bytes = content.flatMap((one) => one.bytes!);
    expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(choice!.message.content);
  });

  test('as a stream, with the client’s own helper', async () => {
    const whole = await client.chat.completions.create(body);
    const stream = client.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
    const deltas: string[] = [];
    stream.on('content', (delta) => deltas.push(delta));
    expect(await stream.finalContent()).toBe(whole.choices[0]!.message.content);
    expect(deltas.length).toBeGreaterThan(3);
    expect(await stream.totalUsage()).toMatchObject({ completion_tokens: 20 });
  });

  test('without a limit it writes to the end of the model’s positions', async () => {
    const { max_completion_tokens: _, ...unlimited } = body;
    const { usage } = await client.chat.completions.create({ ...unlimited, n: 2 });
    expect(usage!.prompt_tokens).toBeLessThan(100);
    expect(usage!.completion_tokens % 2).toBe(0);
    expect(usage!.prompt_tokens + usage!.completion_tokens / 2).toBe(256);
  });

  test('what the template refuses, and what we do not have, is named', async () => {
    const refused = (more: object) => client.chat.completions.create({ ...body, ...more } as typeof body);
    await expect(refused({ messages: [{ role: 'assistant', content: 'I first' }] })).rejects.toThrow(
      /the user speaks first/,
    );
    await expect(refused({ tools: [{ type: 'function', function: { name: 'f' } }] })).rejects.toThrow(/tools/);
    await expect(refused({ response_format: { type: 'json_object' } })).rejects.toThrow(/response_format/);
    const picture = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:,' } }] }];
    await expect(refused({ messages: picture })).rejects.toBeInstanceOf(BadRequestError);
    await expect(refused({ messages: [{ role: 'user', content: 'word '.repeat(400) }] })).rejects.toMatchObject({
      code: 'context_length_exceeded',
    });
  });

  const called = [
    { role: 'user', content: 'a' },
    {
      ...{ role: 'assistant', content: null, refusal: null },
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{"b": 1.0, "2": 3}' } }],
    },
    { role: 'tool', tool_call_id: 'c', content: '42' },
  ] as const satisfies OpenAI.ChatCompletionMessageParam[];

  test('a conversation in which a tool was called reaches the template whole', async () => {
    const prompt = (more: object = {}) =>
      clientOf(tools.server.url).chat.completions.create({
        ...body,
        max_completion_tokens: 1,
        messages: [...called],
        ...more,
      });
    const { usage } = await prompt();
    expect(usage!.prompt_tokens).toBe(tokenizer.encode('a/f{"b": 1.0, "2": 3}/42c/', false).length);
    const thinking = await prompt({ chat_template_kwargs: { enable_thinking: false } });
    expect(thinking.usage!.prompt_tokens).toBe(tokenizer.encode('a/f{"b": 1.0, "2": 3}/42c/False', false).length);
  });

  test('what a template would leave out is refused by its place, and what we do not have by name', async () => {
    const refused = (more: object) => client.chat.completions.create({ ...body, ...more } as typeof body);
    await expect(refused({ messages: called })).rejects.toMatchObject({
      ...{ status: 400, param: 'messages' },
      message: expect.stringMatching(/messages\.1\.tool_calls: .*does not write it/),
    });
    await expect(refused({ messages: [{ role: 'user', content: null }] })).rejects.toThrow(
      /messages\.0\.content: expected/,
    );
    await expect(refused({ messages: [{ role: 'user', content: '\ud800' }] })).rejects.toThrow(/surrogate/);
    await expect(refused({ messages: ['hi'] })).rejects.toThrow(/messages\.0: expected an object, got "hi"/);
    await expect(refused({ messages: 'hi' })).rejects.toThrow(/messages/);
    await expect(refused({ tool_choice: 'required' })).rejects.toThrow(/tool_choice/);
    await expect(refused({ continue_final_message: true })).rejects.toThrow(/continue_final_message/);
    await expect(refused({ reasoning_effort: 'low' })).rejects.toThrow(/see chat_template_kwargs/);
    await expect(refused({ echo: true })).rejects.toThrow(/echo/);
    await expect(refused({ chat_template_kwargs: { messages: [] } })).rejects.toMatchObject({
      param: 'chat_template_kwargs',
    });
    await expect(clientOf(unsupported.server.url).chat.completions.create(body)).rejects.toMatchObject({
      ...{ status: 400, code: 'E_UNSUPPORTED_CHAT_TEMPLATE', message: expect.stringContaining('the filter groupby') },
    });
  });

  test('a model without a chat template says so', async () => {
    await expect(clientOf(plain.server.url).chat.completions.create(body)).rejects.toThrow(/no chat template/);
  });
});

test('errors are the client’s own kinds', async () => {
  const body = { model: 'demo', prompt: 'A' };
  await expect(clientOf(made.server.url, 'wrong').models.list()).rejects.toBeInstanceOf(AuthenticationError);
  await expect(client.completions.create({ ...body, model: 'other' })).rejects.toBeInstanceOf(NotFoundError);
  await expect(client.completions.create({ ...body, max_tokens: 5000 })).rejects.toMatchObject({
    ...{ status: 400, code: 'context_length_exceeded', type: 'invalid_request_error' },
  });
  const many = await Promise.allSettled(
    Array.from({ length: 6 }, () => client.completions.create({ ...body, max_tokens: 60 })),
  );
  const failures = many.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  expect(failures.length).toBeGreaterThan(0);
  expect(failures.length).toBeLessThan(6);
  for (const failure of failures) expect(failure).toBeInstanceOf(RateLimitError);
  const patient = new OpenAI({ baseURL: `${made.server.url}/v1`, apiKey: 'secret', maxRetries: 5 });
  const all = await Promise.all(Array.from({ length: 6 }, () => patient.completions.create(body)));
  expect(all).toHaveLength(6);
});

test('an error inside a stream reaches the client', async () => {
  const stream = await client.completions.create({ model: 'demo', prompt: 'A', max_tokens: 50, stream: true });
  made.decoder.failNext(new Error('lost'));
  const read = async (): Promise<void> => {
    for await (const _ of stream);
  };
  await expect(read()).rejects.toBeInstanceOf(APIError);
});
