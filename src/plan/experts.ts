// Which experts of a mixture stay. Pure. Each expert has a score; of a block those with the largest stay, of equal ones the
// lower index. A block keeps at least as many as each of its tokens is given to. How many a block keeps:
//   equal    the same share everywhere, ⌊keep · E⌉ of E
//   free     ⌊keep · ΣE⌉ in all, divided by a policy. Policies see blocks whose weights are the experts that may go (all but
//            the least number), so their rates stay within what is possible and their budgets are exact to one expert. `atp`
//            (arXiv 2502.14770): the rate rises with depth by β. `global`: the experts with the smallest scores of the whole
//            model go. Of equal scores the later block's goes first, and in it the higher index.
// Methods and their scores, from tokens |X_j| and contributions Σ g_j·‖f_j‖₂ (model/expert-graph.ts):
//   reap        contribution / tokens, 0 without tokens (REAP, arXiv 2510.13999)
//   frequency   tokens
//   merge       tokens; the others are merged into those that stay (M-SMoE, arXiv 2310.01334): each into the one whose router
//               logits are most like its own (cosine over all tokens), of equal ones the lower index.
// M-SMoE keeps the router's rows of merged experts, so that its router still has E outputs; here they go, because a plain
// checkpoint has as many rows as experts. Tokens of an expert that went are routed among those that stay.

import { OptionError } from '../base/index.js';
import type { Plan } from '../records/index.js';
import { allocate } from './allocate.js';
import { countPruned } from './budget.js';
import type { AllocationPolicy, ModelFacts, Values } from './policy.js';
import { type LinearUnit, TRUNK, zeroRate } from './unit.js';

export type ExpertMethod = { readonly name: 'reap' | 'frequency' | 'merge'; readonly summary: string };

export const EXPERT_METHODS: ReadonlyMap<string, ExpertMethod> = new Map(
  (
    [
      { name: 'reap', summary: 'the experts whose weighted outputs are smallest go (REAP)' },
      { name: 'frequency', summary: 'the experts that the fewest tokens are given to go' },
      { name: 'merge', summary: 'those go too, each merged into the one its router logits are most like (M-SMoE)' },
    ] as const
  ).map((method) => [method.name, method]),
);

/** How `--per-layer free` divides the experts over blocks. */
export const EXPERT_ALLOCATIONS = ['uniform', 'atp', 'global'] as const;
export type ExpertAllocation = (typeof EXPERT_ALLOCATIONS)[number];

/** What a block's experts did on calibration text; all by expert. */
export type ExpertSums = {
  readonly tokens: readonly number[];
  readonly contribution: readonly number[];
  /** Sums of products of the router's logits, [E, E] row-major. */
  readonly agreement: readonly number[];
};

/** A block with experts: their number, and that of one token. */
export type MixtureBlock = { readonly block: number; readonly experts: number; readonly perToken: number };

/** The score of each expert of a block. */
export function scoreExperts(method: ExpertMethod['name'], { tokens, contribution }: ExpertSums): number[] {
  if (method !== 'reap') return [...tokens];
  return contribution.map((sum, expert) => (tokens[expert]! > 0 ? sum / tokens[expert]! : 0));
}

/** The `count` experts with the largest scores, ascending. */
export const keepLargest = (scores: readonly number[], count: number): number[] =>
  [...scores.keys()]
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);

/**
 * The number of experts that stay of each block where all keep the same.
 * @throws OptionError E_OPTION_PER_LAYER where blocks have different numbers already; E_OPTION_KEEP
 */
export function countEqually(blocks: readonly MixtureBlock[], keep: number): number[] {
  const { experts, perToken } = blocks[0]!;
  if (blocks.some((one) => one.experts !== experts)) {
    const numbers = blocks.map((one) => one.experts).join(', ');
    throw new OptionError(
      'E_OPTION_PER_LAYER',
      `--per-layer: equal needs blocks with one number of experts, and these have ${numbers}. Use --per-layer free.`,
      { option: 'per-layer', experts: numbers },
    );
  }
  const count = Math.round(keep * experts);
  if (count < perToken || count >= experts) refuseKeep(keep, count, experts, perToken, 'each block');
  return blocks.map(() => count);
}

