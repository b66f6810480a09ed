// The server around the answers: who may ask, how much, for how long, and how it ends.

import { once } from 'node:events';
import { get, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { ResourceError } from '../../src/base/index.js';
import { startServer } from '../../src/server/index.js';
import { runs } from '../scale.js';
import { type Made, makeModel, makeServer } from './make.js';

const running: Made[] = [];
const make = async (options?: Parameters<typeof makeServer>[0]): Promise<Made> => {
  const made = await makeServer(options);
  running.push(made);
  return made;
};
afterEach(async () => {
  await Promise.all(running.splice(0).map(({ server }) => server.stop(0)));
});

/** The value of one line of /metrics; 0 where it is not there yet. */
async function metric({ get }: Made, line: string): Promise<number> {
  const page = await (await get('/metrics')).text();
  const found = page.split('\n').find((one) => one.startsWith(`${line} `));
  return found === undefined ? 0 : Number(found.split(' ').at(-1));
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('waited for nothing');
}

const endless = { prompt: 'A', max_tokens: 200, temperature: 0, logprobs: null };

describe('what is there', () => {
  test('models, health, the page, and nothing else', async () => {
    const { get } = await make();
    const list = await (await get('/v1/models')).json();
    expect(list).toEqual({
      object: 'list',
      data: [{ id: 'demo', object: 'model', created: expect.any(Number), owned_by: 'layerwise', max_model_len: 256 }],
    });
    expect(await (await get('/v1/models/demo')).json()).toEqual(list.data[0]);
    expect(await (await get('/health')).json()).toEqual({ status: 'ok' });
    expect((await get('/')).headers.get('content-type')).toMatch(/text\/html/);
    for (const path of ['/v1/models/other', '/v1/nothing', '/favicon.ico', '/v1/completions']) {
      const response = await get(path);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
    }
  });

  test('another model than this one is not found', async () => {
    const { post } = await make();
    const response = await post('/v1/completions', { model: 'gpt-4', prompt: 'A' });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'model_not_found', param: 'model' } });
  });

  test('metrics count', async () => {
    const made = await make();
    await made.post('/v1/completions', { prompt: [[5], [6, 7]], max_tokens: 4, temperature: 0 });
    await made.post('/v1/completions', { prompt: 5 });
    expect(await metric(made, 'layerwise_prompt_tokens_total')).toBe(3);
    expect(await metric(made, 'layerwise_generated_tokens_total')).toBe(8);
    expect(await metric(made, 'layerwise_requests_total{route="/v1/completions",status="200"}')).toBe(1);
    expect(await metric(made, 'layerwise_requests_total{route="/v1/completions",status="400"}')).toBe(1);
    expect(await metric(made, 'layerwise_calls_total{outcome="answered"}')).toBe(1);
    expect(await metric(made, 'layerwise_request_seconds_count')).toBe(1);
    expect(await metric(made, 'layerwise_first_token_seconds_bucket{le="+Inf"}')).toBe(1);
    const page = await (await made.get('/metrics')).text();
    const shape = /^(#( HELP| TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+)$/;
    for (const line of page.trimEnd().split('\n')) expect(line).toMatch(shape);
    expect(page.endsWith('\n')).toBe(true);
  });
});

