// ER-Plus (arXiv 2202.02643, "ERK+"). The last linear has its own density, by default 1; ER (er.ts) divides the rest among
// the others. The rates keep the parameter-weighted budget.
// We differ: the paper's last layer is the classifier. A language model's classifier is its head, which is never pruned, so
// we take the last prunable linear, `down` of the last block. Which one ATP's tables mean is not published. If a dense last
// linear would take more than half of all kept weights (models of one or two blocks), it gets half of them, or ER's own
// share if that is larger; the published code would leave nothing for the others.

import { erdosRenyi } from './er.js';
import type { AllocationPolicy } from './policy.js';

export const erPlus: AllocationPolicy = {
  name: 'er-plus',
  summary: 'er, with the last linear of the model kept dense (arXiv 2202.02643)',
  granularity: 'linear',
  needs: [],
  hyperparameters: [{ name: 'density', text: 'density of the last linear', fallback: 1, range: () => [0, 1] as const }],
  weighted: true,
  allocate: ({ target, facts: { linears }, values }) => {
    const sizes = linears.map(({ rows, columns }) => rows * columns);
    const others = linears.slice(0, -1);
    const last = sizes.at(-1)!;
    const total = sizes.reduce((a, b) => a + b, 0);
    const kept = (1 - target) * total;
    const usual = erdosRenyi(kept, linears).at(-1)!;
    const least = Math.max(0, kept - (total - last));
    const own = Math.max(least, Math.min(values.density! * last, Math.max(kept / 2, usual)));
    return [...erdosRenyi(kept - own, others), own].map((stays, l) => 1 - stays / sizes[l]!);
  },
};
