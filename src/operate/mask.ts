// From scores to a mask: which weights of W [rows, columns] go, exactly `count` of them. The pattern says where weights
// compete. `row`: every row loses ⌊count / rows⌋; what is left over goes, one each, to the rows whose next score is the
// smallest (ties: the upper row). `matrix`: the whole matrix competes. `columns`: all rows of 128 columns compete, which
// only a solver does (sparsegpt.ts). Scores are ≥ 0 and not NaN.

import { InternalError, NumericError } from '../base/index.js';
import { markSmallest } from './select.js';

export const PATTERNS = ['row', 'matrix', 'columns'] as const;
export type Pattern = (typeof PATTERNS)[number];

/** Row-major [rows, columns]. */
export type Matrix = { readonly rows: number; readonly columns: number; readonly data: Float32Array };

/** 1 where a weight goes, 0 where it stays; row-major like the matrix. */
export type Mask = Uint8Array;

/** @throws NumericError E_NUMERIC_SCORE where a score is NaN or infinite. */
export function selectMask(scores: Matrix, count: number, pattern: Pattern): Mask {
  if (pattern === 'columns') {
    throw new InternalError('E_INTERNAL_PATTERN', 'A mask by columns was asked of scores; only a solver gives one.');
  }
  const { rows, columns, data } = scores;
  const bad = data.findIndex((score) => !Number.isFinite(score));
  if (bad >= 0) {
    const [row, column] = [Math.floor(bad / columns), bad % columns];
    throw new NumericError(
      'E_NUMERIC_SCORE',
      `The score of weight [${row}, ${column}] is ${data[bad]}; weights or activations are broken.`,
      {
        row,
        column,
      },
    );
  }
  const keys = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const mask = new Uint8Array(rows * columns);
  if (pattern === 'matrix') {
    markSmallest(keys, count, mask, 0, new Uint32Array(keys.length));
    return mask;
  }
  const scratch = new Uint32Array(columns);
  const base = Math.floor(count / rows);
  const next = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const at = row * columns;
    next[row] = markSmallest(keys.subarray(at, at + columns), base, mask, at, scratch);
  }
  const extra = count - base * rows;
  if (extra === 0) return mask;
  const order = Array.from(next.keys()).sort((a, b) => next[a]! - next[b]! || a - b);
  for (const row of order.slice(0, extra)) {
    const at = row * columns;
    const threshold = next[row]!;
    let column = 0;
    while (keys[at + column] !== threshold || mask[at + column] === 1) column++;
    mask[at + column] = 1;
  }
  return mask;
}
