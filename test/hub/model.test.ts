// Models by name, from a local server that speaks the Hub's protocol: what is fetched, where it lies, what is checked,
// what is said where something is wrong.

import { lstat, mkdir, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LayerwiseError, type ProgressEvent } from '../../src/base/index.js';
import { describeSnapshot, resolveModel } from '../../src/hub/index.js';
import { gitSha1, MODEL, makeFolder, NEEDED, settingsOf, sha256, useHub, WEIGHTS } from './make.js';
import { type Fault, startHub } from './server.js';

const state = useHub();
const NAME = 'org/model';
const OF_WEIGHTS = new RegExp(`lfs/${sha256(WEIGHTS)}`);
const LARGE = new RegExp(`GET /lfs/${sha256(WEIGHTS)}`);

async function failure(run: Promise<unknown>): Promise<LayerwiseError> {
  const error = await run.then(
    (value) => new Error(`came to ${value}`),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(LayerwiseError);
  return error as LayerwiseError;
}

const resolve = (name = NAME, more: Readonly<Record<string, string>> = {}): Promise<string> =>
  resolveModel(name, { settings: settingsOf(state, more) });
const folder = (): string => join(state.home, 'hub', 'models--org--model');
const sentFor = (pattern: RegExp) => state.hub.requests.filter(({ path }) => pattern.test(path));
const fault = (match: RegExp, does: Fault['does'], more: Partial<Fault> = {}): void => {
  state.hub.faults.push({ match, does, times: 1, ...more });
};

describe('what is fetched', () => {
  test('what Layerwise needs, and no pickle, no code, no second copy', async () => {
    const commit = state.hub.put(NAME, MODEL);
    const dir = await resolve();
    expect(dir).toBe(join(folder(), 'snapshots', commit));
    expect((await readdir(dir)).sort()).toEqual([...NEEDED].sort());
    for (const name of NEEDED) expect(await readFile(join(dir, name))).toEqual(Buffer.from(MODEL[name] as string));
    expect(describeSnapshot(dir)).toEqual({ name: NAME, commit });
  });

  test('the cache is laid out as the Python library lays it out', async () => {
    const commit = state.hub.put(NAME, MODEL);
    const dir = await resolve();
    expect(await readFile(join(folder(), 'refs/main'), 'utf8')).toBe(commit);
    expect(await readlink(join(dir, 'model.safetensors'))).toBe(join('../../blobs', sha256(WEIGHTS)));
    expect(await readlink(join(dir, 'config.json'))).toBe(join('../../blobs', gitSha1(MODEL['config.json']!)));
    expect((await readdir(join(folder(), 'blobs'))).filter((name) => name.includes('incomplete'))).toEqual([]);
  });

  test('shards: those that the index names', async () => {
    const index = { weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' } };
    state.hub.put(NAME, {
      'config.json': '{}',
      'model.safetensors.index.json': JSON.stringify(index),
      'model-00001-of-00002.safetensors': 'one'.repeat(900),
      'model-00002-of-00002.safetensors': 'one'.repeat(900), // the same bytes: one blob, two links
      'consolidated.safetensors': 'a second copy',
    });
    expect((await readdir(await resolve())).sort()).toEqual([
      'config.json',
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
      'model.safetensors.index.json',
    ]);
    expect(sentFor(/^\/lfs/)).toHaveLength(1);
  });

  test('a listing of several pages', async () => {
    state.hub.page = 3;
    state.hub.put(NAME, MODEL);
    expect(await readdir(await resolve())).toHaveLength(NEEDED.length);
    expect(sentFor(/\/tree\//).length).toBeGreaterThan(2);
  });

  test('a revision, in the name or beside it; also one with slashes', async () => {
    state.hub.put(NAME, MODEL);
    const commit = state.hub.put(NAME, { ...MODEL, 'config.json': '{"v":2}' }, { ref: 'refs/pr/1' });
    expect(await resolve(`${NAME}@refs/pr/1`)).toBe(join(folder(), 'snapshots', commit));
    expect(await resolve(`${NAME}@${commit}`)).toBe(join(folder(), 'snapshots', commit));
    expect(await readFile(join(folder(), 'refs/refs/pr/1'), 'utf8')).toBe(commit);
    const settings = settingsOf(state);
    expect(await resolveModel(NAME, { settings, revision: 'refs/pr/1' })).toBe(join(folder(), 'snapshots', commit));
  });

  test('a second time only what is new is fetched', async () => {
    state.hub.put(NAME, MODEL);
    await resolve();
    const before = sentFor(/\/resolve\/|^\/lfs/).length;
    await resolve();
    expect(sentFor(/\/resolve\/|^\/lfs/)).toHaveLength(before);
    state.hub.put(NAME, { 'config.json': '{"v":2}' });
    expect(await readFile(join(await resolve(), 'config.json'), 'utf8')).toBe('{"v":2}');
    expect(sentFor(/\/resolve\/|^\/lfs/)).toHaveLength(before + 1);
  });

  test('progress: bytes that come to the total', async () => {
    state.hub.put(NAME, { ...MODEL, 'model.safetensors': Buffer.alloc(5 << 20, 7) });
    const events: ProgressEvent[] = [];
    await resolveModel(NAME, { settings: settingsOf(state), onProgress: (event) => events.push(event) });
    const stage = events.find((event) => event.kind === 'stage' && event.unit === 'bytes');
    const total = (stage as { total: number }).total;
    expect(total).toBeGreaterThan(5 << 20);
    const told = events.reduce((sum, event) => sum + (event.kind === 'advance' ? event.by! : 0), 0);
    expect(told).toBeLessThanOrEqual(total);
    expect(told).toBeGreaterThan(total - (2 << 20));
  });

  test('where there are no links a snapshot holds the files', async () => {
    state.hub.put(NAME, { ...MODEL, NOTICE: MODEL.LICENSE! }); // a blob with two names, and others with one
    const dir = await resolve(NAME, { HF_HUB_DISABLE_SYMLINKS: '1' });
    for (const name of [...NEEDED, 'NOTICE']) expect((await lstat(join(dir, name))).isFile(), name).toBe(true);
    const before = state.hub.requests.length;
    await resolve(NAME, { HF_HUB_DISABLE_SYMLINKS: '1' });
    expect(state.hub.requests.slice(before).filter(({ path }) => path.includes('/resolve/'))).toEqual([]);
  });
});

describe('what is not on the Hub', () => {
  test('a path that exists always wins, and nothing is asked', async () => {
    const dir = await makeFolder();
    const before = process.cwd();
    process.chdir(dir);
    try {
      await mkdir('org/model', { recursive: true });
      expect(await resolve()).toBe(NAME);
    } finally {
      process.chdir(before);
    }
    expect(state.hub.requests).toEqual([]);
  });

  test.each([
    './org/model',
    '/nowhere/model',
    'model',
    'a/b/c',
    '../a/b',
    'org/..',
    'org/a--b',
    'org/model.git',
    '-o/m',
  ])('%s is a path', async (path) => {
    expect(await resolve(path)).toBe(path);
    expect(state.hub.requests).toEqual([]);
  });

  test.each(['..', 'a/../b', 'main/', '', 'a b', 'refs//pr', '.hidden', 'x'.repeat(201)])(
    '%j is no revision',
    async (text) => {
      expect(await failure(resolve(`${NAME}@${text}`))).toMatchObject({ code: 'E_OPTION_REVISION' });
    },
  );
});

describe('a connection that fails', () => {
  test('cut: the rest is asked for, not the whole', async () => {
    state.hub.put(NAME, MODEL);
    fault(LARGE, { kind: 'cut', after: 100_000 });
    const dir = await resolve();
    expect(await readFile(join(dir, 'model.safetensors'))).toEqual(WEIGHTS);
    const [first, second] = sentFor(OF_WEIGHTS);
    expect(first!.headers.range).toBeUndefined();
    const from = Number(/^bytes=(\d+)-$/.exec(second!.headers.range!)![1]);
    expect(from).toBeGreaterThan(0);
    expect(from).toBeLessThanOrEqual(100_000);
  });

  test('silent: it counts as cut', async () => {
    state.hub.put(NAME, MODEL);
    fault(LARGE, { kind: 'stall', after: 50_000 });
    expect(await readFile(join(await resolve(), 'model.safetensors'))).toEqual(WEIGHTS);
    expect(sentFor(OF_WEIGHTS).at(-1)!.headers.range).toBe('bytes=50000-');
  });

  test('cut for good: what has arrived is kept, and the next command goes on from there', async () => {
    state.hub.put(NAME, MODEL);
    fault(LARGE, { kind: 'cut', after: 60_000 });
    fault(LARGE, { kind: 'status', status: 503 }, { times: 5 });
    expect(await failure(resolve())).toMatchObject({ code: 'E_REMOTE_STATUS' });
    const partial = join(folder(), 'blobs', `${sha256(WEIGHTS)}.layerwise.incomplete`);
    const { size } = await stat(partial);
    expect(size).toBeGreaterThan(0);
    state.hub.faults.length = 0;
    expect(await readFile(join(await resolve(), 'model.safetensors'))).toEqual(WEIGHTS);
    expect(sentFor(OF_WEIGHTS).at(-1)!.headers.range).toBe(`bytes=${size}-`);
  });

  test('a server that ignores ranges sends the whole again, and that is understood', async () => {
    state.hub.put(NAME, MODEL);
    fault(LARGE, { kind: 'cut', after: 100_000 });
    fault(LARGE, { kind: 'ignore-range' });
    expect(await readFile(join(await resolve(), 'model.safetensors'))).toEqual(WEIGHTS);
  });

  test('busy: asked again', async () => {
    state.hub.put(NAME, MODEL);
    fault(/GET \/api\/models/, { kind: 'status', status: 503 });
    fault(/GET .*config\.json/, { kind: 'status', status: 429 });
    await resolve();
  });

  test('nobody there: said at once, with the way out; a complete snapshot serves', async () => {
    state.hub.put(NAME, MODEL);
    const dir = await resolve();
    const closed = await startHub();
    await closed.close();
    const nowhere = { HF_ENDPOINT: closed.endpoint };
    expect(await failure(resolve('org/other', nowhere))).toMatchObject({
      code: 'E_REMOTE_UNREACHABLE',
      message: expect.stringMatching(/cannot be reached \(ECONNREFUSED\).*HF_HUB_OFFLINE/),
    });
    const notes: string[] = [];
    const settings = settingsOf(state, nowhere);
    const onProgress = (event: ProgressEvent) => void (event.kind === 'note' && notes.push(event.text));
    expect(await resolveModel(NAME, { settings, onProgress })).toBe(dir);
    expect(notes.join()).toMatch(/cannot be reached.*Using the snapshot/);
  });
});

describe('what is damaged is not kept', () => {
  test.each([
    ['model.safetensors', 'cdn'],
    ['config.json', 'hub'],
  ] as const)('%s', async (name, where) => {
    state.hub.put(NAME, MODEL);
    fault(where === 'cdn' ? LARGE : new RegExp(`GET /api/resolve-cache/.*/${name}`), { kind: 'damage' }, { where });
    expect(await failure(resolve())).toMatchObject({ code: 'E_REMOTE_CHECKSUM', facts: { file: name } });
    const etag = name === 'config.json' ? gitSha1(MODEL[name]!) : sha256(WEIGHTS);
    expect((await readdir(join(folder(), 'blobs'))).filter((one) => one.startsWith(etag))).toEqual([]);
    await expect(readFile(join(folder(), 'refs/main'))).rejects.toThrow();
    expect(await readFile(join(await resolve(), name))).toEqual(Buffer.from(MODEL[name] as string));
  });

  test('a beginning that is not this file’s: once more from the start', async () => {
    state.hub.put(NAME, MODEL);
    await mkdir(join(folder(), 'blobs'), { recursive: true });
    await writeFile(join(folder(), 'blobs', `${sha256(WEIGHTS)}.layerwise.incomplete`), 'something else');
    expect(await readFile(join(await resolve(), 'model.safetensors'))).toEqual(WEIGHTS);
  });

  test('more bytes than a file has', async () => {
    state.hub.put(NAME, MODEL);
    fault(/GET \/lfs/, { kind: 'longer' }, { times: 9 });
    expect(await failure(resolve())).toMatchObject({ code: 'E_REMOTE_ANSWER' });
  });

  test('a file in the cache of another size is fetched again', async () => {
    state.hub.put(NAME, MODEL);
    const dir = await resolve();
    await writeFile(join(dir, 'config.json'), '{'); // through the link, into the blob
    expect(await readFile(join(await resolve(), 'config.json'), 'utf8')).toBe(MODEL['config.json']);
  });
});

describe('offline', () => {
  test('the cache alone, and no request', async () => {
    state.hub.put(NAME, MODEL);
    const dir = await resolve();
    const before = state.hub.requests.length;
    expect(await resolve(NAME, { HF_HUB_OFFLINE: '1' })).toBe(dir);
    expect(await resolve(`${NAME}@${describeSnapshot(dir)!.commit}`, { HF_HUB_OFFLINE: '1' })).toBe(dir);
    expect(state.hub.requests).toHaveLength(before);
  });

  test('what is missing is named', async () => {
    expect(await failure(resolve(NAME, { HF_HUB_OFFLINE: '1' }))).toMatchObject({
      code: 'E_REMOTE_OFFLINE',
      message: expect.stringMatching(/does not have it/),
    });
    state.hub.put(NAME, MODEL);
    const dir = await resolve();
    await rm(join(dir, 'model.safetensors'));
    expect(await failure(resolve(NAME, { HF_HUB_OFFLINE: '1' }))).toMatchObject({
      code: 'E_REMOTE_OFFLINE',
      facts: { missing: ['model.safetensors'] },
    });
    expect(await failure(resolve(`${NAME}@v2`, { HF_HUB_OFFLINE: '1' }))).toMatchObject({
      message: expect.stringMatching(/at v2/),
    });
  });
});

describe('who may', () => {
  test('no such model', async () => {
    expect(await failure(resolve())).toMatchObject({
      code: 'E_REMOTE_NOT_FOUND',
      message: expect.stringMatching(/org\/model: .* has nothing of that name.*HF_TOKEN/),
    });
  });

  test('no such revision', async () => {
    state.hub.put(NAME, MODEL);
    expect(await failure(resolve(`${NAME}@v9`))).toMatchObject({
      code: 'E_REMOTE_NOT_FOUND',
      message: expect.stringMatching(/no such revision/),
    });
  });

  test('gated: says where to accept and what to set; with a token it goes', async () => {
    state.hub.put(NAME, MODEL);
    state.hub.repos.get(NAME)!.gated = true;
    state.hub.users.set('hf_mine', { name: 'me' });
    expect(await failure(resolve())).toMatchObject({
      code: 'E_REMOTE_GATED',
      message: expect.stringMatching(/licence.*\/org\/model, then set HF_TOKEN/),
    });
    await resolve(NAME, { HF_TOKEN: 'hf_mine' });
  });

  test('private: the token of the file that `hf auth login` writes is used', async () => {
    state.hub.put(NAME, MODEL);
    state.hub.repos.get(NAME)!.private = true;
    state.hub.users.set('any-word', { name: 'me' });
    expect(await failure(resolve())).toMatchObject({ code: 'E_REMOTE_NOT_FOUND' });
    await writeFile(join(state.home, 'token'), 'any-word\n');
    await resolve();
  });

  test('the token goes to the endpoint and nowhere else', async () => {
    state.hub.put(NAME, MODEL);
    state.hub.users.set('hf_mine', { name: 'me' });
    await resolve(NAME, { HF_TOKEN: 'hf_mine' });
    for (const { where, path, headers } of state.hub.requests) {
      expect(headers.authorization, path).toBe(where === 'hub' ? 'Bearer hf_mine' : undefined);
    }
    expect(state.hub.requests.some(({ where }) => where === 'cdn')).toBe(true);
  });

  test('a listing that goes on elsewhere does not get it either', async () => {
    state.hub.put(NAME, MODEL);
    const link = { link: `<${state.hub.cdn}/api/models/${NAME}/tree/x>; rel="next"` };
    fault(/GET .*\/tree\//, { kind: 'answer', body: '[]', headers: link });
    await failure(resolve(NAME, { HF_TOKEN: 'hf_mine' }));
    const elsewhere = state.hub.requests.filter(({ where }) => where === 'cdn');
    expect(elsewhere).toHaveLength(1);
    expect(elsewhere[0]!.headers.authorization).toBeUndefined();
  });
});

describe('a hostile server', () => {
  const entry = (path: string, data = 'x', more: object = {}) => ({
    type: 'file',
    path,
    size: data.length,
    oid: gitSha1(data),
    ...more,
  });

  test('names that lead out are not followed', async () => {
    state.hub.put(NAME, MODEL);
    const names = [
      '../../escape/config.json',
      '/etc/config.json',
      'C:\\config.json',
      '..\\config.json',
      'a/../config.json',
    ];
    const body = JSON.stringify(names.map((path) => entry(path)));
    fault(/GET .*\/tree\//, { kind: 'answer', body });
    expect(await failure(resolve())).toMatchObject({ code: 'E_CHECKPOINT_CONFIG' });
    expect(await readdir(state.home)).toEqual([]);
  });

  test.each([
    '../../../evil.safetensors',
    '/tmp/evil.safetensors',
    'a\\b.safetensors',
    'b.safetensors/..',
    'x.bin',
    '.safetensors',
  ])('an index that names %s', async (shard) => {
    state.hub.put(NAME, {
      'config.json': '{}',
      'model.safetensors.index.json': JSON.stringify({ weight_map: { a: shard } }),
      [shard]: 'x',
    });
    expect(await failure(resolve())).toMatchObject({ code: 'E_CHECKPOINT_INDEX' });
  });

  test.each([
    ['a digest that is a path', [entry('config.json', 'x', { oid: '../../../../etc/passwd' })]],
    ['a size that is none', [entry('config.json', 'x', { size: -5 })]],
    ['a size that is a word', [entry('config.json', 'x', { size: 'many' })]],
    ['entries that are none', [null, 5, 'x', {}]],
  ])('%s counts as no file', async (_, entries) => {
    state.hub.put(NAME, MODEL);
    fault(/GET .*\/tree\//, { kind: 'answer', body: JSON.stringify(entries) });
    expect(await failure(resolve())).toMatchObject({ code: 'E_CHECKPOINT_CONFIG' });
  });

  test.each([
    ['no JSON', '<html>'],
    ['no list', '{"a":1}'],
    ['null', 'null'],
    ['endless JSON', Buffer.alloc(20 << 20, 0x20)],
  ])('a listing that is %s', async (_, body) => {
    state.hub.put(NAME, MODEL);
    fault(/GET .*\/tree\//, { kind: 'answer', body });
    expect(await failure(resolve())).toMatchObject({
      code: expect.stringMatching(/E_REMOTE_ANSWER|E_CHECKPOINT_CONFIG/),
    });
  });

  test.each([
    ['a path', '../../../x'],
    ['nothing', undefined],
    ['a number', 5],
  ])('a commit that is %s', async (_, sha) => {
    state.hub.put(NAME, MODEL);
    fault(/GET .*\/revision\//, { kind: 'answer', body: JSON.stringify({ id: NAME, sha, lastModified: '2026' }) });
    expect(await failure(resolve())).toMatchObject({ code: 'E_REMOTE_ANSWER' });
  });

  test.each(['file:///etc/passwd', 'ftp://a/b', 'http://', ''])('a redirect to %j', async (to) => {
    state.hub.put(NAME, MODEL);
    fault(/GET .*\/resolve\//, { kind: 'redirect', to }, { times: 99 });
    expect(await failure(resolve())).toMatchObject({ code: 'E_REMOTE_ANSWER' });
  });

  test('redirects without end', async () => {
    state.hub.put(NAME, MODEL);
    fault(/GET .*\/revision\//, { kind: 'redirect', to: `/api/models/${NAME}/revision/main` }, { times: 99 });
    expect(await failure(resolve())).toMatchObject({ message: expect.stringMatching(/more than 5 times/) });
  });

  test('what it says is quoted without what a terminal would obey', async () => {
    fault(/GET/, { kind: 'status', status: 403, headers: { 'x-error-message': 'no\u0085\u009b31m entry' } });
    const { message } = await failure(resolve());
    expect(message).toMatch(/no 31m entry/);
  });

  test('only pickles: refused by name, with the way out', async () => {
    state.hub.put(NAME, { 'config.json': '{}', 'pytorch_model.bin': 'x' });
    expect(await failure(resolve())).toMatchObject({
      code: 'E_CHECKPOINT_WEIGHTS',
      message: expect.stringMatching(/pytorch_model\.bin.*pickle.*org\/model@refs\/pr\/1/),
    });
  });
});

test('a download that the disk has no room for is refused before it begins', async () => {
  state.hub.put(NAME, MODEL);
  const size = 2 ** 52;
  const files = ['config.json', 'model.safetensors'].map((path) => ({
    type: 'file',
    path,
    size: 2,
    oid: gitSha1('{}'),
  }));
  Object.assign(files[1]!, { size, oid: gitSha1('x') });
  fault(/GET .*\/tree\//, { kind: 'answer', body: JSON.stringify(files) });
  expect(await failure(resolve())).toMatchObject({
    code: 'E_RESOURCE_DISK_FULL',
    facts: { needed: expect.any(Number), free: expect.any(Number) },
    message: expect.stringMatching(/set HF_HOME/),
  });
  expect(sentFor(/\/resolve\//)).toEqual([]);
});

test('two at once: one fetches, the other waits for it', async () => {
  state.hub.put(NAME, MODEL);
  const [a, b] = await Promise.all([resolve(), resolve()]);
  expect(a).toBe(b);
  expect(sentFor(OF_WEIGHTS)).toHaveLength(1);
});

test('settings that are wrong are refused by name, and a token is never shown', async () => {
  expect(() => settingsOf(state, { HF_ENDPOINT: 'huggingface.co' })).toThrowError(/HF_ENDPOINT: expected an address/);
  expect(() => settingsOf(state, { HF_HUB_DOWNLOAD_TIMEOUT: 'soon' })).toThrowError(/HF_HUB_DOWNLOAD_TIMEOUT/);
  expect(() => settingsOf(state, { HF_TOKEN: 'hf_se cret' })).toThrowError(/^(?!.*cret).*HF_TOKEN/);
});
