// DSnoT (arXiv 2310.08915). Swaps kept and pruned weights, starting from any mask. W_ij·S_j is the part of its row's summed
// output that a pruned weight removes, E_i its sum over the pruned weights of row i. A swap grows back the weight that moves
// E most towards 0 (by W_ij·S_j / Var_j) and prunes the kept weight with the smallest Wanda score that also does. At most 50
// swaps in a row, no weight twice, none once |E| ≤ 0.1. Ties go to the lower column. dsnot-sparsegpt.ts starts from
// SparseGPT's mask. Where we differ from the published code, and what that costs: docs/lab/methods.md.

import { InternalError } from '../../base/index.js';
import type { Mask, Matrix } from '../operator.js';
import { type LinearStatistics, type MaskOperator, maskOperator } from './criterion.js';
import { scoreWanda } from './wanda.js';

const CYCLES = 50;
/** In units of the output, summed over a sequence. */
const SMALL_ERROR = 0.1;
/** In float32 sums, a variance below this share of the mean square is indistinguishable from 0. */
const SMALLEST_VARIANCE = 1e-6;

/**
 * Swaps kept and pruned weights of each row, or of each `of` consecutive columns of a row. It changes `mask` but not the
 * number of pruned weights. `scores` are Wanda's.
 */
export function refineMask(
  W: Matrix,
  mask: Mask,
  scores: Float32Array,
  statistics: LinearStatistics,
  of?: number,
): Mask {
  const { rows, columns, data } = W;
  const { squareSums, columnSums, sequences, tokens } = statistics;
  if (!columnSums || !tokens) throw new InternalError('E_INTERNAL_STATISTICS', 'DSnoT got no sums.');
  const S = columnSums.map((sum) => sum / sequences);
  const spread = squareSums.map((sum, j) => {
    const square = sum / tokens;
    return Math.max(square - (columnSums[j]! / tokens) ** 2, SMALLEST_VARIANCE * square);
  });
  // Candidates to grow back and to prune, by the sign of their effect.
  const growing = { positive: createShortlist(), negative: createShortlist() };
  const losing = { positive: createShortlist(), negative: createShortlist() };
  const effects = new Float64Array(columns);
  const swapped = new Uint8Array(columns);
  /** The weight with the smallest score in the group of column `grown` among those that the start kept. */
  const smallestOfGroup = (at: number, grown: number, size: number): number | undefined => {
    const left = grown - (grown % size);
    let found: number | undefined;
    for (let j = left; j < Math.min(left + size, columns); j++) {
      if (mask[at + j] === 1 || swapped[j] === 1) continue;
      if (found === undefined || scores[at + j]! < scores[at + found]!) found = j;
    }
    return found;
  };
  for (let row = 0; row < rows; row++) {
    const at = row * columns;
    for (const list of [growing.positive, growing.negative, losing.positive, losing.negative]) list.clear();
    swapped.fill(0);
    let error = 0;
    for (let j = 0; j < columns; j++) {
      const effect = data[at + j]! * S[j]!;
      effects[j] = effect;
      const pruned = mask[at + j] === 1;
      if (pruned) error += effect;
      if (effect === 0) continue;
      const sign = effect > 0 ? 'positive' : 'negative';
      if (pruned) growing[sign].offer(-Math.abs(effect / spread[j]!), j);
      else losing[sign].offer(scores[at + j]!, j);
    }
    const sign = Math.sign(error);
    for (let cycle = 0; cycle < CYCLES && Math.abs(error) > SMALL_ERROR; cycle++) {
      // To reduce |E|, grow back a weight with the sign of E and prune one with the other sign.
      const grown = growing[error > 0 ? 'positive' : 'negative'].next();
      if (grown === undefined) break;
      const lost = of ? smallestOfGroup(at, grown, of) : losing[error > 0 ? 'negative' : 'positive'].next();
      if (lost === undefined) break;
      const after = error + effects[lost]! - effects[grown]!;
      if (of && Math.sign(after) !== sign) break;
      mask[at + grown] = 0;
      mask[at + lost] = 1;
      swapped[grown] = 1;
      error = after;
    }
  }
  return mask;
}

/** The CYCLES columns with the smallest keys, in order. Of equal keys the first offered stay. */
function createShortlist() {
  const keys = new Float64Array(CYCLES);
  const columns = new Uint32Array(CYCLES);
  let [size, taken] = [0, 0];
  return {
    clear: (): void => {
      size = 0;
      taken = 0;
    },
    offer: (key: number, column: number): void => {
      if (size === CYCLES && key >= keys[size - 1]!) return;
      let to = size < CYCLES ? size++ : size - 1;
      for (; to > 0 && keys[to - 1]! > key; to--) {
        keys[to] = keys[to - 1]!;
        columns[to] = columns[to - 1]!;
      }
      keys[to] = key;
      columns[to] = column;
    },
    next: (): number | undefined => (taken < size ? columns[taken++] : undefined),
  };
}

/** DSnoT from the mask of another criterion. */
export const createDsnot = (name: string, start: MaskOperator, whose: string): MaskOperator =>
  maskOperator({
    name,
    summary: `${whose} mask, then swaps in each row that keep the sum of its output (arXiv 2310.08915)`,
    needs: ['squareSums', 'columnSums'],
    standIn: start,
    patterns: ['row', 'matrix', 'n:m'],
    mask: (W, count, pattern, statistics) => {
      if (!statistics) throw new InternalError('E_INTERNAL_STATISTICS', 'DSnoT got no statistics.');
      const mask = start.mask(W, count, pattern, statistics);
      const of = pattern.kind === 'n:m' ? pattern.of : undefined;
      return refineMask(W, mask, scoreWanda(W, statistics), statistics, of);
    },
  });
