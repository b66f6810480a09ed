// Starts the workers' threads from a thread in which denormal numbers count as zero. ONNX Runtime clamps exponents at
// −88, so every masked score becomes a denormal number; a processor spends up to hundreds of cycles on each, a sixth of
// a block's time. ONNX Runtime can flush them to zero, but sets this only in the thread of the process's first session;
// new threads inherit it. So one thread creates that first session, keeps it, and starts all workers; all other threads
// stay as they are. If the process already had a session, workers are as correct, only slower.

import { createRequire } from 'node:module';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { messageOf } from '../../base/index.js';
import type { SpawnerReply, SpawnerSettings, SpawnRequest, WorkerSettings } from './messages.js';
import { guardExit, newState } from './settle.js';

export type Thread = {
  readonly port: MessagePort;
  /** Resolves with the reason once the thread has ended. */
  readonly ended: Promise<string>;
};

type Spawner = { spawn(settings: WorkerSettings): Thread };

let spawner: Promise<Spawner> | undefined;

/** Starts a worker's thread. Rejects with ONNX Runtime's message where it cannot be loaded. */
export async function startThread(settings: WorkerSettings): Promise<Thread> {
  spawner ??= startSpawner();
  return (await spawner).spawn(settings);
}

async function startSpawner(): Promise<Spawner> {
  const { resolve } = createRequire(import.meta.url);
  const state = newState();
  const workerData: SpawnerSettings = { state, file: resolve('#engine-worker') };
  const thread = new Worker(resolve('#engine-spawner'), { workerData });
  const release = guardExit(state);
  const living = new Map<number, (why: string) => void>();
  let started = 0;
  let why: string | undefined;
  const end = (id: number, reason: string): void => {
    living.get(id)?.(reason);
    living.delete(id);
    if (living.size === 0) thread.unref();
  };
  await new Promise<void>((resolve, reject) => {
    thread.on('message', (reply: SpawnerReply) => {
      if (reply.kind === 'ready') resolve();
      else if (reply.kind === 'unready') {
        why = reply.message;
        void thread.terminate();
      } else end(reply.id, reply.why);
    });
    thread.on('error', (error) => {
      why = messageOf(error);
    });
    thread.on('exit', (code) => {
      why ??= `the thread that started it ended with code ${code}`;
      spawner = undefined;
      release();
      for (const id of [...living.keys()]) end(id, why);
      reject(new Error(why));
    });
  });
  thread.unref(); // this thread does not keep the process alive; a worker does
  return {
    spawn: (settings) => {
      const { port1, port2 } = new MessageChannel();
      const id = started++;
      const ended = new Promise<string>((resolve) => living.set(id, resolve));
      // From here on the thread will start even if this one ends, so waiting for it is safe.
      void ended.then(guardExit(settings.state));
      thread.ref();
      thread.postMessage({ id, settings, port: port2 } satisfies SpawnRequest, [port2]);
      return { port: port1, ended };
    },
  };
}
