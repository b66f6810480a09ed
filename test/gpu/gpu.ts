// The GPU for tests, in a child process (host.mjs). Uses the machine's own adapter; where there is none, the software one that
// Debian's chromium package carries (SwiftShader); where there is neither, the reason.

import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DecodeBackend } from '../../src/decoder/backend.js';
import type { Parameters } from '../../src/gpu/kernels/shader.js';

const CHROMIUM = '/usr/lib/chromium';
const SOFTWARE = `${CHROMIUM}/vk_swiftshader_icd.json`;
/** Variables with which a process finds the software adapter. */
export const SOFTWARE_ENVIRONMENT: Readonly<Record<string, string>> = existsSync(SOFTWARE)
  ? { VK_ICD_FILENAMES: SOFTWARE, LD_LIBRARY_PATH: CHROMIUM }
  : {};

export type KernelCall = {
  readonly code: string;
  readonly weights: Uint8Array;
  readonly arena: Uint32Array;
  readonly cache: Float32Array;
  readonly parameters: Parameters;
  readonly x: number;
  readonly y: number;
};

export interface TestGpu {
  readonly name: string;
  /** The arena after a dispatch. */
  run(call: KernelCall): Promise<Uint32Array>;
  /** The backend in that process. `largestBuffer` makes the GPU smaller than it is. */
  backend(largestBuffer?: number): DecodeBackend & { lose(): Promise<void> };
  close(): void;
}

type Failure = { readonly name: string; readonly code?: string; readonly message: string };
type Answer = {
  readonly ready?: string;
  readonly id?: number;
  readonly result?: unknown;
  readonly failure?: Failure;
};

const toError = ({ name, code, message }: Failure): Error => Object.assign(new Error(message), { name, code });

/** The GPU, or the reason why there is none. */
export async function startGpu(): Promise<{ readonly gpu: TestGpu } | { readonly reason: string }> {
  let reason = '';
  for (const environment of [{}, SOFTWARE_ENVIRONMENT]) {
    try {
      return { gpu: await startHost(environment) };
    } catch (error) {
      reason = (error as Error).message.replaceAll(/\s+/g, ' ');
    }
  }
  return { reason };
}

async function startHost(environment: Readonly<Record<string, string>>): Promise<TestGpu> {
  const child: ChildProcess = fork(fileURLToPath(new URL('./host.mjs', import.meta.url)), {
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
        child.disconnect();
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
  let calls = 0;
  const ask = <T>(request: Record<string, unknown>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      pending.set(calls, { resolve: resolve as (result: unknown) => void, reject });
      child.send({ ...request, id: calls++ });
    });
  return {
    name,
    run: (call) => ask({ kind: 'kernel', call }),
    backend: (largestBuffer) => {
      let session = -1;
      return {
        name: 'webgpu',
        lose: () => ask({ kind: 'lose', session }),
        open: async (program, source, limits) => {
          const weights = new Uint8Array(source.weightBytes);
          await source.readWeightsInto(weights);
          const tensors = new Map(source.tensors);
          const own = await ask<number>({ kind: 'open', program, tensors, weights, limits, largestBuffer });
          session = own;
          return {
            threads: 1,
            step: (rows) => ask({ kind: 'step', session: own, rows }),
            fork: (from, to, positions) => ask({ kind: 'fork', session: own, from, to, positions }),
            measureBandwidth: () => ask({ kind: 'bandwidth', session: own }),
            close: () => ask({ kind: 'close', session: own }),
          };
        },
      };
    },
    close: () => child.disconnect(),
  };
}
