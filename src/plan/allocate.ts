// Turns the raw sparsities of any policy into a plan that keeps the budget. Checks the given hyperparameters, fills in the
// defaults, asks the policy, then shifts and water-fills the result into [0, 1] (budget.ts).

import { InternalError, OptionError } from '../base/index.js';
import { blockId, type Measured, type Plan } from '../records/index.js';
import { fitBudget, validateTarget } from './budget.js';
import {
  type AllocationPolicy,
  blockWeights,
  type Counting,
  type Hyperparameter,
  type ModelFacts,
  unitFacts,
  type Values,
} from './policy.js';
import { zeroRate } from './unit.js';

export type AllocateInput = {
  readonly target: number;
  readonly facts: ModelFacts;
  readonly counting: Counting;
  readonly measured?: Partial<Measured>;
  readonly values?: Values;
  /** Of a policy with levels (policy.ts). */
  readonly levels?: readonly number[];
  /** M of n:M, for policies with levels; undefined for other patterns. */
  readonly of?: number | undefined;
};

/**
 * Checks a hyperparameter's value.
 * @throws OptionError E_OPTION_HYPERPARAMETERS outside the range, with the bounds
 */
function validateValue(
  policy: AllocationPolicy,
  { name, choices, fallback, range }: Hyperparameter,
  value: number,
  target: number,
  facts: ModelFacts,
): void {
  const units = unitFacts(facts);
  const [low, high] = range(target, units);
  const slack = 1e-12 * Math.max(1, Math.abs(high));
  const found = { option: 'hyperparameters', policy: policy.name, name, got: value };
  if (choices && !choices.includes(value)) {
    throw new OptionError(
      'E_OPTION_HYPERPARAMETERS',
      `--hyperparameters ${name}=${value}: expected one of ${choices.join(', ')} for ${policy.name}.`,
      { ...found, expected: choices },
    );
  }
  if (value >= low - slack && value <= high + slack) return;
  const next = fallback === undefined ? ` Leave ${name} out to have it searched.` : '';
  throw new OptionError(
    'E_OPTION_HYPERPARAMETERS',
    `--hyperparameters ${name}=${value}: expected a number in [${low}, ${high}] (${policy.name}, sparsity ${target}, ${units.blocks} ${facts.groups ? 'stages' : 'blocks'}).${next}`,
    { ...found, low, high },
  );
}

/**
 * Checks the given hyperparameters. Others may still be open.
 * @throws OptionError E_OPTION_HYPERPARAMETERS for an unknown name or a value out of range
 */
export function validateValues(policy: AllocationPolicy, given: Values, target: number, facts: ModelFacts): void {
  for (const [name, value] of Object.entries(given)) {
    const parameter = policy.hyperparameters.find((one) => one.name === name);
    if (parameter) {
      validateValue(policy, parameter, value, target, facts);
      continue;
    }
    const known = policy.hyperparameters.map((one) => one.name);
    throw new OptionError(
      'E_OPTION_HYPERPARAMETERS',
      `--hyperparameters ${name}=${value}: the allocation ${policy.name} has no hyperparameter ${name}. It has ${known.join(', ') || 'none'}.`,
      { option: 'hyperparameters', policy: policy.name, name, got: value, expected: known },
    );
  }
}

/** A value for every hyperparameter: the given one, else the default. @throws OptionError E_OPTION_HYPERPARAMETERS */
export function completeValues(policy: AllocationPolicy, values: Values, target: number, facts: ModelFacts): Values {
  validateValues(policy, values, target, facts);
  const complete: Record<string, number> = {};
  for (const { name, fallback } of policy.hyperparameters) {
    const value = values[name] ?? fallback;
    if (value === undefined) {
      throw new InternalError('E_INTERNAL_ALLOCATION', `${policy.name} was asked for rates without ${name}.`);
    }
    complete[name] = value;
  }
  return complete;
}

/**
 * The plan of a policy: one rate of zeros for each block or for each linear.
 * @throws OptionError E_OPTION_SPARSITY, E_OPTION_…; InternalError if a measure is missing
 */
export function allocate(policy: AllocationPolicy, input: AllocateInput): Plan {
  const { target, facts, counting, measured = {}, values = {}, levels, of } = input;
  validateTarget(target);
  const missing = policy.needs.filter((name) => measured[name] === undefined);
  if (missing.length > 0) {
    throw new InternalError('E_INTERNAL_ALLOCATION', `${policy.name} was asked for rates without ${missing}.`);
  }
  const complete = completeValues(policy, values, target, facts);
  const whole = { counting, of };
  const seen = unitFacts(facts);
  const raw = policy.allocate({
    target,
    facts: seen,
    measured,
    values: complete,
    whole,
    ...(levels ? { levels } : {}),
  });
  if (!raw.every(Number.isFinite)) {
    throw new InternalError('E_INTERNAL_ALLOCATION', `${policy.name} returned rates that are NaN or infinite: ${raw}.`);
  }
  const weighted = counting === 'exact' || policy.weighted;
  const byLinear = policy.granularity === 'linear';
  const ids = byLinear ? facts.linears.map(({ id }) => id) : Array.from({ length: facts.blocks }, (_, i) => blockId(i));
  const sizes = byLinear ? facts.linears.map(({ weights }) => weights) : blockWeights(seen);
  const fitted = levels ? raw : fitBudget(raw, weighted ? sizes : raw.map(() => 1), target);
  const rates = facts.groups && !byLinear ? facts.groups.map((group) => fitted[group]!) : fitted;
  const plan: Plan = {
    format: 'layerwise-plan',
    version: 2,
    units: Object.fromEntries(ids.map((id, i) => [id, { zeros: { rate: rates[i]! } }])),
    budget: { of: 'zeros', target, counting },
    from: { policy: policy.name, values: { ...complete } },
  };
  // Levels are whole weights, so their mean is what uniform's is in whole weights: it may miss the target by half a weight,
  // under n:M by half of the smallest linear's step. Rates fitted to the target would not be the same in every candidate.
  const mean = levels && counting === 'exact' ? meanRate(plan, facts) : target;
  return Math.abs(mean - target) < 1e-9 ? plan : { ...plan, budget: { of: 'zeros', target: mean, counting } };
}

/** The parameter-weighted mean of a plan's rates over all prunable weights. */
export function meanRate(plan: Plan, { linears }: ModelFacts): number {
  let [sum, total] = [0, 0];
  for (const unit of linears) {
    sum += unit.weights * zeroRate(plan, unit);
    total += unit.weights;
  }
  return sum / total;
}

/** The parameter-weighted mean rate of each block. */
export function blockRates(plan: Plan, facts: ModelFacts): number[] {
  const weights = blockWeights(facts);
  const first = new Map<number, number>();
  const mixed = new Set<number>();
  const sums = new Array<number>(facts.blocks).fill(0);
  for (const unit of facts.linears) {
    const { block } = unit;
    const rate = zeroRate(plan, unit);
    sums[block]! += unit.weights * rate;
    if (first.has(block) && first.get(block) !== rate) mixed.add(block);
    first.set(block, rate);
  }
  // If all linears of a block have the same rate, return that number itself: a mean would round it.
  return sums.map((sum, block) => (mixed.has(block) ? sum / weights[block]! : first.get(block)!));
}
