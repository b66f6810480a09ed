// Our own policy: ATP's line over blocks plus a share of each linear's measured log-sensitivity. L = blocks, i = a linear's
// block, P_l its weights, D_l = mean token KL(dense ‖ dense with only l pruned at S), k = SLOPE:
//   u_l = −(ln(D_l / P_l) − mean) / k, clipped to ±0.5;   s_l = S + line·min(S, 1−S)·(2i/(L−1) − 1) + gain·u_l.
// `line` and `gain` are searched on validation text. gain = 0 is ATP with β = 2·line·min(S, 1−S)/(L−1), and the search
// always tries such a point. Derivation, and why both shares are searched: docs/lab/theory.md.

import { fitBudget } from './budget.js';
import type { AllocationPolicy } from './policy.js';

/** k: log-slope of a linear's damage against its sparsity. Only the clip tells it from `gain`; measured: 5 to 7. */
const SLOPE = 6;
/** Divergences below this are noise, nats per token. */
const SMALLEST_DIVERGENCE = 1e-7;
const LARGEST_SHIFT = 0.5;
/** The largest rate of a linear, unless the target is larger: a linear without weights cannot be measured. */
const LARGEST_RATE = 0.98;

export const layerwise: AllocationPolicy = {
  name: 'layerwise',
  summary: 'ATP’s line plus a share of each linear’s measured log-sensitivity, both found on validation text',
  granularity: 'linear',
  needs: ['sensitivity'],
  hyperparameters: [
    {
      name: 'line',
      text: 'slope of the line over blocks, as a share of the largest legal one',
      fallback: undefined,
      range: () => [0, 1],
    },
    { name: 'gain', text: 'share of the measured log-sensitivity', fallback: undefined, range: () => [0, 2] },
  ],
  grid: {
    axes: { line: [0, 0.1, 0.2, 0.3, 0.4], gain: [0, 0.25, 0.5, 0.75, 1] },
    always: ({ gain }) => gain === 0,
  },
  allocate: ({ target, facts, measured, values }) => {
    const { line, gain } = values as { line: number; gain: number };
    const weights = facts.linears.map(({ rows, columns }) => rows * columns);
    const logs = measured.sensitivity!.map((D, l) => Math.log(Math.max(D, SMALLEST_DIVERGENCE) / weights[l]!));
    const total = weights.reduce((a, b) => a + b, 0);
    const mean = logs.reduce((sum, log, l) => sum + log * weights[l]!, 0) / total;
    const half = line * Math.min(target, 1 - target);
    const raw = facts.linears.map(({ block }, l) => {
      const u = -(logs[l]! - mean) / SLOPE;
      const depth = facts.blocks > 1 ? (2 * block) / (facts.blocks - 1) - 1 : 0;
      return target + half * depth + gain * Math.min(LARGEST_SHIFT, Math.max(-LARGEST_SHIFT, u));
    });
    return fitBudget(raw, weights, target, Math.max(LARGEST_RATE, target));
  },
};
