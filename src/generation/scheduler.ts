// Continuous batching. Each step has one token of every sequence that generates and a limited part of the prompts that are
// being read, in order of arrival; a sequence joins as soon as another one leaves. A request’s result does not depend on
// other requests: its prompt is cut at the same places, it has its own random numbers, and a decoder’s logits do not depend
// on what else is in the step. The queue is limited; requests beyond it are refused at once. While all that run write greedily
// and nobody can join, a decoder that can writes ahead, and what comes after a request's end is dropped.

import { InternalError, ResourceError } from '../base/portable.js';
import type { Decoder, StepPart } from '../decoder/index.js';
import { breathe } from './breathe.js';
import type { Finish, SequenceRequest } from './request.js';
import { Sequence } from './sequence.js';
import { createSlots } from './slots.js';

export type SchedulerOptions = {
  /** Most requests that may wait. Defaults to 64. */
  readonly queue?: number;
  /** Most prompt tokens in one step. Defaults to 64. */
  readonly chunk?: number;
};

export type SchedulerState = {
  readonly running: number;
  readonly waiting: number;
  /** The error of the last step; undefined where it succeeded. */
  readonly failure: unknown;
};

export interface Scheduler {
  readonly state: SchedulerState;
  /** Most requests that one call may submit. */
  readonly capacity: number;
  /**
   * Accepts all of the requests or none. The promises reject with `signal.reason` where a request is cancelled.
   * @throws ResourceError E_RESOURCE_QUEUE where there is no room
   */
  submit(requests: readonly SequenceRequest[]): readonly Promise<Finish>[];
  /** Cancels everything with `reason`; resolves when nothing runs. The decoder stays open. */
  close(reason?: unknown): Promise<void>;
}

/** The longest time that logits keep the event loop busy, in milliseconds. */
const SLICE = 8;