/** How many experts stay in all under `--per-layer free`. @throws OptionError E_OPTION_KEEP */
export function countFreely(blocks: readonly MixtureBlock[], keep: number): number {
  const experts = blocks.reduce((sum, one) => sum + one.experts, 0);
  const least = blocks.reduce((sum, one) => sum + one.perToken, 0);
  const count = Math.round(keep * experts);
  if (count < least || count >= experts) refuseKeep(keep, count, experts, least, 'the model');
  return count;
}

function refuseKeep(keep: number, count: number, experts: number, least: number, whose: string): never {
  throw new OptionError(
    'E_OPTION_KEEP',
    `--keep: ${keep} keeps ${count} of the ${experts} experts of ${whose}; expected at least ${least}, because num_experts_per_tok experts work on each token, and fewer than ${experts}.`,
    { option: 'keep', got: keep, count, least, experts },
  );
}

/** Blocks as policies see them, in their order: the weights of a block are the experts that may go. */
export const expertFacts = (blocks: readonly MixtureBlock[]): ModelFacts => ({
  blocks: blocks.length,
  linears: blocks.map(({ block, experts, perToken }, at): LinearUnit => {
    const spare = experts - perToken;
    const sizes = { rows: 1, columns: spare, weights: spare };
    return { id: `experts of block ${block}`, kind: 'linear', trunk: TRUNK, block: at, role: 'experts', ...sizes };
  }),
});

/** The share that goes of the experts that may, where `count` stay. */
export function spareTarget(blocks: readonly MixtureBlock[], count: number): number {
  const experts = blocks.reduce((sum, one) => sum + one.experts, 0);
  const spare = blocks.reduce((sum, one) => sum + one.experts - one.perToken, 0);
  return (experts - count) / spare;
}

/**
 * The number of experts that stay of each block, `count` in all, by a policy of rates.
 * @throws OptionError E_OPTION_HYPERPARAMETERS
 */
export function countByRates(
  blocks: readonly MixtureBlock[],
  count: number,
  policy: AllocationPolicy,
  values: Values,
): number[] {
  const target = spareTarget(blocks, count);
  if (target === 1) return blocks.map(({ perToken }) => perToken);
  const facts = expertFacts(blocks);
  const plan: Plan = allocate(policy, { target, facts, counting: 'exact', values });
  const gone = countPruned(facts.linears, (unit) => zeroRate(plan, unit), 'exact');
  return blocks.map(({ experts }, i) => experts - gone[i]!);
}

/** The same by one threshold over the scores of all blocks. */
export function countByThreshold(
  blocks: readonly MixtureBlock[],
  count: number,
  scores: readonly (readonly number[])[],
): number[] {
  const left = blocks.map(({ experts }) => experts);
  const all = scores.flatMap((own, i) => own.map((score, expert) => ({ i, expert, score })));
  all.sort((a, b) => a.score - b.score || b.i - a.i || b.expert - a.expert);
  let gone = left.reduce((a, b) => a + b, 0) - count;
  for (const { i } of all) {
    if (gone === 0) break;
    if (left[i]! <= blocks[i]!.perToken) continue;
    left[i]!--;
    gone--;
  }
  return left;
}

/** A removed expert and the one that it is merged into. */
export type Merge = { readonly expert: number; readonly into: number };

/** Which of the `kept` experts each of the others is merged into. */
export function mergeExperts({ agreement, tokens }: ExpertSums, kept: readonly number[]): Merge[] {
  const E = tokens.length;
  const cosine = (i: number, j: number): number => {
    const scale = Math.sqrt(agreement[i * E + i]! * agreement[j * E + j]!);
    return scale > 0 ? agreement[i * E + j]! / scale : 0;
  };
  return [...tokens.keys()]
    .filter((expert) => !kept.includes(expert))
    .map((expert) => ({
      expert,
      into: kept.reduce((best, one) => (cosine(expert, one) > cosine(expert, best) ? one : best)),
    }));
}

/** @throws OptionError E_OPTION_METHOD */
export function findExpertMethod(name: string): ExpertMethod {
  const method = EXPERT_METHODS.get(name);
  if (method) return method;
  const known = [...EXPERT_METHODS.keys()];
  const message = `--method: expected one of ${known.join(', ')}, got ${JSON.stringify(name)}.`;
  throw new OptionError('E_OPTION_METHOD', message, { option: 'method', expected: known, got: name });
}
