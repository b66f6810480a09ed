// ER, Erdős–Rényi (Mocanu et al., Nature Communications 2018; arXiv 2202.02643, §2.2). The density of a linear W [rows,
// columns] is
//   p_l = ε·(rows + columns)/(rows·columns),   ε such that Σ p_l·N_l = (1 − S)·Σ N_l,   N_l = rows·columns.
// If some p_l > 1, those linears stay dense and ε is solved again for the others. Every block has the same shapes, so rates
// do not depend on depth: density moves from the wide MLP linears, and from q and o, to the smaller k and v. The rates keep
// the parameter-weighted budget. No differences; ERK's kernel sizes are 1 in a transformer.

import type { AllocationPolicy } from './policy.js';
import { divideByShares } from './share.js';
import type { LinearUnit } from './unit.js';

/** How many of `kept` weights each linear keeps. */
export function erdosRenyi(kept: number, linears: readonly LinearUnit[]): number[] {
  return divideByShares(
    kept,
    linears.map(({ rows, columns }) => rows + columns),
    linears.map(({ rows, columns }) => rows * columns),
  );
}

export const er: AllocationPolicy = {
  name: 'er',
  summary: 'density of a linear in proportion to (rows + columns)/(rows·columns)',
  granularity: 'linear',
  needs: [],
  hyperparameters: [],
  weighted: true,
  allocate: ({ target, facts: { linears } }) => {
    const total = linears.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
    const kept = erdosRenyi((1 - target) * total, linears);
    return linears.map(({ rows, columns }, l) => 1 - kept[l]! / (rows * columns));
  },
};
