// Chooses one item for each unit: the least total damage within a budget of cost (bytes, bits, nanoseconds: any number ≥ 0).
//   min Σ d(i_u)   subject to   Σ c(i_u) ≤ B.
// Of each unit only the items on the lower convex hull of (cost, damage) matter to the relaxed problem. Its solution takes
// the hulls' steps by damage saved per cost, the steepest first, until one does not fit: that slope is the multiplier λ, and
//   bound = Σ min_i (d + λ·c) − λ·B = (damage − λ·(B − cost), where the steps end)
// is what no choice can beat (Lagrange's dual). The steps are sorted, so λ is exact and nothing is bisected. What is left of
// the budget is filled with the steps that still fit, then by single moves and exchanges of two units, over all items.
// The damage exceeds the bound by less than one step. Ties: the earlier unit, then its earlier item.

import { InternalError, OptionError } from '../base/index.js';

export type CostedItem = { readonly cost: number; readonly damage: number };

export type Choices = {
  /** For each unit, the index of its item. */
  readonly picks: readonly number[];
  /** λ: damage saved by one more unit of cost; 0 if the budget is no limit. */
  readonly multiplier: number;
  readonly cost: number;
  readonly damage: number;
  /** No choice within the budget has less damage. */
  readonly bound: number;
};

type Step = { readonly unit: number; readonly from: number; readonly to: number; readonly slope: number };

/** @throws OptionError E_OPTION_BUDGET if even the cheapest items cost more than the budget, with what they cost */
export function chooseItems(units: readonly (readonly CostedItem[])[], budget: number): Choices {
  checkItems(units, budget);
  const hulls = units.map(lowerHull);
  const picks = hulls.map((hull) => hull[0]!);
  const sum = (of: 'cost' | 'damage'): number => picks.reduce((total, item, u) => total + units[u]![item]![of], 0);
  let cost = sum('cost');
  if (cost > budget) {
    throw new OptionError(
      'E_OPTION_BUDGET',
      `The budget of ${budget} cannot be met: the cheapest treatments of all units cost ${cost} together. Allow at least that much, or offer cheaper treatments.`,
      { got: budget, smallest: cost },
    );
  }
  const steps = hulls.flatMap((hull, unit) =>
    hull.slice(1).map((to, i): Step => {
      const [a, b] = [units[unit]![hull[i]!]!, units[unit]![to]!];
      return { unit, from: hull[i]!, to, slope: (a.damage - b.damage) / (b.cost - a.cost) };
    }),
  );
  steps.sort((a, b) => b.slope - a.slope || a.unit - b.unit);
  const limit = budget - marginOf(units, budget);
  let multiplier = 0;
  let bound = Infinity;
  for (const { unit, from, to, slope } of steps) {
    // A unit whose step did not fit keeps its item.
    if (picks[unit] !== from) continue;
    const more = units[unit]![to]!.cost - units[unit]![from]!.cost;
    if (cost + more > limit) {
      if (multiplier === 0) {
        multiplier = slope;
        bound = sum('damage') - slope * (budget - cost);
      }
      continue;
    }
    picks[unit] = to;
    cost += more;
  }
  if (multiplier > 0) improve(units, picks, limit);
  const damage = sum('damage');
  // Where every step fits, each unit has its item of least damage.
  return { picks, multiplier, cost: sum('cost'), damage, bound: Math.min(bound, damage) };
}

/** Sums of whole numbers are exact. Of others the last digits may be lost, so a hair of the budget stays unused. */
function marginOf(units: readonly (readonly CostedItem[])[], budget: number): number {
  const whole = Number.isInteger(budget) && units.every((items) => items.every(({ cost }) => Number.isInteger(cost)));
  return whole || !Number.isFinite(budget) ? 0 : 1e-12 * Math.abs(budget);
}

