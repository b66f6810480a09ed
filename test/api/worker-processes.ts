// Workers of a queue as processes of their own, and what a run over them leaves that does not depend on them.

import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { readTree } from './make.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** All files of an output but those that say who did what. */
export async function bytesOf(dir: string): Promise<Record<string, string>> {
  const { 'workers.json': _, 'report.html': __, ...rest } = await readTree(dir);
  return rest;
}

export type WorkerProcesses = {
  /** Starts one; it takes letters until it is killed. */
  begin(
    name: string,
    where: { readonly queue: string; readonly store: string; readonly scratch: string },
  ): ChildProcess;
  kill(): void;
};

export function createWorkerProcesses(): WorkerProcesses {
  const running = new Set<ChildProcess>();
  return {
    begin: (name, { queue, store, scratch }) => {
      const words = ['worker', '--queue', queue, '--store', store, '--name', name, '--lease', '3', '--keep'];
      const child = spawn(process.execPath, [MAIN, ...words, '--threads', '1', '--scratch', scratch], {
        stdio: ['ignore', 'ignore', 'ignore'],
      });
      running.add(child);
      child.once('exit', () => running.delete(child));
      return child;
    },
    kill: () => {
      for (const child of running) child.kill('SIGKILL');
    },
  };
}
