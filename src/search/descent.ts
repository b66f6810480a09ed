// Finds a good point of a small grid by exact trials alone: some given points first, then the untried neighbours of the best
// point known, until none is better or no trials remain.

import type { Point, Walk } from './searcher.js';

export type DescentInput = {
  readonly axes: Readonly<Record<string, readonly number[]>>;
  /** Tried first, in this order; points of the grid. */
  readonly starts: readonly Point[];
  /** The most trials. */
  readonly maxTrials: number;
};

export function* walkDescent({ axes, starts, maxTrials }: DescentInput): Walk {
  const losses = new Map<string, { readonly point: Point; readonly loss: number }>();
  function* evaluate(point: Point): Generator<{ values: Point; fidelity: 'exact' }, void, number> {
    const key = JSON.stringify(point);
    if (losses.has(key) || losses.size >= maxTrials) return;
    losses.set(key, { point, loss: yield { values: point, fidelity: 'exact' } });
  }
  for (const start of starts) yield* evaluate(start);
  for (;;) {
    const before = losses.size;
    const { point } = [...losses.values()].reduce((a, b) => (a.loss <= b.loss ? a : b));
    for (const next of neighboursOf(point, axes)) yield* evaluate(next);
    if (losses.size === before) return point;
  }
}

/** The points one step away along an axis, the larger value first. */
function neighboursOf(point: Point, axes: DescentInput['axes']): readonly Point[] {
  const steps = (by: number): Point[] =>
    Object.entries(axes).flatMap(([name, values]) => {
      const value = values[values.indexOf(point[name]!) + by];
      return value === undefined ? [] : [{ ...point, [name]: value }];
    });
  return [...steps(1), ...steps(-1)];
}
