// Sends letters and waits for what they lead to. The record in the store is the outcome; the queue's word is only a reason to look.
// So a queue that forgot a letter gets it again, and nothing is done twice that is on record.

import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf, InternalError, NumericError, type OnProgress, RemoteError } from '../base/index.js';
import type { LetterState, Store, WorkQueue } from '../queue/index.js';
import { type Letter, type Outcome, parseOutcome } from '../records/index.js';
import type { RunHints } from './trial.js';

export type Work = Letter['work'];

/** Of one run: what each worker did. */
export type Tally = readonly { readonly worker: string; readonly letters: number; readonly seconds: number }[];

export interface Post {
  /**
   * The outcome of some work, from the store or from a worker. Once `signal` is aborted nobody needs it: the letter is taken back
   * if it still waits, and the promise is rejected.
   */
  deliver(work: Work, hints: RunHints): Promise<Outcome>;
  /** Who did what is on record. @throws NumericError E_NUMERIC_WORKER where two workers disagreed */
  tally(): Promise<Tally>;
}

export type PostContext = {
  readonly queue: WorkQueue;
  readonly store: Store;
  /** Digest of the run's description. */
  readonly run: string;
  readonly onProgress: OnProgress;
};

export const outcomeKey = (run: string, work: string): string => `outcomes/${run}/${work}`;
/** Where a worker that got something else than the record leaves what it got. */
export const disputeKey = (run: string, work: string): string => `disputes/${run}/${work}`;

/** Milliseconds between two counts of the workers. */
const LOOK_FOR_WORKERS = 30_000;
/** Milliseconds between two looks at the queue. */
const PAUSE = 200;
/** So many looks at a letter that is done, and whose record the store does not show (yet: NFS caches), and it is sent again. */
const MOST_LOOKS = 300;

/** The outcome under a key, checked. @throws OptionError E_OPTION_LETTER */
export async function readOutcome(store: Store, run: string, work: string): Promise<Outcome | undefined> {
  const key = outcomeKey(run, work);
  const bytes = await store.get(key);
  if (!bytes) return undefined;
  const outcome = parseOutcome(Buffer.from(bytes).toString('utf8'), `${store.name}/${key}`);
  if (outcome.run === run && outcome.work === work) return outcome;
  throw new InternalError('E_INTERNAL_OUTCOME', `${store.name}/${key}: the outcome of something else.`);
}

export function createPost({ queue, store, run, onProgress }: PostContext): Post {
  const outcomes = new Map<string, Outcome>();
  const out = new Map<string, { readonly label: string; state: LetterState }>();
  let [shown, looked, lonely] = ['', 0, false];
  /** Says so when letters wait and nobody is there. */
  const lookForWorkers = async (): Promise<void> => {
    if (performance.now() - looked < LOOK_FOR_WORKERS) return;
    looked = performance.now();
    const alone = (await queue.workers()) === 0;
    if (alone && !lonely) onProgress({ kind: 'note', text: 'no worker is at the queue; start layerwise worker' });
    lonely = alone;
  };
  const show = (): void => {
    const all = [...out.values()];
    const working = all.filter(({ state }) => state.kind === 'working');
    const waiting = all.filter(({ state }) => state.kind === 'waiting').length;
    const text = working.map(({ label, state }) => `${label}${progressOf(state)}`).join(' · ');
    const line = `${working.length} at work, ${waiting} waiting${text === '' ? '' : `: ${text}`}`;
    if (line !== shown) onProgress({ kind: 'stage', stage: line });
    shown = line;
  };

  const ask = async (work: Work, digest: string, label: string, signal: AbortSignal | undefined): Promise<Outcome> => {
    const id = `${run.slice(0, 16)}-${digest.slice(0, 32)}`;
    const letter: Letter = { format: 'layerwise-letter', version: 1, run, work };
    // The queue remembers a letter that failed in an earlier attempt of this run, and one whose record went into another store.
    if (['failed', 'done'].includes((await queue.stateOf(id)).kind)) await queue.remove(id);
    await queue.add(id, letter);
    const entry = { label, state: { kind: 'waiting' } as LetterState };
    out.set(digest, entry);
    try {
      for (let looks = 0; ; ) {
        if (signal?.aborted) {
          await queue.remove(id);
          throw new InternalError('E_INTERNAL_ABANDONED', `${label}: no longer needed.`);
        }
        entry.state = await queue.stateOf(id);
        show();
        if (entry.state.kind === 'waiting') await lookForWorkers();
        if (entry.state.kind === 'failed') throw failed(entry.state.reason, label);
        if (entry.state.kind === 'done' || entry.state.kind === 'absent') {
          const outcome = await readOutcome(store, run, digest);
          if (outcome) return outcome;
          if (entry.state.kind === 'absent' || ++looks > MOST_LOOKS) {
            await queue.remove(id);
            await queue.add(id, letter);
            looks = 0;
          }
        }
        await sleep(PAUSE);
      }
    } finally {
      out.delete(digest);
    }
  };

  return {
    deliver: async (work, { label, signal }) => {
      const digest = digestOf(work);
      const outcome = (await readOutcome(store, run, digest)) ?? (await ask(work, digest, label, signal));
      outcomes.set(digest, outcome);
      return outcome;
    },
    tally: async () => {
      const by = new Map<string, { worker: string; letters: number; seconds: number }>();
      for (const [work, { by: who }] of outcomes) {
        const other = await store.get(disputeKey(run, work));
        if (other) throw dispute(who.worker, Buffer.from(other).toString('utf8'));
        const sum = by.get(who.worker) ?? { worker: who.worker, letters: 0, seconds: 0 };
        by.set(who.worker, { ...sum, letters: sum.letters + 1, seconds: sum.seconds + who.seconds });
      }
      return [...by.values()].sort((a, b) => (a.worker < b.worker ? -1 : 1));
    },
  };
}

const progressOf = (state: LetterState): string =>
  state.kind === 'working' && state.progress !== undefined ? ` ${state.progress}` : '';

/** What went wrong at a worker, as it says: a code and a message in JSON. */
function failed(reason: string, label: string): RemoteError {
  const said = parseReason(reason);
  return new RemoteError(
    'E_REMOTE_WORKER',
    `${label}: a worker failed: ${said.message}${said.code === undefined ? '' : ` (${said.code})`} Mend that, and run the same command again with --resume.`,
    { label, ...(said.code === undefined ? {} : { code: said.code }) },
  );
}

function parseReason(reason: string): { readonly code?: string; readonly message: string } {
  try {
    const { code, message } = JSON.parse(reason) as Record<string, unknown>;
    if (typeof code === 'string' && typeof message === 'string') return { code, message };
  } catch {
    // Not a worker's word but the queue's: the letter was lost with too many workers.
  }
  return { message: reason };
}

function dispute(worker: string, text: string): NumericError {
  const { worker: other } = JSON.parse(text) as { readonly worker?: unknown };
  return new NumericError(
    'E_NUMERIC_WORKER',
    `The workers ${worker} and ${other} did the same work and got different numbers. Find out which of the two machines is at fault, and start the run again without it, in a new store.`,
    { workers: [worker, other] },
  );
}
