// Panels: ranges of 128 columns in which the weights of all rows compete, as in SparseGPT's published code. A linear's count
// is spread over its panels in proportion to their columns, by largest remainder, so the sum is exact.

import { OptionError } from '../../base/index.js';
import { WIDEST_PANEL } from '../../solver-kernels/index.js';

/** Columns of a panel; the last panel may have fewer. */
export const PANEL_COLUMNS = WIDEST_PANEL;

/** Columns `left` to `right`, the latter exclusive. */
export type Panel = { readonly left: number; readonly right: number };

export const splitColumns = (columns: number, width: number): readonly Panel[] =>
  Array.from({ length: Math.ceil(columns / width) }, (_, index) => ({
    left: index * width,
    right: Math.min((index + 1) * width, columns),
  }));

/** Spreads `count` over the panels in proportion to their columns, by largest remainder. Ties go to the left. */
export function spreadCount(count: number, rows: number, panels: readonly Panel[]): readonly number[] {
  const columns = panels.at(-1)?.right ?? 0;
  if (!(Number.isInteger(count) && count >= 0 && count <= rows * columns)) {
    throw new OptionError(
      'E_OPTION_COUNT',
      `expected between 0 and ${rows * columns} weights to prune, got ${count}.`,
      {
        count,
      },
    );
  }
  // Integers below 2⁵³ throughout: count · width, and remainders in units of 1 / columns.
  const shares = panels.map(({ left, right }) => Math.floor((count * (right - left)) / columns));
  const remainders = panels.map(({ left, right }) => (count * (right - left)) % columns);
  const rest = count - shares.reduce((a, b) => a + b, 0);
  const order = panels.map((_, index) => index).sort((a, b) => remainders[b]! - remainders[a]! || a - b);
  for (const index of order.slice(0, rest)) shares[index]!++;
  return shares;
}
