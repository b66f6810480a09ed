// A barrier over shared memory: nobody passes before everybody has come. Threads of a forward pass meet some ten thousand
// times a second, so a waiting thread first looks again and again; a wait that lasts (a core was taken away) ends asleep.
// What is written before a barrier is seen after it. A barrier that is broken throws in every thread instead of waiting
// for one that will not come.

/** Places in the shared state of a pool. */
const STATE = { round: 0, arrived: 1, asleep: 2, broken: 3 } as const;
export const BARRIER_BYTES = 16;

/** How often a thread looks before it sleeps: about 20 µs. */
const LOOKS = 10_000;

export type BarrierState = Int32Array<SharedArrayBuffer>;

/** Thrown by a barrier of which another thread has left; the first failure is what matters. */
export class BrokenBarrier extends Error {}

/** Returns once `count` threads have called it. @throws BrokenBarrier */
export function meet(state: BarrierState, count: number): void {
  const round = Atomics.load(state, STATE.round);
  if (Atomics.add(state, STATE.arrived, 1) === count - 1) {
    Atomics.store(state, STATE.arrived, 0);
    Atomics.add(state, STATE.round, 1);
    // One that is about to sleep finds the round changed and does not.
    if (Atomics.load(state, STATE.asleep) > 0) Atomics.notify(state, STATE.round);
  } else {
    for (let looks = 0; Atomics.load(state, STATE.round) === round; looks++) {
      if (isBroken(state)) break;
      if (looks < LOOKS) continue;
      Atomics.add(state, STATE.asleep, 1);
      Atomics.wait(state, STATE.round, round);
      Atomics.sub(state, STATE.asleep, 1);
    }
  }
  if (isBroken(state)) throw new BrokenBarrier('another thread of the pool failed');
}

/** Whether a thread of the pool has failed. */
export const isBroken = (state: BarrierState): boolean => Atomics.load(state, STATE.broken) !== 0;

/** Frees all who wait, for good. */
export function breakBarrier(state: BarrierState): void {
  Atomics.store(state, STATE.broken, 1);
  Atomics.add(state, STATE.round, 1);
  Atomics.notify(state, STATE.round);
}
