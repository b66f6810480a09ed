// Finds the best β in few trials. perplexity(β) falls and then rises (ATP §3.4, App. G.4), so: the published grid,
// scaled to the legal range, is ordered by a cheap surrogate, from the smallest β until it has risen twice; from its best
// point the search walks downhill by exact trials until both neighbours are known to be worse; one parabola through the
// three refines between grid points. β = 0 (uniform) is a candidate of its own. Pure: what a trial is, is injected.

/** Intervals of the grid: β_j = high · j / GRID, j = 0 … GRID. */
export const GRID = 9;

export type SearchInput = {
  /** The end of the legal range; it begins at 0. */
  readonly high: number;
  /** Exact trials allowed, besides uniform. */
  readonly maxTrials: number;
  /** The loss of a candidate by the real procedure; lower is better. β = 0 is asked for first. */
  readonly exact: (beta: number) => Promise<number>;
  /** The loss of a candidate by a surrogate; undefined where there is none. */
  readonly surrogate: ((beta: number) => Promise<number>) | undefined;
};

export type SearchResult = { readonly beta: number; readonly loss: number };

export async function searchBeta({ high, maxTrials, exact, surrogate }: SearchInput): Promise<SearchResult> {
  const losses = new Map<number, number>();
  let trials = -1; // uniform is free
  const at = (j: number): number => (high * j) / GRID;
  const evaluate = async (j: number): Promise<number> => {
    const known = losses.get(j);
    if (known !== undefined) return known;
    const loss = await exact(at(j));
    trials++;
    losses.set(j, loss);
    return loss;
  };

  await evaluate(0);
  if (high > 0) {
    let best = surrogate ? await startingPoint(at, surrogate) : Math.round(GRID / 3);
    await evaluate(best);
    // Walk: look at the unknown neighbours of the best point; stop when there are none or no trials are left.
    for (;;) {
      const unknown = [best + 1, best - 1].filter((j) => j >= 0 && j <= GRID && !losses.has(j));
      if (unknown.length === 0 || trials >= maxTrials) break;
      await evaluate(unknown[0]!);
      best = argmin(losses);
    }
    const vertex = parabolaVertex(best, losses);
    if (vertex !== undefined && trials < maxTrials) await evaluate(vertex);
  }
  const j = argmin(losses);
  return { beta: at(j), loss: losses.get(j)! };
}

async function startingPoint(at: (j: number) => number, surrogate: (beta: number) => Promise<number>): Promise<number> {
  const estimates = new Map<number, number>();
  for (let j = 1; j <= GRID; j++) {
    estimates.set(j, await surrogate(at(j)));
    const [before, last, now] = [j - 2, j - 1, j].map((k) => estimates.get(k) ?? Number.NaN) as [
      number,
      number,
      number,
    ];
    if (before < last && last < now) break; // it has risen twice, and does not fall again
  }
  return argmin(estimates);
}

/** The key of the smallest loss; of equals the smallest key, which is the plan nearer to uniform. */
function argmin(losses: ReadonlyMap<number, number>): number {
  let best = Number.NaN;
  for (const [j, loss] of losses) {
    const current = losses.get(best);
    if (current === undefined || loss < current || (loss === current && j < best)) best = j;
  }
  return best;
}

/** Where a parabola through `best` and its grid neighbours is lowest, if that is a quarter step or more off the grid. */
function parabolaVertex(best: number, losses: ReadonlyMap<number, number>): number | undefined {
  const [left, middle, right] = [best - 1, best, best + 1].map((j) => losses.get(j));
  if (left === undefined || middle === undefined || right === undefined) return undefined;
  const curvature = left - 2 * middle + right;
  if (!(curvature > 0)) return undefined;
  const offset = (left - right) / (2 * curvature);
  return Math.abs(offset) >= 0.25 && Math.abs(offset) <= 0.5 ? best + offset : undefined;
}
