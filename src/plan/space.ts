// The search space of a policy: the hyperparameters that have neither a given value nor a default. Every point of the space
// keeps the given values. Searches know a number only by the name and the bounds that the policy states.

import { InternalError } from '../base/index.js';
import { completeValues } from './allocate.js';
import {
  type AllocationPolicy,
  type Grid,
  type Hyperparameter,
  type LevelSearch,
  type ModelFacts,
  unitFacts,
  type Values,
  type Whole,
} from './policy.js';

export type SearchSpace =
  /** One number between two bounds; with `mirrored` also below `low`, as far as `high` is above it. */
  | {
      readonly kind: 'interval';
      readonly name: string;
      readonly low: number;
      readonly high: number;
      readonly mirrored?: true;
    }
  /** The points of a grid. The axis of a given number holds only that number. */
  | ({ readonly kind: 'grid' } & Grid)
  /** A level for each linear. */
  | ({ readonly kind: 'levels' } & LevelSearch)
  /** Points that are compared by the misalignment of activations. */
  | { readonly kind: 'candidates'; readonly points: readonly Values[] };

/** The hyperparameters that have neither a default nor a given value. */
export const openHyperparameters = (policy: AllocationPolicy, given: Values): readonly Hyperparameter[] =>
  policy.hyperparameters.filter(({ name, fallback }) => fallback === undefined && given[name] === undefined);

/**
 * The space of the numbers that `given` leaves open; undefined if none is open. With `bothSides`, a number whose range goes to
 * both sides of uniform is searched on both. `whole` says what levels are made of.
 * @throws InternalError if a policy leaves several numbers open and has no grid for them
 */
export function searchSpace(
  policy: AllocationPolicy,
  given: Values,
  target: number,
  facts: ModelFacts,
  bothSides = false,
  whole?: Whole,
): SearchSpace | undefined {
  if (policy.levels) {
    return {
      kind: 'levels',
      ...policy.levels({
        target,
        facts,
        values: completeValues(policy, given, target, facts),
        ...(whole ? { whole } : {}),
      }),
    };
  }
  const open = openHyperparameters(policy, given);
  if (open.length === 0) return undefined;
  if (policy.candidates) {
    const points = policy.candidates(target).map((values) => ({ ...values, ...given }));
    return { kind: 'candidates', points: distinct(points) };
  }
  if (policy.grid) {
    const { axes, always } = policy.grid;
    const without = open.find(({ name }) => axes[name] === undefined);
    if (without) throw malformed(policy, `its grid has no axis for ${without.name}`);
    const kept = Object.entries(axes).map(([name, values]) => {
      const value = given[name];
      return [name, value === undefined ? values : [value]] as const;
    });
    return { kind: 'grid', axes: Object.fromEntries(kept), always };
  }
  const [{ name, choices, range, neutral }, ...others] = open as [Hyperparameter, ...Hyperparameter[]];
  if (others.length > 0) throw malformed(policy, `${open.map((one) => one.name).join(' and ')} need a grid`);
  if (choices) return { kind: 'grid', axes: { [name]: choices }, always: () => false };
  const [least, high] = range(target, unitFacts(facts));
  if (neutral === undefined) return { kind: 'interval', name, low: least, high };
  const mirrored = bothSides && least < neutral ? { mirrored: true as const } : {};
  return { kind: 'interval', name, low: neutral, high, ...mirrored };
}

/** Whether something is left to search: a hyperparameter without a value, or levels. */
export const hasSearch = (policy: AllocationPolicy, given: Values): boolean =>
  policy.levels !== undefined || openHyperparameters(policy, given).length > 0;

/** The first point of a search: the lower end, the first value on every axis, or level 0 everywhere. */
export function firstPoint(space: SearchSpace): Values {
  if (space.kind === 'interval') return { [space.name]: space.low };
  if (space.kind === 'levels') return {};
  if (space.kind === 'candidates') return space.points[0]!;
  return Object.fromEntries(Object.entries(space.axes).map(([name, values]) => [name, values[0]!]));
}

const distinct = (points: readonly Values[]): readonly Values[] => [
  ...new Map(points.map((values) => [JSON.stringify(values), values])).values(),
];

const malformed = (policy: AllocationPolicy, why: string): InternalError =>
  new InternalError('E_INTERNAL_ALLOCATION', `The policy ${policy.name} cannot be searched: ${why}.`);
