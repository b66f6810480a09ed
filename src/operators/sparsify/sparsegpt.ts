// SparseGPT (arXiv 2301.00774, algorithm 1). Sweeps W [rows, columns] from left to right in panels of 128 columns. In each
// panel the mask is chosen over all rows, smallest w² / U_jj² first. A pruned weight leaves an error e = w / U_jj, and all
// weights to its right in the row move by −e·U_j·, which best repairs the row's output. A kernel does this inside a panel.
// Further right it is a product of errors and U on the engine: at once within a stretch of four panels; later columns are
// updated in bulk when the sweep reaches the next stretch.
// We differ: exactly k weights of a panel are pruned, ties row-major from the first row (the published code takes sorted[k]
// and `<=`: one too many, and all ties). A linear's count is spread over its panels by largest remainder, so it is exact.

import { InternalError, NumericError, OptionError } from '../../base/index.js';
import { copyBlock, type Gemm, subtractBlock } from '../../linalg/index.js';
import { type Kernels, loadKernels } from '../../solver-kernels/index.js';
import type { Mask, Matrix } from '../operator.js';
import type { GramFactor } from './gram-factor.js';
import { PANEL_COLUMNS, type Panel, splitColumns, spreadCount } from './panels.js';
import { markSmallest } from './select.js';

/** Panels that are updated as soon as an error is known. Later panels are updated when the sweep reaches them. */
const PANELS_PER_STRETCH = 4;

/**
 * The pruned weights: `count` in all, which compete within panels of columns, or n of every m consecutive columns, chosen
 * when the sweep reaches them, as published.
 */
export type SparseGptPattern =
  | { readonly kind: 'panels'; readonly count: number }
  | { readonly kind: 'n:m'; readonly n: number; readonly m: number };

export type SparseGptResult = {
  /** W with the mask's weights +0 and the others updated. */
  readonly weights: Float32Array;
  readonly mask: Mask;
};

export type SparseGptOptions = {
  readonly gemm: Gemm;
  /** Defaults to the compiled kernels. */
  readonly kernels?: Kernels;
};

/**
 * Prunes W with the factor of its input's Gram matrix. Does not change W itself. Weights of dead columns are 0 in the
 * result, whether the mask contains them or not.
 * @throws NumericError E_NUMERIC_SCORE if a weight is or becomes NaN or infinite
 * @throws OptionError E_OPTION_PATTERN if n:m does not fit the columns
 */
export async function pruneSparseGpt(
  W: Matrix,
  pattern: SparseGptPattern,
  factor: GramFactor,
  options: SparseGptOptions,
): Promise<SparseGptResult> {
  const { gemm, kernels = loadKernels() } = options;
  const { rows, columns } = W;
  const U: Matrix = { rows: columns, columns, data: factor.U };
  if (factor.columns !== columns || factor.U.length !== columns * columns) {
    throw new InternalError('E_INTERNAL_GRAM', `W has ${columns} columns, its Gram matrix ${factor.columns}.`);
  }
  const panels = splitColumns(columns, panelWidth(pattern, columns));
  const counts = pattern.kind === 'panels' ? spreadCount(pattern.count, rows, panels) : undefined;
  const choose = pattern.kind === 'n:m' ? pattern : undefined;
  const weights: Matrix = { rows, columns, data: W.data.slice() };
  checkFinite(weights);
  for (const j of factor.dead) for (let row = 0; row < rows; row++) weights.data[row * columns + j] = 0;
  const E: Matrix = { rows, columns, data: new Float32Array(rows * columns) };
  const mask = new Uint8Array(rows * columns);

  for (let first = 0; first < panels.length; first += PANELS_PER_STRETCH) {
    const stretch = panels.slice(first, first + PANELS_PER_STRETCH);
    const end = stretch.at(-1)!.right;
    await repair({ left: 0, right: stretch[0]!.left }, { left: stretch[0]!.left, right: end });
    for (const [index, panel] of stretch.entries()) {
      const { left, right } = panel;
      const width = right - left;
      const gone = counts ? selectPanel(weights, panel, U, counts[first + index]!) : new Uint8Array(rows * width);
      kernels.sweepPanel({
        rows,
        columns,
        from: left,
        width,
        W: weights.data,
        E: E.data,
        U: U.data,
        mask: gone,
        choose,
      });
      for (let row = 0; row < rows; row++)
        mask.set(gone.subarray(row * width, (row + 1) * width), row * columns + left);
      await repair(panel, { left: right, right: end });
    }
  }
  checkFinite(weights);
  return { weights: weights.data, mask };

  /** Moves the weights of columns `to` by the errors of columns `from`. */
  async function repair(from: Panel, to: Panel): Promise<void> {
    if (from.left === from.right || to.left === to.right) return;
    const errors = copyBlock(E, { top: 0, bottom: rows, ...from });
    const moves = copyBlock(U, { top: from.left, bottom: from.right, ...to });
    subtractBlock(weights, { top: 0, bottom: rows, ...to }, await gemm.multiply(errors, moves));
  }
}

