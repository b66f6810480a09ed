// Whether the leader of a pool runs a small pass alone. A token has some hundred barriers; where other processes want the cores, a
// thread that is waited for may have none, and waking it costs more than what it then does. Which is quicker shows in the passes
// themselves: now and then the other way is tried. One thread costs less than several, so it may be a little slower.
// Numbers do not depend on it: passes have the same bits for any number of threads (machine.ts).

import { median } from './ahead.js';

/** Passes with all threads at first, while the decoder finds other things out (ahead.ts). */
export const FIRST = 24;
/** Passes of a try. The middle one counts: the first after a change also wakes threads. */
export const TRY = 3;
/** Passes from one try to the next: at first, and after many that changed nothing. */
export const GAP = { first: 16, last: 256 } as const;
/** How many times as long a pass alone may take. */
const SLOWER = 1.15;

export type Company = {
  /** Whether the next pass is the leader's alone. */
  alone(): boolean;
  /** How long that pass took. */
  took(milliseconds: number): void;
};

export function createCompany(): Company {
  /** Of the last passes of each way. */
  let usual: number[] = [];
  let tried: number[] = [];
  let isAlone = false;
  let trying = false;
  let gap: number = GAP.first;
  let left = FIRST;
  return {
    alone: () => isAlone !== trying,
    took: (milliseconds) => {
      if (!trying) {
        usual = [...usual.slice(1 - TRY), milliseconds];
        trying = --left <= 0;
        return;
      }
      tried.push(milliseconds);
      if (tried.length < TRY) return;
      const [alone, together] = isAlone ? [median(usual), median(tried)] : [median(tried), median(usual)];
      const better = alone <= SLOWER * together;
      gap = better === isAlone ? Math.min(2 * gap, GAP.last) : GAP.first;
      if (better !== isAlone) usual = tried;
      isAlone = better;
      [tried, trying, left] = [[], false, gap];
    },
  };
}
