// A dist/ that other sources made is found, by contents and not by times.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hashSources, RECORD } from '../../scripts/sources.mjs';
import { staleness } from './fresh.js';

const project = fileURLToPath(new URL('../..', import.meta.url));
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'layerwise-fresh-'));
  for (const path of Object.keys(hashSources(project)).filter((path) => !path.startsWith('src/'))) {
    cpSync(join(project, path), join(root, path));
  }
  for (const room of ['src/one', 'src/two', 'dist']) mkdirSync(join(root, room), { recursive: true });
  writeFileSync(join(root, 'src/one/index.ts'), 'export const one = 1;\n');
  writeFileSync(join(root, 'src/two/sum.as.ts'), 'export function sum(): void {}\n');
  writeFileSync(join(root, RECORD), JSON.stringify(hashSources(root)));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('what was built is fresh, whenever its files were touched', () => {
  expect(staleness(root)).toBeUndefined();
  const path = join(root, 'src/one/index.ts');
  utimesSync(path, new Date(), new Date(Date.now() + 60_000));
  writeFileSync(path, readFileSync(path));
  expect(staleness(root)).toBeUndefined();
});

test.each([
  ['a source changed', 'src/one/index.ts', 'export const one = 2;\n'],
  ['a kernel changed', 'src/two/sum.as.ts', ''],
  ['a source is new', 'src/two/new.ts', ''],
  ['the recipe changed', 'tsconfig.json', '{}'],
])('%s, later or earlier than the build', (_, path, text) => {
  writeFileSync(join(root, path), text);
  utimesSync(join(root, path), new Date(0), new Date(0));
  expect(staleness(root)).toMatch(new RegExp(`${path} changed since\\. .*npm run build`));
});

test('a source is gone', () => {
  rmSync(join(root, 'src/two'), { recursive: true });
  expect(staleness(root)).toContain('src/two/sum.as.ts changed since');
});

test('several are counted', () => {
  writeFileSync(join(root, 'src/one/index.ts'), '');
  writeFileSync(join(root, 'src/two/sum.as.ts'), '');
  expect(staleness(root)).toContain('src/one/index.ts and 1 more changed since');
});

test.each(['', '{"src/one/ind'])('no build, or one that did not end', (record) => {
  writeFileSync(join(root, RECORD), record);
  expect(staleness(root)).toMatch(/^dist\/ is not built\. .*npm run build$/);
});
