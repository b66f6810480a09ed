// Sums over a text, in one order that does not depend on who takes part. The chunks of a text fall into at most sixteen leaves, in
// order. Within a leaf the chunks are added in their order, and the sums of the leaves in theirs: a tree of two levels. So a leaf
// can be summed anywhere, by any number of processes, and the sum has the same bits.

import type { Activations } from './activations.js';
import { addNumbers, addTo, type Numbers } from './sums.js';

/** A constant of the algorithm: another number gives other last bits. */
const LEAVES = 16;

export type Leaf = { readonly first: number; readonly count: number };

/** How `chunks` chunks fall into leaves. */
export function leavesOf(chunks: number): readonly Leaf[] {
  const leaves = Math.min(LEAVES, chunks);
  return Array.from({ length: leaves }, (_, i) => {
    const first = Math.floor((i * chunks) / leaves);
    return { first, count: Math.floor(((i + 1) * chunks) / leaves) - first };
  });
}

/** What is summed: a text in leaves, or one leaf of it. */
export type Summed = Pick<Activations, 'chunks' | 'isLeaf'>;

/** Adds what chunks give, by name. They must come in order. `start` makes a sum of the first chunk's numbers of a leaf. */
export type LeafSum<S extends Numbers> = {
  add(outputs: Iterable<readonly [name: string, values: Float32Array]>): void;
  /** After the last chunk. */
  readonly total: ReadonlyMap<string, S>;
};

export function createLeafSum<S extends Numbers>(
  { chunks, isLeaf }: Summed,
  start: (values: Float32Array) => S,
): LeafSum<S> {
  const leaves = isLeaf ? [{ first: 0, count: chunks.length }] : leavesOf(chunks.length);
  const ends = new Set(leaves.map(({ first, count }) => first + count));
  const total = new Map<string, S>();
  let leaf = new Map<string, S>();
  let done = 0;
  return {
    total,
    add: (outputs) => {
      for (const [name, values] of outputs) {
        const sum = leaf.get(name);
        if (sum) addNumbers(sum, values);
        else leaf.set(name, start(values));
      }
      if (!ends.has(++done)) return;
      for (const [name, values] of leaf) addTo(total, name, values);
      leaf = new Map();
    },
  };
}
