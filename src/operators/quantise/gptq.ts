// GPTQ (arXiv 2210.17323): SparseGPT's sweep with rounding. Every weight becomes ŵ = scale·q, and all weights to its right in
// the row move by −e·U_j·, e = (w − ŵ) / U_jj, which best repairs the row's output. H, its damping and U are those of
// SparseGPT (sparsify/gram-factor.ts). The scale of a group of columns is found when the sweep reaches it, from the updated
// weights; it minimises Σ e², the error that the sweep will leave, as if no weight of the group moved any more. Where the treatment has zeros too, one sweep does both: SparseGPT chooses the mask, the pruned leave the error
// w / U_jj, and what stays is rounded.
// We differ: the grid (grid.ts) is symmetric with a signed scale and no zero point; the published code takes the scale of the
// smallest and the largest weight, or of the least Σ |w − ŵ|^2.4. Columns go in their own order. Without zeros in the treatment a weight that is 0 stays 0, so that a sparse checkpoint stays sparse.

import { InternalError } from '../../base/index.js';
import type { Treatment } from '../../records/index.js';
import type { Matrix, Operator } from '../operator.js';
import { zerosOf } from '../sparsify/criterion.js';
import { factoriseGram, retarget } from '../sparsify/gram-factor.js';
import { groupCounts } from '../sparsify/pattern.js';
import { pruneSparseGpt, type Rounding, type SparseGptPattern } from '../sparsify/sparsegpt.js';
import { codesOf, groupOf, LEAST_SQUARES, limitsOf, scalesOfPanel } from './grid.js';
import { bitsOf } from './rounding.js';
import { rtn } from './rtn.js';

/** Rounding of the sweep to `bits` bits, with a scale for each `group` columns. */
export const roundingTo = (bits: number, group: number): Rounding => ({
  group,
  ...limitsOf(bits),
  scalesOf: (W, panel, mask, diagonal) => {
    // In units of the first column's, so that equal columns count 1 exactly.
    const importance = Float64Array.from(diagonal, (pivot) => (diagonal[0]! / pivot) ** 2);
    return scalesOfPanel(W, panel, bits, LEAST_SQUARES, mask, importance);
  },
});

/** What the sweep prunes. */
function patternOf(W: Matrix, treatment: Treatment): SparseGptPattern {
  if (!treatment.zeros) return { kind: 'given', mask: Uint8Array.from(W.data, (weight) => (weight === 0 ? 1 : 0)) };
  const { count, pattern } = zerosOf(treatment, W);
  if (pattern.kind !== 'n:m') return { kind: 'panels', count };
  // In `pruneSparseGpt`, n is the number of pruned weights.
  return { kind: 'n:m', n: groupCounts(W.rows, W.columns, count, pattern.of).whole, m: pattern.of };
}

/** Zeros that are there stay where the treatment makes none: a target moves every weight. */
function keepZeros({ data }: Matrix, W: Matrix, { zeros }: Treatment): Matrix {
  if (W.data === data || zeros) return W;
  return { ...W, data: W.data.map((weight, i) => (data[i] === 0 ? 0 : weight)) };
}

export const gptq: Operator = {
  name: 'gptq',
  summary: 'rounds column after column and repairs the others; makes zeros in the same sweep (arXiv 2210.17323)',
  makes: ['bits', 'zeros'],
  needs: ['gram'],
  patterns: ['columns', 'n:m'],
  evenGroups: true,
  standIn: rtn,
  prepare: async (site, { gram, sequences }, { gemm }) => {
    if (!gram || !gemm) throw new InternalError('E_INTERNAL_EVIDENCE', 'gptq got no Gram matrix.');
    const factor = await factoriseGram(gram, Math.sqrt(gram.length), { gemm, sequences, name: site });
    return {
      damping: factor.damping,
      apply: async (_unit, given, treatment, pull) => {
        const W = keepZeros(given, await retarget(given, pull, factor, gemm), treatment);
        const { bits, group: asked } = bitsOf(treatment);
        const group = groupOf(bits, asked, W.columns);
        const round = roundingTo(bits, group);
        const { weights, mask, scales } = await pruneSparseGpt(W, patternOf(W, treatment), factor, { gemm, round });
        return { zeroed: mask, weights, grid: codesOf({ ...W, data: weights }, bits, group, scales) };
      },
    };
  },
};
