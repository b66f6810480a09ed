// SparseGPT (arXiv 2301.00774, algorithm 1). Sweeps W [rows, columns] from left to right in panels of 128 columns. In each
// panel the mask is chosen over all rows, smallest w² / U_jj² first. A pruned weight leaves an error e = w / U_jj, and all
// weights to its right in the row move by −e·U_j·, which best repairs the row's output. A kernel does this inside a panel.
// Further right it is a product of errors and U on the engine: at once within a stretch of four panels; later columns are
// updated in bulk when the sweep reaches the next stretch.
// We differ: exactly k weights of a panel are pruned, ties row-major from the first row (the published code takes sorted[k]
// and `<=`: one too many, and all ties). A linear's count is spread over its panels by largest remainder, so it is exact.
// The same sweep rounds the weights that stay (`round`; quantise/gptq.ts): then each leaves the error (w − ŵ) / U_jj too. The
// scale of a group of columns is found when the sweep reaches the group, from the weights as updated until then.

import { InternalError, NumericError, OptionError } from '../../base/index.js';
import { copyBlock, type Gemm, subtractBlock } from '../../linalg/index.js';
import { type Kernels, loadKernels } from '../../solver-kernels/index.js';
import type { Mask, Matrix } from '../operator.js';
import type { GramFactor } from './gram-factor.js';
import { selectMask } from './mask.js';
import { PANEL_COLUMNS, type Panel, splitColumns, spreadCount } from './panels.js';
import { markSmallest } from './select.js';

/** Panels that are updated as soon as an error is known. Later panels are updated when the sweep reaches them. */
const PANELS_PER_STRETCH = 4;

/**
 * The pruned weights: `count` in all, which compete within panels of columns; n of every m consecutive columns, chosen when
 * the sweep reaches them, as published; or those of a mask.
 */
export type SparseGptPattern =
  | { readonly kind: 'panels'; readonly count: number }
  | { readonly kind: 'n:m'; readonly n: number; readonly m: number }
  | { readonly kind: 'given'; readonly mask: Mask };

/** How the weights that stay are rounded: to scale·q, q whole in [low, high]. */
export type Rounding = {
  /** Columns that share a scale: a divisor of 128, or all columns. */
  readonly group: number;
  readonly low: number;
  readonly high: number;
  /**
   * The scale of each row of W for the columns of `panel`. `mask` [rows, width] is 1 for weights that will go, `diagonal` is
   * U_jj of each column.
   */
  scalesOf(W: Matrix, panel: Panel, mask: Mask, diagonal: Float32Array): Float32Array;
};

export type SparseGptResult = {
  /** W with the mask's weights +0 and the others updated, and rounded if asked. */
  readonly weights: Float32Array;
  readonly mask: Mask;
  /** [rows, ⌈columns / group⌉]; empty without rounding. */
  readonly scales: Float32Array;
};

export type SparseGptOptions = {
  readonly gemm: Gemm;
  /** Defaults to no rounding. */
  readonly round?: Rounding;
  /** Defaults to the compiled kernels. */
  readonly kernels?: Kernels;
};

/**
 * Prunes W with the factor of its input's Gram matrix, and rounds what stays if asked. Does not change W itself. Weights of
 * dead columns are 0 in the result, whether the mask contains them or not.
 * @throws NumericError E_NUMERIC_SCORE if a weight is or becomes NaN or infinite; what `scalesOf` throws
 * @throws OptionError E_OPTION_PATTERN if n:m does not fit the columns, or the groups of the scales
 */
