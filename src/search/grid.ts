// Finds a good point of a small grid in few exact trials. A cheap surrogate orders all points; the best of them, and the
// best of those that are always to be tried, get an exact trial; then the search looks at the neighbours of the best
// point known, the most promising by the surrogate first, until none is left or no trials are. Pure: what a trial is, is
// injected.

import type { Ask, Point, Walk } from './searcher.js';

export type GridInput = {
  readonly axes: Readonly<Record<string, readonly number[]>>;
  /** Points of which the best, by the surrogate, is always tried exactly. */
  readonly always: (point: Point) => boolean;
  /** Whether the first point (all axes at their first value) is uniform, whose loss is known: it is no trial. */
  readonly startsUniform: boolean;
  /** Exact trials allowed, besides uniform. */
  readonly maxTrials: number;
};

export function* walkGrid({ axes, always, startsUniform, maxTrials }: GridInput): Walk {
  const allowed = maxTrials + (startsUniform ? 1 : 0);
  const names = Object.keys(axes);
  const points = product(names.map((name) => axes[name]!.length));
  const valuesOf = (index: readonly number[]): Point =>
    Object.fromEntries(names.map((name, axis) => [name, axes[name]![index[axis]!]!]));

  const losses = new Map<readonly number[], number>();
  function* evaluate(index: readonly number[]): Generator<Ask, void, number> {
    if (!losses.has(index)) losses.set(index, yield { values: valuesOf(index), fidelity: 'exact' });
  }
  if (startsUniform) yield* evaluate(points[0]!);
  const estimates = new Map<readonly number[], number>();
  for (const index of points) estimates.set(index, yield { values: valuesOf(index), fidelity: 'surrogate' });

  const fallback = points.filter((index) => always(valuesOf(index)));
  for (const index of [smallest(estimates, points), smallest(estimates, fallback)]) {
    if (index && losses.size < allowed) yield* evaluate(index);
  }
  for (;;) {
    const best = smallest(losses, [...losses.keys()])!;
    const unknown = points.filter((index) => !losses.has(index) && distance(index, best) === 1);
    const next = smallest(estimates, unknown);
    if (!next || losses.size >= allowed) return valuesOf(best);
    yield* evaluate(next);
  }
}

/** All index vectors, the first axis slowest. */
function product(sizes: readonly number[]): number[][] {
  return sizes.reduce<number[][]>(
    (heads, size) => heads.flatMap((head) => Array.from({ length: size }, (_, i) => [...head, i])),
    [[]],
  );
}

const distance = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0);

/** Of `among`, the one of smallest value; the first of equals. */
function smallest<T>(values: ReadonlyMap<T, number>, among: readonly T[]): T | undefined {
  let best: T | undefined;
  for (const one of among) if (best === undefined || values.get(one)! < values.get(best)!) best = one;
  return best;
}
