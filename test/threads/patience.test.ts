// How a thread learns to spin or to sleep, on waits of known lengths. No clock is read.

import { expect, test } from 'vitest';
import { createPatience, LEAST_SPINS, MOST_SPINS, type Patience, TRIES } from '../../src/threads/patience.js';

/** A wait that would end after `length` polls; returns how many were made. */
function wait(patience: Patience, length: number): number {
  const spins = Math.min(patience.next(), length);
  patience.spent(spins, spins === length);
  return spins;
}

test('waits that end while it spins are never cut short', () => {
  const patience = createPatience();
  for (let i = 0; i < 1000; i++) expect(wait(patience, 100 + 9 * i)).toBe(100 + 9 * i);
});

test('where no wait ends in time, spinning costs less and less', () => {
  const patience = createPatience();
  const spins = Array.from({ length: 4000 }, () => wait(patience, Number.POSITIVE_INFINITY));
  expect(spins[0]).toBe(MOST_SPINS);
  expect(spins.slice(-TRIES.last).filter((count) => count !== LEAST_SPINS)).toEqual([MOST_SPINS]);
  const mean = spins.slice(1000).reduce((sum, count) => sum + count, 0) / 3000;
  expect(mean).toBeLessThan(MOST_SPINS / 50);
});

test('one that lost its patience finds it again when waits are short once more', () => {
  const patience = createPatience();
  for (let i = 0; i < 4000; i++) wait(patience, Number.POSITIVE_INFINITY);
  const again = Array.from({ length: 2 * TRIES.last }, () => wait(patience, 2000));
  expect(again.indexOf(2000)).toBeLessThan(TRIES.last);
  expect(again.slice(again.indexOf(2000)).every((spins) => spins === 2000)).toBe(true);
});

test('a long wait among short ones does not cost the next ones their spins', () => {
  const patience = createPatience();
  for (let i = 0; i < 200; i++) {
    wait(patience, Number.POSITIVE_INFINITY);
    for (let j = 0; j < 10; j++) expect(wait(patience, 2000)).toBe(2000);
  }
});
