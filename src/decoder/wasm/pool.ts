// A runner that is a pool of threads over one shared memory. Their tasks are defined in worker.ts.

import { createRequire } from 'node:module';
import { startThreads } from '../../threads/index.js';
import type { Runner } from './runner.js';

/** Resolved through package.json, from src/ and from dist/. */
const WORKER = '#decoder-worker';

export function startPool(threads: number): Runner {
  const pool = startThreads(createRequire(import.meta.url).resolve(WORKER), { threads });
  return {
    threads,
    memory: pool.memory,
    prepare: (program, placement) => pool.run('prepare', { program, placement }),
    read: (piece) => pool.run('read', piece),
    pass: (step) => pool.run('pass', step),
    close: () => pool.close(),
  };
}