describe('who may ask', () => {
  test('with an API key, everything under /v1 needs it', async () => {
    const { get, post } = await make({ apiKey: 'secret' });
    const paths = ['/v1/models', '/v1/completions', '/v1/anything'];
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: 'secret' }]) {
      for (const path of paths) {
        const response = await get(path, { headers });
        expect(response.status).toBe(401);
        expect(await response.json()).toMatchObject({ error: { code: 'invalid_api_key' } });
      }
    }
    const headers = { authorization: 'Bearer secret' };
    expect((await get('/v1/models', { headers })).status).toBe(200);
    expect((await post('/v1/completions', { prompt: 'A' }, { headers })).status).toBe(200);
    expect((await get('/health')).status).toBe(200);
    expect((await get('/')).status).toBe(200);
  });

  test('without a key, a server for this machine alone answers to this machine’s names alone', async () => {
    const asked = async (port: number, host: string): Promise<number> => {
      const asking = get({ port, host: '127.0.0.1', path: '/v1/models', headers: { host } });
      const [response] = (await once(asking, 'response')) as [IncomingMessage];
      response.resume();
      return response.statusCode!;
    };
    const { server } = await make();
    for (const host of ['localhost', `localhost:${server.port}`, '127.0.0.1', `[::1]:${server.port}`, 'LOCALHOST:80'])
      expect([host, await asked(server.port, host)]).toEqual([host, 200]);
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:8080', '10.0.0.1'])
      expect([host, await asked(server.port, host)]).toEqual([host, 403]);
    const keyed = await make({ apiKey: 'secret' });
    expect(await asked(keyed.server.port, 'models.example')).toBe(401);
  });

  test('bodies are JSON that is said to be JSON, so that pages elsewhere cannot send any', async () => {
    const { server, post } = await make();
    const sent = await fetch(`${server.url}/v1/completions`, { method: 'POST', body: '{"prompt":"A"}' });
    expect(sent.status).toBe(415);
    expect((await post('/v1/completions', '{"prompt":')).status).toBe(400);
    expect(sent.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('how much', () => {
  test('a body that is too large is refused, however it is sent', async () => {
    const { server, post } = await make({ bodyBytes: 1000 });
    const large = JSON.stringify({ prompt: 'x'.repeat(2000) });
    const response = await post('/v1/completions', large);
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { code: 'body_too_large' } });
    const status = await new Promise((resolve, reject) => {
      const sending = request(`${server.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
      });
      sending.on('response', ({ statusCode }) => resolve(statusCode)).on('error', reject);
      for (let i = 0; i < large.length; i += 300) sending.write(large.slice(i, i + 300));
      sending.end();
    });
    expect(status).toBe(413);
  });

  test.each([
    ['with its length', 3_000_000, false],
    ['in chunks', 3_000_000, true],
    ['without a key', 3_000_000, false],
    ['more than is read', 200_000_000, false],
  ])('a client that sends all before it reads gets its answer: %s', async (what, size, chunked) => {
    const { server } = await make({ bodyBytes: 1000, apiKey: what === 'without a key' ? 'key' : undefined });
    const length = chunked ? 'transfer-encoding: chunked' : `content-length: ${size}`;
    const socket = connect(server.port, '127.0.0.1');
    socket.pause();
    socket.write(
      `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${length}\r\n\r\n`,
    );
    const block = Buffer.alloc(60_000, 'x');
    let failed: Error | undefined;
    socket.on('error', (error) => {
      failed = error;
    });
    for (let sent = 0; sent < Math.min(size, 3_000_000); sent += block.length) {
      if (chunked) socket.write(`${block.length.toString(16)}\r\n`);
      await new Promise<void>((resolve) => socket.write(block, () => resolve()));
      if (chunked) socket.write('\r\n');
    }
    if (chunked) socket.write('0\r\n\r\n');
    if (size <= 3_000_000) expect(failed).toBeUndefined();
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.resume();
    const end = what === 'without a key' ? 'invalid_api_key' : 'body_too_large';
    await until(() => Promise.resolve(answer.includes(end)));
    expect(answer).toMatch(what === 'without a key' ? /^HTTP\/1\.1 401/ : /^HTTP\/1\.1 413/);
    if (size > 3_000_000) expect(answer).toMatch(/^connection: close/im);
    socket.destroy();
  });

  test('a body that is no UTF-8 or has no end to its brackets is refused', async () => {
    const { server } = await make();
    const send = (body: BodyInit, path = 'completions') =>
      fetch(`${server.url}/v1/${path}`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    const bad = await send(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]));
    expect(bad.status).toBe(400);
    expect(await bad.json()).toMatchObject({ error: { message: expect.stringContaining('UTF-8') } });
    const deep = `{"messages":[{"role":"user","content":"a","x":${'['.repeat(100_000)}${']'.repeat(100_000)}}]}`;
    expect((await send(deep, 'chat/completions')).status).toBe(400);
  });

  test('a full queue is 429, with a time to try again, and empties', async () => {
    const made = await make({ queue: 1, info: { sequences: 1 }, delay: 5 });
    const accepted = [made.post('/v1/completions', endless), made.post('/v1/completions', endless)];
    await until(async () => (await metric(made, 'layerwise_queue_depth')) === 1);
    expect(await metric(made, 'layerwise_running_sequences')).toBe(1);
    const refused = await made.post('/v1/completions', endless);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ error: { type: 'rate_limit_error', code: 'rate_limit_exceeded' } });
    for (const { status } of await Promise.all(accepted)) expect(status).toBe(200);
    expect((await made.post('/v1/completions', { ...endless, max_tokens: 1 })).status).toBe(200);
    expect(await metric(made, 'layerwise_calls_total{outcome="failed"}')).toBe(0);
  });

  test('an answer that takes too long ends: 504, or an event in a stream', async () => {
    const made = await make({ timeout: 0.2, delay: 20 });
    const response = await made.post('/v1/completions', endless);
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ error: { code: 'timeout' } });
    const streamed = await made.post('/v1/completions', { ...endless, stream: true });
    expect(streamed.status).toBe(200);
    const events = (await streamed.text()).trim().split('\n\n');
    expect(JSON.parse(events.at(-1)!.slice(6))).toMatchObject({ error: { code: 'timeout' } });
    expect(await metric(made, 'layerwise_calls_total{outcome="timeout"}')).toBe(2);
    expect(await metric(made, 'layerwise_running_sequences')).toBe(0);
  });

  test('a decoder that fails is 500 without its secrets, then the server goes on', async () => {
    const made = await make();
    made.decoder.failNext(new Error('/home/secret/path'));
    const response = await made.post('/v1/completions', endless);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret');
    expect((await made.get('/health')).status).toBe(503);
    expect((await made.post('/v1/completions', { ...endless, max_tokens: 2 })).status).toBe(200);
    expect((await made.get('/health')).status).toBe(200);
  });
});

test('a GPU that is lost is 503 in answers and in health, without its driver’s words', async () => {
  const made = await make();
  made.decoder.failNext(new ResourceError('E_RESOURCE_DEVICE', 'The webgpu device failed: it was lost (driver 1.2).'));
  const response = await made.post('/v1/completions', endless);
  expect(response.status).toBe(503);
  const text = await response.text();
  expect(JSON.parse(text)).toMatchObject({ error: { type: 'server_error', code: 'device_failed' } });
  expect(text).not.toContain('driver');
  expect((await made.get('/health')).status).toBe(503);
});

describe('clients that go', () => {
  test.each([true, false])('free what they had asked for (stream: %s)', async (stream) => {
    const made = await make({ info: { sequences: 1 }, delay: 5 });
    const controllers = [new AbortController(), new AbortController()]; // one runs, one waits
    const asked = controllers.map(({ signal }) =>
      made.post('/v1/completions', { ...endless, stream }, { signal }).then((response) => response.text()),
    );
    await until(async () => (await metric(made, 'layerwise_running_sequences')) === 1);
    await until(async () => stream || (await metric(made, 'layerwise_queue_depth')) === 1);
    for (const controller of controllers) controller.abort();
    for (const one of asked) await expect(one).rejects.toThrow();
    await until(async () => (await metric(made, 'layerwise_running_sequences')) === 0);
    await until(async () => (await metric(made, 'layerwise_calls_total{outcome="cancelled"}')) === 2);
    expect(await metric(made, 'layerwise_queue_depth')).toBe(0);
    expect(await metric(made, 'layerwise_generated_tokens_total')).toBeLessThan(400);
    expect((await made.post('/v1/completions', { ...endless, max_tokens: 1 })).status).toBe(200);
  });
});

describe('stopping', () => {
  test('answers what it has accepted, takes nothing new, and is gone', async () => {
    const made = await make({ delay: 3 });
    const streamed = await made.post('/v1/completions', { ...endless, max_tokens: 40, stream: true });
    const whole = made.post('/v1/completions', { ...endless, max_tokens: 40 });
    await until(async () => (await metric(made, 'layerwise_running_sequences')) === 2);
    const stopped = made.server.stop(10);
    await expect(made.get('/health')).rejects.toThrow();
    expect(await streamed.text()).toMatch(/data: \[DONE\]\n\n$/);
    expect((await whole).status).toBe(200);
    await stopped;
    expect(made.decoder.openCount).toBe(0);
  });

  test('what does not finish in time is told so', async () => {
    const made = await make({ delay: 50 });
    const streamed = await made.post('/v1/completions', { ...endless, stream: true });
    const whole = made.post('/v1/completions', endless);
    await until(async () => (await metric(made, 'layerwise_running_sequences')) === 2);
    const began = performance.now();
    await made.server.stop(0.2);
    expect(performance.now() - began).toBeLessThan(3000);
    expect((await whole).status).toBe(503);
    expect(await streamed.text()).toMatch(/shutting_down/);
  });

  test('a connection that is open without a request does not hold it up', async () => {
    const made = await make();
    const socket = connect(made.server.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const gone = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    const began = performance.now();
    await made.server.stop(10);
    expect(performance.now() - began).toBeLessThan(3000);
    await gone;
  });
});

test('a port that is taken, and an address that is another’s, are named', async () => {
  const { server } = await make();
  const start = (host: string, port: number) =>
    startServer(makeModel().model, {
      ...{ name: 'demo', apiKey: undefined, queue: 1, bodyBytes: 1000, timeout: 1, grace: 1, seed: 0 },
      ...{ host, port },
    });
  await expect(start('127.0.0.1', server.port)).rejects.toMatchObject({ code: 'E_OPTION_PORT' });
  await expect(start('192.0.2.1', 0)).rejects.toMatchObject({ code: 'E_OPTION_HOST' });
});

test('malformed bodies never do worse than being refused', async () => {
  const made = await make();
  const near = fc.record(
    {
      prompt: fc.oneof(
        fc.anything(),
        fc.string({ maxLength: 30 }),
        fc.array(fc.integer({ max: 900 }), { maxLength: 5 }),
      ),
      messages: fc.oneof(fc.anything(), fc.array(fc.record({ role: fc.string(), content: fc.anything() }))),
      max_tokens: fc.oneof(fc.anything(), fc.integer({ min: -1, max: 5 })),
      temperature: fc.oneof(fc.anything(), fc.double()),
      top_p: fc.oneof(fc.anything(), fc.double({ min: 0, max: 1 })),
      top_k: fc.anything(),
      n: fc.oneof(fc.anything(), fc.integer({ min: 0, max: 3 })),
      stop: fc.oneof(fc.anything(), fc.array(fc.string())),
      seed: fc.oneof(fc.anything(), fc.maxSafeInteger()),
      logprobs: fc.oneof(fc.anything(), fc.boolean(), fc.integer({ min: 0, max: 21 })),
      stream: fc.oneof(fc.anything(), fc.boolean()),
      echo: fc.oneof(fc.anything(), fc.boolean()),
      stream_options: fc.anything(),
      response_format: fc.anything(),
      tools: fc.anything(),
      logit_bias: fc.anything(),
    },
    { requiredKeys: [] },
  );
  const body = fc.oneof(
    {
      weight: 6,
      arbitrary: near.map(
        (one) => JSON.stringify(one, (_, value) => (typeof value === 'bigint' ? String(value) : value)) ?? 'null',
      ),
    },
    { weight: 1, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.string() },
    {
      weight: 1,
      arbitrary: fc.constantFrom('', 'null', '[]', '"a"', '[[[[', `${'['.repeat(100_000)}`, '{"__proto__":{"n":1}}'),
    },
  );
  await fc.assert(
    fc.asyncProperty(body, fc.constantFrom('/v1/completions', '/v1/chat/completions'), async (text, path) => {
      const response = await made.post(path, text);
      const answer = await response.text();
      expect([200, 400, 404], `${text}\n${answer}`).toContain(response.status);
      if (response.status !== 200) expect(JSON.parse(answer)).toMatchObject({ error: { message: expect.any(String) } });
    }),
    { numRuns: runs(400) },
  );
  expect((await made.get('/health')).status).toBe(200);
  expect(await metric(made, 'layerwise_calls_total{outcome="failed"}')).toBe(0);
});
