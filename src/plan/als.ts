// ALS (NeurIPS 2024). Blocks with redundant inputs become sparser. ψ_ij = redundancy of the inputs of blocks i and j
// (profile/redundancy.ts), μ = mean of all ψ, q_i = density, N_i = weights:
//   ρ_i = Σ_j ψ_ij − 1,   ω_i = e^{−ρ_i/μ},   c_i = mean of ω_j over j ≥ i,
//   max Σ c_i·q_i   subject to   Σ N_i·q_i = (1 − S)·ΣN,   1 − high ≤ q_i ≤ 1 − low,
// then the same over the linears of each block, with the block's rate as S. No code was published.
// We differ: rates are not rounded to steps of 0.5 %. The greedy solution, its limits and the bounds: docs/lab/methods.md.

import { type AllocationPolicy, blockWeights } from './policy.js';

type Box = { readonly low: number; readonly high: number };

/** c_i of a redundancy matrix. */
function independence(psi: readonly (readonly number[])[]): number[] {
  const n = psi.length;
  const sums = psi.map((row) => row.reduce((a, b) => a + b, 0));
  const mean = sums.reduce((a, b) => a + b, 0) / (n * n);
  const omega = sums.map((sum) => Math.exp(-(sum - 1) / mean));
  let suffix = 0;
  return omega
    .toReversed()
    .map((value, i) => {
      suffix += value;
      return suffix / (i + 1);
    })
    .toReversed();
}

/** Ratios that differ by less than this share count as equal. */
const SAME = 1e-9;

/** The sparsities that solve the linear program. */
function solveAls(values: readonly number[], weights: readonly number[], target: number, { low, high }: Box) {
  if (target <= low || target >= high) return weights.map(() => target);
  const rates = weights.map(() => high);
  let left = weights.reduce((sum, N) => sum + N * (high - target), 0);
  const ratio = (i: number): number => values[i]! / weights[i]!;
  const order = [...weights.keys()].sort((a, b) => ratio(b) - ratio(a) || a - b);
  for (let first = 0; first < order.length && left > 0; ) {
    let end = first + 1;
    while (end < order.length && ratio(order[end]!) >= ratio(order[first]!) * (1 - SAME)) end++;
    const group = order.slice(first, end);
    const size = group.reduce((sum, i) => sum + weights[i]!, 0);
    const less = Math.min(high - low, left / size);
    for (const i of group) rates[i] = high - less;
    left -= less * size;
    first = end;
  }
  return rates;
}

export const als: AllocationPolicy = {
  name: 'als',
  summary: 'blocks and linears with redundant inputs become sparser, by a linear program (NeurIPS 2024)',
  granularity: 'linear',
  needs: ['redundancy'],
  hyperparameters: [
    { name: 'low', text: 'smallest rate', fallback: 0.3, range: () => [0, 0.3] },
    { name: 'high', text: 'largest rate', fallback: 0.7, range: () => [0.3, 1] },
  ],
  weighted: true,
  allocate: ({ target, facts, measured, values }) => {
    const box = { low: values.low!, high: values.high! };
    const { blocks, linears } = measured.redundancy!;
    const blockRates = solveAls(independence(blocks), blockWeights(facts), target, box);
    const rates = new Array<number>(facts.linears.length);
    for (const [block, rate] of blockRates.entries()) {
      const own = [...facts.linears.keys()].filter((l) => facts.linears[l]!.block === block);
      const weights = own.map((l) => facts.linears[l]!.rows * facts.linears[l]!.columns);
      const inside = solveAls(independence(linears[block]!), weights, rate, box);
      for (const [i, l] of own.entries()) rates[l] = inside[i]!;
    }
    return rates;
  },
};
