// Requests that are being answered. Each ends in one of four ways: answered, the client went, its time was up, the
// server is going; the last three cancel what was asked of the scheduler.

import { ClientGoneError, EndedError } from './problems.js';

export type Outcome = 'answered' | 'cancelled' | 'timeout' | 'shutdown' | 'failed';

export interface Call {
  /** Aborted with the reason. */
  readonly signal: AbortSignal;
  /** The client went. */
  leave(): void;
  /** Has to be called once the answer is complete; tells how it ended. */
  end(error?: unknown): void;
  /** The request was not accepted after all: nothing is told. */
  drop(): void;
}

export interface Calls {
  readonly active: number;
  /** `client` is aborted where the client goes. */
  begin(client: AbortSignal): Call;
  /** Resolves when no call is active. */
  idle(): Promise<void>;
  /** Cancels all. */
  cancelAll(): void;
}

/** `onEnd` is told each call's outcome and how long it took. */
export function createCalls(timeout: number, onEnd: (outcome: Outcome, seconds: number) => void): Calls {
  const active = new Set<AbortController>();
  const waiters: (() => void)[] = [];
  return {
    get active() {
      return active.size;
    },
    begin(client) {
      const controller = new AbortController();
      const began = performance.now();
      const leave = (): void => controller.abort(new ClientGoneError());
      const timer = setTimeout(() => {
        controller.abort(new EndedError(504, `The answer took longer than ${timeout} s. Ask for fewer tokens.`));
      }, timeout * 1000);
      active.add(controller);
      client.addEventListener('abort', leave, { once: true });
      if (client.aborted) leave();
      const drop = (): boolean => {
        clearTimeout(timer);
        client.removeEventListener('abort', leave);
        const was = active.delete(controller);
        if (active.size === 0) for (const wake of waiters.splice(0)) wake();
        return was;
      };
      return {
        signal: controller.signal,
        leave,
        drop: () => void drop(),
        end(error) {
          if (drop()) onEnd(outcomeOf(error), (performance.now() - began) / 1000);
        },
      };
    },
    idle() {
      if (active.size === 0) return Promise.resolve();
      return new Promise((resolve) => void waiters.push(resolve));
    },
    cancelAll() {
      for (const controller of active) controller.abort(new EndedError(503, 'The server is shutting down.'));
    },
  };
}

function outcomeOf(error: unknown): Outcome {
  if (error === undefined) return 'answered';
  if (error instanceof ClientGoneError) return 'cancelled';
  if (error instanceof EndedError) return error.status === 504 ? 'timeout' : 'shutdown';
  return 'failed';
}
