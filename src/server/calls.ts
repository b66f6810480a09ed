// Requests in progress. Each ends in one of four ways: it is answered, the client disconnects, its time is up, or the
// server stops. The last three cancel its work in the scheduler.

import { ClientGoneError, EndedError } from './problems.js';

export type Outcome = 'answered' | 'cancelled' | 'timeout' | 'shutdown' | 'failed';

export interface Call {
  /** Aborted with the reason. */
  readonly signal: AbortSignal;
  /** The client disconnected. */
  leave(): void;
  /** Must be called when the answer is complete; reports how the call ended. */
  end(error?: unknown): void;
  /** The request was not accepted after all; nothing is reported. */
  drop(): void;
}

export interface Calls {
  readonly active: number;
  /** `client` is aborted when the client disconnects. */
  begin(client: AbortSignal): Call;
  /** Resolves when no call is active. */
  idle(): Promise<void>;
  /** Cancels all calls. */
  cancelAll(): void;
}

/** `onEnd` receives each call’s outcome and duration. */
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
