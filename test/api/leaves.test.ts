// Calibration of one model over workers: the statistics of each block come in leaves from whoever is there, and the finished
// checkpoint has the bytes of a run in one process, for 1, 2, 3, 4 and 7 workers, when one is killed in the middle of a leaf, and when the
// process that plans is.

import type { ChildProcess } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prune, quantise, work } from '../../src/api/index.js';
import { parseWorkersRecord } from '../../src/records/index.js';
import { leavesOf } from '../../src/stream/index.js';
import { REDIS, type Server, startRedis } from '../queue/servers.js';
import { limit } from '../scale.js';
import { startRun } from './child.js';
import { differences, makeFolder, makeTexts, makeTiny, stutter, type Texts, useOwnCache } from './make.js';
import { bytesOf, createWorkerProcesses } from './worker-processes.js';

if (!REDIS) console.warn('skipped: leaves over a queue (redis-server is not installed; apt-get install redis-server)');

/** Windows of 64 tokens, 16 in a chunk: 21 chunks, so some leaves have one and some two. */
const [SAMPLES, LENGTH] = [330, 64];
const BLOCKS = 4;

let folder: string;
let texts: Texts;
let checkpoint: string;
beforeAll(async () => {
  await useOwnCache();
  folder = await makeFolder();
  const calibration = join(folder, 'long.txt');
  await writeFile(calibration, stutter(77, (SAMPLES + 2) * LENGTH));
  texts = { ...(await makeTexts(folder, 40)), calibration };
  checkpoint = await makeTiny(join(folder, 'model'), { seed: 5, blocks: BLOCKS });
});

test('leaves are the same parts for every number of chunks, in order and nearly equal', () => {
  for (const chunks of [1, 2, 15, 16, 17, 21, 128, 1000]) {
    const leaves = leavesOf(chunks);
    expect(leaves).toHaveLength(Math.min(16, chunks));
    expect(leaves.reduce((at, { first, count }) => (first === at && count > 0 ? at + count : -1), 0)).toBe(chunks);
    const counts = leaves.map(({ count }) => count);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  }
});

const WAYS = {
  /** Squares; uniform and a given β, each a trial of its own. */
  wanda: { beta: 0.02 },
  'sparsegpt, following the dense stream': {
    ...{ criterion: 'sparsegpt', allocation: 'uniform', target: 'stream', targetShares: { alpha: 0.5, gamma: 0.5 } },
  },
  'ria, behind the dense blocks': { criterion: 'ria', allocation: 'uniform', calibrationPrefix: 'dense' },
  dsnot: { criterion: 'dsnot-sparsegpt', allocation: 'uniform' },
} as const;

describe.skipIf(!REDIS)('over a queue', () => {
  let server: Server;
  const workers = createWorkerProcesses();
  const asked = (out: string, way: keyof typeof WAYS) => ({
    ...{ checkpoint, sparsity: 0.6, ...texts, calibrationSamples: SAMPLES, sequenceLength: LENGTH, threads: 1 },
    ...{ greedyTokens: 0, out: join(folder, out), ...WAYS[way] },
  });
  const handed = (out: string, way: keyof typeof WAYS, store = 'store') => ({
    ...asked(out, way),
    ...{ queue: server.url, store: join(folder, store) },
  });
  const alone = new Map<string, Promise<Record<string, string>>>();
  const bytesAlone = (way: keyof typeof WAYS): Promise<Record<string, string>> => {
    const known = alone.get(way) ?? prune(asked(`alone ${way}`, way)).then(() => bytesOf(join(folder, `alone ${way}`)));
    alone.set(way, known);
    return known;
  };
  const workersOf = async (out: string) => {
    const path = join(folder, out, 'workers.json');
    return parseWorkersRecord(await readFile(path, 'utf8'), path).workers;
  };
  const begin = (name: string, store: string): ChildProcess =>
    workers.begin(name, { queue: server.url, store: join(folder, store), scratch: join(folder, 'scratch') });

  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(async () => {
    workers.kill();
    await server?.stop();
  });

  test('masks, weights and record are the same for 1, 2, 3, 4 and 7 workers as for none', {
    timeout: limit(400_000),
  }, async () => {
    const stop = new AbortController();
    const working: Promise<unknown>[] = [];
    for (const count of [1, 2, 3, 4, 7]) {
      while (working.length < count) {
        const name = `w${working.length}`;
        const where = { scratch: join(folder, `scratch-${name}`), threads: 1, keep: true, stop: stop.signal };
        working.push(work({ queue: server.url, store: join(folder, 'store'), name, ...where }));
      }
      for (const way of count === 3 ? (Object.keys(WAYS) as (keyof typeof WAYS)[]) : (['wanda'] as const)) {
        const out = `${count} ${way}`;
        await prune(handed(out, way));
        expect(differences(await bytesOf(join(folder, out)), await bytesAlone(way)), out).toEqual([]);
        const who = await workersOf(out);
        expect(who.length, out).toBeGreaterThan(count === 1 ? 0 : 1);
        expect(who.reduce((sum, { letters }) => sum + letters, 0)).toBeGreaterThanOrEqual(16 * BLOCKS);
      }
    }
    const quantised = { ...texts, checkpoint, bits: 3, group: 32, calibrationSamples: SAMPLES, sequenceLength: LENGTH };
    const common = { ...quantised, threads: 1, greedyTokens: 0 };
    await quantise({ ...common, out: join(folder, 'q alone') });
    await quantise({ ...common, out: join(folder, 'q'), queue: server.url, store: join(folder, 'store') });
    expect(differences(await bytesOf(join(folder, 'q')), await bytesOf(join(folder, 'q alone')))).toEqual([]);
    expect((await workersOf('q')).length).toBeGreaterThan(1);
    stop.abort();
    await Promise.all(working);
    // Sums of rounds that are over do not stay in the store.
    const left = await readdir(join(folder, 'store', 'numbers'), { recursive: true, withFileTypes: true });
    expect(left.filter((one) => one.isFile()).map(({ name }) => name)).toEqual([]);
  });

  test.each(['wanda', 'sparsegpt, following the dense stream'] as const)(
    '%s: workers that are killed, one after another, and the process that plans: the same bytes',
    {
      timeout: limit(240_000),
    },
    async (way) => {
      const [store, out] = [`killed ${way}`, `killed-out ${way}`];
      const outcomes = async (): Promise<number> => {
        const found = await readdir(join(folder, store, 'claims'), { recursive: true }).catch(() => []);
        return found.length;
      };
      const next = async (): Promise<void> => {
        const before = await outcomes();
        while ((await outcomes()) === before) await sleep(20);
      };
      let ended = false;
      const names = ['a', 'b'];
      const running = names.map((name) => begin(name, store));
      const child = startRun(handed(out, way, store), join(folder, `log ${way}`));
      await next();
      await next();
      child.kill('SIGKILL');
      await child.done;
      const pruning = prune({ ...handed(out, way, store), resume: true }).finally(() => {
        ended = true;
      });
      let kills = 0;
      while (!ended && kills < 4) {
        await Promise.race([next(), pruning]);
        if (ended) break;
        running[kills % 2]!.kill('SIGKILL');
        running[kills % 2] = begin(`${'abcdef'[kills + 2]}`, store);
        kills++;
        await Promise.race([sleep(2000), pruning]);
      }
      await pruning;
      expect(kills).toBeGreaterThan(0);
      expect(differences(await bytesOf(join(folder, out)), await bytesAlone(way))).toEqual([]);
      for (const one of running) one.kill('SIGKILL');
    },
  );
});
