// Compiles every *.as.ts (AssemblyScript) of the two rooms with kernels to <out>/*.wasm: SIMD, no runtime, no imports, a memory of fixed
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
/** 64 KiB each; src/solver-kernels/wasm.ts checks that what it lays out fits. */
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
const ROOMS = ['kernels', 'solver-kernels'];
const out = process.argv[2] ?? join(root, 'dist/kernels');

await mkdir(out, { recursive: true });
const sources = ROOMS.map((room) => join(root, 'src', room));
const files = await Promise.all(
  sources.map(async (folder) => (await readdir(folder)).sort().map((file) => ({ folder, file }))),
);
for (const { folder, file } of files.flat()) {
  if (!file.endsWith(SUFFIX)) continue;
  const name = file.replace(SUFFIX, '');
  for (const [built, memory] of Object.entries(VARIANTS[name] ?? { [name]: OWN })) {
    const { error, stderr } = await main(
      [file, '--baseDir', folder, '--outFile', join(out, `${built}.wasm`)]
        .concat(['--optimizeLevel', '3', '--shrinkLevel', '0', '--noAssert', '--enable', 'simd'])
        .concat(['--runtime', 'stub', ...memory]),
      { stdout: process.stdout },
    );
    if (!error) continue;
    console.error(`${file}: ${error.message}\n${stderr}`);
    process.exit(1);
  }
}
