// FLAP's rates (arXiv 2312.11983, §3.3): the scores of all slices of all blocks are sorted together, and one threshold decides. The
// scores were standardised where they were measured (pipeline/slices.ts), heads and channels each within their block.
// We differ: a head counts as many channels as it has parameters, where the published code has 512/3 for LLaMA-7B; and the target
// is met exactly, by shifting all rates by what whole slices missed.

import type { Plan } from '../records/index.js';
import { fitBudget } from './budget.js';
import type { Half } from './widths.js';

/** Rates of all halves, so that `target` of their parameters go. `scores` are of each half's slices, by its id. */
export function flapPlan(
  halves: readonly Half[],
  scores: Readonly<Record<string, readonly number[]>>,
  target: number,
): Plan {
  const weights = halves.map(({ slices, parameters }) => slices * parameters);
  let left = target * weights.reduce((a, b) => a + b, 0);
  const sorted = halves
    .flatMap(({ id, parameters }, half) => scores[id]!.map((score, slice) => ({ half, slice, parameters, score })))
    .sort((a, b) => a.score - b.score || a.half - b.half || a.slice - b.slice);
  const gone = halves.map(() => 0);
  for (const { half, parameters } of sorted) {
    if (left < parameters / 2) break;
    gone[half]!++;
    left -= parameters;
  }
  const rates = fitBudget(
    halves.map(({ slices }, i) => gone[i]! / slices),
    weights,
    target,
  );
  return {
    format: 'layerwise-plan',
    version: 2,
    units: Object.fromEntries(halves.map(({ id }, i) => [id, { zeros: { rate: rates[i]! } }])),
    budget: { of: 'zeros', target, counting: 'exact' },
    from: { policy: 'flap', values: {} },
  };
}
