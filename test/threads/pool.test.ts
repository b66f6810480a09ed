// Pools of threads: they meet, they share, they cost nothing when idle, and one that fails takes nobody's answer with it.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { InternalError, ResourceError } from '../../src/base/index.js';
import {
  createArena,
  createRuntimeMemory,
  plainMultiplyQuantised,
  plainQuantise,
  SUMS_BYTES,
} from '../../src/kernels/index.js';
import { activationBytes, encodeSortedTiles } from '../../src/layouts/index.js';
import { startThreads, type ThreadPool } from '../../src/threads/index.js';
import { quantised } from '../kernels/matrices.js';

const FILE = new URL('./pool-worker.mjs', import.meta.url);
const open: ThreadPool[] = [];
const start = (threads: number): ThreadPool => {
  const pool = startThreads(FILE, { threads });
  open.push(pool);
  return pool;
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((pool) => pool.close()));
});

test.each([1, 2, 3, 5])('%d threads meet at every barrier', async (threads) => {
  const pool = start(threads);
  const address = createArena(pool.memory).take(64, 'cells');
  const cells = await pool.run('turns', { address, rounds: 2000 });
  expect(cells).toEqual(Array(threads).fill(2000));
});

test('the leader answers; shares cover everything once', async () => {
  expect(await start(3).run('where', 2)).toEqual({ index: 0, count: 3, share: { from: 0, to: 0 } });
  expect(await start(1).run('where', 7)).toEqual({ index: 0, count: 1, share: { from: 0, to: 7 } });
});

test('calls are answered in their order', async () => {
  const pool = start(2);
  const all = await Promise.all([3, 1, 4, 1, 5].map((units) => pool.run<{ share: { to: number } }>('where', units)));
  expect(all.map(({ share }) => share.to)).toEqual([1, 0, 2, 0, 2]);
});

test('the leader alone answers in its turn, and the others begin nothing before it has ended', async () => {
  const pool = start(3);
  const address = createArena(pool.memory).take(64, 'cells');
  const slow = pool.runLeader('linger', { address, milliseconds: 50 });
  const next = pool.run('where', 3);
  const seen = pool.run('seen', { address });
  expect(await slow).toBe(0);
  expect(await next).toMatchObject({ index: 0 });
  expect(await seen).toEqual([1, 1, 1]);
});

test('a product has the same bits for any number of threads', async () => {
  const c = { rows: 1003, columns: 515, density: 0.3, saturated: false, seed: 8 };
  const encoded = encodeSortedTiles(quantised(c, 'int8'));
  const vector = plainQuantise(Float32Array.from({ length: c.columns }, (_, i) => Math.sin(i)));
  const expected = plainMultiplyQuantised(encoded, vector);
  for (const threads of [1, 2, 4]) {
    const pool = start(threads);
    const arena = createArena(pool.memory);
    const put = (data: ArrayBufferView, size = data.byteLength): number => {
      const address = arena.take(size, 'a test');
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      new Uint8Array(pool.memory.buffer, address, data.byteLength).set(bytes);
      return address;
    };
    const parts = encoded.parts.map((part) => put(part));
    const stride = activationBytes(c.columns);
    const x = { address: put(vector.q, stride), stride, scales: put(Float32Array.of(vector.scale)) };
    const y = arena.take(4 * c.rows, 'y');
    const sums = arena.take(2 * SUMS_BYTES * threads, 'sums');
    const call = { x, y: { address: y, stride: 4 * c.rows }, tokens: 1, sums };
    const request = { layout: encoded.layout, parts, call, y, length: c.rows };
    expect(await pool.run('multiply', request)).toEqual(expected);
  }
});

test('memory that the leader lets grow is there for all', async () => {
  const { before, after, written } = await start(3).run<{ before: number; after: number; written: number[] }>('grow', {
    pages: 5,
  });
  expect(after - before).toBe(5 * 65536);
  expect(written).toEqual([3, 2, 1]);
});

test('an idle pool costs nothing', async () => {
  const pool = start(2);
  await pool.run('turns', { address: createArena(pool.memory).take(64, 'cells'), rounds: 100 });
  await sleep(300);
  const before = process.cpuUsage();
  await sleep(1500);
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1.5e6).toBeLessThan(0.1); // a spinning thread would be 1
});

describe('a thread that fails', () => {
  test.each([
    ['the leader throws', 0, 'throw', /on purpose/],
    ['another thread throws', 2, 'throw', /on purpose/],
    ['a thread ends', 1, 'exit', /code 3/],
  ])('%s: the call is rejected, and so are later ones', async (_, who, how, message) => {
    const pool = start(3);
    const calls = await Promise.allSettled([pool.run('fail', { who, how }), pool.run('where', 1)]);
    for (const call of calls) {
      expect(call.status).toBe('rejected');
      expect((call as PromiseRejectedResult).reason).toBeInstanceOf(InternalError);
      expect((call as PromiseRejectedResult).reason).toMatchObject({ code: 'E_INTERNAL_TEAM' });
      expect(String((call as PromiseRejectedResult).reason)).toMatch(message);
    }
    await expect(pool.run('where', 1)).rejects.toThrow(message);
  });

  test('a task that does not exist, a worker that does not load', async () => {
    await expect(start(2).run('nothing', {})).rejects.toThrow(/no task nothing/);
    const pool = startThreads(new URL('./absent.mjs', import.meta.url), { threads: 2 });
    open.push(pool);
    await expect(pool.run('where', 1)).rejects.toThrow(/E_INTERNAL_TEAM|Cannot find module/);
  });
});

test('a closed pool has ended what was under way, and refuses the rest', async () => {
  const pool = start(2);
  const address = createArena(pool.memory).take(64, 'cells');
  const call = pool.run('turns', { address, rounds: 500 });
  await pool.close();
  expect(await call).toEqual([500, 500]);
  await expect(pool.run('where', 1)).rejects.toThrow(/after it was closed/);
});

describe('memory', () => {
  test('grows as it is taken, aligned, without overlap', () => {
    const memory = createRuntimeMemory(1, true);
    const arena = createArena(memory);
    const first = arena.take(100, 'a');
    const second = arena.take(200_000, 'b');
    expect(first).toBeGreaterThanOrEqual(1024);
    expect(first % 64).toBe(0);
    expect(second).toBe(first + 128);
    expect(memory.buffer.byteLength).toBeGreaterThanOrEqual(second + 200_000);
  });

  test('has some left behind the last piece, since kernels read ahead of what they multiply', () => {
    const memory = createRuntimeMemory(1, true);
    const arena = createArena(memory);
    for (let i = 0; i < 5000; i++) {
      arena.take(64, 'a piece');
      if (memory.buffer.byteLength - arena.used < 32768) expect.fail(`${memory.buffer.byteLength - arena.used} bytes`);
    }
  });

  test('a pool that begins with more than there can be is refused', () => {
    expect(() => startThreads(FILE, { threads: 1, pages: 65537 })).toThrow(/needs 4295032832 bytes/);
  });

  test('more than 4 GiB is refused by name, and what there was stays', () => {
    const arena = createArena(createRuntimeMemory(1, true));
    arena.take(64, 'a');
    const used = arena.used;
    expect(() => arena.take(2 ** 32, 'the weights')).toThrow(ResourceError);
    expect(() => arena.take(2 ** 32, 'the weights')).toThrow(/the weights: needs 4294967296 bytes.*at most 4294934528/);
    expect(arena.used).toBe(used);
  });
});
