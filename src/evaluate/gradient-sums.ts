// Sums of gradients over runs, by the names of the tensors.

import type { HostTensor } from '../engine/index.js';
import { addTo } from '../stream/index.js';

/** Gradients by tensor name, in the checkpoint's order of storage. */
export type Gradients = ReadonlyMap<string, Float32Array>;

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
      for (const name of names) addTo(sums, name, outputs[outputOf(name)]!.data as Float32Array);
    },
  };
}
