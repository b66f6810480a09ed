// The tiers and the scale: every name in the list of slow tests is a test's, every limit and every property goes by the scale.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { limit, readScale, runs } from '../scale.js';
import { SLOW } from './tiers.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .map((path) => `test/${path.replaceAll('\\', '/')}`)
  .filter((path) => path.endsWith('.ts'));
const tests = files.filter((path) => path.endsWith('.test.ts'));
/** A slow entry is a file's path, or a folder's with two stars. */
const covers = (entry: string, path: string): boolean =>
  entry.endsWith('/**') ? path.startsWith(entry.slice(0, -2)) : path === entry;

test('what is called slow is there', () => {
  expect(SLOW.filter((entry) => !tests.some((path) => covers(entry, path)))).toEqual([]);
});

test('what decides is fast', () => {
  const fast = tests.filter((path) => !SLOW.some((entry) => covers(entry, path)));
  for (const room of ['plan', 'search', 'graph', 'operators', 'checkpoint', 'text', 'tensor', 'cli']) {
    expect(
      fast.some((path) => path.startsWith(`test/${room}/`)),
      room,
    ).toBe(true);
  }
  for (const path of ['test/architecture.test.ts', 'test/docs.test.ts', 'test/model/families.test.ts']) {
    expect(fast).toContain(path);
  }
});

test('limits and numbers of cases go by the scale', () => {
  const wrong = files
    .filter((path) => !path.startsWith('test/setup/'))
    .flatMap((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      const count = (pattern: RegExp): number => text.match(pattern)?.length ?? 0;
      const fixed = text.match(/numRuns: \d+|\btimeout: \d[\d_]*000\b|^\s*\}, \d[\d_]*000\);$/gm) ?? [];
      const unscaled = count(/fc\.assert\(/g) - count(/numRuns: (runs|enough)\(/g);
      return [...fixed, ...(unscaled > 0 ? [`${unscaled} fc.assert without numRuns: runs(…)`] : [])].map(
        (what) => `${path}: ${what}`,
      );
    });
  expect(wrong).toEqual([]);
});

test('the scale', () => {
  expect([undefined, '', '1', '0.2', '3'].map(readScale)).toEqual([1, 1, 1, 0.2, 3]);
  for (const wrong of ['0', '-1', 'fast', 'NaN', 'Infinity'])
    expect(() => readScale(wrong)).toThrow(/LAYERWISE_TEST_SCALE/);
  expect([0.2, 1, 3].map((scale) => limit(60_000, scale))).toEqual([60_000, 60_000, 180_000]);
  expect([0.001, 0.2, 1, 3].map((scale) => runs(100, scale))).toEqual([1, 20, 100, 300]);
});
