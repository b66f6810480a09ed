// Loads this package's compiled runtime kernels from disk.

import { readFileSync } from 'node:fs';
import { InternalError } from '../base/index.js';
import { compileRuntime, hasByteDots, type RuntimeModule } from './runtime-module.js';

/** Works from src/ and from dist/, which are siblings. */
const FOLDER = new URL('../../dist/kernels/', import.meta.url);

/**
 * The module for threads with a shared memory; the build for relaxed SIMD where that is faster.
 * @throws InternalError E_INTERNAL_KERNEL where the package is not built
 */
export function readRuntimeModule(relaxed = hasByteDots()): RuntimeModule {
  const file = new URL(relaxed ? 'runtime-relaxed.wasm' : 'runtime.wasm', FOLDER);
  try {
    return compileRuntime(readFileSync(file));
  } catch (cause) {
    throw new InternalError(
      'E_INTERNAL_KERNEL',
      `The kernels in ${file.pathname} cannot be loaded. Reinstall the package, or run npm run build.`,
      { kernel: 'runtime' },
      { cause },
    );
  }
}
