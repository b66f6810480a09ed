// Where the material lies that cannot ship with the project (real texts, tokenizers, a trained checkpoint). Tests that
// need it skip with a printed reason where it is absent, as it is on a fresh clone.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';

const root = fileURLToPath(new URL('../../shared/', import.meta.url));

/** The path of a piece of shared material, or undefined where it is absent. */
export function sharedPath(...parts: readonly string[]): string | undefined {
  const path = [root.replace(/\/$/, ''), ...parts].join('/');
  return existsSync(path) ? path : undefined;
}

/** `test` where `path` exists; otherwise a skipped test, with the reason printed. */
export function testWith(path: string | undefined, what: string): typeof test | typeof test.skip {
  if (path !== undefined) return test;
  console.warn(`skipped: ${what} is not here (material that does not ship with the project)`);
  return test.skip;
}
