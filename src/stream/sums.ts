// Sums of what runs of graphs return. Runs proceed side by side, and their outputs are added in their order, in float32: results
// do not depend on the number of workers nor on which finishes first.

import type { HostTensor } from '../engine/index.js';
import { inParallel } from './stream.js';

/**
 * Calls `run` for 0 … count−1, `limit` at a time, and `add` with each result in order. No more results wait than run at
 * a time.
 */
export async function inOrder<T>(
  limit: number,
  count: number,
  run: (index: number) => Promise<T>,
  add: (result: T) => void | Promise<void>,
): Promise<void> {
  for (let first = 0; first < count; first += limit) {
    const results = await inParallel(limit, Math.min(limit, count - first), (index) => run(first + index));
    for (const result of results) await add(result);
  }
}

export type Numbers = Float32Array | Float64Array;

/** Adds `values` to the sum of that name; the first are taken as they are. */
export function addTo<S extends Numbers>(sums: Map<string, S>, name: string, values: S): void {
  const sum = sums.get(name);
  if (sum) addNumbers(sum, values);
  else sums.set(name, values);
}

export function addNumbers(sum: Numbers, values: Numbers): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}

/** The sums of all outputs of `count` runs, by name; none without a run. */
export async function sumRuns(
  limit: number,
  count: number,
  run: (index: number) => Promise<Readonly<Record<string, HostTensor>>>,
): Promise<ReadonlyMap<string, Float32Array>> {
  const sums = new Map<string, Float32Array>();
  await inOrder(limit, count, run, (outputs) => {
    for (const [name, { data }] of Object.entries(outputs)) addTo(sums, name, data as Float32Array);
  });
  return sums;
}
