// One budget over several chains of blocks, such as the trunks of a model of images and texts: a policy sees them as one model whose
// blocks are those of all, one chain after the other, and its plan is parted again. ECoFLaP has it so (arXiv 2310.02998, §3), its
// scores being of one loss.

import { blockId, type Plan } from '../records/index.js';
import { meanRate } from './allocate.js';
import type { ModelFacts } from './policy.js';

/** The facts of all chains as of one, in this order. */
export const joinFacts = (parts: readonly ModelFacts[]): ModelFacts => ({
  blocks: parts.reduce((sum, { blocks }) => sum + blocks, 0),
  linears: parts.flatMap(({ linears }, at) => {
    const before = blocksBefore(parts, at);
    return linears.map((unit) => ({ ...unit, block: before + unit.block }));
  }),
});

/** The plan of each chain, from that of all; the budget of each is what its rates come to. */
export function partPlan(plan: Plan, parts: readonly ModelFacts[]): readonly Plan[] {
  return parts.map((facts, at) => {
    const before = blocksBefore(parts, at);
    const blocks = Array.from(
      { length: facts.blocks },
      (_, i) => [blockId(i), plan.units[blockId(before + i)]] as const,
    );
    const linears = facts.linears.map(({ id }) => [id, plan.units[id]] as const);
    const units = Object.fromEntries([...blocks, ...linears].flatMap(([id, unit]) => (unit ? [[id, unit]] : [])));
    const part: Plan = { ...plan, units };
    return plan.budget ? { ...part, budget: { ...plan.budget, target: meanRate(part, facts) } } : part;
  });
}

const blocksBefore = (parts: readonly ModelFacts[], at: number): number =>
  parts.slice(0, at).reduce((sum, { blocks }) => sum + blocks, 0);
