// Evolutionary search over the zeros of each linear, in EvoPress's manner (arXiv 2410.14649; search/evolve.ts), over a database
// of linears that are treated at every level beforehand (pipeline/level-store.ts). It is the expensive upper bound of what an
// allocation can do. Level 0 of a linear is what uniform takes of it, in whole weights; a level adds a whole number of
// weights, D = round(step·N̄), N̄ = mean weights of a linear:
//   c_l = c_l(uniform) + k_l·D,   Σ k_l = 0,   |k_l| ≤ levels,   0 ≤ c_l ≤ .98·N_l (or uniform's, if that is more).
// So a level is the same number of zeros of a linear in every candidate, and every move keeps the total to the weight. Where
// only whole columns of a row (the published budget) or whole N of M are possible, a level is a whole number of those, and
// moves pair linears for which that is the same number of weights. Defaults: a million weights of LLaMA-2-7B are step = .035;
// ±8 levels as there, 400 generations of 64 children there.

import { countPruned } from './budget.js';
import { countInGroups } from './groups.js';
import type { AllocationInput, AllocationPolicy } from './policy.js';

/** A linear without weights cannot be measured. */
const LARGEST_RATE = 0.98;

export const evo: AllocationPolicy = {
  name: 'evo',
  summary:
    'zeros move between linears for as long as validation text gains by it: an evolutionary search (arXiv 2410.14649)',
  granularity: 'linear',
  needs: [],
  hyperparameters: [
    { name: 'generations', text: 'generations of the search', fallback: 20, range: () => [1, 400] },
    { name: 'offspring', text: 'children of a generation', fallback: 16, range: () => [1, 64] },
    {
      name: 'step',
      text: 'weights of a level, as a share of a mean linear',
      fallback: 0.035,
      range: () => [0.001, 0.5],
    },
    {
      name: 'levels',
      text: 'levels of the database on each side of the target',
      fallback: 8,
      range: () => [1, 64],
    },
  ],
  weighted: true,
  levels: (input) => {
    const ladders = laddersOf(input);
    const reach = Math.round(input.values.levels!);
    return {
      low: ladders.map(({ base, step }) => -Math.min(reach, Math.floor(base / step)) + 0),
      high: ladders.map(({ base, step, most }) => Math.min(reach, Math.floor((most - base) / step))),
      groups: ladders.map(({ group }) => group),
      generations: Math.round(input.values.generations!),
      offspring: Math.round(input.values.offspring!),
    };
  },
  allocate: ({ levels, ...input }) =>
    levels
      ? laddersOf(input).map(({ base, step, rateOf }, l) => rateOf(base + levels[l]! * step))
      : input.facts.linears.map(() => input.target),
};

/** The levels of one linear, in weights, in columns of a row, or in N of M. */
type Ladder = {
  /** Level 0. */
  readonly base: number;
  /** What a level adds. */
  readonly step: number;
  readonly most: number;
  /** Linears of a group lose the same number of weights per level. */
  readonly group: string;
  rateOf(units: number): number;
};

type LadderInput = Pick<AllocationInput, 'target' | 'facts' | 'values' | 'whole'>;

function laddersOf({ target, facts: { linears }, values, whole }: LadderInput): Ladder[] {
  const mean = linears.reduce((sum, { weights }) => sum + weights, 0) / linears.length;
  const wanted = values.step! * mean;
  const { counting = 'exact', of } = whole ?? {};
  const ladder = (base: number, size: number, wanted: number, groupOf: (step: number) => string): Ladder => {
    const step = Math.max(1, Math.round(wanted));
    const most = Math.max(Math.floor(LARGEST_RATE * size), base);
    return { base, step, most, group: groupOf(step), rateOf: (units) => units / size };
  };
  const uniform = (): number => target;
  if (of !== undefined) {
    const counts = countInGroups(linears, uniform, of);
    return linears.map(({ rows, columns, weights }, l) => {
      // The last columns of a row may be fewer than M and then lose less.
      const n = Math.ceil((counts[l]! / weights) * of - 1e-9);
      return ladder(n, of, (wanted * of) / weights, () => (columns % of === 0 ? `${weights}` : `${rows}×${columns}`));
    });
  }
  const counts = countPruned(linears, uniform, counting);
  if (counting === 'exact') return linears.map(({ weights }, l) => ladder(counts[l]!, weights, wanted, () => ''));
  return linears.map(({ rows, columns }, l) => ({
    ...ladder(counts[l]! / rows, columns, wanted / rows, (step) => `${rows * step}`),
    rateOf: (units) => floorsTo(units, columns),
  }));
}

/** units / size, or the next larger double: size times it, rounded down, is `units`. */
function floorsTo(units: number, size: number): number {
  const rate = units / size;
  return Math.floor(size * rate) < units ? rate * (1 + Number.EPSILON) : rate;
}
