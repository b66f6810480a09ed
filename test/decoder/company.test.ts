// When the leader of a pool decodes alone, on passes of known lengths. No clock is read.

import { expect, test } from 'vitest';
import { createCompany, FIRST, GAP, TRY } from '../../src/decoder/wasm/company.js';

/** Runs passes of these lengths; returns which were alone. */
function run(company: ReturnType<typeof createCompany>, passes: number, alone: number, together: number): boolean[] {
  return Array.from({ length: passes }, () => {
    const isAlone = company.alone();
    company.took(isAlone ? alone : together);
    return isAlone;
  });
}

const share = (all: readonly boolean[]): number => all.filter(Boolean).length / all.length;

test('on a free machine, where threads help, it hardly ever tries', () => {
  const company = createCompany();
  expect(share(run(company, FIRST, 1, 0.6))).toBe(0);
  run(company, 1000, 1, 0.6);
  expect(share(run(company, 4 * (GAP.last + TRY), 1, 0.6))).toBeLessThanOrEqual(TRY / GAP.last);
});

test('where threads only wait for each other it decodes alone, and comes back when they help again', () => {
  const company = createCompany();
  run(company, FIRST + TRY + 200, 1, 3);
  expect(share(run(company, 4 * (GAP.last + TRY), 1, 3))).toBeGreaterThan(1 - 2 * (TRY / GAP.last));
  const back = run(company, GAP.last + TRY + 1, 1, 0.6);
  expect(back.at(-1)).toBe(false);
});

test('a slow pass among quick ones changes nothing', () => {
  const company = createCompany();
  for (let i = 0; i < 2000; i++) company.took(company.alone() ? 1 : i % 7 === 0 ? 50 : 0.5);
  expect(company.alone()).toBe(false);
});

test('one thread is taken where it is a little slower: it costs less', () => {
  const company = createCompany();
  run(company, FIRST + TRY, 1.1, 1);
  expect(company.alone()).toBe(true);
});
