// Works for runs on other machines: takes letters from a queue until there are none left, or until it is stopped.

import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { cacheFolder, fileError, type OnProgress, OptionError, silent, withResources } from '../base/index.js';
import { type Handled, LEASE, type Lease, openQueue, openStore, startQueueWorker } from '../queue/index.js';
import { createWorker, measureNumerics, realNumber, requireQueue, wholeNumber } from '../runs/index.js';
import { startWorkerMetrics } from './worker-metrics.js';

export type WorkerOptions = {
  /** `redis://…`, `rediss://…` or `postgres://…`. Defaults to the environment variable LAYERWISE_QUEUE. */
  readonly queue?: string;
  /** The store of the runs: a directory, or `s3://bucket/prefix`. */
  readonly store: string;
  /** Stay when there are no more letters. Defaults to false. */
  readonly keep?: boolean;
  /** Without `keep`, seconds without a letter before it ends. Defaults to 60: a search asks in waves. */
  readonly idle?: number;
  /** Seconds of silence after which a letter counts as lost and goes to another worker. Defaults to 60. */
  readonly lease?: number;
  /** Its name in records. Defaults to a random one. */
  readonly name?: string;
  /** Folder for checkpoints and blocks while a run is open. Defaults to one in the cache. */
  readonly scratch?: string;
  /** Serve `/metrics` for Prometheus on this port of this machine, or on `address:port`. Defaults to none. */
  readonly metrics?: string;
  readonly threads?: number;
  /** Stops the worker: the letter at work goes back to the queue. */
  readonly stop?: AbortSignal;
  readonly onProgress?: OnProgress;
};

export type WorkerResult = {
  readonly worker: string;
  /** Letters done, those of them that were on record already, and those that failed. */
  readonly done: number;
  readonly known: number;
  readonly failed: number;
  readonly seconds: number;
};

/**
 * Takes letters, one at a time. Nothing that a letter says is run as code: it names a run, which is in the store, and a trial of it.
 * @throws OptionError; RemoteError E_REMOTE_QUEUE, E_REMOTE_STORE; ResourceError; NumericError E_NUMERIC_WORKER where this machine
 *   computes other last bits than a run: the letter goes back to the queue, and the worker ends
 */
export async function work(options: WorkerOptions): Promise<WorkerResult> {
  const started = performance.now();
  const { onProgress = silent, keep = false } = options;
  const { url, store: place } = requireQueue(options);
  const name = options.name ?? `w-${randomBytes(4).toString('hex')}`;
  if (!/^[\w.=+-]{1,60}$/.test(name)) {
    throw new OptionError('E_OPTION_NAME', '--name: expected at most 60 letters, digits, dots and dashes.', {
      option: 'name',
      got: name,
    });
  }
  const idle = realNumber('idle', options.idle ?? 60, 0, 1e6);
  const lease = Math.round(1000 * realNumber('lease', options.lease ?? LEASE / 1000, 1, 86_400));
  const threads = wholeNumber('threads', options.threads ?? availableParallelism(), 1, 1024);
  const scratch = options.scratch ?? cacheFolder('worker');
  await mkdir(scratch, { recursive: true }).catch((error) => {
    throw fileError(error, scratch);
  });
  const counts = { done: 0, known: 0, failed: 0, returned: 0 };
  await withResources(async (own) => {
    const store = await own(openStore(place));
    const queue = await own(openQueue(url, onProgress));
    const numerics = await measureNumerics();
    const worker = await own(createWorker({ store, name, numerics, threads, scratch, onProgress }));
    const state = { waiting: 0, working: 0 };
    const metrics = options.metrics === undefined ? undefined : await own(startWorkerMetrics(options.metrics, state));
    let refusal: unknown;
    let busy = false;
    const stopped = new Promise<Handled>((done) => {
      options.stop?.addEventListener('abort', () => done({ kind: 'returned' }), { once: true });
    });
    const handle = async (letter: unknown, given: Lease): Promise<Handled> => {
      if (refusal !== undefined || options.stop?.aborted) return { kind: 'returned' };
      busy = true;
      const began = performance.now();
      onProgress({
        kind: 'note',
        text: `letter ${given.id}${given.attempt > 1 ? `, taken ${given.attempt} times` : ''}`,
      });
      const working = worker.handle(letter, given).catch((error): Handled => {
        refusal = error;
        return { kind: 'returned' };
      });
      const handled = await Promise.race([working, stopped]);
      busy = false;
      counts[handled.kind]++;
      if (handled.kind === 'done' && 'known' in handled && handled.known) counts.known++;
      metrics?.letter(handled.kind, (performance.now() - began) / 1000);
      return handled;
    };
    onProgress({ kind: 'note', text: `worker ${name}, numerics ${numerics.slice(0, 12)}` });
    const taking = await startQueueWorker(url, handle, { lease, onProgress });
    let quiet = performance.now();
    try {
      while (refusal === undefined && !options.stop?.aborted) {
        Object.assign(state, await queue.counts());
        if (busy || state.waiting > 0 || state.working > 0) quiet = performance.now();
        if (!keep && performance.now() - quiet >= 1000 * idle) break;
        await sleep(500, undefined, options.stop ? { signal: options.stop } : {}).catch(() => {});
      }
    } finally {
      await taking.close();
    }
    if (refusal !== undefined) throw refusal;
  });
  const { done, known, failed } = counts;
  return { worker: name, done, known, failed, seconds: (performance.now() - started) / 1000 };
}
