// An allocation policy turns a target sparsity and what was measured into raw sparsities. Policies are pure: no files, no
// engine, no budget. A policy is one file in this room and one line in registry.ts; allocate.ts fits what it gives to the
// budget.

import type { Measured, MeasureName } from '../records/index.js';
import type { LinearUnit } from './unit.js';

/** What a policy may know of the model before anything is measured. L = blocks. */
export type ModelFacts = { readonly blocks: number; readonly linears: readonly LinearUnit[] };

/** Weights of each block. */
export function blockWeights(facts: ModelFacts): number[] {
  const weights = new Array<number>(facts.blocks).fill(0);
  for (const { block, weights: own } of facts.linears) weights[block]! += own;
  return weights;
}

/**
 * `exact`: the parameter-weighted mean is the target. `published`: as the policy's paper counts, which is the unweighted
 * mean over blocks unless the policy is `weighted`.
 */
export const COUNTINGS = ['exact', 'published'] as const;
export type Counting = (typeof COUNTINGS)[number];

/** A number that shapes a policy. */
export type Hyperparameter = {
  readonly name: string;
  readonly text: string;
  /** The published default; undefined where there is none and the number has to be found (space.ts says where). */
  readonly fallback: number | undefined;
  range(target: number, facts: ModelFacts): readonly [low: number, high: number];
  /** The values there are, where not every number in the range is one. */
  readonly choices?: readonly number[];
};

export type Values = Readonly<Record<string, number>>;

export type AllocationInput = {
  /** S. */
  readonly target: number;
  readonly facts: ModelFacts;
  /** The measures in `needs`. */
  readonly measured: Partial<Measured>;
  /** A value for every hyperparameter. */
  readonly values: Values;
};

/** The points a search over several hyperparameters looks at; neighbours differ by one step on one axis. */
export type Grid = {
  readonly axes: Readonly<Record<string, readonly number[]>>;
  /** Points of which the best, by the surrogate, is always tried exactly: the policy's own fallback. */
  readonly always: (values: Values) => boolean;
};

export interface AllocationPolicy {
  readonly name: string;
  /** One sentence for help texts and tables. */
  readonly summary: string;
  /** What shares a rate. */
  readonly granularity: 'block' | 'linear';
  readonly needs: readonly MeasureName[];
  readonly hyperparameters: readonly Hyperparameter[];
  /** Whether the published rule keeps the parameter-weighted mean by itself. */
  readonly weighted?: true;
  /** For policies with more than one number to find; a single one is searched between the bounds of its range. */
  readonly grid?: Grid;
  /** For policies that judge values themselves, by the misalignment of activations: those they try, the first of equals. */
  candidates?(target: number): readonly Values[];
  /**
   * Raw sparsities, one per block or one per linear in the order of `facts`. They need not fit the budget, nor lie in
   * [0, 1]; allocate.ts shifts them by one constant and water-fills.
   */
  allocate(input: AllocationInput): readonly number[];
}
