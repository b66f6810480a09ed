// Every job by names: a model and texts from the Hub, the result back to it, all against a local server. What comes out is
// what comes out of the same files given by path.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compare, cut, drop, evaluate, generate, inspect, makePlan, pack, prune, push } from '../../src/api/index.js';
import { parseManifest } from '../../src/records/index.js';
import { type FakeHub, startHub } from '../hub/server.js';
import { LENGTH, makeFolder, makeTiny, readTree, stutter, useOwnCache } from './make.js';

const NAME = 'org/tiny';
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** Whoever runs the tests may have settings of their own. */
const OURS = /^(HF_|HUGGING|TRANSFORMERS_)/;
const before = Object.fromEntries(Object.entries(process.env).filter(([name]) => OURS.test(name)));

let hub: FakeHub;
let folder: string;
let local: string;
let commit: string;
let count = 0;

beforeAll(async () => {
  await useOwnCache();
  hub = await startHub();
  folder = await makeFolder();
  local = await makeTiny(join(folder, 'tiny'), { seed: 2 });
  const names = (await readdir(local)).filter((name) => name !== 'extra');
  const files = await Promise.all(names.map(async (name) => [name, await readFile(join(local, name))] as const));
  commit = hub.put(NAME, { ...Object.fromEntries(files), 'README.md': '---\nlicense: mit\n---\n# Tiny\n' });
  const documents = Array.from({ length: 2400 }, (_, i) => `${JSON.stringify({ text: stutter(i, 10) })}\n`).join('');
  const shards = ['en/c4-train.00000-of-01024.json.gz', 'en/c4-validation.00000-of-00008.json.gz'];
  hub.put('allenai/c4', Object.fromEntries(shards.map((name) => [name, gzipSync(documents)])), { type: 'datasets' });
  hub.users.set('hf_mine', { name: 'me' });
  for (const name of Object.keys(process.env)) if (OURS.test(name)) delete process.env[name];
  Object.assign(process.env, { HF_ENDPOINT: hub.endpoint, HF_HOME: join(folder, 'home'), HF_TOKEN: 'hf_mine' });
});
afterAll(async () => {
  await hub.close();
  for (const name of ['HF_ENDPOINT', 'HF_HOME', 'HF_TOKEN']) delete process.env[name];
  Object.assign(process.env, before);
});

const common = { sequenceLength: LENGTH, calibrationSamples: 16, threads: 2 };
const small = { ...common, sparsity: 0.5, beta: 0.01, calibration: 'c4' };
const out = (): string => join(folder, `out-${count++}`);

describe('prune', () => {
  test('from the Hub and back: the bytes of a local run, its names in the record, its card in the upload', async () => {
    const there = out();
    const result = await prune({
      ...small,
      checkpoint: NAME,
      test: 'c4',
      out: there,
      push: 'me/tiny-50',
      private: true,
    });
    expect(result.pushed).toEqual({
      url: `${hub.endpoint}/me/tiny-50`,
      commit: expect.stringMatching(/^[0-9a-f]{40}$/),
    });
    const manifest = parseManifest(await readFile(join(there, 'layerwise.json'), 'utf8'), there);
    expect(manifest.source).toMatchObject({ name: NAME, commit });
    expect(manifest.texts).toMatchObject({ calibration: { name: 'c4 (calibration)' }, test: { name: 'c4 (test)' } });
    expect(manifest.command).toContain(`layerwise prune ${NAME} --sparsity 0.5`);
    expect(manifest.command).toContain('--calibration c4');

    const here = out();
    await prune({ ...small, checkpoint: local, test: 'c4', out: here });
    const weights = async (dir: string) => (await readTree(dir))['model.safetensors'];
    expect(await weights(there)).toBe(await weights(here));

    const files = hub.files('me/tiny-50');
    expect(hub.repos.get('me/tiny-50')!.private).toBe(true);
    for (const name of ['config.json', 'model.safetensors', 'layerwise.json', 'report.html']) {
      expect(files.get(name), name).toEqual(await readFile(join(there, name)));
    }
    const card = files.get('README.md')!.toString();
    expect(card).toMatch(/^---\n[\s\S]*license: mit\n[\s\S]*base_model: org\/tiny\n/);
    expect(card).toContain(manifest.command);
    // The source's card stays beside the weights here, byte for byte.
    expect(await readFile(join(there, 'README.md'), 'utf8')).toBe('---\nlicense: mit\n---\n# Tiny\n');
    // What was uploaded is a model by name like any other.
    expect((await inspect('me/tiny-50')).sparsity).toBeCloseTo(0.5, 3);
  });

  test('what will not upload fails before anything is fetched or written', async () => {
    const asked = hub.requests.length;
    const path = out();
    const failure = prune({ ...small, checkpoint: NAME, out: path, push: 'you/tiny' });
    await expect(failure).rejects.toMatchObject({ code: 'E_OPTION_PUSH' });
    expect(hub.requests.slice(asked).map((request) => request.path)).toEqual(['/api/whoami-v2']);
    expect(existsSync(path) || existsSync(`${path}.partial`)).toBe(false);
    await expect(prune({ ...small, checkpoint: NAME, out: path, private: true })).rejects.toMatchObject({
      code: 'E_OPTION_PRIVATE',
    });
  });

  test('an upload that fails leaves the output, and says how to try again; trying again works', async () => {
    const path = out();
    hub.faults.push({ match: /commit\/main/, times: 1, does: { kind: 'status', status: 500 } });
    const failure = await prune({ ...small, checkpoint: NAME, out: path, push: 'me/later' }).catch((error) => error);
    expect(failure).toMatchObject({
      code: 'E_REMOTE_PUSH',
      facts: { command: `layerwise push ${path} --to me/later` },
    });
    expect(failure.message).toMatch(/is complete, but its upload failed/);
    expect(existsSync(join(path, 'model.safetensors'))).toBe(true);
    expect(existsSync(`${path}.partial`)).toBe(false);
    expect(hub.files('me/later').has('config.json')).toBe(false);
    await push({ run: path, repo: 'me/later' });
    expect(hub.files('me/later').get('model.safetensors')).toEqual(await readFile(join(path, 'model.safetensors')));
  });

  test('an output that is in the way is found before the download', async () => {
    const asked = hub.requests.length;
    await expect(prune({ ...small, checkpoint: NAME, out: folder })).rejects.toMatchObject({
      code: 'E_OPTION_OUT_EXISTS',
    });
    expect(hub.requests).toHaveLength(asked);
  });
});

