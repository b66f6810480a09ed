// What dist/ was built from: a hash of every source, written by the build as its last act. Contents, not times: a checkout
// or a copy sets times as it likes.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Beside src/, what decides what the build makes of it. */
const RECIPES = [
  ...['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'],
  ...['scripts/build.mjs', 'scripts/build-kernels.mjs'],
];

/** Where the build writes it, relative to the root. */
export const RECORD = 'dist/sources.json';

/** Hashes by path, of everything that a build reads under `root`. */
export function hashSources(root) {
  const sources = readdirSync(join(root, 'src'), { recursive: true })
    .map((path) => `src/${path.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.ts'));
  return Object.fromEntries(
    [...sources, ...RECIPES].sort().map((path) => [
      path,
      createHash('sha256')
        .update(readFileSync(join(root, path)))
        .digest('hex')
        .slice(0, 16),
    ]),
  );
}

/** The paths that differ from what dist/ was built from; undefined where no build has ended. */
export function changedSources(root) {
  let recorded;
  try {
    recorded = JSON.parse(readFileSync(join(root, RECORD), 'utf8'));
  } catch {
    return undefined;
  }
  const now = hashSources(root);
  return [...new Set([...Object.keys(recorded), ...Object.keys(now)])]
    .filter((path) => recorded[path] !== now[path])
    .sort();
}
