// Compiles every src/kernels/*.as.ts (AssemblyScript) to <out>/*.wasm: SIMD, no runtime, no imports, a memory of fixed
// size that the loader lays out. The compiler is a pinned devDependency and its output depends on nothing else, so every
// machine builds the same bytes. Part of `npm run build`.
//
//   node scripts/build-kernels.mjs [out = dist/kernels]

import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from 'assemblyscript/asc';

const SUFFIX = '.as.ts';
/** 64 KiB each; src/kernels/wasm.ts checks that what it lays out fits. */
const PAGES = 16;

const root = fileURLToPath(new URL('..', import.meta.url));
const sources = join(root, 'src/kernels');
const out = process.argv[2] ?? join(root, 'dist/kernels');

await mkdir(out, { recursive: true });
for (const file of (await readdir(sources)).filter((name) => name.endsWith(SUFFIX)).sort()) {
  const { error, stderr } = await main(
    [file, '--baseDir', sources, '--outFile', join(out, file.replace(SUFFIX, '.wasm'))]
      .concat(['--optimizeLevel', '3', '--shrinkLevel', '0', '--converge', '--noAssert', '--enable', 'simd'])
      .concat(['--runtime', 'stub', '--initialMemory', String(PAGES), '--maximumMemory', String(PAGES)]),
    { stdout: process.stdout },
  );
  if (error) {
    console.error(`${file}: ${error.message}\n${stderr}`);
    process.exit(1);
  }
}
