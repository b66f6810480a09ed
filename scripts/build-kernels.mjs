// Compiles every src/kernels/*.as.ts (AssemblyScript) to <out>/*.wasm: SIMD, no runtime, no imports, a memory of fixed
// size that the loader lays out. Only the runtime's kernels import theirs, since its size is the model's: shared by threads
// in runtime.wasm, and in runtime-single.wasm not, for pages that may not share any. The compiler is a pinned devDependency
// and its output depends on nothing else, so every machine builds the same bytes. Part of `npm run build`.
//
//   node scripts/build-kernels.mjs [out = dist/kernels]

import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from 'assemblyscript/asc';

const SUFFIX = '.as.ts';
/** 64 KiB each; src/kernels/wasm.ts checks that what it lays out fits. */
const OWN = ['--initialMemory', '16', '--maximumMemory', '16'];
/** The most that a WebAssembly memory may have, 4 GiB; how much there is the loader says. */
const IMPORTED = ['--importMemory', '--initialMemory', '1', '--maximumMemory', '65536', '--enable', 'bulk-memory'];
const SHARED = [...IMPORTED, '--sharedMemory', '--enable', 'threads'];
const RELAXED = ['--enable', 'relaxed-simd'];
const VARIANTS = {
  runtime: {
    runtime: SHARED,
    'runtime-relaxed': [...SHARED, ...RELAXED],
    'runtime-single': IMPORTED,
    'runtime-single-relaxed': [...IMPORTED, ...RELAXED],
  },
};

const root = fileURLToPath(new URL('..', import.meta.url));
const sources = join(root, 'src/kernels');
const out = process.argv[2] ?? join(root, 'dist/kernels');

await mkdir(out, { recursive: true });
for (const file of (await readdir(sources)).filter((name) => name.endsWith(SUFFIX)).sort()) {
  const name = file.replace(SUFFIX, '');
  for (const [built, memory] of Object.entries(VARIANTS[name] ?? { [name]: OWN })) {
    const { error, stderr } = await main(
      [file, '--baseDir', sources, '--outFile', join(out, `${built}.wasm`)]
        .concat(['--optimizeLevel', '3', '--shrinkLevel', '0', '--noAssert', '--enable', 'simd'])
        .concat(['--runtime', 'stub', ...memory]),
      { stdout: process.stdout },
    );
    if (!error) continue;
    console.error(`${file}: ${error.message}\n${stderr}`);
    process.exit(1);
  }
}
