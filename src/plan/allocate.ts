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
 * @throws OptionError E_OPTION_<NAME> outside its range, with the bounds
 */
export function validateValue(parameter: Hyperparameter, value: number, target: number, facts: ModelFacts): void {
  const [low, high] = parameter.range(target, facts);
  const slack = 1e-12 * Math.max(1, Math.abs(high));
  const { name, choices } = parameter;
  if (choices && !choices.includes(value)) {
    throw new OptionError(
      `E_OPTION_${name.toUpperCase()}`,
      `--${name}: expected one of ${choices.join(', ')}, got ${value}.`,
      { option: name, got: value, expected: choices },
    );
  }
  if (value >= low - slack && value <= high + slack) return;
  const next = parameter.fallback === undefined ? ` Leave --${name} out to have it searched.` : '';
  throw new OptionError(
    `E_OPTION_${name.toUpperCase()}`,
    `--${name}: expected a number in [${low}, ${high}] (sparsity ${target}, ${facts.blocks} blocks), got ${value}.${next}`,
    { option: name, got: value, low, bound: high },
  );
}

/** A value for every hyperparameter: those given, else the defaults. @throws OptionError E_OPTION_…, E_OPTION_CONFLICT */
export function completeValues(policy: AllocationPolicy, values: Values, target: number, facts: ModelFacts): Values {
  const complete: Record<string, number> = {};
  for (const name of Object.keys(values)) {
    if (policy.hyperparameters.some((parameter) => parameter.name === name)) continue;
    const known = policy.hyperparameters.map((parameter) => parameter.name).join(', ') || 'none';
    throw new OptionError(
      'E_OPTION_CONFLICT',
      `--${name} cannot be combined with --allocation ${policy.name}, which has no ${name}; its hyperparameters: ${known}.`,
      { option: name, policy: policy.name },
    );
  }
  for (const parameter of policy.hyperparameters) {
    const value = values[parameter.name] ?? parameter.fallback;
    if (value === undefined) {
      throw new InternalError('E_INTERNAL_ALLOCATION', `${policy.name} was asked for rates without ${parameter.name}.`);
    }
    validateValue(parameter, value, target, facts);
    complete[parameter.name] = value;
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
