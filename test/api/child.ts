// A run of prune in a process of its own (runner.mjs), which needs the built package.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { FrontierOptions, HealOptions } from '../../src/api/index.js';
import type { CompressOptions } from '../../src/compress/index.js';
import type { PruneOptions, QuantiseOptions } from '../../src/runs/index.js';

export type Fault = {
  readonly as: 'kill' | 'stop' | 'ENOSPC';
  readonly op?: 'open' | 'write' | 'sync' | 'rename' | 'renamed' | 'rm' | 'mkdir';
  readonly path?: string;
  /** What the path ends with. */
  readonly end?: string;
  readonly event?: string;
  readonly nth: number;
};

export type ChildResult = {
  /** Undefined where it was killed. */
  readonly code: string | undefined;
  readonly message: string;
  readonly operations: number;
  /** The last thing it did: `stage | operation path`. */
  readonly where: string;
};

export type Child = {
  readonly pid: number;
  readonly done: Promise<ChildResult>;
  where(): Promise<string>;
  kill(signal: NodeJS.Signals): void;
};

/** Starts a command; `killAfter` (milliseconds) sends SIGKILL from outside. */
export function startRun(
  options: PruneOptions | QuantiseOptions | FrontierOptions | CompressOptions | HealOptions,
  log: string,
  fault?: Fault,
  killAfter?: number,
  command: 'prune' | 'quantise' | 'frontier' | 'compress' | 'heal' = 'prune',
): Child {
  const script = fileURLToPath(new URL('./runner.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify({ command, options, log, fault })], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter);
  let [out, err] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString();
  });
  const where = (): Promise<string> => readFile(log, 'utf8').catch(() => 'nowhere');
  const finish = async (): Promise<ChildResult> => {
    const [, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    clearTimeout(timer);
    if (signal === 'SIGKILL') return { code: undefined, message: '', operations: 0, where: await where() };
    if (!out) throw new Error(`the run ended without a word: ${err}`);
    return { ...(JSON.parse(out) as Omit<ChildResult, 'where'>), where: await where() };
  };
  return { pid: child.pid!, done: finish(), where, kill: (signal) => void child.kill(signal) };
}