function checkItems(units: readonly (readonly CostedItem[])[], budget: number): void {
  const sound = units.every(
    (items) => items.length > 0 && items.every(({ cost, damage }) => cost >= 0 && Number.isFinite(cost + damage)),
  );
  if (sound && !Number.isNaN(budget)) return;
  throw new InternalError(
    'E_INTERNAL_ALLOCATION',
    `Expected a budget and, for each unit, items with a finite damage and a finite cost of at least 0.`,
  );
}

/** The items of a unit on its lower convex hull, by ascending cost and strictly descending damage. */
function lowerHull(items: readonly CostedItem[]): number[] {
  const order = [...items.keys()].sort(
    (a, b) => items[a]!.cost - items[b]!.cost || items[a]!.damage - items[b]!.damage || a - b,
  );
  const hull: number[] = [];
  for (const next of order) {
    if (hull.length > 0 && items[next]!.damage >= items[hull.at(-1)!]!.damage) continue;
    while (hull.length > 1 && isAbove(items[hull.at(-2)!]!, items[hull.at(-1)!]!, items[next]!)) hull.pop();
    hull.push(next);
  }
  return hull;
}

/** Whether b lies on or above the line from a to c, which are left and right of it. */
const isAbove = (a: CostedItem, b: CostedItem, c: CostedItem): boolean =>
  (b.damage - a.damage) * (c.cost - a.cost) >= (c.damage - a.damage) * (b.cost - a.cost);

type Move = { readonly unit: number; readonly item: number; readonly more: number; readonly saved: number };

/** A pass sorts all moves. So many are enough to come far below one step of the bound. */
const MOST_PASSES = 200;

/** Moves single units, or two at once, for as long as that saves damage within the limit. */
function improve(units: readonly (readonly CostedItem[])[], picks: number[], limit: number): void {
  for (let pass = 0; pass < MOST_PASSES; pass++) {
    const now = picks.map((item, u) => units[u]![item]!);
    const damage = now.reduce((total, item) => total + Math.abs(item.damage), 0);
    const slack = limit - now.reduce((total, { cost }) => total + cost, 0);
    const moves = units.flatMap((items, unit) =>
      items.flatMap(({ cost, damage }, item): Move[] =>
        item === picks[unit] ? [] : [{ unit, item, more: cost - now[unit]!.cost, saved: now[unit]!.damage - damage }],
      ),
    );
    // Anything smaller is rounding.
    const best = bestExchange(moves, slack, 1e-12 * damage);
    if (best.length === 0) return;
    for (const { unit, item } of best) picks[unit] = item;
  }
}

/** The move, or the two moves of different units, that save most and cost at most `slack` more; [] if none saves `least`. */
function bestExchange(moves: readonly Move[], slack: number, least: number): readonly Move[] {
  const sorted = [...moves].sort((a, b) => a.more - b.more || b.saved - a.saved || a.unit - b.unit || a.item - b.item);
  // Of the moves up to each place: the one that saves most, and the one that saves most of another unit.
  const first: Move[] = [];
  const second: (Move | undefined)[] = [];
  for (const move of sorted) {
    let [one, two] = [first.at(-1), second.at(-1)];
    if (one === undefined || move.saved > one.saved) {
      if (one !== undefined && one.unit !== move.unit) two = one;
      one = move;
    } else if (move.unit !== one.unit && (two === undefined || move.saved > two.saved)) two = move;
    first.push(one);
    second.push(two);
  }
  let best: readonly Move[] = [];
  let saved = least;
  const offer = (...offered: readonly Move[]): void => {
    const total = offered.reduce((sum, move) => sum + move.saved, 0);
    if (total > saved) [best, saved] = [offered, total];
  };
  for (const move of sorted) {
    if (move.more <= slack) offer(move);
    const place = countUpTo(sorted, slack - move.more) - 1;
    if (place < 0) continue;
    const partner = first[place]!.unit === move.unit ? second[place] : first[place];
    if (partner) offer(move, partner);
  }
  return best;
}

/** How many of the moves, which ascend in cost, cost at most `more`. */
function countUpTo(sorted: readonly Move[], more: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]!.more <= more) low = middle + 1;
    else high = middle;
  }
  return low;
}
