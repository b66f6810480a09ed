// A barrier over shared memory: no thread passes before all have arrived. A forward pass has some ten thousand barriers
// a second, so a waiting thread spins first, as long as its patience allows (patience.ts), and then sleeps. Data
// written before a barrier is visible after it. A broken barrier throws in every thread, so that none waits forever.

import { createPatience } from './patience.js';

/** Indices into the shared state of a pool. */
const STATE = { round: 0, arrived: 1, asleep: 2, broken: 3 } as const;
export const BARRIER_BYTES = 16;

export type BarrierState = Int32Array<SharedArrayBuffer>;

/** Thrown by a barrier that another thread broke by failing. The other thread's error is the one to report. */
export class BrokenBarrier extends Error {}

/** One thread's barrier. It returns once `count` threads have called theirs, and throws BrokenBarrier. */
export function createBarrier(state: BarrierState, count: number): () => void {
  const patience = createPatience();
  /** How often the round was polled, up to `most` times. */
  const spin = (round: number, most: number): number => {
    let spins = 0;
    while (spins < most && Atomics.load(state, STATE.round) === round) spins++;
    return spins;
  };
  return () => {
    const round = Atomics.load(state, STATE.round);
    if (Atomics.add(state, STATE.arrived, 1) === count - 1) {
      Atomics.store(state, STATE.arrived, 0);
      Atomics.add(state, STATE.round, 1);
      // A thread that is about to sleep sees the changed round and does not sleep.
      if (Atomics.load(state, STATE.asleep) > 0) Atomics.notify(state, STATE.round);
    } else {
      const most = patience.next();
      const spins = spin(round, most);
      patience.spent(spins, spins < most);
      while (!isBroken(state) && Atomics.load(state, STATE.round) === round) {
        Atomics.add(state, STATE.asleep, 1);
        Atomics.wait(state, STATE.round, round);
        Atomics.sub(state, STATE.asleep, 1);
      }
    }
    if (isBroken(state)) throw new BrokenBarrier('another thread of the pool failed');
  };
}

/** Whether a thread of the pool has failed. */
export const isBroken = (state: BarrierState): boolean => Atomics.load(state, STATE.broken) !== 0;

/** Releases all waiting threads, permanently. */
export function breakBarrier(state: BarrierState): void {
  Atomics.store(state, STATE.broken, 1);
  Atomics.add(state, STATE.round, 1);
  Atomics.notify(state, STATE.round);
}
