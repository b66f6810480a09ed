// DSA (NeurIPS 2024): an allocation function found by evolutionary search; the released result, on A = |W_ij|·‖X_j‖₂ of
// all linears of a block with dense inputs X:
//   v_i = Var(ln A),   x_i = asin(atan v_i) scaled to [0, 1],   d_i = 2λ·(1 − x_i),   s_i = S − d_i + mean d.
// The larger the variance, the sparser. Default λ = 0.08.
// We differ: asin(atan v) is not a number for v > tan 1 = 1.557, and the published code makes such a block the *densest* by
// writing 0. Where some v lies beyond, x_i = v_i for all blocks: the same order, which is all the two functions keep. The
// variance is the population's and leaves out scores of 0 (published: ln 0). Otherwise as owl.ts. The search itself is not
// released.

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
