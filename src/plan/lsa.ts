// LSA (ICLR 2026, "minimal linear reconstruction error"). E_l = what the output of linear l loses if the half of its weights
// goes that matters least (profile/half-error.ts). `lsa` allocates over blocks, with E_i = mean of E_l over block i:
//   I_i = 1 − E_i/ΣE,   d_i = 2λ·(I_i − min I)/(max I − min I),   s_i = S − d_i + mean d.
// A block with a larger error becomes sparser. `lsa-projection` does so over linears: d_l from E_l, and
//   s_l = S + (mean d − d_l)·N̄/N_l,   N_l = weights, N̄ = their mean,
// which keeps the parameter-weighted mean. λ: the released code has .04, .10, .15, .12 for S = 0.5, 0.6, 0.7, 0.8 over
// blocks, and .07 in its examples over projections; our defaults are those of S = 0.7.
// The equations are those of the released code: of the paper only the abstract was at hand. We differ: rates outside [0, 1]
// are water-filled, equal E give uniform, and over blocks of unequal size the parameter-weighted mean is S.

import type { AllocationPolicy } from './policy.js';
import { scaleToUnit, shiftByImportance } from './shift.js';

export const lsa: AllocationPolicy = {
  name: 'lsa',
  summary: 'blocks whose linears lose more output without half of their weights become sparser (ICLR 2026)',
  granularity: 'block',
  needs: ['halfError'],
  hyperparameters: [{ name: 'lambda', text: 'half the width of the rates', fallback: 0.15, range: () => [0, 0.5] }],
  allocate: ({ target, facts, measured, values }) => {
    const sums = new Array<number>(facts.blocks).fill(0);
    const linears = new Array<number>(facts.blocks).fill(0);
    for (const [l, { block }] of facts.linears.entries()) {
      sums[block]! += measured.halfError![l]!;
      linears[block]!++;
    }
    // Scaling to [0, 1] cancels the division by ΣE, so −E stands for 1 − E/ΣE.
    const importance = sums.map((sum, block) => -sum / linears[block]!);
    return shiftByImportance(importance, values.lambda!, target);
  },
};

export const lsaProjection: AllocationPolicy = {
  name: 'lsa-projection',
  summary: 'the same over linears: those that lose more output become sparser, small ones by more (ICLR 2026)',
  granularity: 'linear',
  needs: ['halfError'],
  hyperparameters: [
    {
      name: 'lambda',
      text: 'half the width of the rates of a linear of mean size',
      fallback: 0.07,
      range: () => [0, 0.5],
    },
  ],
  weighted: true,
  allocate: ({ target, facts, measured, values }) => {
    const scaled = scaleToUnit(measured.halfError!.map((error) => -error));
    const mean = scaled.reduce((a, b) => a + b, 0) / scaled.length;
    const size = facts.linears.reduce((sum, { weights }) => sum + weights, 0) / facts.linears.length;
    return facts.linears.map(({ weights }, l) => target + (2 * values.lambda! * (mean - scaled[l]!) * size) / weights);
  },
};
