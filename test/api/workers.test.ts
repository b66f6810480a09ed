// Runs that are handed out end with the bytes of runs that are not: with several workers, with one that is killed, with a queue that
// loses its memory, with a coordinator that is killed and continues. And what a worker refuses.

import type { ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compare, prune, work } from '../../src/api/index.js';
import { digestOf, ResourceError, sha256, silent, withResources } from '../../src/base/index.js';
import { hashCheckpoint } from '../../src/checkpoint/index.js';
import { openModel } from '../../src/model/index.js';
import { type Handled, type Lease, openStore, type Store, startQueueWorker } from '../../src/queue/index.js';
import { parseWorkersRecord } from '../../src/records/index.js';
import { createWorker, measureNumerics, prepareTexts } from '../../src/runs/index.js';
import { shareRun } from '../../src/runs/share-run.js';
import { openSharedRun, readSharedRun } from '../../src/runs/shared-executor.js';
import { openWorkspace } from '../../src/runs/workspace.js';
import { REDIS, type Server, startRedis } from '../queue/servers.js';
import { limit } from '../scale.js';
import { startRun } from './child.js';
import { LENGTH, makeFolder, makeTexts, makeTiny, type Texts, useOwnCache } from './make.js';
import { bytesOf, createWorkerProcesses } from './worker-processes.js';

if (!REDIS) console.warn('skipped: runs over a queue (redis-server is not installed; apt-get install redis-server)');

let folder: string;
let texts: Texts;
let checkpoint: string;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  texts = await makeTexts(folder, 40);
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 5 });
});

const asked = (out: string) => ({
  ...{ checkpoint, sparsity: 0.6, ...texts, calibrationSamples: 12, sequenceLength: LENGTH, threads: 1 },
  ...{ maxTrials: 4, greedyTokens: 0, out: join(folder, out) },
});

/** Shares a run as the process that plans does. */
async function share(store: Store, dir: string): Promise<string> {
  const model = await openModel(dir);
  const settings = {
    ...texts,
    ...{ test: undefined, windowStart: undefined, calibrationSamples: 12, sequenceLength: LENGTH },
    ...{ calibrationOrder: 'sequential' as const, seed: 0, onProgress: silent },
  } as const;
  const hashes = await hashCheckpoint(model.checkpoint);
  const common = { hessian: 'output', statistics: true, onProgress: silent } as const;
  return await shareRun(store, { model, hashes, texts: await prepareTexts(settings, model), ...common });
}

