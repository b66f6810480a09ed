// How long a thread spins at a barrier before it sleeps. Spinning is quicker while the other threads run, and wasted
// while one of them has no core. Which of the two it is shows in the waits themselves: one that ended within the spins
// keeps them, one that did not halves them. Now and then a wait spins as long as at first, so that a thread notices when
// the machine is free again.

/** Polls of about 2 ns: some 20 µs, several times the usual wait of threads that all run. */
export const MOST_SPINS = 10_000;
/** Some 0.2 µs: enough for threads that arrive together. */
export const LEAST_SPINS = 100;
/** Waits from one long try to the next: at first, and after many that failed. */
export const TRIES = { first: 8, last: 128 } as const;

export type Patience = {
  /** The most polls of the next wait. */
  next(): number;
  /** Tells how many there were, and whether the wait ended with them. */
  spent(spins: number, ended: boolean): void;
};

export function createPatience(): Patience {
  let most = MOST_SPINS;
  let gap: number = TRIES.first;
  let left = gap;
  let trying = false;
  return {
    next: () => {
      trying = most < MOST_SPINS && --left <= 0;
      return trying ? MOST_SPINS : most;
    },
    spent: (spins, ended) => {
      if (ended) {
        // Twice what it took, so that the next wait may be longer.
        if (2 * spins > most) most = Math.min(MOST_SPINS, 2 * spins);
        if (trying) gap = TRIES.first;
      } else if (trying) gap = Math.min(2 * gap, TRIES.last);
      else most = Math.max(LEAST_SPINS, most >> 1);
      if (trying) left = gap;
    },
  };
}
