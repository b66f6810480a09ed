// Ending a thread inside ONNX Runtime crashes the whole process, because the binding throws where nothing catches. So a
// process that exits first waits for each such thread to leave ONNX Runtime, and keeps it from entering again.

import { WORKER_STATE } from './messages.js';

/** How long an exiting process waits for a thread, in milliseconds. */
const SETTLE_TIMEOUT = 60_000;

const settles = new Set<() => void>();
const settleAll = (): void => {
  for (const settle of settles) settle();
};

/** The state of a thread about to start; the start counts as a call. */
export function newState(): Int32Array<SharedArrayBuffer> {
  const state = new Int32Array(new SharedArrayBuffer(8));
  state[WORKER_STATE.busy] = 1;
  return state;
}

/**
 * Makes the exiting process wait for the thread with this state. Returns a function that undoes this, for when the
 * thread has ended.
 */
export function guardExit(state: Int32Array<SharedArrayBuffer>): () => void {
  const settle = (): void => {
    Atomics.store(state, WORKER_STATE.stopping, 1);
    const end = Date.now() + SETTLE_TIMEOUT;
    for (;;) {
      const busy = Atomics.load(state, WORKER_STATE.busy);
      if (busy === 0 || Date.now() >= end) return;
      Atomics.wait(state, WORKER_STATE.busy, busy, end - Date.now());
    }
  };
  if (settles.size === 0) process.on('exit', settleAll);
  settles.add(settle);
  return () => {
    settles.delete(settle);
    if (settles.size === 0) process.off('exit', settleAll);
  };
}
