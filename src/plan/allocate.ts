// A policy's raw sparsities → a rate for every linear that keeps the budget. One truth for every policy: hyperparameters
// are completed and checked, the result is shifted and water-filled into [0, 1].

import { InternalError, OptionError } from '../base/index.js';
import type { Measured } from '../records/index.js';
import { fitBudget, validateTarget } from './budget.js';
import {
  type AllocationPolicy,
  type Budget,
  blockWeights,
  type Hyperparameter,
  type ModelFacts,
  type Values,
} from './policy.js';

/** Sparsity of each linear, by name, in [0, 1]. */
export type Rates = ReadonlyMap<string, number>;

export type AllocateInput = {
  readonly target: number;
  readonly facts: ModelFacts;
  readonly budget: Budget;
  readonly measured?: Partial<Measured>;
  readonly values?: Values;
};

/**
 * Checks a hyperparameter's value.
 * @throws OptionError E_OPTION_HYPERPARAMETERS outside its range, with the bounds
 */
function validateValue(
  policy: AllocationPolicy,
  { name, choices, fallback, range }: Hyperparameter,
  value: number,
  target: number,
  facts: ModelFacts,
): void {
  const [low, high] = range(target, facts);
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
    `--hyperparameters ${name}=${value}: expected a number in [${low}, ${high}] (${policy.name}, sparsity ${target}, ${facts.blocks} blocks).${next}`,
    { ...found, low, high },
  );
}

/**
 * Checks the hyperparameters that were given, whether or not others are still to be found.
 * @throws OptionError E_OPTION_HYPERPARAMETERS for a name that the policy does not have, or a value out of its range
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

/** A value for every hyperparameter: those given, else the defaults. @throws OptionError E_OPTION_HYPERPARAMETERS */
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
 * The rate of every linear.
 * @throws OptionError E_OPTION_SPARSITY, E_OPTION_…; InternalError where a measure is missing
 */
export function allocate(policy: AllocationPolicy, input: AllocateInput): Rates {
  const { target, facts, budget, measured = {}, values = {} } = input;
  validateTarget(target);
  const missing = policy.needs.filter((name) => measured[name] === undefined);
  if (missing.length > 0) {
    throw new InternalError('E_INTERNAL_ALLOCATION', `${policy.name} was asked for rates without ${missing}.`);
  }
  const complete = completeValues(policy, values, target, facts);
  const raw = policy.allocate({ target, facts, measured, values: complete });
  if (!raw.every(Number.isFinite)) {
    throw new InternalError('E_INTERNAL_ALLOCATION', `${policy.name} gave rates that are not numbers: ${raw}.`);
  }
  const weighted = budget === 'exact' || policy.weighted;
  if (policy.granularity === 'linear') {
    const weights = facts.linears.map(({ rows, columns }) => (weighted ? rows * columns : 1));
    const rates = fitBudget(raw, weights, target);
    return new Map(facts.linears.map(({ name }, i) => [name, rates[i]!]));
  }
  const weights = weighted ? blockWeights(facts) : raw.map(() => 1);
  const rates = fitBudget(raw, weights, target);
  return new Map(facts.linears.map(({ name, block }) => [name, rates[block]!]));
}

/** The parameter-weighted mean rate of each block. */
export function blockRates(rates: Rates, facts: ModelFacts): number[] {
  const weights = blockWeights(facts);
  const first = new Map<number, number>();
  const mixed = new Set<number>();
  const sums = new Array<number>(facts.blocks).fill(0);
  for (const { name, block, rows, columns } of facts.linears) {
    const rate = rates.get(name)!;
    sums[block]! += rows * columns * rate;
    if (first.has(block) && first.get(block) !== rate) mixed.add(block);
    first.set(block, rate);
  }
  // Where all linears share a rate it is given as it is, without a rounding of its own.
  return sums.map((sum, block) => (mixed.has(block) ? sum / weights[block]! : first.get(block)!));
}
