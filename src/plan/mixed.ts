// A plan of mixed treatments (zeros, bits, both, or none) from a table of sensitivities: one item for each unit, the least
// total damage within a budget of the table's cost (lagrange.ts). Damages of units treated alone are added as if units did
// not influence each other; they do. So the damage may be bent by two numbers, as in the policy `layerwise`, to be searched
// on validation text. With D_u = the geometric mean of the unit's damages above 0, C_u = its largest cost, r_u = D_u/C_u,
// r̄ = the mean of r_u over units (geometric, weighted by C_u), i = block, L = blocks:
//   d ← d · (r_u/r̄)^(gain − 1) · exp(line·(1 − 2i/(L−1))).
// gain = 1, line = 0 is the table itself; gain = 0 forgets how units differ and keeps only how damage grows within one;
// line > 0 spares early blocks, as ATP does.

import { OptionError } from '../base/index.js';
import type { Plan, SensitivityTable } from '../records/index.js';
import { type Choices, type CostedItem, chooseItems } from './lagrange.js';

export type Bending = {
  /** Share of the measured differences between units. Defaults to 1. */
  readonly gain?: number;
  /** Log-weight of the first block's damage; the last has its negative. Defaults to 0. */
  readonly line?: number;
};

export type MixedPlan = Omit<Choices, 'picks'> & {
  readonly plan: Plan;
  /** The damage as measured, not bent. */
  readonly measured: number;
};

/** The damages of a table, bent: for each unit, of each of its items. */
export function bendDamages(table: SensitivityTable, { gain = 1, line = 0 }: Bending = {}): number[][] {
  const units = Object.values(table.units);
  const sizes = units.map(({ items }) => Math.max(...items.map(({ cost }) => cost)));
  // A unit without damage, or without cost, has nothing to compare.
  const logs = units.map(({ items }, u) => {
    const above = items.map(({ damage }) => damage).filter((damage) => damage > 0);
    if (above.length === 0 || sizes[u] === 0) return undefined;
    return above.reduce((sum, damage) => sum + Math.log(damage), 0) / above.length - Math.log(sizes[u]!);
  });
  const total = sizes.reduce((sum, size, u) => sum + (logs[u] === undefined ? 0 : size), 0);
  const mean = logs.reduce<number>((sum, log, u) => sum + (log === undefined ? 0 : (log * sizes[u]!) / total), 0);
  return units.map(({ block, items }, u) => {
    const depth = table.blocks > 1 ? 1 - (2 * block) / (table.blocks - 1) : 0;
    const factor = Math.exp((gain - 1) * ((logs[u] ?? mean) - mean) + line * depth);
    return items.map(({ damage }) => damage * factor);
  });
}

/** A second budget: at least this share of all weights is zero. */
export type ZerosAtLeast = {
  readonly share: number;
  /** The weights of a unit. */
  weightsOf(id: string): number;
};

/** The plan of least damage within a budget. @throws OptionError E_OPTION_BUDGET below the smallest possible cost */
export function allocateMixed(
  table: SensitivityTable,
  budget: number,
  bending: Bending = {},
  zeros?: ZerosAtLeast,
): MixedPlan {
  const entries = Object.entries(table.units);
  const bent = bendDamages(table, bending);
  const units = entries.map(([, { items }], u) => items.map(({ cost }, i) => ({ cost, damage: bent[u]![i]! })));
  const { picks, ...chosen } = zeros ? chooseWithZeros(table, units, budget, zeros) : chooseItems(units, budget);
  const taken = entries.map(([id, { items }], u) => [id, items[picks[u]!]!] as const);
  const treated = taken.flatMap(([id, { treatment }]) => (treatment === null ? [] : [[id, treatment] as const]));
  const plan: Plan = {
    format: 'layerwise-plan',
    version: 2,
    units: Object.fromEntries(treated),
    budget: { of: table.cost, target: budget, counting: 'exact' },
    from: { policy: 'mixed', values: { gain: bending.gain ?? 1, line: bending.line ?? 0 } },
  };
  return { ...chosen, plan, measured: taken.reduce((sum, [, { damage }]) => sum + damage, 0) };
}

