// A queue of letters between the process that plans and those that work. It may hand a letter out twice, and may forget some:
// what counts is the record that a letter leads to, in the store.

/** What has become of a letter. */
export type LetterState =
  | { readonly kind: 'absent' | 'waiting' | 'done' }
  /** `progress`: how far, in the worker's words. */
  | { readonly kind: 'working'; readonly progress?: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** Letters of all runs in a queue. */
export type QueueCounts = { readonly waiting: number; readonly working: number };

export interface WorkQueue {
  /** Puts a letter at the end. The same id twice is one letter. */
  add(id: string, letter: unknown): Promise<void>;
  stateOf(id: string): Promise<LetterState>;
  /** Takes a letter back that nobody works on; forgets one that failed. */
  remove(id: string): Promise<void>;
  counts(): Promise<QueueCounts>;
  /** How many processes wait for letters or work on them, as far as the server knows. */
  workers(): Promise<number>;
  close(): Promise<void>;
}

/** What a worker says of a letter it took. */
export type Handled =
  /** Done: the record is in the store. */
  | { readonly kind: 'done' }
  /** Goes back to the queue, for another worker. */
  | { readonly kind: 'returned' }
  /** `again`: worth another attempt. */
  | { readonly kind: 'failed'; readonly reason: string; readonly again: boolean };

export type Lease = {
  readonly id: string;
  /** 1 for the first time that anybody takes the letter. */
  readonly attempt: number;
  /** Says how far the work is, to whoever waits for it. */
  report(progress: string): void;
};

export type Handle = (letter: unknown, lease: Lease) => Promise<Handled>;

/** A process that takes one letter after another. */
export interface QueueWorker {
  /** Takes no more letters, and waits for the one at work. */
  close(): Promise<void>;
}
