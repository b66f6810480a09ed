// npm run build: TypeScript to dist/, AssemblyScript to dist/kernels/, then what it was all built from, which the tests
// compare (test/setup/fresh.ts). The sources are hashed before anything is compiled, so that one that is edited meanwhile counts as
// changed; what a source that is gone had left in dist/ goes too, or the package would carry it. Where nothing changed, nothing is built.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { changedSources, hashSources, RECORD } from './sources.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (...args) => execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });

const sources = hashSources(root);
/** Kernels take most of the time; they are built again only if a kernel, a compiler or a recipe changed. */
const changed = changedSources(root);
if (changed?.length === 0) process.exit(0);
const keepsKernels =
  changed?.every((path) => path.endsWith('.ts') && !path.endsWith('.as.ts')) &&
  existsSync(join(root, 'dist/kernels/runtime.wasm'));
mkdirSync(join(root, 'dist'), { recursive: true });
rmSync(join(root, RECORD), { force: true });
try {
  run('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json');
  if (!keepsKernels) run('scripts/build-kernels.mjs');
} catch (error) {
  // The compiler has said what is wrong.
  process.exit(error.status ?? 1);
}
for (const path of readdirSync(join(root, 'dist'), { recursive: true })) {
  const source = `src/${path.replaceAll('\\', '/').replace(/(\.d\.ts|\.js)$/, '.ts')}`;
  if (source.endsWith('.ts') && !(source in sources)) rmSync(join(root, 'dist', path));
}
writeFileSync(join(root, RECORD), JSON.stringify(sources));
