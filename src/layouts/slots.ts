// The position of slots in a tile. A tile is 8 rows x 16 columns with n slots per row. A slot is a value and its
// column, a number from 0 to 15; unused slots hold the value 0. The order lets a kernel multiply without sorting: one
// byte shuffle fetches sixteen activations, which are split into even and odd bytes, and one pairwise dot product
// (i32x4.dot_i16x8) adds each two neighbours. A pair must therefore be two slots of one row. Slots are stored
//   by four    sixteen bytes for rows 0–3 and sixteen for rows 4–7; byte 4·row + i holds slot 0, 2, 1, 3 of the four
//   then two   sixteen bytes: even bytes for rows 0–3, odd bytes for rows 4–7, each row's two slots in turn
//   then one   eight bytes, one for each row

import type { TileValues } from './linear.js';
import { TILE_COLUMNS, TILE_ROWS } from './shape.js';

/** For each slot, at index row·n + slot: the byte of its value, the byte of its column, and the shift of that nibble. */
export type SlotPlaces = { readonly value: Uint8Array; readonly column: Uint8Array; readonly shift: Uint8Array };

/** Bytes of a tile with n slots per row. */
export const tileBytes = (n: number, values: TileValues): number => (values === 'int8' ? 12 : 8) * n;

const known = new Map<string, SlotPlaces>();

/** The positions of the slots in a tile with n ≤ 16 slots per row. */
export function slotPlaces(n: number, values: TileValues): SlotPlaces {
  const key = `${values} ${n}`;
  const places = known.get(key) ?? computePlaces(n, values);
  known.set(key, places);
  return places;
}

function computePlaces(n: number, values: TileValues): SlotPlaces {
  const size = TILE_ROWS * n;
  const places = { value: new Uint8Array(size), column: new Uint8Array(size), shift: new Uint8Array(size) };
  for (let row = 0; row < TILE_ROWS; row++) {
    for (let slot = 0; slot < n; slot++) {
      const [value, column, shift] = values === 'int8' ? placeInt8(n, row, slot) : placeInt4(n, row, slot);
      places.value[row * n + slot] = value;
      places.column[row * n + slot] = column;
      places.shift[row * n + slot] = shift;
    }
  }
  return places;
}

type Place = readonly [value: number, column: number, shift: number];

/**
 * int8: for each group of slots, columns in nibbles, then values in bytes: 12n bytes per tile. By four: the low nibble of
 * column byte i belongs to rows 0–3, the high one to rows 4–7; the values of even bytes come first, then those of odd
 * bytes. Then two: the low nibble of byte i, of eight, belongs to rows 0–3. Then one: byte i, of four, has rows 2i and
 * 2i + 1.
 */
function placeInt8(n: number, row: number, slot: number): Place {
  const fours = n >> 2;
  const upper = row >> 2; // 1 for rows 4–7
  const shift = 4 * upper;
  const lane = 2 * (row & 3) + (slot & 1);
  if (slot < 4 * fours) {
    const base = 48 * (slot >> 2);
    const odd = (slot >> 1) & 1;
    return [base + 16 + 16 * upper + 8 * odd + lane, base + 2 * lane + odd, shift];
  }
  const base = 48 * fours;
  if (slot - 4 * fours < (n & 2)) return [base + 8 + 8 * upper + lane, base + lane, shift];
  const single = base + 12 * (n & 2);
  return [single + 4 + row, single + (row >> 1), 4 * (row & 1)];
}

/** int4: a byte holds the value (two's complement) in its high nibble and the column in its low one: 8n bytes per tile. */
function placeInt4(n: number, row: number, slot: number): Place {
  const fours = n >> 2;
  const upper = row >> 2;
  const lane = 2 * (row & 3) + (slot & 1);
  let at = 32 * fours + 8 * (n & 2) + row;
  if (slot < 4 * fours) at = 32 * (slot >> 2) + 16 * upper + 2 * lane + ((slot >> 1) & 1);
  else if (slot - 4 * fours < (n & 2)) at = 32 * fours + 2 * lane + upper;
  return [at, at, 0];
}

/** Visits every used slot of a tile. `column` counts from the tile's first column. */
export function readTile(
  tile: Uint8Array,
  n: number,
  values: TileValues,
  visit: (row: number, column: number, value: number) => void,
): void {
  const { value, column, shift } = slotPlaces(n, values);
  for (let i = 0; i < value.length; i++) {
    const byte = tile[value[i]!]!;
    const found = values === 'int8' ? (byte << 24) >> 24 : (byte << 24) >> 28;
    if (found !== 0) visit(Math.floor(i / n), (tile[column[i]!]! >> shift[i]!) & (TILE_COLUMNS - 1), found);
  }
}

/** Writes one slot of a tile; the tile must start as zeros. */
export function writeSlot(
  tile: Uint8Array,
  places: SlotPlaces,
  slot: number,
  column: number,
  value: number,
  values: TileValues,
): void {
  const at = places.value[slot]!;
  if (values === 'int8') tile[at] = value;
  else tile[at]! |= (value & 15) << 4;
  tile[places.column[slot]!]! |= column << places.shift[slot]!;
}
