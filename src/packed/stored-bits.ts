// Bits that a quantised linear takes where it is stored smallest: integers, scales, and masks in place of zeros. As records
// count them, without the padding of layouts.

import { MASKED_SLOTS } from '../layouts/index.js';

/** Columns of a tile, of which a mask says which are stored. */
const TILE_COLUMNS = 16;

/** `kept`: the most weights that are not zero among sixteen columns of a row. */
export function storedBits(
  { rows, columns }: { readonly rows: number; readonly columns: number },
  { bits, group }: { readonly bits: number; readonly group: number },
  kept: number = TILE_COLUMNS,
): number {
  const slots = bits === 4 ? MASKED_SLOTS.find((n) => n >= kept) : undefined;
  const dense = bits * columns;
  const masked = slots === undefined ? dense : Math.ceil(columns / TILE_COLUMNS) * (TILE_COLUMNS + 4 * slots);
  return rows * (Math.min(dense, masked) + (bits === 8 ? 32 : 16 * Math.ceil(columns / group)));
}

/** The most weights that are not zero among sixteen columns of a row. */
export function fullestTile(q: Int8Array, columns: number): number {
  let fullest = 0;
  for (let row = 0; row < q.length; row += columns) {
    for (let from = 0; from < columns; from += TILE_COLUMNS) {
      let count = 0;
      const end = Math.min(from + TILE_COLUMNS, columns);
      for (let column = from; column < end; column++) if (q[row + column] !== 0) count++;
      fullest = Math.max(fullest, count);
    }
  }
  return fullest;
}
