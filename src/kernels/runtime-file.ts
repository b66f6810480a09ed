// The compiled runtime kernels of this package, from disk.

import { readFileSync } from 'node:fs';
import { InternalError } from '../base/index.js';
import { compileRuntime, type RuntimeModule } from './runtime-module.js';

/** Both from src/ and from dist/, which are neighbours. */
const FILE = new URL('../../dist/kernels/runtime.wasm', import.meta.url);

/** The module whose memory threads share. @throws InternalError E_INTERNAL_KERNEL where the package is not built */
export function readRuntimeModule(): RuntimeModule {
  try {
    return compileRuntime(readFileSync(FILE));
  } catch (cause) {
    throw new InternalError(
      'E_INTERNAL_KERNEL',
      `The kernels in ${FILE.pathname} cannot be loaded. Reinstall the package, or run npm run build.`,
      { kernel: 'runtime' },
      { cause },
    );
  }
}
