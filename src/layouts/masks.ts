// Fixed int4 tiles with masks in place of column numbers: for six or eight slots of sixteen, a tile takes 16 bytes of masks
// and three or four bytes of values for each of its eight rows, 2.5 or 3 bits a weight where numbers take 3 or 4. First
// the masks, u16 each, in which bit c says that column c has a slot; exactly as many bits are set as there are slots, so
// rows with fewer weights have slots of the value 0. Then the values, row after row: slot 2i in the low nibble of byte i
// and slot 2i + 1 in the high one, in two's complement, in the order of the columns.

import type { QuantisedMatrix } from './linear.js';
import { TILE_COLUMNS, TILE_ROWS } from './shape.js';

/** The numbers of slots that masks are for. Others gain nothing: four take as much, ten and more are better dense. */
export const MASKED_SLOTS = [6, 8] as const;
const MASK_BYTES = 2 * TILE_ROWS;

/** Bytes of a tile with masks. */
export const maskedTileBytes = (slots: number): number => MASK_BYTES + (TILE_ROWS * slots) / 2;

function countBits(mask: number): number {
  let bits = 0;
  for (let rest = mask; rest > 0; rest &= rest - 1) bits++;
  return bits;
}

/**
 * For each byte of a mask its columns in ascending order, a nibble each, as kernels read them: for the first byte from
 * the lowest nibble on; for the second, whose columns are 8 to 15, after those that the first must have for so many
 * `slots`. So a mask's columns are the two put together.
 */
export function columnsOfBytes(slots?: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let at = slots === undefined ? 0 : slots - countBits(byte);
    let columns = 0;
    for (let bit = 0; bit < 8; bit++) {
      if (((byte >> bit) & 1) === 0) continue;
      if (at >= 0 && at < 8) columns |= (bit + (slots === undefined ? 0 : 8)) << (4 * at);
      at++;
    }
    return columns >>> 0;
  });
}

/** Writes one tile, which must start as zeros. */
export function writeMasked(
  to: Uint8Array,
  { rows, columns, q }: QuantisedMatrix,
  group: number,
  tile: number,
  slots: number,
): void {
  const first = tile * TILE_COLUMNS;
  for (let r = 0; r < TILE_ROWS; r++) {
    const row = group * TILE_ROWS + r;
    const values = Array.from({ length: TILE_COLUMNS }, (_, c) =>
      row < rows && first + c < columns ? q[row * columns + first + c]! : 0,
    );
    let missing = slots - values.filter((value) => value !== 0).length;
    let slot = 0;
    for (const [c, value] of values.entries()) {
      if (value === 0 && missing-- <= 0) continue;
      to[2 * r + (c >> 3)]! |= 1 << (c & 7);
      to[MASK_BYTES + (r * slots) / 2 + (slot >> 1)]! |= (value & 15) << (4 * (slot & 1));
      slot++;
    }
  }
}

/** Visits every weight of a tile that is not zero. */
export function readMasked(
  tile: Uint8Array,
  slots: number,
  visit: (row: number, column: number, value: number) => void,
): void {
  for (let r = 0; r < TILE_ROWS; r++) {
    const mask = tile[2 * r]! | (tile[2 * r + 1]! << 8);
    let slot = 0;
    for (let c = 0; c < TILE_COLUMNS; c++) {
      if (((mask >> c) & 1) === 0) continue;
      const byte = tile[MASK_BYTES + (r * slots) / 2 + (slot >> 1)]!;
      const value = (byte << (slot & 1 ? 24 : 28)) >> 28;
      if (value !== 0) visit(r, c, value);
      slot++;
    }
  }
}

/** Whether every mask of the tiles has as many bits as there are slots. */
export function areMasks(tiles: Uint8Array, slots: number): boolean {
  const size = maskedTileBytes(slots);
  for (let at = 0; at < tiles.length; at += size) {
    for (let r = 0; r < MASK_BYTES; r += 2) {
      if (countBits(tiles[at + r]! | (tiles[at + r + 1]! << 8)) !== slots) return false;
    }
  }
  return true;
}