export function createScheduler(decoder: Decoder, options: SchedulerOptions = {}): Scheduler {
  const { queue = 64, chunk = 64 } = options;
  const { vocabulary, maxPositions, sequences } = decoder.info;
  const slots = createSlots(decoder);
  const waiting: Sequence[] = [];
  let running: Sequence[] = [];
  let loop: Promise<void> | undefined;
  let closed: { readonly reason: unknown } | undefined;
  let failure: unknown;

  const isCancelled = ({ request }: Sequence): boolean => request.signal?.aborted === true || closed !== undefined;
  const reasonOf = ({ request }: Sequence): unknown =>
    request.signal?.aborted ? request.signal.reason : closed?.reason;

  /** Ends a running sequence; `damaged` after a failed step. */
  const leave = (sequence: Sequence, damaged: boolean): void => {
    running = running.filter((one) => one !== sequence);
    slots.giveBack(sequence.slot!.sequence, damaged ? undefined : sequence.read);
  };
  const sweep = (): void => {
    for (const sequence of running.filter(isCancelled)) {
      leave(sequence, false);
      sequence.settle.reject(reasonOf(sequence));
    }
  };
  const admit = (): void => {
    while (waiting.length > 0 && slots.free > 0) {
      const sequence = waiting.shift()!;
      try {
        sequence.begin(slots.acquire(sequence.request.prompt, sequence.request.promptScores === undefined));
        running.push(sequence);
      } catch (error) {
        sequence.settle.reject(error);
      }
    }
  };
  const choose = (): Map<Sequence, StepPart> => {
    const parts = new Map<Sequence, StepPart>();
    let left = chunk;
    for (const sequence of running) {
      const part = sequence.next(chunk, vocabulary);
      if (sequence.generates) parts.set(sequence, part);
      else if (part.tokens.length <= left) {
        parts.set(sequence, part);
        left -= part.tokens.length;
      } else left = 0; // later ones wait too
    }
    return parts;
  };
  /** Ends what was in a step that failed. */
  const fail = (sequences: Iterable<Sequence>, error: unknown): void => {
    failure = error;
    for (const sequence of sequences) {
      leave(sequence, true);
      sequence.settle.reject(error);
    }
  };
  /** Gives a sequence what a step made, and ends it where that ends it. */
  const give = async (sequence: Sequence, take: () => Finish | undefined | Promise<Finish | undefined>) => {
    try {
      const finish = await take();
      if (finish === undefined) return;
      leave(sequence, false);
      sequence.settle.resolve(finish);
    } catch (error) {
      leave(sequence, false);
      sequence.settle.reject(error);
    }
  };
  const step = async (): Promise<void> => {
    const parts = choose();
    let results: readonly Float32Array[];
    try {
      results = await decoder.step([...parts.values()]);
      failure = undefined;
    } catch (error) {
      return fail(parts.keys(), error);
    }
    let began = performance.now();
    const pause = async (): Promise<void> => {
      if (performance.now() - began < SLICE) return;
      await breathe();
      began = performance.now();
    };
    for (const [i, [sequence, part]] of [...parts].entries()) {
      await pause();
      await give(sequence, () => sequence.take(part, results[i]!, vocabulary, pause));
    }
  };
  const canJoin = (): boolean => waiting.length > 0 && slots.free > 0;
  /** How many tokens all that run can write ahead. */
  const ahead = (): number => {
    if (!decoder.greedy || running.length > decoder.greedy.most || canJoin()) return 0;
    return Math.min(...running.map(({ greedy }) => greedy));
  };
  const writeAhead = async (count: number): Promise<void> => {
    const writers = [...running];
    const starts = writers.map(({ start }) => start);
    try {
      for await (const choices of decoder.greedy!.write(starts, count)) {
        failure = undefined;
        for (const [i, sequence] of writers.entries()) await give(sequence, () => sequence.takeChoice(choices[i]!));
        sweep();
        if (running.length < writers.length || canJoin()) break;
      }
    } catch (error) {
      fail([...running], error);
    }
  };
  const run = async (): Promise<void> => {
    for (;;) {
      sweep();
      admit();
      if (running.length === 0) break;
      const count = ahead();
      await (count > 0 ? writeAhead(count) : step());
      await breathe(); // a step may complete without a turn of the event loop
    }
    loop = undefined;
  };

  const enqueue = (request: SequenceRequest): Promise<Finish> =>
    new Promise((resolve, reject) => {
      const { signal } = request;
      if (signal?.aborted) return reject(signal.reason);
      const end = (settle: () => void): void => {
        signal?.removeEventListener('abort', cancel);
        settle();
      };
      const sequence = new Sequence(request, {
        resolve: (finish) => end(() => resolve(finish)),
        reject: (reason) => end(() => reject(reason)),
      });
      const cancel = (): void => {
        const at = waiting.indexOf(sequence);
        if (at < 0) return; // it is running, so the loop handles it
        waiting.splice(at, 1);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', cancel, { once: true });
      waiting.push(sequence);
    });

  return {
    get state() {
      return { running: running.length, waiting: waiting.length, failure };
    },
    capacity: sequences + queue,
    submit(requests) {
      if (closed) throw new ResourceError('E_RESOURCE_CLOSED', 'The runtime is shutting down.');
      for (const request of requests) check(request, maxPositions);
      if (waiting.length + running.length + requests.length > sequences + queue) {
        throw new ResourceError(
          'E_RESOURCE_QUEUE',
          `${running.length} requests are running and ${waiting.length} are waiting; ${requests.length} more do not fit (at most ${queue} may wait). Try again later.`,
          { running: running.length, waiting: waiting.length, queue },
        );
      }
      const promises = requests.map(enqueue);
      loop ??= breathe().then(run); // requests of the same turn start together
      return promises;
    },
    async close(reason = new ResourceError('E_RESOURCE_CLOSED', 'The runtime is shutting down.')) {
      closed ??= { reason };
      for (const sequence of waiting.splice(0)) sequence.settle.reject(closed.reason);
      await loop;
      slots.close();
    },
  };
}

/** What callers must check. */
function check({ prompt, maxTokens }: SequenceRequest, maxPositions: number): void {
  if (prompt.length >= 1 && prompt.length + maxTokens <= maxPositions) return;
  throw new InternalError(
    'E_INTERNAL_REQUEST',
    `Expected a prompt of at least one token that fits ${maxPositions} positions with what follows, got ${prompt.length} and ${maxTokens}.`,
  );
}
