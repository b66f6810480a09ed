// Turns scores into a mask that prunes exactly `count` weights of W [rows, columns]. Scores are ≥ 0 and not NaN. The pattern
// says where weights compete (pattern.ts). `row`: every row loses ⌊count / rows⌋; the remainder is taken, one weight each,
// from the rows whose next score is smallest (ties: the upper row). `matrix` and `columns`: of equal scores the upper row is
// pruned first, in a row the lower column; panels.ts spreads the count over the panels of `columns`. `n:m`: `count` must fill
// groups of M evenly; of equal scores in a group the lower column is pruned first (the published code's topk leaves it open).

import { NumericError } from '../../base/index.js';
import type { Mask, Matrix } from '../operator.js';
import { PANEL_COLUMNS, splitColumns, spreadCount } from './panels.js';
import { groupCounts, type Pattern } from './pattern.js';
import { markSmallest } from './select.js';

/** Scores as unsigned integers in the same order. */
type Keys = { readonly rows: number; readonly columns: number; readonly data: Uint32Array };

/** @throws NumericError E_NUMERIC_SCORE if a score is NaN or infinite. */
export function selectMask(scores: Matrix, count: number, pattern: Pattern): Mask {
  const { rows, columns, data } = scores;
  const bad = data.findIndex((score) => !Number.isFinite(score));
  if (bad >= 0) {
    const [row, column] = [Math.floor(bad / columns), bad % columns];
    throw new NumericError(
      'E_NUMERIC_SCORE',
      `The score of weight [${row}, ${column}] is ${data[bad]}. Check the calibration text and the checkpoint.`,
      {
        row,
        column,
      },
    );
  }
  const keys = { rows, columns, data: new Uint32Array(data.buffer, data.byteOffset, data.length) };
  switch (pattern.kind) {
    case 'row':
      return selectRows(keys, count);
    case 'matrix': {
      const mask = new Uint8Array(rows * columns);
      markSmallest(keys.data, count, mask, 0, new Uint32Array(data.length));
      return mask;
    }
    case 'columns':
      return selectPanels(keys, count);
    case 'n:m':
      return selectGroups(keys, count, pattern.of);
    default:
      return pattern satisfies never;
  }
}

function selectRows({ rows, columns, data: keys }: Keys, count: number): Mask {
  const mask = new Uint8Array(rows * columns);
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

function selectPanels({ rows, columns, data }: Keys, count: number): Mask {
  const mask = new Uint8Array(rows * columns);
  const panels = splitColumns(columns, PANEL_COLUMNS);
  const counts = spreadCount(count, rows, panels);
  const scratch = new Uint32Array(rows * Math.min(columns, PANEL_COLUMNS));
  for (const [index, { left, right }] of panels.entries()) {
    const width = right - left;
    const keys = new Uint32Array(rows * width);
    const gone = new Uint8Array(rows * width);
    for (let row = 0; row < rows; row++) {
      keys.set(data.subarray(row * columns + left, row * columns + right), row * width);
    }
    markSmallest(keys, counts[index]!, gone, 0, scratch);
    for (let row = 0; row < rows; row++) {
      mask.set(gone.subarray(row * width, (row + 1) * width), row * columns + left);
    }
  }
  return mask;
}

function selectGroups({ rows, columns, data }: Keys, count: number, of: number): Mask {
  const mask = new Uint8Array(rows * columns);
  const { whole, last } = groupCounts(rows, columns, count, of);
  const sorted = new Uint32Array(of);
  for (let row = 0; row < rows; row++) {
    const end = (row + 1) * columns;
    for (let from = row * columns; from < end; from += of) {
      const to = Math.min(from + of, end);
      const gone = to - from < of ? last : whole;
      if (gone === 0) continue;
      // A group is small, so insertion sort is fast.
      for (let j = from; j < to; j++) {
        const key = data[j]!;
        let at = j - from;
        for (; at > 0 && sorted[at - 1]! > key; at--) sorted[at] = sorted[at - 1]!;
        sorted[at] = key;
      }
      const threshold = sorted[gone - 1]!;
      // Take only as many scores at the threshold as are still to be pruned.
      let equal = gone;
      for (let at = 0; sorted[at]! < threshold; at++) equal--;
      for (let j = from; j < to; j++) {
        const key = data[j]!;
        if (key < threshold || (key === threshold && equal-- > 0)) mask[j] = 1;
      }
    }
  }
  return mask;
}
