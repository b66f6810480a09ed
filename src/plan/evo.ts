// Evolutionary search over the zeros of each linear, in EvoPress's manner (arXiv 2410.14649; search/evolve.ts). A level is a
// number of weights that is the same for all linears, so moving one between two linears keeps the budget. N̄ = mean weights
// of a linear, N_l = those of l, k_l = its level:
//   s_l = S + k_l·step·N̄/N_l,   Σ k_l = 0,   0 ≤ s_l ≤ .98 (or S, if that is more).
// It is the expensive upper bound of what an allocation can do: some hundreds of estimates instead of a formula. The paper
// keeps each linear treated at each level on disk; here every estimate makes its masks again, from dense statistics (a
// surrogate), so a solver's repair is seen by the exact trials at the end alone. Defaults: a million weights of LLaMA-2-7B
// are step = .035; 400 generations of 64 children there. levels are not limited to 8 steps.

import type { AllocationPolicy } from './policy.js';

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
  ],
  weighted: true,
  levels: ({ target, facts, values }) => {
    const steps = rateSteps(facts.linears, values.step!);
    const most = Math.max(LARGEST_RATE, target);
    // A level that ends on a bound may miss it by rounding.
    return {
      low: steps.map((step) => -Math.floor(target / step + 1e-9) + 0),
      high: steps.map((step) => Math.floor((most - target) / step + 1e-9)),
      generations: Math.round(values.generations!),
      offspring: Math.round(values.offspring!),
    };
  },
  allocate: ({ target, facts, values, levels = [] }) =>
    rateSteps(facts.linears, values.step!).map((step, l) => target + (levels[l] ?? 0) * step),
};

/** What one level adds to the rate of each linear. */
function rateSteps(linears: readonly { readonly weights: number }[], step: number): number[] {
  const mean = linears.reduce((sum, { weights }) => sum + weights, 0) / linears.length;
  return linears.map(({ weights }) => (step * mean) / weights);
}
