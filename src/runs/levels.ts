// The database of linears at all levels, for policies that search levels: what it holds, and the space that it needs.

import type { Model } from '../model/index.js';
import { levelBytes, levelsIn } from '../pipeline/index.js';
import { allocate, completeValues, searchSpace, type Whole } from '../plan/index.js';
import type { Plan } from '../records/index.js';
import { realise } from './candidate.js';
import { factsOf } from './facts.js';
import type { PruneSettings } from './settings.js';

/** How rates become whole weights in a run. */
export const wholeOf = ({ budget, pattern }: Pick<PruneSettings, 'budget' | 'pattern'>): Whole => ({
  counting: budget,
  of: pattern.kind === 'n:m' ? pattern.of : undefined,
});

/**
 * Plans in whole weights in which every linear has each of its levels, as far as it goes; undefined if the run searches no
 * levels. They are not within the budget.
 */
export function levelPlans(settings: PruneSettings, model: Model, target: number): readonly Plan[] | undefined {
  const { policy, plan, values } = settings;
  if (!policy.levels || plan) return undefined;
  const facts = factsOf(model);
  const whole = wholeOf(settings);
  const space = searchSpace(policy, values, target, facts, false, whole);
  if (space?.kind !== 'levels') return undefined;
  const { low, high } = space;
  const complete = completeValues(policy, values, target, facts);
  const [least, most] = [low.reduce((a, b) => Math.min(a, b), 0), high.reduce((a, b) => Math.max(a, b), 0)];
  return Array.from({ length: most - least + 1 }, (_, i) => {
    const levels = low.map((lowest, l) => Math.min(high[l]!, Math.max(lowest, least + i)));
    const input = { target, facts, counting: whole.counting, of: whole.of, values: complete, levels };
    return realise(settings, model, allocate(policy, input), settings.pattern);
  });
}

/** The bytes of the database that a run fills, which it says; 0 without one. */
export function spaceForLevels(settings: PruneSettings, model: Model): number {
  const plans = levelPlans(settings, model, settings.sparsity ?? 0);
  if (!plans) return 0;
  const levels = levelsIn(model, plans);
  const bytes = levelBytes(model, levels);
  const count = [...levels.values()].reduce((sum, one) => sum + one.length, 0);
  settings.onProgress({
    kind: 'note',
    text: `${settings.policy.name} treats ${levels.size} linears at up to ${plans.length} levels, ${count} in all, once each: a database of ${Math.ceil(bytes / 1e6)} MB beside the output until the search ends.`,
  });
  return bytes;
}
