// Finds the best value of one number in few trials. The loss falls and then rises (for ATP's β: §3.4, App. G.4). So a cheap
// surrogate scores the published grid, scaled to the legal range, from the low end until the estimate has risen twice. From
// its best point, exact trials walk downhill until both neighbours are worse. A parabola through the three points then
// refines between grid points. A mirrored interval goes as far to the other side of its low end. That side has no estimates:
// the walk gets there by losing to the low end on both of its neighbours, so it costs nothing where the loss falls upwards and
// one trial where it rises on both sides. Pure: it only asks for losses.

import type { Ask, Walk } from './searcher.js';

/** Intervals of the grid: value_j = low + (high − low) · j / GRID, j = 0 … GRID, or −GRID … GRID if mirrored. */
export const GRID = 9;

export type IntervalInput = {
  readonly name: string;
  /** The ends of the legal range. */
  readonly low: number;
  readonly high: number;
  /** Whether values below `low` are legal too, as far as `high` is above it. Defaults to no. */
  readonly mirrored?: boolean;
  /** Whether the low end is uniform. Its loss is known already: it is asked for first and is not counted as a trial. */
  readonly startsUniform: boolean;
  /** The most exact trials, not counting uniform. */
  readonly maxTrials: number;
  /** Whether a surrogate chooses the first trial. */
  readonly surrogate: boolean;
};

export function* walkInterval(input: IntervalInput): Walk {
  const { name, low, high, mirrored = false, startsUniform, maxTrials, surrogate } = input;
  const first = mirrored ? -GRID : 0;
  const losses = new Map<number, number>();
  const allowed = maxTrials + (startsUniform ? 1 : 0);
  const at = (j: number): number => low + ((high - low) * j) / GRID;
  const ask = (j: number, fidelity: Ask['fidelity']): Ask => ({ values: { [name]: at(j) }, fidelity });
  function* evaluate(j: number): Generator<Ask, void, number> {
    if (!losses.has(j)) losses.set(j, yield ask(j, 'exact'));
  }

  if (startsUniform || high === low) yield* evaluate(0);
  if (high > low) {
    // Where weights follow the dense stream the best line is near uniform.
    let best = mirrored ? 1 : Math.round(GRID / 3);
    if (surrogate) {
      // Estimate from the low end until the loss has risen twice; begin at the best estimate.
      const estimates = new Map<number, number>();
      for (let j = startsUniform ? 1 : 0; j <= GRID; j++) {
        estimates.set(j, yield ask(j, 'surrogate'));
        if (hasRisenTwice(estimates, j)) break;
      }
      best = argmin(estimates);
    }
    yield* evaluate(best);
    // Try the untried neighbours of the best point. Stop if there are none or no trials remain.
    for (;;) {
      const unknown = [best + 1, best - 1].filter((j) => j >= first && j <= GRID && !losses.has(j));
      if (unknown.length === 0 || losses.size >= allowed) break;
      yield* evaluate(unknown[0]!);
      best = argmin(losses);
    }
    const vertex = parabolaVertex(best, losses);
    if (vertex !== undefined && losses.size < allowed) yield* evaluate(vertex);
  }
  return { [name]: at(argmin(losses)) };
}

/** Whether the last two estimates both rose: then the loss does not fall again. */
function hasRisenTwice(estimates: ReadonlyMap<number, number>, j: number): boolean {
  const [before, last, now] = [j - 2, j - 1, j].map((k) => estimates.get(k) ?? Number.NaN);
  return before! < last! && last! < now!;
}

/** The key of the smallest loss. Ties go to the key nearer 0, which for ATP is the plan closer to uniform, then to the larger. */
function argmin(losses: ReadonlyMap<number, number>): number {
  let best = Number.NaN;
  for (const [j, loss] of losses) {
    const current = losses.get(best);
    if (current === undefined || loss < current || (loss === current && isNearer(j, best))) best = j;
  }
  return best;
}

const isNearer = (a: number, b: number): boolean => Math.abs(a) < Math.abs(b) || (a === -b && a > 0);

/** The minimum of a parabola through `best` and its neighbours, if it lies a quarter step or more off the grid. */
function parabolaVertex(best: number, losses: ReadonlyMap<number, number>): number | undefined {
  const [left, middle, right] = [best - 1, best, best + 1].map((j) => losses.get(j));
  if (left === undefined || middle === undefined || right === undefined) return undefined;
  const curvature = left - 2 * middle + right;
  if (!(curvature > 0)) return undefined;
  const offset = (left - right) / (2 * curvature);
  return Math.abs(offset) >= 0.25 && Math.abs(offset) <= 0.5 ? best + offset : undefined;
}
