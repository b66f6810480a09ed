// A process with a GPU for tests: its own, because a driver is found through variables that a process must start with, and one
// that crashes takes only this process along. It tells `ready` with a name or `failure`, and then answers requests by number.

import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';

const CHROMIUM = '/usr/lib/chromium';
const SOFTWARE = `${CHROMIUM}/vk_swiftshader_icd.json`;

export type Environment = Readonly<Record<string, string>>;

/** Variables with which a process finds the software adapter that Debian's chromium package carries; none where it is not here. */
export const SOFTWARE_ENVIRONMENT: Environment = existsSync(SOFTWARE)
  ? { VK_ICD_FILENAMES: SOFTWARE, LD_LIBRARY_PATH: CHROMIUM }
  : {};

/** The machine's own adapter, then the software one. */
const ENVIRONMENTS: readonly Environment[] = existsSync(SOFTWARE) ? [{}, SOFTWARE_ENVIRONMENT] : [{}];

/** What `start` makes in the first environment that has an adapter, or the reason why there is none. */
export async function firstAdapter<T>(
  start: (environment: Environment) => Promise<T>,
): Promise<{ readonly found: T } | { readonly reason: string }> {
  let reason = '';
  for (const environment of ENVIRONMENTS) {
    try {
      return { found: await start(environment) };
    } catch (error) {
      reason = (error as Error).message.replaceAll(/\s+/g, ' ');
    }
  }
  return { reason };
}

type Failure = { readonly name?: string; readonly code?: string; readonly message: string };
type Answer = {
  readonly ready?: string;
  readonly id?: number;
  readonly result?: unknown;
  readonly failure?: Failure;
};

export type GpuProcess = {
  readonly child: ChildProcess;
  readonly name: string;
  ask<T>(request: Record<string, unknown>): Promise<T>;
};

const toError = ({ message, ...facts }: Failure): Error => Object.assign(new Error(message), facts);

/** Starts `file` with these variables. Rejects with the `code` of its failure. */
export async function startGpuProcess(file: string, environment: Environment): Promise<GpuProcess> {
  const child = fork(file, {
    serialization: 'advanced',
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: [],
  });
  const pending = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  const name = await new Promise<string>((resolve, reject) => {
    child.on('message', ({ ready, id, result, failure }: Answer) => {
      if (ready !== undefined) return resolve(ready);
      if (id === undefined) {
        if (child.connected) child.disconnect();
        return reject(toError(failure!));
      }
      const { resolve: done, reject: failed } = pending.get(id)!;
      pending.delete(id);
      if (failure) failed(toError(failure));
      else done(result);
    });
    child.on('exit', (code, signal) => {
      const error = new Error(`the process with the GPU ended with ${signal ?? code}`);
      reject(error);
      for (const one of pending.values()) one.reject(error);
    });
  });
  let asked = 0;
  return {
    child,
    name,
    ask: <T>(request: Record<string, unknown>): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        pending.set(asked, { resolve: resolve as (result: unknown) => void, reject });
        child.send({ ...request, id: asked++ });
      }),
  };
}
