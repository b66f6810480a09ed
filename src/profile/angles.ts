// The angular distance of "The Unreasonable Ineffectiveness of the Deeper Layers" (ICLR 2025, eq. 7) over runs of n
// blocks:
//   d(l) = (1/π)·arccos ⟨x_l, x_{l+n}⟩/(‖x_l‖·‖x_{l+n}‖),
// the mean over windows. x_l is the residual before block l at the last token of a window; x_L is the residual after
// the last block and before the final norm. Cosines are computed in double precision and clamped to [−1, 1]. The
// commonly used unofficial code leaves out l = 0 and takes x_L after the final norm; here l = 0 is a run like any
// other.

import { NumericError } from '../base/index.js';
import { cosineAt } from './influence.js';

export type Angles = {
  /**
   * Adds the residual before and after a block, [windows, length, width] of one chunk. A block's chunks come in order.
   */
  add(block: number, before: Float32Array, after: Float32Array): void;
  /** The distance across each run of `n` blocks, indexed by its first block. @throws NumericError E_NUMERIC_ANGLE */
  across(n: number): number[];
};

/** Stores the last tokens of `windows` windows before and after every block: (blocks + 1)·windows·width floats. */
export function startAngles(
  blocks: number,
  width: number,
  text: { readonly length: number; readonly windows: ArrayLike<unknown> },
): Angles {
  const levels = Array.from({ length: blocks + 1 }, () => new Float32Array(text.windows.length * width));
  const filled = new Array<number>(blocks + 1).fill(0);
  const keep = (level: number, residual: Float32Array): void => {
    const last = lastTokens(residual, text.length, width);
    levels[level]!.set(last, filled[level]);
    filled[level]! += last.length;
  };
  return {
    add: (block, before, after) => {
      if (block === 0) keep(0, before);
      keep(block + 1, after);
    },
    across: (n) => measureAngles(levels, width, n),
  };
}

/** The last token's residual of each window of a chunk [windows, length, width], as [windows, width]. */
export function lastTokens(residual: Float32Array, length: number, width: number): Float32Array {
  const windows = residual.length / (length * width);
  const last = new Float32Array(windows * width);
  for (let w = 0; w < windows; w++) {
    const end = (w + 1) * length * width;
    last.set(residual.subarray(end - width, end), w * width);
  }
  return last;
}

/**
 * The distance across each run of `n` blocks, indexed by its first block: L − n + 1 numbers in [0, 1]. `levels` are the
 * last tokens before block 0, …, before block L − 1 and after it, each [windows, width].
 * @throws NumericError E_NUMERIC_ANGLE where a residual is not finite
 */
export function measureAngles(levels: readonly Float32Array[], width: number, n: number): number[] {
  return levels.slice(n).map((after, first) => {
    const before = levels[first]!;
    let sum = 0;
    for (let at = 0; at < before.length; at += width) {
      sum += Math.acos(Math.min(1, Math.max(-1, cosineAt(before, after, at, width)))) / Math.PI;
    }
    const distance = sum / (before.length / width);
    if (Number.isFinite(distance)) return distance;
    const message = `The angular distance across ${n} blocks from block ${first} on is ${distance}. Check the text and the checkpoint.`;
    throw new NumericError('E_NUMERIC_ANGLE', message, { block: first });
  });
}
