// An allocation policy turns a target sparsity and measures into raw sparsities. Policies are pure: no files, no engine, no
// budget. A policy is one file in this room and one line in registry.ts; allocate.ts fits its result to the budget.

import type { Measured, MeasureName } from '../records/index.js';
import type { LinearUnit } from './unit.js';

/** What a policy knows about the model without measuring. */
export type ModelFacts = {
  readonly blocks: number;
  readonly linears: readonly LinearUnit[];
  /** The group of each block, ascending from 0, where the blocks of a group (a stage) get one rate together. */
  readonly groups?: readonly number[];
};

/** What a policy sees: the model itself, or one whose blocks are its groups. */
export function unitFacts({ blocks, linears, groups }: ModelFacts): ModelFacts {
  if (!groups) return { blocks, linears };
  return {
    blocks: Math.max(...groups) + 1,
    linears: linears.map((linear) => ({ ...linear, block: groups[linear.block]! })),
  };
}

/** Weights of each block. */
export function blockWeights(facts: ModelFacts): number[] {
  const weights = new Array<number>(facts.blocks).fill(0);
  for (const { block, weights: own } of facts.linears) weights[block]! += own;
  return weights;
}

/**
 * `exact`: the parameter-weighted mean is the target. `published`: the mean that the policy's paper uses, which is the
 * unweighted mean over blocks unless the policy is `weighted`.
 */
export const COUNTINGS = ['exact', 'published'] as const;
export type Counting = (typeof COUNTINGS)[number];

/** A number that shapes a policy. */
export type Hyperparameter = {
  readonly name: string;
  readonly text: string;
  /** The published default. If undefined, the number is given or searched (space.ts). */
  readonly fallback: number | undefined;
  range(target: number, facts: ModelFacts): readonly [low: number, high: number];
  /**
   * The value inside the range that means uniform, where the range goes to both sides of it. A search begins there and goes
   * up, or to both sides if it is asked to. Otherwise the low end of the range is the beginning.
   */
  readonly neutral?: number;
  /** The legal values, if not every number in the range is legal. */
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
  /** Of a policy with levels: those of the linears, in their order. Without them it is uniform. */
  readonly levels?: readonly number[];
  /** How rates become whole weights, for policies with levels. Defaults to exact counts without groups. */
  readonly whole?: Whole;
};

/** How the rates of a plan become whole weights (realise.ts). */
export type Whole = {
  readonly counting: Counting;
  /** M of n:M; undefined for other patterns. */
  readonly of: number | undefined;
};

/** A search for a whole number for each linear. The numbers of a group add up to 0. */
export type LevelSearch = {
  /** The least and the largest level of each linear. */
  readonly low: readonly number[];
  readonly high: readonly number[];
  /** The group of each linear: those whose levels are the same number of weights. */
  readonly groups: readonly string[];
  readonly generations: number;
  readonly offspring: number;
};

/** The points of a search over several hyperparameters. Neighbours differ by one step on one axis. */
export type Grid = {
  readonly axes: Readonly<Record<string, readonly number[]>>;
  /** Marks the fallback points: the best of them by the surrogate always gets an exact trial. */
  readonly always: (values: Values) => boolean;
};

export interface AllocationPolicy {
  readonly name: string;
  /** One sentence for help texts and tables. */
  readonly summary: string;
  /** Whether rates are per block or per linear. */
  readonly granularity: 'block' | 'linear';
  readonly needs: readonly MeasureName[];
  readonly hyperparameters: readonly Hyperparameter[];
  /** Whether the published rule keeps the parameter-weighted mean by itself. */
  readonly weighted?: true;
  /** For policies with several numbers to search. A single number is searched between the bounds of its range. */
  readonly grid?: Grid;
  /**
   * For policies that search a level for each linear, beside hyperparameters that all have a value. With levels, `allocate`
   * returns rates that are whole weights already: a linear at a level has the same rate whatever the others have.
   */
  levels?(input: Omit<AllocationInput, 'measured' | 'levels'>): LevelSearch;
  /** The values to try, for policies that choose by the misalignment of activations. Of equals the first wins. */
  candidates?(target: number): readonly Values[];
  /**
   * Raw sparsities, one per block or one per linear in the order of `facts`. They need not keep the budget or
   * lie in [0, 1]: allocate.ts shifts and water-fills them.
   */
  allocate(input: AllocationInput): readonly number[];
}
