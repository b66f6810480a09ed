// A worker: takes a letter, does what it says with the run that it names, and puts the outcome into the store. It keeps the last
// run open, because its texts and its dense pass serve all letters of it. What it makes counts once it is on record, and the first
// record counts: a worker that comes late changes nothing.

import {
  digestOf,
  InternalError,
  LayerwiseError,
  messageOf,
  NumericError,
  type OnProgress,
  OptionError,
  RemoteError,
  ResourceError,
  withResources,
} from '../base/index.js';
import type { Handled, Lease, Store } from '../queue/index.js';
import { type Letter, type Outcome, type SharedRun, validateLetter } from '../records/index.js';
import { disputeKey, outcomeKey, readOutcome } from './post.js';
import { openSharedRun, readSharedRun, type SharedExecutor } from './shared-executor.js';
import { openWorkspace, type Workspace } from './workspace.js';

export type WorkerContext = {
  readonly store: Store;
  /** The worker's name in outcomes. */
  readonly name: string;
  readonly numerics: string;
  readonly threads: number;
  /** A folder for checkpoints and blocks. */
  readonly scratch: string;
  readonly onProgress: OnProgress;
};

export interface Worker {
  /**
   * Does what a letter says. `known`: it was on record already.
   * @throws NumericError E_NUMERIC_WORKER where this worker must not take part in its run; the letter is for others
   */
  handle(letter: unknown, lease: Lease): Promise<Handled & { readonly known?: boolean }>;
  close(): Promise<void>;
}

export function createWorker(context: WorkerContext): Worker {
  const { store, name, numerics } = context;
  const stop = new AbortController();
  let open: OpenRun | undefined;
  /** Of the letter at work. */
  let listener: OnProgress | undefined;
  const onProgress: OnProgress = (event) => {
    context.onProgress(event);
    listener?.(event);
  };

  const executorOf = async (run: string, shared: SharedRun): Promise<SharedExecutor> => {
    if (open?.run !== run) {
      await open?.close();
      open = undefined;
      stop.signal.throwIfAborted();
      open = openRunOf({ ...context, onProgress }, run, shared);
    }
    try {
      return await open.executor;
    } catch (error) {
      open = undefined;
      throw error;
    }
  };

  const put = async (outcome: Outcome): Promise<void> => {
    const { run, work, result } = outcome;
    const bytes = Buffer.from(JSON.stringify(outcome));
    if ((await store.putOnce(outcomeKey(run, work), bytes)) === 'put') return;
    const first = await readOutcome(store, run, work);
    if (!first || digestOf(first.result) === digestOf(result)) return;
    // Two workers that have the same letter may claim two leaves.
    if ('leaf' in first.result && 'leaf' in result && first.result.leaf !== result.leaf) return;
    await store.putOnce(disputeKey(run, work), Buffer.from(JSON.stringify({ worker: name, result })));
    throw new NumericError(
      'E_NUMERIC_WORKER',
      `The worker ${first.by.worker} got other numbers for the same work. Find out which of the two machines is at fault, and start the run again without it, in a new store.`,
      { workers: [first.by.worker, name] },
    );
  };

  const perform = async ({ run, work }: Letter, shared: SharedRun, lease: Lease): Promise<boolean> => {
    const digest = digestOf(work);
    if (await readOutcome(store, run, digest)) return true;
    const executor = await executorOf(run, shared);
    listener = reporter(lease);
    const started = performance.now();
    const result = await executor.run(work, labelOf(digest)).finally(() => {
      listener = undefined;
    });
    const seconds = (performance.now() - started) / 1000;
    await put({ format: 'layerwise-outcome', version: 1, run, work: digest, result, by: { worker: name, seconds } });
    return false;
  };

  return {
    handle: async (received, lease) => {
      try {
        const letter = validateLetter(received);
        const shared = await readSharedRun(store, letter.run, numerics);
        return { kind: 'done', known: await perform(letter, shared, lease) };
      } catch (error) {
        if (error instanceof NumericError && error.code === 'E_NUMERIC_WORKER') throw error;
        // Stopped in the middle: whatever failed, failed because of that.
        if (stop.signal.aborted) return { kind: 'returned' };
        const known =
          error instanceof LayerwiseError ? error : new InternalError('E_INTERNAL_UNEXPECTED', messageOf(error));
        onProgress({ kind: 'note', text: `${known.message} (${known.code})` });
        // A disk can be emptied and a network come back; a letter stays what it is.
        const again = error instanceof ResourceError || error instanceof RemoteError;
        return { kind: 'failed', again, reason: JSON.stringify({ code: known.code, message: known.message }) };
      }
    },
    close: async () => {
      stop.abort();
      await open?.close();
    },
  };
}

const labelOf = (digest: string): string => `letter ${digest.slice(0, 8)}`;

type OpenRun = {
  readonly run: string;
  /** Rejected, where it cannot be opened or was closed before, once all that was begun is closed again. */
  readonly executor: Promise<SharedExecutor>;
  /** Also while it is being opened. */
  close(): Promise<void>;
};

/** Opens a run and keeps it open until `close`. */
function openRunOf(context: WorkerContext, run: string, shared: SharedRun): OpenRun {
  const leaving = new AbortController();
  const left = leaving.signal;
  const leave = new Promise<void>((done) => left.addEventListener('abort', () => done()));
  let ended = Promise.resolve();
  const executor = new Promise<SharedExecutor>((resolve, reject) => {
    ended = withResources(async (own) => {
      const workspace = await openScratch(context.scratch, run);
      let opening: Promise<SharedExecutor> | undefined;
      const clear = async (): Promise<void> => {
        // An opening that was left may write until it fails.
        await opening?.catch(() => {});
        await workspace.clear();
      };
      await own({ close: clear });
      opening = openSharedRun(own, run, shared, { ...context, workspace, left });
      const opened = await Promise.race([opening, leave]);
      if (opened) resolve(opened);
      await leave;
    });
    ended.then(() => reject(left.reason), reject);
  });
  return {
    ...{ run, executor },
    close: async () => {
      leaving.abort();
      await ended;
    },
  };
}

/** The most workers on one machine that work on the same run. */
const MOST_PLACES = 1024;

/**
 * A workspace that no living process uses. That of a worker that was killed comes first: its finished blocks are there.
 * @throws ResourceError
 */
async function openScratch(scratch: string, run: string): Promise<Workspace> {
  for (let place = 0; place < MOST_PLACES; place++) {
    try {
      return await openWorkspace(`${scratch}/${run.slice(0, 16)}-${place}`, { worker: run });
    } catch (error) {
      const taken = error instanceof ResourceError && error.code === 'E_RESOURCE_LOCKED';
      // Another process may just be leaving it.
      if (!taken && !(error instanceof OptionError)) throw error;
    }
  }
  throw new ResourceError('E_RESOURCE_LOCKED', `${scratch}: every place for a worker is taken; remove what is there.`, {
    path: scratch,
  });
}

/** Milliseconds between two reports. */
const REPORT = 1000;

/** Tells the queue how far the work is, now and then. */
function reporter({ report }: Lease): OnProgress {
  let [done, total, last] = [0, 0, 0];
  return (event) => {
    if (event.kind === 'stage') [done, total] = [0, event.total ?? 0];
    if (event.kind === 'advance') done += event.by ?? 1;
    if (total === 0 || performance.now() - last < REPORT) return;
    last = performance.now();
    report(`${Math.min(done + 1, total)}/${total}`);
  };
}
