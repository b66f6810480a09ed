// A pool of threads that compute one thing together: one worker thread per core, each with its own instance of the
// kernels over the same memory. All of them run the same *task*, a function of the worker file, found by name. A task
// takes its share of rows, heads or tokens by the thread's index, and calls `barrier` before it reads what other
// threads wrote. The first thread, the leader, returns the answer. Idle threads wait for a message and cost nothing;
// the thread that started the pool only waits for answers. Results do not depend on the number of threads (see
// kernels/runtime-kernels.ts).
//
// A higher room supplies the worker file, which calls `joinThreads({ tasks })`; "imports" in package.json names it.

import { parentPort, Worker, workerData } from 'node:worker_threads';
import { InternalError, messageOf } from '../base/index.js';
import type { RuntimeMemory, RuntimeModule } from '../kernels/index.js';
import {
  createRuntimeKernels,
  type Range,
  type RuntimeKernels,
  readRuntimeModule,
  reserveMemory,
} from '../kernels/index.js';
import { BARRIER_BYTES, type BarrierState, BrokenBarrier, breakBarrier, createBarrier, isBroken } from './barrier.js';

/** What a task sees of its thread and of the pool. */
export type ThreadView = {
  /** 0 for the leader. */
  readonly index: number;
  readonly count: number;
  readonly memory: RuntimeMemory;
  readonly kernels: RuntimeKernels;
  /** Returns once every thread has called it. Data written before it is visible after it. */
  barrier(): void;
  /** This thread's part of `units` units, which may be empty. */
  share(units: number): Range;
};

/** What a pool can run. Request and answer are structured clones; `transfer` lists the arrays to transfer. */
export type Task = (thread: ThreadView, request: never) => Answer | Promise<Answer>;
export type Answer = { readonly value: unknown; readonly transfer?: readonly ArrayBuffer[] };

export interface ThreadPool {
  readonly threads: number;
  readonly memory: RuntimeMemory;
  /**
   * Runs a task in every thread and returns the leader's answer. Tasks run one at a time, in the order of the calls.
   * @throws InternalError E_INTERNAL_TEAM where a thread ended or the task threw; the pool cannot be used again
   */
  run<T>(task: string, request: unknown): Promise<T>;
  /** Like `run`, in the leader alone, which must not call its barrier. The other threads sleep. */
  runLeader<T>(task: string, request: unknown): Promise<T>;
  /** Ends the threads once the current tasks are done. */
  close(): Promise<void>;
}

type Settings = {
  readonly layerwiseThread: true;
  readonly index: number;
  readonly count: number;
  readonly module: RuntimeModule;
  readonly memory: RuntimeMemory;
  readonly state: BarrierState;
};
type Request = { readonly kind: 'run'; readonly task: string; readonly request: unknown } | { readonly kind: 'stop' };
type Reply = { readonly kind: 'done'; readonly value: unknown } | { readonly kind: 'failed'; readonly error: unknown };

/**
 * Starts `threads` threads of the worker file. `pages` is the initial size of the memory, in pages of 64 KiB.
 * @throws ResourceError E_RESOURCE_MEMORY where that much memory is not available
 */
export function startThreads(
  file: string | URL,
  { threads, pages = 16 }: { threads: number; pages?: number },
): ThreadPool {
  const memory = reserveMemory(pages, true);
  const state: BarrierState = new Int32Array(new SharedArrayBuffer(BARRIER_BYTES));
  const common = { layerwiseThread: true as const, count: threads, module: readRuntimeModule(), memory, state };
  const waiting: { resolve(value: unknown): void; reject(error: unknown): void }[] = [];
  let dead: unknown;
  let closing = false;
  const fail = (cause: unknown, why: string): void => {
    dead ??= new InternalError(
      'E_INTERNAL_TEAM',
      `A thread of the runtime failed: ${why}. Close the model and open it again.`,
      { threads },
      { cause },
    );
    breakBarrier(state);
    for (const call of waiting.splice(0)) call.reject(dead);
  };
  const workers = Array.from({ length: threads }, (_, index) => {
    const worker = new Worker(file, { workerData: { ...common, index } satisfies Settings });
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.on('error', (error) => fail(error, messageOf(error)));
    worker.on('exit', (code) => closing || fail(undefined, `it ended with code ${code}`));
    worker.on('message', (reply: Reply) => {
      if (reply.kind === 'failed') {
        const { error } = reply;
        fail(error, messageOf(error));
      } else waiting.shift()?.resolve(reply.value);
    });
    return { worker, exited };
  });
  const send = (request: Request, to = workers): void => {
    for (const { worker } of to) worker.postMessage(request);
  };
  const runIn = <T>(to: typeof workers, task: string, request: unknown): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (closing) dead ??= new InternalError('E_INTERNAL_TEAM', 'The pool was used after it was closed.');
      if (dead) return reject(dead);
      send({ kind: 'run', task, request }, to);
      waiting.push({ resolve: resolve as (value: unknown) => void, reject });
    });
  /** Ends with what the leader does alone: the others would begin the next task before. */
  let alone: Promise<unknown> | undefined;
  return {
    threads,
    memory,
    run: async <T>(task: string, request: unknown) => {
      while (alone) await alone;
      return await runIn<T>(workers, task, request);
    },
    runLeader: async <T>(task: string, request: unknown) => {
      while (alone) await alone;
      const running = runIn<T>(workers.slice(0, 1), task, request);
      const ended: Promise<unknown> = running
        .catch(() => {})
        .then(() => {
          if (alone === ended) alone = undefined;
        });
      alone = ended;
      return await running;
    },
    close: async () => {
      closing = true;
      // A thread that hangs in a task of a broken pool would never read the message.
      if (dead) await Promise.all(workers.map(({ worker }) => worker.terminate()));
      else send({ kind: 'stop' });
      await Promise.all(workers.map(({ exited }) => exited));
      for (const call of waiting.splice(0)) call.reject(dead);
    },
  };
}

/** Adds this worker thread to the pool that started it; returns at once. */
export function joinThreads({ tasks }: { readonly tasks: Readonly<Record<string, Task>> }): void {
  const { layerwiseThread, index, count, module, memory, state } = workerData as Settings;
  if (!layerwiseThread || !parentPort)
    throw new InternalError('E_INTERNAL_TEAM', 'joinThreads was called outside a pool of threads.');
  const port = parentPort;
  const thread: ThreadView = {
    index,
    count,
    memory,
    kernels: createRuntimeKernels(module, memory),
    barrier: createBarrier(state, count),
    share: (units) => ({ from: Math.floor((units * index) / count), to: Math.floor((units * (index + 1)) / count) }),
  };
  const run = async ({ task, request }: Request & { kind: 'run' }): Promise<void> => {
    if (isBroken(state)) return; // the call was already rejected, so an answer would be taken for that of another call
    try {
      const chosen = tasks[task];
      if (!chosen) throw new InternalError('E_INTERNAL_TEAM', `There is no task ${task}.`);
      const { value, transfer = [] } = await chosen(thread, request as never);
      if (index === 0) port.postMessage({ kind: 'done', value } satisfies Reply, [...transfer]);
    } catch (error) {
      // Release the threads that wait for this one. Their own error only says that they stopped waiting.
      breakBarrier(state);
      if (!(error instanceof BrokenBarrier)) port.postMessage({ kind: 'failed', error } satisfies Reply);
    }
  };
  let last = Promise.resolve();
  port.on('message', (message: Request) => {
    if (message.kind === 'run') last = last.then(() => run(message));
    else void last.then(() => port.close());
  });
}
