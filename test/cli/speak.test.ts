// generate and serve as a person meets them: processes of their own, on the checkpoint that ships with the project.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterEach, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const main = join(root, 'dist/cli/main.js');
const model = join(root, 'demo/model');
const golden = JSON.parse(readFileSync(join(root, 'test/golden/generate.json'), 'utf8')).greedy[1];

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

const layerwise = (...words: string[]): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(process.execPath, [main, ...words], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });

describe('generate', () => {
  const words = ['generate', model, '--prompt', golden.prompt, '--temperature', '0', '--max-tokens', '60'];

  test('the text on stdout, how fast on stderr; the same for any number of threads', async () => {
    for (const threads of ['1', '3']) {
      const { code, stdout, stderr } = await layerwise(...words, '--threads', threads);
      expect([code, stdout]).toEqual([0, `${golden.text}\n`]);
      expect(stderr).toMatch(/^60 tokens at [\d.]+ tokens\/s, after 12 of prompt in [\d.]+ s$/m);
    }
  });

  test('--json: one document, with the text in it', async () => {
    const { stdout } = await layerwise(...words, '--json');
    expect(JSON.parse(stdout)).toEqual({
      ...{ text: golden.text, finish: 'length', promptTokens: 12, tokens: 60, prompt: golden.prompt, seed: 0 },
      ...{ promptSeconds: expect.any(Number), tokensPerSecond: expect.any(Number) },
    });
  });

  test('a seed gives a text, another seed another', async () => {
    const write = async (seed: string): Promise<string> =>
      (await layerwise('generate', model, '--values', 'int4', '--seed', seed, '--max-tokens', '20')).stdout;
    expect(await write('1')).toBe(await write('1'));
    expect(await write('1')).not.toBe(await write('2'));
  });

  test.each([
    [['--temperature', '-1'], 'E_OPTION_TEMPERATURE'],
    [['--top-p', '2'], 'E_OPTION_TOP_P'],
    [['--top-k', '0'], 'E_OPTION_TOP_K'],
    [['--max-tokens', '0'], 'E_OPTION_MAX_TOKENS'],
    [['--max-tokens', '300'], 'E_OPTION_MAX_TOKENS'],
    [['--values', 'int5'], 'E_OPTION_VALUES'],
    [['--positions', '1000'], 'E_OPTION_POSITIONS'],
    [['--threads', '0'], 'E_OPTION_THREADS'],
    [['--seed', '-1'], 'E_OPTION_SEED'],
  ])('%o is a wrong call', async (more, error) => {
    const { code, stderr } = await layerwise('generate', model, ...more);
    expect(code).toBe(2);
    expect(stderr).toContain(error);
  });
});

describe('serve', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  /** Starts a server; resolves when it listens. */
  async function serve(...words: string[]) {
    const env = { ...process.env, LAYERWISE_API_KEY: 'from-the-environment' };
    const child = spawn(process.execPath, [main, 'serve', model, '--port', '0', '--threads', '1', ...words], { env });
    children.push(child);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const url = await new Promise<string>((resolve, reject) => {
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
        const found = /listening on (\S+);/.exec(stderr);
        if (found) resolve(found[1]!);
      });
      ended.then(() => reject(new Error(stderr)));
    });
    return { child, url, ended, stdout: () => stdout };
  }

  test('the official client; SIGTERM finishes what was accepted, then ends with a document', async () => {
    const { child, url, ended, stdout } = await serve('--name', 'demo', '--json');
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'from-the-environment', maxRetries: 0 });
    const body = { model: 'demo', prompt: golden.prompt, max_tokens: 60, temperature: 0 } as const;
    expect((await client.completions.create(body)).choices[0]!.text).toBe(golden.text);
    const stream = await client.completions.create({ ...body, max_tokens: 200, stream: true });
    let [tokens, reason] = [0, undefined as string | undefined];
    for await (const { choices } of stream) {
      if (tokens++ === 3) child.kill('SIGTERM');
      reason = choices[0]!.finish_reason ?? reason;
    }
    expect(reason).toMatch(/^(length|stop)$/);
    expect(await ended).toBe(0);
    expect(JSON.parse(stdout())).toEqual({ url, seconds: expect.any(Number) });
  });

  test('a second signal does not wait', async () => {
    const { child, url, ended } = await serve('--grace', '60');
    const headers = { 'content-type': 'application/json', authorization: 'Bearer from-the-environment' };
    const body = JSON.stringify({ prompt: '', max_tokens: 250, n: 16, stream: true });
    const response = await fetch(`${url}/v1/completions`, { method: 'POST', headers, body });
    child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 100));
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    await response.text().catch(() => {});
  });

  test.each([
    [['--port', '70000'], 'E_OPTION_PORT'],
    [['--host', '192.0.2.1'], 'E_OPTION_HOST'],
    [['--api-key', 'a b'], 'E_OPTION_API_KEY'],
    [['--sequences', '0'], 'E_OPTION_SEQUENCES'],
    [['--timeout', '0'], 'E_OPTION_TIMEOUT'],
    [['--grace', '-1'], 'E_OPTION_GRACE'],
  ])('%o is a wrong call', async (more, error) => {
    const { code, stderr } = await layerwise('serve', model, '--port', '0', ...more);
    expect(code).toBe(2);
    expect(stderr).toContain(error);
  });
});
