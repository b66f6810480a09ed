// What the soak's clients do, one act at a time: whole answers and streams, scores of prompts, conversations, answers left
// half way, bodies that are none. Each says what came of it; what must not happen is an error.

import { connect } from 'node:net';
import type { Rng } from '#src/base';

export type Outcome = 'answered' | 'refused' | 'full' | 'cancelled' | 'read';
export type Target = { readonly url: string; readonly maxPositions: number; readonly chat: boolean };
type Act = (target: Target, rng: Rng) => Promise<Outcome>;

const WORDS = ['the', 'mill', 'Clara', 'lamp', 'was', 'red', '東京', 'é', '👩‍👩‍👧', '\n', '.', ' ', 'box', '"', '\\'];

const pick = <T>(rng: Rng, things: readonly T[]): T => things[rng.below(things.length)]!;
const textOf = (rng: Rng, words: number): string =>
  Array.from({ length: rng.below(words + 1) }, () => pick(rng, WORDS)).join(' ');

const post = (url: string, body: string, signal?: AbortSignal): Promise<Response> =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body, ...(signal ? { signal } : {}) });

function samplingOf(rng: Rng) {
  return {
    max_tokens: 1 + rng.below(40),
    temperature: pick(rng, [0, 0.7, 1.5]),
    top_p: pick(rng, [1, 0.9, 0.1]),
    n: pick(rng, [1, 1, 1, 2]),
    ...(rng.below(2) === 0 ? { seed: rng.uint32() } : {}),
    ...(rng.below(4) === 0 ? { stop: ['.', 'was the'] } : {}),
  };
}

function completionOf(rng: Rng): Readonly<Record<string, unknown>> & { readonly choices: number } {
  const sampling = samplingOf(rng);
  const prompt = pick(rng, [
    () => textOf(rng, 20),
    () => Array.from({ length: 1 + rng.below(60) }, () => rng.below(256)),
    () => [textOf(rng, 5), textOf(rng, 5)],
  ])();
  const prompts = Array.isArray(prompt) && typeof prompt[0] === 'string' ? prompt.length : 1;
  const scores = rng.below(3) === 0 ? { logprobs: rng.below(5), echo: rng.below(2) === 0 } : {};
  return { prompt, ...sampling, ...scores, choices: prompts * sampling.n };
}

/** Requires a whole answer with all its texts. */
async function readWhole(response: Response, choices: number): Promise<Outcome> {
  if (response.status === 429) return readRefusal(response, 'full');
  const text = await response.text();
  if (response.status !== 200) throw new Error(`status ${response.status}: ${text.slice(0, 300)}`);
  const answer = JSON.parse(text) as { choices: { finish_reason: unknown }[]; usage: { completion_tokens: number } };
  const ended = answer.choices.filter(({ finish_reason }) => finish_reason === 'stop' || finish_reason === 'length');
  if (ended.length === choices && answer.usage.completion_tokens >= 0) return 'answered';
  throw new Error(`expected ${choices} texts, got ${text.slice(0, 300)}`);
}

/** Requires a stream that ends as it should, each text with its reason. */
async function readStream(response: Response, choices: number): Promise<Outcome> {
  if (response.status === 429) return readRefusal(response, 'full');
  const text = await response.text();
  if (response.status !== 200) throw new Error(`status ${response.status}: ${text.slice(0, 300)}`);
  const ended = text.match(/"finish_reason":"(stop|length)"/g)?.length ?? 0;
  if (text.endsWith('data: [DONE]\n\n') && ended === choices && !text.includes('"error"')) return 'answered';
  throw new Error(`expected a stream of ${choices} texts, got …${text.slice(-300)}`);
}

async function readRefusal(response: Response, outcome: Outcome = 'refused'): Promise<Outcome> {
  const text = await response.text();
  const { error } = JSON.parse(text) as { error?: { message?: unknown } };
  if (response.status >= 400 && response.status < 500 && typeof error?.message === 'string') return outcome;
  throw new Error(`expected a refusal, got ${response.status}: ${text.slice(0, 300)}`);
}

const whole: Act = async ({ url }, rng) => {
  const { choices, ...body } = completionOf(rng);
  return readWhole(await post(`${url}/v1/completions`, JSON.stringify(body)), choices);
};

const stream: Act = async ({ url }, rng) => {
  const { choices, ...body } = completionOf(rng);
  return readStream(await post(`${url}/v1/completions`, JSON.stringify({ ...body, stream: true })), choices);
};

const talk: Act = async ({ url, chat }, rng) => {
  const messages = Array.from({ length: 1 + rng.below(3) }, () => ({ role: 'user', content: textOf(rng, 6) }));
  const sampling = { ...samplingOf(rng), max_tokens: 1 + rng.below(20) };
  const response = await post(`${url}/v1/chat/completions`, JSON.stringify({ messages, ...sampling }));
  return chat ? readWhole(response, sampling.n) : readRefusal(response);
};

/** Leaves after a while, whether the answer has begun or not. */
const leave: Act = async ({ url }, rng) => {
  const { choices: _, ...body } = completionOf(rng);
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), rng.below(150));
  try {
    const asked = JSON.stringify({ ...body, max_tokens: 60, stream: rng.below(2) === 0 });
    const response = await post(`${url}/v1/completions`, asked, controller.signal);
    await response.text();
    if (response.status === 429) return 'full';
    if (response.status === 200) return 'answered';
    throw new Error(`status ${response.status}`);
  } catch (error) {
    if (controller.signal.aborted) return 'cancelled';
    throw error;
  } finally {
    clearTimeout(timer);
  }
};

/** A body that is none, or asks for what is not there. */
const malformed: Act = async ({ url, maxPositions }, rng) => {
  const good = JSON.stringify({ prompt: textOf(rng, 10), max_tokens: 3 });
  const bad = pick(rng, [
    () => good.slice(0, 1 + rng.below(good.length - 1)),
    () => Array.from({ length: 1 + rng.below(200) }, () => String.fromCharCode(rng.below(0xd800))).join(''),
    () => '['.repeat(1 + rng.below(10_000)),
    () => JSON.stringify({ prompt: [[1, 'a']], max_tokens: 3 }),
    () => JSON.stringify({ prompt: 'a', max_tokens: maxPositions }),
    () => JSON.stringify({ prompt: 'a', temperature: pick(rng, ['x', -1, 99, {}, []]) }),
    () => JSON.stringify({ prompt: [1 << 30] }),
    () => JSON.stringify({ prompt: 'a', model: 'another' }),
    () => JSON.stringify({ prompt: 'word '.repeat(10 * maxPositions), max_tokens: 1 }),
  ])();
  return readRefusal(await post(`${url}/v1/${pick(rng, ['completions', 'chat/completions'])}`, bad));
};

/** Bytes that are no HTTP, or a request that never ends. */
const noise: Act = ({ url }, rng) =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    const head =
      'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"pro';
    socket.on('error', () => {}); // the server may close first, which is its right
    socket.on('connect', () => {
      socket.write(rng.below(2) === 0 ? head : Buffer.from(Array.from({ length: 50 }, () => rng.below(256))));
      setTimeout(() => socket.destroy(), rng.below(100));
    });
    socket.on('close', () => resolve('cancelled'));
  });

const look: Act = async ({ url }, rng) => {
  const response = await fetch(url + pick(rng, ['/health', '/v1/models', '/', '/metrics']));
  await response.text();
  if (response.status === 200) return 'read';
  throw new Error(`status ${response.status} of ${response.url}`);
};

export const ACTS: Readonly<Record<string, Act>> = { whole, stream, talk, leave, malformed, noise, look };
