// Sums of what runs return, over chunks in their order, so that they do not depend on threads: gradients in float32 (as the
// taps' sums are), losses in double.

import type { HostTensor } from '../engine/index.js';
import { inParallel } from '../stream/index.js';

/** Gradients by tensor name, in the checkpoint's order of storage. */
export type Gradients = ReadonlyMap<string, Float32Array>;

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

type GradientSum = {
  readonly sums: Gradients;
  /** Adds the output of each name; the first are taken as they are. */
  add(outputs: Readonly<Record<string, HostTensor>>): void;
};

/** A sum of the outputs that `outputOf` names, by the names of the tensors. */
export function createSum(names: readonly string[], outputOf: (name: string) => string): GradientSum {
  const sums = new Map<string, Float32Array>();
  return {
    sums,
    add: (outputs) => {
      for (const name of names) {
        const values = outputs[outputOf(name)]!.data as Float32Array;
        const sum = sums.get(name);
        if (!sum) sums.set(name, values);
        else for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
      }
    },
  };
}
