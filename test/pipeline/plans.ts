// Plans in whole weights, for tests that need no policy.

import { linearUnits, type Model } from '../../src/model/index.js';
import { formatPattern, type Pattern } from '../../src/operators/index.js';
import { type Counting, type LinearUnit, realisePlan } from '../../src/plan/index.js';
import type { Plan } from '../../src/records/index.js';

/** A plan, such as a policy gives, in whole weights that fill the pattern. */
export const realise = (model: Model, plan: Plan, pattern: Pattern, counting: Counting = 'exact'): Plan =>
  realisePlan(plan, linearUnits(model), {
    counting,
    pattern: formatPattern(pattern),
    of: pattern.kind === 'n:m' ? pattern.of : undefined,
  });

/** The plan that takes of each linear what `rateOf` says, in whole weights. */
export function planOf(
  model: Model,
  rateOf: (unit: LinearUnit) => number,
  pattern: Pattern,
  counting: Counting = 'exact',
): Plan {
  const units = Object.fromEntries(linearUnits(model).map((unit) => [unit.id, { zeros: { rate: rateOf(unit) } }]));
  return realise(model, { format: 'layerwise-plan', version: 2, units }, pattern, counting);
}
