// ShortGPT's Block Influence (Findings of ACL 2025, eq. 1): how far a block turns the residual,
//   BI_i = 1 − mean over tokens of ⟨x_i, x_{i+1}⟩/(‖x_i‖·‖x_{i+1}‖).
// x_i is the residual before block i and x_{i+1} after it, both before the final norm. The published code takes the
// last block's output after that norm, which inflates its influence, and uses 0.5 for a cosine that overflowed in half
// precision; here all sums are in double precision. Every token counts, as published. Two zero vectors have cosine 1
// (nothing was turned); a zero vector and another have 0.

import { NumericError } from '../base/index.js';

export type InfluenceSums = {
  /** Adds the residual before and after a block for some tokens, both [tokens, width]. A block's chunks come in order. */
  add(block: number, before: Float32Array, after: Float32Array): void;
  /** BI of every block. @throws NumericError E_NUMERIC_INFLUENCE where a residual was not finite */
  result(): number[];
};

/** Accumulators for a model of `blocks` blocks with a residual of `width` numbers. */
export function startInfluence(blocks: number, width: number): InfluenceSums {
  const sums = new Float64Array(blocks);
  const tokens = new Float64Array(blocks);
  return {
    add: (block, before, after) => {
      for (let at = 0; at < before.length; at += width) sums[block]! += 1 - cosineAt(before, after, at, width);
      tokens[block]! += before.length / width;
    },
    result: () =>
      Array.from(sums, (sum, block) => {
        const influence = sum / tokens[block]!;
        if (Number.isFinite(influence)) return influence;
        const message = `The influence of block ${block} is ${influence}. Check the text and the checkpoint.`;
        throw new NumericError('E_NUMERIC_INFLUENCE', message, { block });
      }),
  };
}

/** The cosine of a[at, at + width) and b[at, at + width), in double precision. */
export function cosineAt(a: Float32Array, b: Float32Array, at: number, width: number): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let k = at; k < at + width; k++) {
    const [x, y] = [a[k]!, b[k]!];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (aa === 0 || bb === 0) return aa === bb ? 1 : 0;
  return ab / Math.sqrt(aa * bb);
}