export async function pruneSparseGpt(
  W: Matrix,
  pattern: SparseGptPattern,
  factor: GramFactor,
  options: SparseGptOptions,
): Promise<SparseGptResult> {
  const { gemm, round, kernels = loadKernels() } = options;
  const { rows, columns } = W;
  const U: Matrix = { rows: columns, columns, data: factor.U };
  if (factor.columns !== columns || factor.U.length !== columns * columns) {
    throw new InternalError('E_INTERNAL_GRAM', `W has ${columns} columns, its Gram matrix ${factor.columns}.`);
  }
  const group = round && round.group < columns ? round.group : undefined;
  if (group !== undefined) requireFittingGroup(group, pattern);
  const panels = splitColumns(columns, panelWidth(pattern, columns));
  const counts = pattern.kind === 'panels' ? spreadCount(pattern.count, rows, panels) : undefined;
  const choose = pattern.kind === 'n:m' ? pattern : undefined;
  const weights: Matrix = { rows, columns, data: W.data.slice() };
  checkFinite(weights);
  for (const j of factor.dead) for (let row = 0; row < rows; row++) weights.data[row * columns + j] = 0;
  const E: Matrix = { rows, columns, data: new Float32Array(rows * columns) };
  const mask = pattern.kind === 'given' ? pattern.mask.slice() : new Uint8Array(rows * columns);
  const whole = { left: 0, right: columns };
  const groups = round ? Math.ceil(columns / (group ?? columns)) : 0;
  const scales = new Float32Array(rows * groups);
  // A scale for the whole row is found before the sweep.
  const rowScales = round && group === undefined ? round.scalesOf(weights, whole, mask, diagonalOf(U)) : undefined;
  if (rowScales) scales.set(rowScales);

  for (let first = 0; first < panels.length; first += PANELS_PER_STRETCH) {
    const stretch = panels.slice(first, first + PANELS_PER_STRETCH);
    const end = stretch.at(-1)!.right;
    await repair({ left: 0, right: stretch[0]!.left }, { left: stretch[0]!.left, right: end });
    for (const [index, panel] of stretch.entries()) {
      if (counts) pasteMask(mask, columns, panel, selectPanel(weights, panel, U, counts[first + index]!));
      for (const part of group === undefined ? [panel] : splitPanel(panel, group)) {
        sweepPart(part);
        await repair(part, { left: part.right, right: panel.right });
      }
      await repair(panel, { left: panel.right, right: end });
    }
  }
  checkFinite(weights);
  return { weights: weights.data, mask, scales };

  /** Sweeps columns that have one scale in each row. */
  function sweepPart(part: Panel): void {
    const { left, right } = part;
    const gone = cutMask(mask, columns, part);
    const own =
      round && (rowScales ?? round.scalesOf(weights, part, choose ? foresee(part, choose) : gone, diagonalOf(U, part)));
    if (own && group !== undefined)
      for (let row = 0; row < rows; row++) scales[row * groups + left / group] = own[row]!;
    const rounding = round && own ? { scales: own, low: round.low, high: round.high } : undefined;
    const shape = { rows, columns, from: left, width: right - left };
    kernels.sweepPanel({ ...shape, W: weights.data, E: E.data, U: U.data, mask: gone, choose, round: rounding });
    if (choose) pasteMask(mask, columns, part, gone);
  }

  /** About the weights that n:m will prune, before the sweep moves them: the scales are of the others. */
  function foresee(part: Panel, { n, m }: { readonly n: number; readonly m: number }): Mask {
    const width = part.right - part.left;
    const scores = { rows, columns: width, data: scoreSparseGpt(weights, diagonalOf(U, part), part) };
    return selectMask(scores, (rows * width * n) / m, { kind: 'n:m', kept: m - n, of: m });
  }

  /** Moves the weights of columns `to` by the errors of columns `from`. */
  async function repair(from: Panel, to: Panel): Promise<void> {
    if (from.left === from.right || to.left === to.right) return;
    const errors = copyBlock(E, { top: 0, bottom: rows, ...from });
    const moves = copyBlock(U, { top: from.left, bottom: from.right, ...to });
    subtractBlock(weights, { top: 0, bottom: rows, ...to }, await gemm.multiply(errors, moves));
  }
}

/** A panel in groups of columns. Panels begin at multiples of the group. */
const splitPanel = ({ left, right }: Panel, group: number): readonly Panel[] =>
  splitColumns(right - left, group).map((part) => ({ left: left + part.left, right: left + part.right }));

/** The mask of a panel [rows, width]. */
function cutMask(mask: Mask, columns: number, { left, right }: Panel): Mask {
  const width = right - left;
  const part = new Uint8Array((mask.length / columns) * width);
  for (let to = 0, from = left; to < part.length; to += width, from += columns) {
    part.set(mask.subarray(from, from + width), to);
  }
  return part;
}

function pasteMask(mask: Mask, columns: number, { left, right }: Panel, part: Mask): void {
  const width = right - left;
  for (let from = 0, to = left; from < part.length; from += width, to += columns) {
    mask.set(part.subarray(from, from + width), to);
  }
}

/** @throws OptionError E_OPTION_PATTERN unless panels begin at multiples of the group, and n:m does not cross its end */
function requireFittingGroup(group: number, pattern: SparseGptPattern): void {
  if (PANEL_COLUMNS % group !== 0) {
    throw new InternalError('E_INTERNAL_GROUP', `${group} does not divide ${PANEL_COLUMNS} columns.`, { group });
  }
  if (pattern.kind !== 'n:m' || group % pattern.m === 0) return;
  throw new OptionError(
    'E_OPTION_PATTERN',
    `n:m: ${pattern.m} does not divide ${group}, the columns that share a scale. Use an M of 2, 4, 8, 16 or 32.`,
    { m: pattern.m, group },
  );
}

/** 128 columns, or the largest multiple of m below. */
function panelWidth(pattern: SparseGptPattern, columns: number): number {
  if (pattern.kind !== 'n:m') return PANEL_COLUMNS;
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
