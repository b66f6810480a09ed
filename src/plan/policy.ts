// An allocation policy turns a target sparsity and what was measured into a sparsity per block. Policies are pure: no
// files, no engine. A policy is one file in this room and one line in registry.ts.

/** What a policy may know of the model before anything is measured. */
export type ModelFacts = {
  /** Prunable weights of each block; its length is L, the number of blocks. */
  readonly blockWeights: readonly number[];
};

/** `exact`: the parameter-weighted mean is the target. `published`: the unweighted mean over blocks, as papers count. */
export const BUDGETS = ['exact', 'published'] as const;
export type Budget = (typeof BUDGETS)[number];

export interface AllocationPolicy {
  readonly name: string;
  /** One sentence for help texts and tables. */
  readonly summary: string;
  /** The number the policy is searched over, with its legal range; undefined where it has none. */
  range(
    target: number,
    facts: ModelFacts,
  ): { readonly name: string; readonly low: number; readonly high: number } | undefined;
  /**
   * Sparsity of each block, in [0, 1]. `value` is the searched number, for policies that have one.
   * @throws OptionError E_OPTION_… where `target` or `value` is out of range
   */
  allocate(target: number, facts: ModelFacts, budget: Budget, value?: number): readonly number[];
}
