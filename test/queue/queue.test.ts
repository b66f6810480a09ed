// The queue and the store under what happens to real machines: workers that are killed, one that sleeps and comes back late, a
// server that loses its memory. What counts is what lies in the store: every letter's record, once, and right.

import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { openQueue, openStore, type Store, type WorkQueue } from '../../src/queue/index.js';
import { limit } from '../scale.js';
import { REDIS, type Server, serversHere, startRedis } from './servers.js';

const WORKER = fileURLToPath(new URL('./worker.mjs', import.meta.url));
/** Milliseconds of silence after which a letter is another's. */
const LEASE = 2000;
const LETTERS = 200;
const WORKERS = 4;
const BETWEEN_KILLS = 2000;

type Line = { readonly what: string; readonly id: string; readonly pid: number; readonly put?: string };

const expectedOf = (index: number): string => createHash('sha256').update(`letter ${index}`).digest('hex');

for (const [name, begin] of serversHere()) {
  describe(`letters over ${name}`, () => {
    let server: Server;
    let folder: string;
    let queue: WorkQueue;
    let store: Store;
    let log: string;
    const children = new Set<ChildProcess>();
    const start = (): ChildProcess => {
      const child = spawn(process.execPath, [WORKER, server.url, join(folder, 'store'), log, `${LEASE}`], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      children.add(child);
      child.once('exit', () => children.delete(child));
      return child;
    };
    const lines = (): Line[] =>
      readFileSync(log, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Line);
    const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
      while (!(await isSo())) await sleep(50);
    };
    const freshLog = (): void => {
      log = join(mkdtempSync(join(folder, 'log-')), 'log');
      writeFileSync(log, '');
    };

    beforeAll(async () => {
      server = await begin();
      folder = mkdtempSync(join(tmpdir(), 'layerwise-queue-'));
      store = await openStore(join(folder, 'store'));
      queue = await openQueue(server.url, silent);
      freshLog();
    });
    afterAll(async () => {
      for (const child of children) child.kill('SIGKILL');
      await queue?.close();
      await server?.stop();
      if (folder) rmSync(folder, { recursive: true, force: true });
    });

    test(`${LETTERS} letters, each sent twice, ${WORKERS} workers, one killed every ${BETWEEN_KILLS / 1000} s: none lost, none doubled, none wrong`, {
      timeout: limit(240_000),
    }, async () => {
      const ids = Array.from({ length: LETTERS }, (_, i) => `letter-${i}`);
      const send = async (): Promise<void> => {
        for (const [index, id] of ids.entries()) await queue.add(id, { index, pause: 20 + ((index * 7919) % 101) });
      };
      await send();
      await send();
      const workers = Array.from({ length: WORKERS }, start);
      const isUp = ({ pid }: ChildProcess): boolean => lines().some((line) => line.what === 'up' && line.pid === pid);
      await until(() => workers.every(isUp));
      let kills = 0;
      const allDone = async (): Promise<boolean> => {
        const states = await Promise.all(ids.map((id) => queue.stateOf(id)));
        return states.every(({ kind }) => kind === 'done');
      };
      for (let turn = 0; !(await allDone()); turn++) {
        await sleep(BETWEEN_KILLS);
        const victim = workers[turn % WORKERS]!;
        if (!isUp(victim)) continue;
        victim.kill('SIGKILL');
        kills++;
        workers[turn % WORKERS] = start();
      }
      for (const worker of workers) worker.kill('SIGKILL');
      for (const [index, id] of ids.entries()) {
        expect(Buffer.from((await store.get(`outcomes/${id}`))!).toString('utf8'), id).toBe(expectedOf(index));
      }
      const puts = lines().filter(({ put }) => put === 'put');
      // A worker may be killed between its record and its line in the log.
      expect(puts.length).toBeLessThanOrEqual(LETTERS);
      expect(puts.length).toBeGreaterThanOrEqual(LETTERS - kills);
      expect(new Set(puts.map(({ id }) => id)).size).toBe(puts.length);
      expect(kills).toBeGreaterThan(0);
      const begun = lines().filter(({ what }) => what === 'begin').length;
      console.info(`${name}: ${LETTERS} letters, ${kills} kills, ${begun} attempts`);
    });

    test('a worker that sleeps loses its letter, and its late word changes nothing', {
      timeout: limit(90_000),
    }, async () => {
      freshLog();
      const first = start();
      await until(() => lines().some(({ what }) => what === 'up'));
      await queue.add('sleeper', { index: 7, pause: 100, slow: 4 * LEASE });
      await until(() => lines().some(({ what }) => what === 'begin'));
      const second = start();
      first.kill('SIGSTOP');
      await until(async () => (await queue.stateOf('sleeper')).kind === 'done');
      first.kill('SIGCONT');
      await until(() => lines().filter(({ what }) => what === 'end').length === 2);
      await sleep(500);
      const ends = lines().filter(({ what }) => what === 'end');
      expect(ends.map(({ pid, put }) => [pid, put])).toEqual([
        [second.pid, 'put'],
        [first.pid, 'there'],
      ]);
      // Nor is the letter's state: it is neither failed nor handed out again.
      expect(await queue.stateOf('sleeper')).toEqual({ kind: 'done' });
      expect(await queue.counts()).toEqual({ waiting: 0, working: 0 });
      for (const worker of [first, second]) worker.kill('SIGKILL');
    });

    test('a letter that waits can be taken back; one that failed is forgotten', async () => {
      await queue.add('waits', { index: 1, pause: 0 });
      expect(await queue.stateOf('waits')).toEqual({ kind: 'waiting' });
      await queue.remove('waits');
      expect(await queue.stateOf('waits')).toEqual({ kind: 'absent' });
    });
  });
}

describe.skipIf(!REDIS)('passwords', () => {
  test('stay out of messages, whatever is wrong', async () => {
    const server = await startRedis('right-secret');
    try {
      const wrong = server.url.replace('right', 'wrong');
      const notes: string[] = [];
      const failure = await openQueue(wrong, (event) => void (event.kind === 'note' && notes.push(event.text))).then(
        () => undefined,
        (error: Error) => error,
      );
      expect(failure).toMatchObject({ code: 'E_REMOTE_QUEUE' });
      const said = JSON.stringify([failure?.message, failure, notes]);
      expect(said).not.toContain('secret');
      const bad = await openQueue('mysql://user:secret@host/0', silent).catch((error: Error) => error);
      expect(bad).toMatchObject({ code: 'E_OPTION_QUEUE' });
      expect(JSON.stringify([(bad as Error).message, bad])).not.toContain('secret');
    } finally {
      await server.stop();
    }
  });
});
