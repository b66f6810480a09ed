// Searches a whole number for each of many units, its level, by evolution in EvoPress's manner (arXiv 2410.14649, algorithm 1).
// A move takes one level from a unit and gives it to another of its group, whose levels weigh the same; so the levels of a
// group add up to 0 and a budget holds exactly. In each
// generation the parent, at first 0 everywhere, has children that are min(a, b) moves away, a and b drawn from 1 … 3. They
// are estimated on a few windows; the best are estimated again on more, and last on all that estimates have, against their
// parent: the best one is the next parent (1 + λ, elitist). Then the last parent gets an exact trial, and earlier parents,
// each half as far from the beginning, for as long as that is better: estimates may be followed too far. We differ: the
// paper ends with its last parent, and its fitness is the divergence from the dense model; the caller's loss decides here.

import type { Ask, Point, Walk } from './searcher.js';

export type EvolveInput = {
  /** The least and the largest level of each unit; 0 is between them. */
  readonly low: readonly number[];
  readonly high: readonly number[];
  /** The group of each unit: units exchange levels within it. Defaults to one group. */
  readonly groups?: readonly string[];
  readonly generations: number;
  /** Children of a generation. */
  readonly offspring: number;
  /** Windows of each estimate of a generation, ascending. */
  readonly windows: readonly number[];
  /** The most exact trials. */
  readonly maxTrials: number;
  /** Starts the same sequence of draws again: uniform whole numbers below a bound. */
  readonly draws: () => (bound: number) => number;
};

/** Of this many children one is estimated again. */
const KEEP_ONE_OF = 4;
const MOST_MOVES = 3;
/** Children that are the parent, or each other, are drawn again at most so often. */
const REDRAWS = 20;

/** The levels of a point; units that it does not name have level 0. */
export const levelsOf = (point: Point, units: number): number[] =>
  Array.from({ length: units }, (_, unit) => point[unit] ?? 0);

export function* walkLevels(input: EvolveInput): Walk {
  const { low, generations, offspring, windows, maxTrials } = input;
  const below = input.draws();
  let parent: readonly number[] = low.map(() => 0);
  const line = [parent];
  for (let generation = 0; generation < generations; generation++) {
    let pool = makeChildren(parent, input, below, offspring);
    if (pool.length === 0) break;
    for (const [stage, count] of windows.entries()) {
      const last = stage === windows.length - 1;
      const kept = last ? 1 : Math.ceil(pool.length / KEEP_ONE_OF);
      // The parent comes first: of equals it stays.
      if (last) pool = [parent, ...pool];
      const losses: number[] = [];
      for (const levels of pool) losses.push(yield { ...askOf(levels, 'surrogate'), windows: count });
      pool = [...pool.keys()]
        .sort((a, b) => losses[a]! - losses[b]! || a - b)
        .slice(0, kept)
        .map((i) => pool[i]!);
    }
    if (pool[0] === parent) continue;
    parent = pool[0]!;
    line.push(parent);
  }
  let best = parent;
  let least = Number.POSITIVE_INFINITY;
  for (let place = line.length - 1, trials = 0; trials < maxTrials; trials++) {
    const loss = yield askOf(line[place]!, 'exact');
    if (!(loss < least)) break;
    [best, least] = [line[place]!, loss];
    if (place === 0) break;
    place = Math.floor(place / 2);
  }
  return pointOf(best);
}

const askOf = (levels: readonly number[], fidelity: Ask['fidelity']): Ask => ({ values: pointOf(levels), fidelity });

const pointOf = (levels: readonly number[]): Point =>
  Object.fromEntries([...levels.entries()].filter(([, level]) => level !== 0));

function makeChildren(
  parent: readonly number[],
  { low, high, groups = [] }: EvolveInput,
  below: (bound: number) => number,
  count: number,
): (readonly number[])[] {
  const seen = new Set([parent.join()]);
  const children: (readonly number[])[] = [];
  for (let tries = 0; children.length < count && tries < count * REDRAWS; tries++) {
    const child = [...parent];
    for (let moves = Math.min(1 + below(MOST_MOVES), 1 + below(MOST_MOVES)); moves > 0; moves--) {
      const open = [...child.keys()].filter((unit) => child[unit]! < high[unit]!);
      const openIn = new Map<string | undefined, number>();
      for (const unit of open) openIn.set(groups[unit], (openIn.get(groups[unit]) ?? 0) + 1);
      const canGive = (unit: number): boolean =>
        child[unit]! > low[unit]! && (openIn.get(groups[unit]) ?? 0) > (child[unit]! < high[unit]! ? 1 : 0);
      const givers = [...child.keys()].filter(canGive);
      if (givers.length === 0) break;
      const giver = givers[below(givers.length)]!;
      const takers = open.filter((unit) => unit !== giver && groups[unit] === groups[giver]);
      child[giver]!--;
      child[takers[below(takers.length)]!]!++;
    }
    const key = child.join();
    if (seen.has(key)) continue;
    seen.add(key);
    children.push(child);
  }
  return children;
}
