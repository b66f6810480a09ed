// Rounds a plan to whole weights. A policy gives rates; an operator zeroes whole weights, under n:M whole N of M. Every
// linear's rate is rounded so that the totals keep the budget (budget.ts, groups.ts) and stored as count / weights, from
// which the count is recovered exactly. Two plans that round to the same counts are the same trial. In a plan with bits only
// the units with zeros get zeros, and a unit that is not named stays as it is.

import type { Plan } from '../records/index.js';
import { countPruned } from './budget.js';
import { countInGroups } from './groups.js';
import type { Counting } from './policy.js';
import { type LinearUnit, treatmentOf, zeroRate } from './unit.js';

export type Realising = {
  readonly counting: Counting;
  /** Where weights compete, in the operator's spelling. */
  readonly pattern: string;
  /** M of n:M; undefined for other patterns. */
  readonly of: number | undefined;
};

/** The plan in whole weights, with one treatment for every linear. */
export function realisePlan(plan: Plan, linears: readonly LinearUnit[], { counting, pattern, of }: Realising): Plan {
  const rateOf = (unit: LinearUnit): number => zeroRate(plan, unit);
  const counts = of === undefined ? countPruned(linears, rateOf, counting) : countInGroups(linears, rateOf, of);
  const hasBits = Object.values(plan.units).some(({ bits }) => bits !== undefined);
  const units = linears.flatMap((unit, i) => {
    const treatment = treatmentOf(plan, unit);
    if (hasBits && treatment?.zeros === undefined) return treatment ? [[unit.id, treatment] as const] : [];
    const zeros = { rate: counts[i]! / unit.weights, pattern };
    return [[unit.id, { ...treatment, zeros }] as const];
  });
  return { format: 'layerwise-plan', version: 2, units: Object.fromEntries(units) };
}
