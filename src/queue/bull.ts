// A queue of letters on BullMQ 6, over Redis or Valkey (redis://, rediss://) or PostgreSQL (postgres://). BullMQ and the client
// of the server are optional peers, loaded here alone. A lock that its holder no longer renews lets the next worker take the
// letter; the holder's late word is refused by the lock's token.
// Waits for a server that is away: what was asked is answered when it is back.

import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions, Job, Queue, Worker, WorkerOptions } from 'bullmq';
import { InternalError, type OnProgress, RemoteError } from '../base/index.js';
import { loadPeer } from './peer.js';
import { messageWithout, nameUrl, POSTGRES, parseUrl } from './secrets.js';
import type { Handle, Lease, LetterState, QueueCounts, QueueWorker, WorkQueue } from './work-queue.js';

/** Of both servers: BullMQ puts it into the names of its keys, or into a column. */
const NAME = 'layerwise';
/** Milliseconds for a server to answer when a command starts. */
const PATIENCE = 10_000;
/** Failed attempts of a letter that is worth another. */
const ATTEMPTS = 3;
/** How often a letter may be lost with its worker: it is machines that die, not letters that kill. */
const MOST_STALLED = 100;
/** A letter with its plan; a plan of many experts is long. */
const MOST_BYTES = 8 << 20;
const HOUR = 3600;

type Take = (job: Job, token?: string) => Promise<void>;

/** One server. Its connection, where BullMQ does not own it, is closed after what uses it. */
type Server = {
  readonly bullmq: typeof import('bullmq');
  queue(): Queue;
  worker(take: Take, options: Partial<WorkerOptions>): Worker;
  disconnect(): void;
};

/** Checks a queue's URL without a connection. @throws OptionError E_OPTION_QUEUE */
export function checkQueueUrl(url: string): void {
  parseUrl(url);
}

/**
 * Opens the queue of `url`. Says so if the server goes away later.
 * @throws OptionError E_OPTION_QUEUE; ResourceError E_RESOURCE_PACKAGE; RemoteError E_REMOTE_QUEUE
 */
export async function openQueue(url: string, onProgress: OnProgress): Promise<WorkQueue> {
  const server = await openServer(url);
  const queue = server.queue();
  let away = false;
  queue.on('error', (error) => {
    if (!away)
      onProgress({ kind: 'note', text: `${nameUrl(url)}: ${messageWithout(error, url)}; waiting for the queue` });
    away = true;
  });
  const close = async (): Promise<void> => {
    await queue.close();
    server.disconnect();
  };
  await answered(queue, url, close);
  // What was said of the first attempts to connect counts for them alone.
  away = false;
  return {
    add: async (id, letter) => {
      const bytes = JSON.stringify(letter).length;
      if (bytes > MOST_BYTES) throw new InternalError('E_INTERNAL_LETTER', `A letter has ${bytes} bytes.`);
      const options = {
        ...{ jobId: id, attempts: ATTEMPTS, backoff: { type: 'fixed', delay: 1000 } },
        ...{ removeOnComplete: { age: HOUR }, removeOnFail: { age: 7 * 24 * HOUR } },
      };
      await queue.add('letter', letter, options);
    },
    stateOf: async (id): Promise<LetterState> => {
      const state = await queue.getJobState(id);
      away = false;
      if (state === 'failed') {
        const job = (await queue.getJob(id)) as Job | undefined;
        return { kind: 'failed', reason: job?.failedReason ?? '' };
      }
      if (state === 'active') {
        const { progress } = ((await queue.getJob(id)) as Job | undefined) ?? {};
        return typeof progress === 'string'
          ? { kind: 'working', progress: progress.slice(0, 100) }
          : { kind: 'working' };
      }
      return { kind: state === 'completed' ? 'done' : state === 'unknown' ? 'absent' : 'waiting' };
    },
    remove: async (id) => {
      // A letter at work is locked, and stays.
      await ((await queue.getJob(id)) as Job | undefined)?.remove().catch(() => {});
    },
    counts: () => countsOf(queue),
    workers: () => queue.getWorkersCount(),
    close,
  };
}

