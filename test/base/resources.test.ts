import { expect, test } from 'vitest';
import { handOver, settleAll, withResources } from '../../src/base/index.js';

const log: string[] = [];
const made = (name: string, fails = false) => ({
  close: async () => {
    log.push(name);
    if (fails) throw new Error(`${name} does not close`);
  },
});
const released = (name: string) => ({ release: made(name).close });
const messageOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: Error) => error.message,
  );

test('all is closed, the last first, and the result is the work’s', async () => {
  log.length = 0;
  const result = await withResources(async (own) => {
    await own(made('a'));
    await own(Promise.resolve(released('b')));
    return 3;
  });
  expect([result, log]).toEqual([3, ['b', 'a']]);
});

test('an error of the work comes before those of closing, and all is closed', async () => {
  log.length = 0;
  const work = withResources(async (own) => {
    await own(made('a'));
    await own(made('b', true));
    throw new Error('the work');
  });
  expect([await messageOf(work), log]).toEqual(['the work', ['b', 'a']]);
});

test('work that throws before its first wait is no exception', async () => {
  log.length = 0;
  const work = withResources((own) => {
    void own(made('a'));
    throw new Error('at once');
  });
  expect([await messageOf(work), log]).toEqual(['at once', ['a']]);
});

test('of errors of closing the first counts', async () => {
  log.length = 0;
  const work = withResources(async (own) => {
    await own(made('a', true));
    await own(made('b', true));
  });
  expect([await messageOf(work), log]).toEqual(['b does not close', ['b', 'a']]);
});

test('what fails to open is nobody’s, and the error of whoever asked', async () => {
  log.length = 0;
  const work = withResources(async (own) => {
    await own(made('a'));
    await own(Promise.reject<ReturnType<typeof made>>(new Error('it does not open')));
  });
  expect([await messageOf(work), log]).toEqual(['it does not open', ['a']]);
});

test('what is still being opened when the work fails is closed', async () => {
  log.length = 0;
  let opened = (_: ReturnType<typeof made>): void => {};
  const late = new Promise<ReturnType<typeof made>>((resolve) => {
    opened = resolve;
  });
  const work = withResources(async (own) => {
    void own(late);
    throw new Error('the work');
  });
  setImmediate(() => opened(made('late')));
  expect([await messageOf(work), log]).toEqual(['the work', ['late']]);
});

test('what is handed over is closed only where making it fails', async () => {
  log.length = 0;
  expect(await handOver(made('kept'), async () => 1)).toBe(1);
  const work = handOver(made('lost', true), async () => {
    throw new Error('the work');
  });
  expect([await messageOf(work), log]).toEqual(['the work', ['lost']]);
});

test('settleAll waits for all, and throws what failed first in time', async () => {
  let ended = 0;
  const after = async (turns: number, error?: string): Promise<number> => {
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
    ended++;
    if (error !== undefined) throw new Error(error);
    return turns;
  };
  expect(await settleAll([after(2), after(1)])).toEqual([2, 1]);
  ended = 0;
  expect(await messageOf(settleAll([after(3, 'late'), after(1, 'early'), after(5)]))).toBe('early');
  expect(ended).toBe(3);
});
