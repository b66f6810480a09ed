// ALS's measure (NeurIPS 2024): how much two inputs X_i, X_j [tokens, width] repeat each other,
//   ψ_ij = ‖X_iᵀ·X_j‖²_F/(‖X_iᵀ·X_i‖_F·‖X_jᵀ·X_j‖_F),
// between the inputs of all blocks, and between the inputs of the linears of each block. With K = X·Xᵀ [tokens, tokens]
// it is the cosine of K_i and K_j, so widths may differ, and only K, scaled to norm 1, is kept for each block: 0.5 MB.
// Tokens are a sample (inputs.ts). Linears that read the same values (q, k, v; gate, up) have ψ = 1 between them.

import type { Measure, Sample } from './measure.js';

export const redundancy: Measure<'redundancy'> = {
  name: 'redundancy',
  looksAt: 'inputs',
  start: () => {
    const blocks: Float32Array[] = [];
    const linears: number[][][] = [];
    return {
      inputs: ({ block, sites }, own) => {
        blocks.push(kernelOf(block));
        // Compare the linears of one site once; experts have many of each.
        const names = Object.keys(sites);
        const psi = cosines(Object.values(sites).map(kernelOf));
        const places = own.map(({ site }) => names.indexOf(site));
        linears.push(places.map((i) => places.map((j) => psi[i]![j]!)));
      },
      result: () => ({ blocks: cosines(blocks), linears }),
    };
  },
};

/**
 * The lower triangle of X·Xᵀ row by row, off-diagonal elements times √2, scaled to norm 1 (or 0). Dot products of two
 * such vectors are those of the full K.
 */
function kernelOf({ width, data }: Sample): Float32Array {
  const tokens = data.length / width;
  const kernel = new Float64Array((tokens * (tokens + 1)) / 2);
  let norm = 0;
  for (let s = 0, at = 0; s < tokens; s++) {
    const row = data.subarray(s * width, (s + 1) * width);
    if (row.every((value) => value === 0)) {
      // A token that was not routed to this expert; most tokens are not.
      at += s + 1;
      continue;
    }
    for (let t = 0; t <= s; t++, at++) {
      const value = dot(row, data, t * width) * (s === t ? 1 : Math.SQRT2);
      kernel[at] = value;
      norm += value * value;
    }
  }
  const scale = norm > 0 ? 1 / Math.sqrt(norm) : 0;
  return Float32Array.from(kernel, (value) => value * scale);
}

function cosines(kernels: readonly Float32Array[]): number[][] {
  const psi = kernels.map(() => new Array<number>(kernels.length).fill(1));
  for (const [i, a] of kernels.entries()) {
    for (let j = 0; j < i; j++) {
      const b = kernels[j]!;
      psi[i]![j] = dot(a, b, 0);
      psi[j]![i] = psi[i]![j]!;
    }
  }
  return psi;
}

function dot(a: Float32Array, b: Float32Array, at: number): number {
  let [even, odd] = [0, 0];
  let k = 0;
  for (; k + 1 < a.length; k += 2) {
    even += a[k]! * b[at + k]!;
    odd += a[k + 1]! * b[at + k + 1]!;
  }
  if (k < a.length) even += a[k]! * b[at + k]!;
  return even + odd;
}