/** The zeros of each item of each unit, and how many there must be. */
function countZeros(table: Pick<SensitivityTable, 'units'>, { share, weightsOf }: ZerosAtLeast) {
  const zeros = Object.entries(table.units).map(([id, { items }]) =>
    items.map(({ treatment }) => (treatment?.zeros?.rate ?? 0) * weightsOf(id)),
  );
  const needed = Object.keys(table.units).reduce((sum, id) => sum + weightsOf(id), 0) * share * (1 - 1e-9);
  return { zeros, needed };
}

const sumOf = (values: readonly (readonly number[])[], picks: readonly number[]): number =>
  picks.reduce((sum, item, u) => sum + values[u]![item]!, 0);

/** The largest share of zeros that fits a budget. */
export function mostZeros(
  table: Pick<SensitivityTable, 'units'>,
  budget: number,
  weightsOf: ZerosAtLeast['weightsOf'],
): number {
  const { zeros, needed } = countZeros(table, { share: 1, weightsOf });
  const units = Object.values(table.units).map(({ items }) => items.map(({ cost }) => ({ cost })));
  return sumOf(zeros, mostZerosOf(zeros, units, budget).picks) / needed;
}

const mostZerosOf = (
  zeros: readonly (readonly number[])[],
  units: readonly (readonly Pick<CostedItem, 'cost'>[])[],
  budget: number,
): Choices =>
  chooseItems(
    units.map((items, u) => items.map(({ cost }, i) => ({ cost, damage: -zeros[u]![i]! }))),
    budget,
  );

/**
 * Least damage with both budgets: a zero earns μ, and μ is the least that earns enough of them. It is bisected; of all choices
 * that have the zeros the one of least damage is taken.
 * @throws OptionError E_OPTION_ZEROS
 */
function chooseWithZeros(
  table: SensitivityTable,
  units: readonly (readonly CostedItem[])[],
  budget: number,
  asked: ZerosAtLeast,
): Choices {
  const { zeros, needed } = countZeros(table, asked);
  const damages = units.map((items) => items.map(({ damage }) => damage));
  let best: Choices | undefined;
  /** Whether a choice has the zeros; the one of least damage is kept. */
  const offer = (chosen: Choices, price: number): boolean => {
    if (sumOf(zeros, chosen.picks) < needed) return false;
    const damage = sumOf(damages, chosen.picks);
    if (!best || damage < best.damage) best = { ...chosen, damage, bound: chosen.bound + price * needed };
    return true;
  };
  const reaches = (price: number): boolean => {
    const priced = units.map((items, u) =>
      items.map(({ cost, damage }, i) => ({ cost, damage: damage - price * zeros[u]![i]! })),
    );
    return offer(chooseItems(priced, budget), price);
  };
  if (reaches(0)) return best!;
  let [low, high] = [0, 1e-12];
  while (!reaches(high) && high < 1e12) [low, high] = [high, high * 8];
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    if (reaches(middle)) high = middle;
    else low = middle;
  }
  // What `mostZeros` promises: at a high price the damages are lost to rounding, and the choice may be another.
  if (!best) offer({ ...mostZerosOf(zeros, units, budget), bound: Number.NEGATIVE_INFINITY }, 0);
  if (best) return best;
  throw new OptionError(
    'E_OPTION_ZEROS',
    `--zeros: no choice within the other budget has a share of ${asked.share} zeros. Ask for fewer, or for a larger budget.`,
    { option: 'zeros', got: asked.share },
  );
}

/** The smallest and the largest cost that a table allows. */
export function costRange(table: SensitivityTable): readonly [smallest: number, largest: number] {
  const each = Object.values(table.units).map(({ items }) => items.map(({ cost }) => cost));
  const sum = (of: (costs: readonly number[]) => number): number => each.reduce((total, costs) => total + of(costs), 0);
  return [sum((costs) => Math.min(...costs)), sum((costs) => Math.max(...costs))];
}