async function countsOf(queue: Queue): Promise<QueueCounts> {
  const { active = 0, ...rest } = await queue.getJobCounts('waiting', 'active', 'delayed', 'prioritized');
  return { waiting: Object.values(rest).reduce((a, b) => a + b, 0), working: active };
}

/** How long a worker may be silent before its letter is another's, in milliseconds. */
export const LEASE = 60_000;

/**
 * Takes letters one at a time, until closed. A letter that was handed out, and whose worker died, comes back after the lease.
 * @throws as `openQueue`
 */
export async function startQueueWorker(
  url: string,
  handle: Handle,
  { lease = LEASE, onProgress }: { readonly lease?: number; readonly onProgress: OnProgress },
): Promise<QueueWorker> {
  const server = await openServer(url);
  const { UnrecoverableError, WaitingError } = server.bullmq;
  const take: Take = async (job, token) => {
    const letter: Lease = {
      id: String(job.id),
      attempt: job.attemptsStarted,
      // Who waits can do without.
      report: (progress) => void job.updateProgress(progress).catch(() => {}),
    };
    const handled = await handle(job.data, letter);
    if (handled.kind === 'done') return;
    if (handled.kind === 'returned') {
      await job.moveToWait(token);
      throw new WaitingError();
    }
    throw handled.again ? new Error(handled.reason) : new UnrecoverableError(handled.reason);
  };
  const worker = server.worker(take, {
    autorun: false,
    concurrency: 1,
    lockDuration: lease,
    stalledInterval: Math.max(500, lease / 2),
    maxStalledCount: MOST_STALLED,
    drainDelay: 1,
    runRetryDelay: 1000,
  });
  let said = '';
  worker.on('error', (error) => {
    const text = messageWithout(error, url);
    if (text !== said) onProgress({ kind: 'note', text: `${nameUrl(url)}: ${text}` });
    said = text;
  });
  await answered(worker, url, async () => {
    await worker.close(true);
    server.disconnect();
  });
  const running = worker.run().catch((error) => {
    onProgress({ kind: 'note', text: `${nameUrl(url)}: ${messageWithout(error, url)}` });
  });
  return {
    close: async () => {
      await worker.close();
      await running;
      server.disconnect();
    },
  };
}

/** Waits for the server's first answer. */
async function answered(client: Queue | Worker, url: string, close: () => Promise<void>): Promise<void> {
  const late = new AbortController();
  try {
    await Promise.race([
      client.waitUntilReady(),
      sleep(PATIENCE, undefined, { signal: late.signal }).then(() => {
        throw new Error(`no answer in ${PATIENCE / 1000} s`);
      }),
    ]);
  } catch (error) {
    await Promise.race([close(), sleep(1000)]).catch(() => {});
    throw new RemoteError(
      'E_REMOTE_QUEUE',
      `${nameUrl(url)}: the queue's server did not answer (${messageWithout(error, url)}). Start it, or check the address, the user and the password in --queue.`,
      { queue: nameUrl(url) },
    );
  } finally {
    late.abort();
  }
}

async function openServer(url: string): Promise<Server> {
  const { protocol } = parseUrl(url);
  const bullmq = await loadPeer('bullmq', () => import('bullmq'));
  if (POSTGRES.includes(protocol)) {
    await loadPeer('pg', () => import('pg'));
    const connection = { connectionString: url, max: 4, migrate: true, connectionTimeoutMillis: PATIENCE };
    const backend = bullmq.createPostgresBackend as never;
    return {
      bullmq,
      queue: () => new bullmq.Queue(NAME, { connection } as never, backend),
      worker: (take, options) => new bullmq.Worker(NAME, take, { ...options, connection } as never, backend),
      disconnect: () => {},
    };
  }
  const { Redis } = await loadPeer('ioredis', () => import('ioredis'));
  const client = new Redis(url, { maxRetriesPerRequest: null, connectTimeout: PATIENCE });
  // Each of BullMQ's classes reports the errors of its connection itself.
  client.on('error', () => {});
  const connection = client as unknown as ConnectionOptions;
  return {
    bullmq,
    queue: () => new bullmq.Queue(NAME, { connection }),
    worker: (take, options) => new bullmq.Worker(NAME, take, { ...options, connection } as WorkerOptions),
    disconnect: () => client.disconnect(),
  };
}