test('what is shared of a checkpoint opens it, and is the same whatever else lies in its folder', async () => {
  const place = join(folder, 'beside-store');
  const store = await openStore(place);
  const dir = await makeTiny(join(folder, 'beside'), { shards: 2 });
  const run = await share(store, dir);
  await writeFile(join(dir, 'note.txt'), 'A note.');
  expect(await share(store, dir)).toBe(run);
  const shared = await readSharedRun(store, run, await measureNumerics());
  expect(Object.keys(shared.checkpoint.files)).toEqual([
    ...['config.json', 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'],
    ...['model.safetensors.index.json', 'tokenizer.json'],
  ]);
  await withResources(async (own) => {
    const workspace = await own(openWorkspace(join(folder, 'beside-open'), {}));
    const left = new AbortController().signal;
    await openSharedRun(own, run, shared, { store, workspace, threads: 1, left, onProgress: silent });
  });
});

describe.skipIf(!REDIS)('over a queue', () => {
  let server: Server;
  let alone: Record<string, string>;
  const store = (): string => join(folder, 'store');
  const workers = createWorkerProcesses();
  const begin = (name: string): ChildProcess =>
    workers.begin(name, { queue: server.url, store: store(), scratch: join(folder, 'scratch') });
  const handed = (out: string, slots: number) => ({ ...asked(out), queue: server.url, store: store(), workers: slots });

  beforeAll(async () => {
    server = await startRedis();
    await prune(asked('alone'));
    alone = await bytesOf(join(folder, 'alone'));
  });
  afterAll(async () => {
    workers.kill();
    await server?.stop();
  });

  test('a coordinator that is killed, a worker that is killed, a queue that forgets: the same bytes', {
    timeout: limit(180_000),
  }, async () => {
    const first = begin('first');
    const child = startRun(handed('hard', 3), join(folder, 'log'));
    const outcomes = async (): Promise<number> => {
      const found = await readdir(join(store(), 'outcomes'), { recursive: true }).catch(() => []);
      return found.filter((name) => /[0-9a-f]{64}$/.test(name) && name.includes('/')).length;
    };
    while ((await outcomes()) === 0) await sleep(50);
    child.kill('SIGKILL');
    await child.done;
    first.kill('SIGKILL');
    const before = await outcomes();
    const notes: string[] = [];
    const running = prune({
      ...handed('hard', 3),
      resume: true,
      onProgress: (event) => void (event.kind === 'note' && notes.push(event.text)),
    });
    for (const name of ['second', 'third']) begin(name);
    while ((await outcomes()) <= before) await sleep(50);
    await server.kill();
    await server.start();
    const { manifest } = await running;
    expect(manifest.trials.length).toBeGreaterThan(3);
    expect(await bytesOf(join(folder, 'hard'))).toEqual(alone);
    const path = join(folder, 'hard', 'workers.json');
    const record = parseWorkersRecord(await readFile(path, 'utf8'), path);
    expect(record.workers.every(({ worker }) => ['first', 'second', 'third'].includes(worker))).toBe(true);
    expect(record.workers.reduce((sum, { letters }) => sum + letters, 0)).toBeGreaterThanOrEqual(
      manifest.trials.length,
    );
    const page = await readFile(join(folder, 'hard', 'report.html'), 'utf8');
    for (const { worker } of record.workers) expect(page).toContain(worker);
    workers.kill();
  });

  test('a worker in this process, one letter at a time, and a comparison', { timeout: limit(120_000) }, async () => {
    const options = { ...asked('compared-alone'), sparsities: [0.5, 0.7], allocations: ['atp', 'owl'] };
    const { sparsity: _, ...comparing } = options;
    const expected = await compare(comparing);
    const stop = new AbortController();
    const scratch = join(folder, 'scratch-here');
    const working = work({ queue: server.url, store: store(), scratch, keep: true, threads: 1, stop: stop.signal });
    const got = await compare({
      ...comparing,
      out: join(folder, 'compared'),
      queue: server.url,
      store: store(),
      workers: 1,
    });
    expect(got.comparison).toEqual(expected.comparison);
    stop.abort();
    const { done, failed } = await working;
    expect(done).toBeGreaterThan(2);
    expect(failed).toBe(0);
    // Nothing of the run stays on the worker's disk.
    expect(await readdir(scratch)).toEqual([]);
    // Cells side by side, over three workers.
    const [place, end] = [join(folder, 'store-wide'), new AbortController()];
    const three = ['x', 'y', 'z'].map((name) =>
      work({ queue: server.url, store: place, name, scratch, keep: true, threads: 1, stop: end.signal }),
    );
    const labels = new Set<string>();
    const wide = await compare({
      ...comparing,
      ...{ out: join(folder, 'compared-wide'), queue: server.url, store: place, workers: 4 },
      onProgress: (event) => void (event.kind === 'stage' && labels.add(event.stage)),
    });
    expect(wide.comparison).toEqual(expected.comparison);
    expect([...labels].some((label) => /^[23] at work/.test(label))).toBe(true);
    end.abort();
    const all = await Promise.all(three);
    expect(all.filter(({ done }) => done > 0).length).toBeGreaterThan(1);
  });

  test('a worker that gives its letter back, and one that gets other numbers', {
    timeout: limit(120_000),
  }, async () => {
    const place = join(folder, 'disputed');
    const shared = await openStore(place);
    const isOutcome = (key: string): boolean => key.startsWith('outcomes/');
    // The first worker's machine is at fault: what it puts is a little off.
    const faulty: Store = {
      ...shared,
      putOnce: (key, bytes) => {
        if (!isOutcome(key)) return shared.putOnce(key, bytes);
        const outcome = JSON.parse(Buffer.from(bytes).toString()) as { readonly result: { readonly losses: number[] } };
        outcome.result.losses[0]! += 1e-7;
        return shared.putOnce(key, Buffer.from(JSON.stringify(outcome)));
      },
    };
    // The second began before the first was done.
    let looks = 0;
    const late: Store = {
      ...shared,
      get: async (key) => (isOutcome(key) && looks++ === 0 ? undefined : await shared.get(key)),
    };
    const numerics = await measureNumerics();
    const scratch = join(folder, 'scratch-disputed');
    await mkdir(scratch);
    const common = { numerics, threads: 1, scratch, onProgress: silent };
    const handleBy = async (store: Store, name: string, letter: unknown, lease: Lease): Promise<Handled> => {
      const worker = createWorker({ ...common, store, name });
      return await worker.handle(letter, lease).finally(() => worker.close());
    };
    let refusal: unknown;
    let taken = 0;
    const working = await startQueueWorker(
      server.url,
      async (letter, lease) => {
        // The first time it is given back, and comes again at once.
        if (++taken === 1) return { kind: 'returned' };
        if (taken > 2) return await handleBy(shared, 'honest', letter, lease);
        expect(await handleBy(faulty, 'faulty', letter, lease)).toMatchObject({ kind: 'done' });
        await handleBy(late, 'late', letter, lease).catch((error) => {
          refusal = error;
        });
        return { kind: 'done' };
      },
      { onProgress: silent },
    );
    const failure = await prune({ ...handed('disputed-run', 1), store: place }).catch((error: Error) => error);
    await working.close();
    expect(refusal).toMatchObject({ code: 'E_NUMERIC_WORKER', facts: { workers: ['faulty', 'late'] } });
    expect(failure).toMatchObject({ code: 'E_NUMERIC_WORKER', facts: { workers: ['faulty', 'late'] } });
    expect(taken).toBeGreaterThan(3);
  });

  test('a worker ends when there is nothing to do', async () => {
    const result = await work({
      queue: server.url,
      store: store(),
      scratch: join(folder, 'idle'),
      idle: 0,
      threads: 1,
    });
    expect(result).toMatchObject({ done: 0, failed: 0 });
  });
});

/** Each thread of an engine has one, and keeps the process alive by it. */
const portsOpen = (): number => process.getActiveResourcesInfo().filter((one) => one === 'MessagePort').length;

describe('a worker', () => {
  const lease = { id: 'a', attempt: 1, report: () => {} };
  const request = {
    ...{ model: sha256('m'), operator: 'magnitude', seed: 0, fidelity: 'exact', loss: 'likelihood' },
    plan: { format: 'layerwise-plan', version: 2, units: { 'blocks.0': { zeros: { rate: 0.5 } } } },
  };
  const letterOf = (run: string, change: object = {}) => ({
    ...{ format: 'layerwise-letter', version: 1, run, work: { kind: 'trial', request } },
    ...change,
  });
  const workerOn = async (store: Store) =>
    createWorker({
      ...{ store, name: 'w', numerics: await measureNumerics(), threads: 1, onProgress: silent },
      scratch: join(folder, 'scratch-unit'),
    });
  const describeRun = async (store: Store, change: object = {}): Promise<string> => {
    const bytes = Buffer.from(
      JSON.stringify({
        ...{ format: 'layerwise-shared-run', version: 1, tool: '0', numerics: await measureNumerics() },
        ...{ checkpoint: { files: {} }, hessian: 'output', texts: {}, statistics: false, ...change },
      }),
    );
    await store.putOnce(`runs/${sha256(bytes)}`, bytes);
    return sha256(bytes);
  };
  beforeAll(() => mkdir(join(folder, 'scratch-unit'), { recursive: true }));

  test('that would compute other last bits is refused by name', async () => {
    const store = await openStore(join(folder, 'other-numerics'));
    const run = await describeRun(store, { numerics: sha256('another processor') });
    const worker = await workerOn(store);
    await expect(worker.handle(letterOf(run), lease)).rejects.toMatchObject({ code: 'E_NUMERIC_WORKER' });
  });

  test.each([
    ['no object', 'rm -rf /'],
    ['a path', letterOf('../../etc/passwd')],
    ['more than it may have', letterOf(sha256('x'), { command: 'ls' })],
    ['another kind of work', letterOf(sha256('x'), { work: { kind: 'eval', request: 'process.exit()' } })],
    [
      'a leaf that is none',
      letterOf(sha256('x'), {
        work: {
          kind: 'leaf',
          request: {
            ...{ model: sha256('m'), calibration: sha256('c'), before: ['../x'], leaves: 16 },
            ...{ measure: { kind: 'inputs', needs: ['gram'] }, leaf: { kind: 'any', letter: 0 } },
          },
        },
      }),
    ],
    ['a plan out of range', letterOf(sha256('x'), { work: { kind: 'trial', request: { ...request, seed: -1 } } })],
    [
      'a prototype',
      JSON.parse(`{"__proto__":{"x":1},"format":"layerwise-letter","version":1,"run":"${sha256('x')}","work":{}}`),
    ],
  ])('refuses a letter with %s, once', async (_, letter) => {
    const worker = await workerOn(await openStore(join(folder, 'hostile')));
    const handled = await worker.handle(letter, lease);
    expect(handled).toMatchObject({ kind: 'failed', again: false });
    expect(JSON.parse((handled as { readonly reason: string }).reason)).toMatchObject({ code: 'E_OPTION_LETTER' });
  });

  test.each(['../../outside', '/etc/passwd', 'a/../../b', '..', 'a//b', 'a\\..\\b'])(
    'refuses a run whose checkpoint has a file %s',
    async (path) => {
      const store = await openStore(join(folder, 'paths'));
      const run = await describeRun(store, { checkpoint: { files: { [path]: sha256('x') } } });
      const handled = await (await workerOn(store)).handle(letterOf(run), lease);
      expect(JSON.parse((handled as { readonly reason: string }).reason)).toMatchObject({ code: 'E_OPTION_LETTER' });
    },
  );

  test('refuses files and descriptions that are not what their digests promise', async () => {
    const place = join(folder, 'tampered');
    const store = await openStore(place);
    const run = await describeRun(store, { checkpoint: { files: { 'config.json': sha256('right') } } });
    await store.putOnce(`files/${sha256('right')}`, Buffer.from('wrong'));
    const worker = await workerOn(store);
    const reasonOf = async (): Promise<unknown> => {
      const handled = await worker.handle(letterOf(run), lease);
      return JSON.parse((handled as { readonly reason: string }).reason);
    };
    expect(await reasonOf()).toMatchObject({ code: 'E_CHECKPOINT_STORE' });
    await writeFile(join(place, 'runs', run), '{}');
    expect(await reasonOf()).toMatchObject({ code: 'E_CHECKPOINT_STORE' });
  });

  test('whose store is full says so, and the letter is worth another attempt', async () => {
    const kept = await openStore(join(folder, 'full'));
    const run = await describeRun(kept);
    const full = new ResourceError('E_RESOURCE_DISK_FULL', 'The disk is full.');
    const store: Store = {
      ...kept,
      get: async (key) => (key.startsWith('outcomes') ? Promise.reject(full) : kept.get(key)),
    };
    const handled = await (await workerOn(store)).handle(letterOf(run), lease);
    expect(handled).toMatchObject({ kind: 'failed', again: true });
    expect(JSON.parse((handled as { readonly reason: string }).reason)).toMatchObject({ code: 'E_RESOURCE_DISK_FULL' });
  });

  test.each([
    ['reads what its run is', 'runs/'],
    ['fetches the checkpoint', 'fetching the checkpoint'],
    ['takes the dense pass', 'dense'],
  ])('that is closed while it %s gives the letter back, and leaves nothing', async (_, when) => {
    const kept = await openStore(join(folder, 'closed'));
    const run = await share(kept, checkpoint);
    const scratch = await mkdtemp(join(folder, 'scratch-closed-'));
    const numerics = await measureNumerics();
    let closing: Promise<void> | undefined;
    const happens = (what: string): void => {
      if (what.startsWith(when)) closing ??= worker.close();
    };
    const store: Store = {
      ...kept,
      get: (key) => {
        happens(key);
        return kept.get(key);
      },
    };
    const worker = createWorker({
      ...{ store, name: 'w', numerics, threads: 1, scratch },
      onProgress: (event) => event.kind === 'stage' && happens(event.stage),
    });
    const before = portsOpen();
    const { texts: shared } = await readSharedRun(kept, run, numerics);
    const named = { calibration: shared.calibration!.record, validation: shared.validation!.record };
    const model = digestOf(await hashCheckpoint((await openModel(checkpoint)).checkpoint));
    const letter = letterOf(run, { work: { kind: 'trial', request: { ...request, ...named, model } } });
    expect(await worker.handle(letter, lease)).toEqual({ kind: 'returned' });
    expect(closing).toBeDefined();
    await closing;
    expect(await readdir(scratch)).toEqual([]);
    // Those of an earlier test may still have been closing.
    expect(portsOpen()).toBeLessThanOrEqual(before);
  });

  test('does nothing that is on record', async () => {
    const store = await openStore(join(folder, 'known'));
    const run = await describeRun(store);
    const letter = letterOf(run);
    const digest = digestOf(letter.work);
    const result = { request: digestOf(request), engine: 'x', losses: [1], errors: [] };
    const outcome = {
      format: 'layerwise-outcome',
      version: 1,
      run,
      work: digest,
      result,
      by: { worker: 'v', seconds: 1 },
    };
    await store.putOnce(`outcomes/${run}/${digest}`, Buffer.from(JSON.stringify(outcome)));
    expect(await (await workerOn(store)).handle(letter, lease)).toEqual({ kind: 'done', known: true });
  });
});