describe('the others', () => {
  test('inspect and plan', async () => {
    expect(await inspect(`${NAME}@main`)).toMatchObject({ checkpoint: `${NAME}@main`, family: 'llama', blocks: 4 });
    expect(await makePlan({ checkpoint: NAME, sparsity: 0.5, beta: 0 })).toMatchObject({ budget: { target: 0.5 } });
  });

  test('evaluate', async () => {
    const byName = await evaluate({ ...common, checkpoint: NAME, text: 'c4' });
    expect(byName.text).toEqual((await evaluate({ ...common, checkpoint: local, text: 'c4' })).text);
    expect(byName.text!.perplexity).toBeGreaterThan(1);
  });

  test('pack', async () => {
    const [byName, byPath] = [`${out()}.lw`, `${out()}.lw`];
    await pack({ checkpoint: NAME, out: byName });
    await pack({ checkpoint: local, out: byPath });
    expect((await readFile(byName)).equals(await readFile(byPath))).toBe(true);
  });

  test('generate', async () => {
    const write = async (model: string): Promise<string> =>
      (await generate({ model, prompt: 'a b', maxTokens: 8, temperature: 0, threads: 1 })).text;
    expect(await write(NAME)).toBe(await write(local));
  });

  test('drop, and its upload', async () => {
    const path = out();
    const { record } = await drop({ ...common, checkpoint: NAME, blocks: 1, method: 'deepest', test: 'c4', out: path });
    expect(record.source).toMatchObject({ name: NAME, commit });
    await push({ run: path, repo: 'me/shallow' });
    expect(hub.files('me/shallow').get('README.md')!.toString()).toContain('without 1 of its 4 blocks');
  });

  test('cut, and its upload', async () => {
    const path = out();
    const options = { ...common, checkpoint: NAME, parameters: 0.9, multiple: 4, greedyTokens: 0 };
    const { record } = await cut({ ...options, calibration: 'c4', out: path });
    await push({ run: path, repo: 'me/narrow' });
    const card = hub.files('me/narrow').get('README.md')!.toString();
    expect(card).toContain('with fewer channels of MLPs');
    expect(card).toContain(record.loads[0]);
  });

  test('compare', async () => {
    const { comparison } = await compare({
      ...common,
      checkpoint: NAME,
      sparsities: [0.5],
      allocations: ['uniform'],
      calibration: 'c4',
      validation: 'c4',
      out: out(),
    });
    expect(comparison.source).toMatchObject({ name: NAME, commit });
  });

  test('push of what no run wrote', async () => {
    await expect(push({ run: local, repo: 'me/x' })).rejects.toMatchObject({
      code: 'E_OPTION_PUSH',
      message: expect.stringMatching(/layerwise\.json/),
    });
  });
});

describe('the command line', () => {
  const layerwise = (words: readonly string[], more: Readonly<Record<string, string>> = {}) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      const env = { ...process.env, ...more };
      execFile(process.execPath, [main, ...words], { env }, (error, stdout, stderr) =>
        resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
      );
    });

  test('a model by name, with progress; then offline', async () => {
    const home = join(folder, 'another-home');
    const first = await layerwise(['inspect', NAME, '--json'], { HF_HOME: home });
    expect(first.stderr).toMatch(/downloading org\/tiny · .* of /);
    expect(JSON.parse(first.stdout)).toMatchObject({ checkpoint: NAME, blocks: 4 });
    const offline = { HF_HOME: home, HF_HUB_OFFLINE: '1', HF_ENDPOINT: 'http://127.0.0.1:1' };
    expect((await layerwise(['inspect', NAME, '--json'], offline)).stdout).toBe(first.stdout);
    expect(await layerwise(['inspect', 'org/other'], offline)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/E_REMOTE_OFFLINE/),
    });
  });

  test('a name that is nobody’s exits with 1 and says both', async () => {
    expect(await layerwise(['inspect', 'org/nothing'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/org\/nothing: .* has nothing of that name.*E_REMOTE_NOT_FOUND/),
    });
  });

  test('push', async () => {
    const path = out();
    await prune({ ...small, checkpoint: NAME, out: path });
    const { code, stdout } = await layerwise(['push', path, '--to', 'me/by-hand', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ url: `${hub.endpoint}/me/by-hand`, commit: expect.any(String) });
    expect(await layerwise(['push', path])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--to <org\/name>/),
    });
  });
});