/** 128 columns, or the largest multiple of m below. */
function panelWidth(pattern: SparseGptPattern, columns: number): number {
  if (pattern.kind === 'panels') return PANEL_COLUMNS;
  const { n, m } = pattern;
  if (!(Number.isInteger(n) && Number.isInteger(m) && n >= 0 && n <= m && m >= 1 && m <= PANEL_COLUMNS)) {
    throw new OptionError('E_OPTION_PATTERN', `n:m: expected 0 ≤ n ≤ m ≤ ${PANEL_COLUMNS}, got ${n}:${m}.`, { n, m });
  }
  if (columns % m !== 0) {
    throw new OptionError('E_OPTION_PATTERN', `n:m: ${m} does not divide ${columns} columns.`, {
      m,
      columns,
    });
  }
  return PANEL_COLUMNS - (PANEL_COLUMNS % m);
}

/** The mask of a panel [rows, width]: the `count` smallest scores. */
function selectPanel(W: Matrix, panel: Panel, U: Matrix, count: number): Mask {
  const scores = scoreSparseGpt(W, diagonalOf(U, panel), panel);
  const mask = new Uint8Array(scores.length);
  markSmallest(new Uint32Array(scores.buffer), count, mask, 0, new Uint32Array(scores.length));
  return mask;
}

/** U_jj of a panel's columns, or of all. */
export const diagonalOf = (
  { columns, data }: Matrix,
  { left, right }: Panel = { left: 0, right: columns },
): Float32Array => Float32Array.from({ length: right - left }, (_, j) => data[(left + j) * (columns + 1)]!);

/**
 * w² / U_jj² of a panel of W, or of all of it, [rows, width], each step rounded to float32; `diagonal` is the panel's.
 * @throws NumericError E_NUMERIC_SCORE if a score is NaN or infinite
 */
export function scoreSparseGpt(
  { rows, columns, data }: Matrix,
  diagonal: Float32Array,
  { left, right }: Panel = { left: 0, right: columns },
): Float32Array {
  const width = right - left;
  const pivots = diagonal.map((pivot) => pivot ** 2);
  const scores = new Float32Array(rows * width);
  let check = 0; // becomes NaN with the first score that is NaN or infinite
  for (let row = 0, to = 0; row < rows; row++) {
    for (let j = 0, at = row * columns + left; j < width; j++, at++, to++) {
      const score = Math.fround(data[at]! * data[at]!) / pivots[j]!;
      scores[to] = score;
      check += score * 0;
    }
  }
  if (check !== 0) {
    const bad = scores.findIndex((score) => !Number.isFinite(score));
    throw brokenWeight(Math.floor(bad / width), left + (bad % width));
  }
  return scores;
}

function checkFinite({ columns, data }: Matrix): void {
  let check = 0;
  for (let i = 0; i < data.length; i++) check += data[i]! * 0;
  if (check === 0) return;
  const bad = data.findIndex((weight) => !Number.isFinite(weight));
  throw brokenWeight(Math.floor(bad / columns), bad % columns);
}

const brokenWeight = (row: number, column: number): NumericError =>
  new NumericError(
    'E_NUMERIC_SCORE',
    `Weight [${row}, ${column}] or its score is NaN or infinity, before or after the repair of other weights. Check the calibration text and the checkpoint.`,
    { row, column },
  );
