// The WebGPU engine for tests, in a child process. Uses the machine's own adapter; where there is none, the software one
// that Debian's chromium package carries (SwiftShader); where there is neither, undefined, with the reason.

import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Engine, HostTensor } from '../../src/engine/index.js';

const CHROMIUM = '/usr/lib/chromium';
const SOFTWARE = `${CHROMIUM}/vk_swiftshader_icd.json`;

type Failure = { readonly code: string; readonly message: string };

type Answer = {
  readonly ready?: string;
  readonly call?: number;
  readonly result?: unknown;
  readonly failure?: Failure;
};

/** The engine, or the reason why there is none. */
export async function startWebgpu(): Promise<{ readonly engine: Engine } | { readonly reason: string }> {
  const environments: Record<string, string>[] = [{}];
  if (existsSync(SOFTWARE)) environments.push({ VK_ICD_FILENAMES: SOFTWARE, LD_LIBRARY_PATH: CHROMIUM });
  let reason = '';
  for (const environment of environments) {
    try {
      return { engine: await startHost(environment) };
    } catch (error) {
      reason = (error as Error).message.replaceAll(/\s+/g, ' ');
    }
  }
  return { reason };
}

const toError = ({ code, message }: Failure): Error => Object.assign(new Error(message), { code });

/** The engine in a process with these variables. Rejects with the `code` of the engine's own error. */
export async function startHost(environment: Readonly<Record<string, string>>): Promise<Engine> {
  const child: ChildProcess = fork(fileURLToPath(new URL('./webgpu-host.mjs', import.meta.url)), {
    serialization: 'advanced',
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: [],
  });
  const pending = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  let calls = 0;
  const name = await new Promise<string>((resolve, reject) => {
    child.on('message', ({ ready, call, result, failure }: Answer) => {
      if (ready !== undefined) return resolve(ready);
      if (call === undefined) return reject(toError(failure!));
      const { resolve: done, reject: failed } = pending.get(call)!;
      pending.delete(call);
      if (failure) failed(toError(failure));
      else done(result);
    });
    child.on('exit', (code, signal) => {
      const error = new Error(`the WebGPU process ended with ${signal ?? code}`);
      reject(error);
      for (const call of pending.values()) call.reject(error);
    });
  });
  const call = (request: Record<string, unknown>): Promise<unknown> =>
    new Promise((resolve, reject) => {
      pending.set(calls, { resolve, reject });
      child.send({ ...request, call: calls++ });
    });
  let sessions = 0;
  return {
    name,
    device: 'webgpu',
    workers: 1,
    concurrency: 1,
    load: async (graph) => {
      const session = sessions++;
      await call({ kind: 'load', session, graph });
      const run = (inputs: Readonly<Record<string, HostTensor>>) =>
        call({ kind: 'run', session, inputs }) as Promise<Record<string, HostTensor>>;
      return {
        run,
        lend: async (inputs) => ({ inputs: { ...inputs }, outputs: await run(inputs) }),
        release: async () => void (await call({ kind: 'release', session })),
      };
    },
    close: async () => {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.disconnect();
      await gone;
    },
  };
}
