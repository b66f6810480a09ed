// Finds a good point of a small grid in few exact trials. A cheap surrogate orders all points. The best point and the best
// of the `always` points get exact trials. Then the search tries the neighbours of the best known point, those with the best
// estimate first, until none is untried or no trials remain. Pure: trials are injected.

import type { Ask, Point, Walk } from './searcher.js';

export type GridInput = {
  readonly axes: Readonly<Record<string, readonly number[]>>;
  /** Marks the fallback points: the best of them by the surrogate always gets an exact trial. */
  readonly always: (point: Point) => boolean;
  /** Whether the first point (the first value on every axis) is uniform. Its loss is known: it is not counted as a trial. */
  readonly startsUniform: boolean;
  /** The most exact trials, not counting uniform. */
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

/** The item of `among` with the smallest value. Ties go to the first. */
function smallest<T>(values: ReadonlyMap<T, number>, among: readonly T[]): T | undefined {
  let best: T | undefined;
  for (const one of among) if (best === undefined || values.get(one)! < values.get(best)!) best = one;
  return best;
}
