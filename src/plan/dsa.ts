// DSA (NeurIPS 2024). The allocation function that the authors' evolutionary search found (the search itself is not
// released), on A = |W_ij|·‖X_j‖₂ of all linears of a block with dense inputs X:
//   v_i = Var(ln A),   x_i = asin(atan v_i) scaled to [0, 1],   d_i = 2λ·(1 − x_i),   s_i = S − d_i + mean d.
// Blocks with a larger variance become sparser. Default λ = 0.08.
// We differ: asin(atan v) is NaN for v > tan 1 = 1.557, and the published code then writes 0, which makes that block the
// *densest*. If any v exceeds 1.557 we use x_i = v_i for all blocks, which has the same order. Our variance is the
// population's and leaves out scores of 0 (published: ln 0). Otherwise as owl.ts.

import type { AllocationPolicy } from './policy.js';
import { shiftByImportance } from './shift.js';

export const dsa: AllocationPolicy = {
  name: 'dsa',
  summary: 'blocks whose log-scores vary more become sparser (NeurIPS 2024)',
  granularity: 'block',
  needs: ['scoreMoments'],
  hyperparameters: [{ name: 'lambda', text: 'half the width of the rates', fallback: 0.08, range: () => [0, 0.5] }],
  allocate: ({ target, measured, values }) => {
    const variances = measured.scoreMoments!.map(({ logVariance }) => logVariance);
    const inside = variances.every((v) => Math.atan(v) <= 1);
    const redundancy = inside ? variances.map((v) => Math.asin(Math.atan(v))) : variances;
    return shiftByImportance(
      redundancy.map((x) => -x),
      values.lambda!,
      target,
    );
  },
};
