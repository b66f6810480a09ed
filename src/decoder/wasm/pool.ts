// A runner that is a pool of threads over one shared memory. Their tasks are defined in worker.ts.

import { createRequire } from 'node:module';
import { startThreads } from '../../threads/index.js';
import { createCompany } from './company.js';
import type { Runner } from './runner.js';

/** Tokens of a pass that one thread may do alone: those of sequences that decode, not of a prompt. */
const SMALL = 4;
/** Resolved through package.json, from src/ and from dist/. */
const WORKER = '#decoder-worker';

export function startPool(threads: number): Runner {
  const pool = startThreads(createRequire(import.meta.url).resolve(WORKER), { threads });
  const company = createCompany();
  return {
    threads,
    memory: pool.memory,
    prepare: (program, placement) => pool.run('prepare', { program, placement }),
    read: (piece) => pool.run('read', piece),
    pass: async (step) => {
      if (threads === 1 || step.tokens > SMALL) return await pool.run('pass', step);
      const started = performance.now();
      if (company.alone()) await pool.runLeader('passAlone', step);
      else await pool.run('pass', step);
      company.took(performance.now() - started);
    },
    close: () => pool.close(),
  };
}
