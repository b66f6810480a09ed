// Sparse linears in tiles of 8 rows x 16 columns (slots.ts has the inside of a tile). *Fixed* tiles all have the same
// number of slots per row, as N:16 sparsity leaves them; the only data part is `tiles`, row group after row group.
// *Sorted* tiles fit any mask: each tile has as many slots per row as its fullest row needs, empty tiles are left out,
// and the tiles of a row group are sorted by their number of slots, then by position, so that a kernel's inner loop is
// regular. Fixed int4 tiles may have masks in place of column numbers (masks.ts).
// Parts of sorted tiles: `starts` u32 [row groups + 1, 2], where a row group begins in `order` (in entries) and in
// `tiles` (in bytes / 4); `counts` u16 [row groups, 16], the number of tiles with 1, 2, … 16 slots; `order` u16, each
// tile's position along the columns; `tiles`.

import { ShapeError, UnsupportedError } from '../base/portable.js';
import {
  bytesOf,
  checkQuantised,
  checkShape,
  type EncodedLinear,
  type FixedTiles,
  type QuantisedMatrix,
  type SortedTiles,
  type TileValues,
  viewOf,
} from './linear.js';
import { MASKED_SLOTS, maskedTileBytes, readMasked, writeMasked } from './masks.js';
import { decodeScales, encodeScales, scaleBytes } from './scales.js';
import { rowGroups, type Shape, TILE_COLUMNS, TILE_ROWS, tilesPerRow } from './shape.js';
import { readTile, slotPlaces, tileBytes, writeSlot } from './slots.js';

/** The slots that each tile needs, [row groups, tiles]: the number of nonzero weights in its fullest row. */
export function countSlots({ rows, columns, q }: Shape & { readonly q: Int8Array | Float32Array }): Uint8Array {
  const tiles = tilesPerRow({ rows, columns });
  const slots = new Uint8Array(rowGroups({ rows, columns }) * tiles);
  for (let row = 0; row < rows; row++) {
    const base = Math.floor(row / TILE_ROWS) * tiles;
    for (let tile = 0; tile < tiles; tile++) {
      let count = 0;
      const end = Math.min((tile + 1) * TILE_COLUMNS, columns);
      for (let column = tile * TILE_COLUMNS; column < end; column++) if (q[row * columns + column] !== 0) count++;
      if (count > slots[base + tile]!) slots[base + tile] = count;
    }
  }
  return slots;
}

/** The description of fixed tiles, without their bytes. */
export function layoutFixedTiles({ rows, columns }: Shape, values: TileValues, slots: number): FixedTiles {
  checkShape({ rows, columns }, values);
  const count = rowGroups({ rows, columns }) * tilesPerRow({ rows, columns });
  return {
    layout: 'tiles',
    form: 'fixed',
    values,
    slots,
    rows,
    columns,
    parts: [
      { name: 'tiles', bytes: count * tileBytes(slots, values) },
      { name: 'scales', bytes: scaleBytes({ rows, columns }, values) },
    ],
  };
}

/** The description of fixed int4 tiles with masks, without their bytes. */
export function layoutMaskedTiles({ rows, columns }: Shape, slots: number): FixedTiles {
  checkShape({ rows, columns }, 'int4');
  const count = rowGroups({ rows, columns }) * tilesPerRow({ rows, columns });
  return {
    layout: 'tiles',
    form: 'fixed',
    values: 'int4',
    slots,
    index: 'mask',
    rows,
    columns,
    parts: [
      { name: 'tiles', bytes: count * maskedTileBytes(slots) },
      { name: 'scales', bytes: scaleBytes({ rows, columns }, 'int4') },
    ],
  };
}

/** The description of sorted tiles for the result of countSlots, without their bytes. */
export function layoutSortedTiles({ rows, columns }: Shape, values: TileValues, slots: Uint8Array): SortedTiles {
  checkShape({ rows, columns }, values);
  const groups = rowGroups({ rows, columns });
  let [used, bytes] = [0, 0];
  for (const n of slots) {
    if (n > 0) used++;
    bytes += tileBytes(n, values);
  }
  return {
    layout: 'tiles',
    form: 'sorted',
    values,
    rows,
    columns,
    parts: [
      { name: 'starts', bytes: (groups + 1) * 8 },
      { name: 'counts', bytes: groups * TILE_COLUMNS * 2 },
      { name: 'order', bytes: used * 2 },
      { name: 'tiles', bytes },
      { name: 'scales', bytes: scaleBytes({ rows, columns }, values) },
    ],
  };
}

/** Checks a matrix for tiles. @throws UnsupportedError E_UNSUPPORTED_TILES; as `checkQuantised` */
function tileValues(matrix: QuantisedMatrix): TileValues {
  checkQuantised(matrix);
  const { values } = matrix;
  if (values === 'int8' || values === 'int4') return values;
  const message = `Tiles of ${values}: expected int8 or int4, which tiles can hold; store this linear dense.`;
  throw new UnsupportedError('E_UNSUPPORTED_TILES', message, { values });
}

/**
 * Tiles with `slots` slots per row. Defaults to the need of the fullest tile, at least one.
 * @throws ShapeError E_SHAPE_SLOTS where a row has more weights in a tile than slots
 */
export function encodeFixedTiles(matrix: QuantisedMatrix, slots?: number): EncodedLinear<FixedTiles> {
  const values = tileValues(matrix);
  const needed = countSlots(matrix).reduce((most, n) => Math.max(most, n), 1);
  const n = slots ?? needed;
  if (n < needed || n > TILE_COLUMNS || !Number.isInteger(n)) {
    const message = `Fixed tiles of ${n} slots: expected a whole number from ${needed}, the need of the fullest row of a tile, to 16.`;
    throw new ShapeError('E_SHAPE_SLOTS', message, { slots: n, needed });
  }
  const layout = layoutFixedTiles(matrix, values, n);
  const bytes = new Uint8Array(layout.parts[0]!.bytes);
  const tiles = tilesPerRow(matrix);
  const size = tileBytes(n, values);
  for (let at = 0; at * size < bytes.length; at++) {
    writeTile(bytes.subarray(at * size, (at + 1) * size), matrix, values, Math.floor(at / tiles), at % tiles, n);
  }
  return { layout, parts: [bytes, encodeScales(matrix)] };
}

/**
 * Fixed int4 tiles with masks. Defaults to the fewest slots that fit.
 * @throws UnsupportedError E_UNSUPPORTED_TILES for other values; ShapeError E_SHAPE_SLOTS for other numbers of slots
 */
export function encodeMaskedTiles(matrix: QuantisedMatrix, slots?: number): EncodedLinear<FixedTiles> {
  const values = tileValues(matrix);
  if (values !== 'int4') {
    const message = `Tiles with masks of ${values}: expected int4; store this linear in tiles with column numbers.`;
    throw new UnsupportedError('E_UNSUPPORTED_TILES', message, { values });
  }
  const needed = countSlots(matrix).reduce((most, n) => Math.max(most, n), 1);
  const n = slots ?? MASKED_SLOTS.find((one) => one >= needed) ?? needed;
  if (n < needed || !MASKED_SLOTS.some((one) => one === n)) {
    const message = `Tiles with masks of ${n} slots: expected ${MASKED_SLOTS.join(' or ')}, and at least ${needed}, the need of the fullest row of a tile.`;
    throw new ShapeError('E_SHAPE_SLOTS', message, { slots: n, needed });
  }
  const layout = layoutMaskedTiles(matrix, n);
  const bytes = new Uint8Array(layout.parts[0]!.bytes);
  const tiles = tilesPerRow(matrix);
  const size = maskedTileBytes(n);
  for (let at = 0; at * size < bytes.length; at++) {
    writeMasked(bytes.subarray(at * size, (at + 1) * size), matrix, Math.floor(at / tiles), at % tiles, n);
  }
  return { layout, parts: [bytes, encodeScales(matrix)] };
}

/** Tiles with as many slots as each needs, sorted by that number within a row group. */
export function encodeSortedTiles(matrix: QuantisedMatrix): EncodedLinear<SortedTiles> {
  const values = tileValues(matrix);
  const slots = countSlots(matrix);
  const layout = layoutSortedTiles(matrix, values, slots);
  const [groups, tiles] = [rowGroups(matrix), tilesPerRow(matrix)];
  const starts = new Uint32Array(2 * (groups + 1));
  const counts = new Uint16Array(groups * TILE_COLUMNS);
  const order = new Uint16Array(layout.parts[2]!.bytes / 2);
  const bytes = new Uint8Array(layout.parts[3]!.bytes);
  let [entry, at] = [0, 0];
  for (let group = 0; group < groups; group++) {
    starts.set([entry, at / 4], 2 * group);
    for (let n = 1; n <= TILE_COLUMNS; n++) {
      for (let tile = 0; tile < tiles; tile++) {
        if (slots[group * tiles + tile] !== n) continue;
        counts[group * TILE_COLUMNS + n - 1]!++;
        order[entry++] = tile;
        writeTile(bytes.subarray(at, at + tileBytes(n, values)), matrix, values, group, tile, n);
        at += tileBytes(n, values);
      }
    }
  }
  starts.set([entry, at / 4], 2 * groups);
  return { layout, parts: [bytesOf(starts), bytesOf(counts), bytesOf(order), bytes, encodeScales(matrix)] };
}

function writeTile(
  to: Uint8Array,
  matrix: QuantisedMatrix,
  values: TileValues,
  group: number,
  tile: number,
  n: number,
): void {
  const { rows, columns, q } = matrix;
  const places = slotPlaces(n, values);
  const first = tile * TILE_COLUMNS;
  const end = Math.min(first + TILE_COLUMNS, columns);
  for (let row = group * TILE_ROWS; row < Math.min((group + 1) * TILE_ROWS, rows); row++) {
    let slot = (row % TILE_ROWS) * n;
    for (let column = first; column < end; column++) {
      const value = q[row * columns + column]!;
      if (value !== 0) writeSlot(to, places, slot++, column - first, value, values);
    }
  }
}

/** One tile as stored: its row group, its position along the columns, its slots per row, its bytes. */
export type StoredTile = {
  readonly group: number;
  readonly tile: number;
  readonly slots: number;
  readonly bytes: Uint8Array;
};

/** The tiles in storage order, which is also the order in which kernels read them. */
export function* storedTiles({ layout, parts }: EncodedLinear<FixedTiles | SortedTiles>): Generator<StoredTile> {
  const [groups, tiles] = [rowGroups(layout), tilesPerRow(layout)];
  if (layout.form === 'fixed') {
    const size = layout.index === 'mask' ? maskedTileBytes(layout.slots) : tileBytes(layout.slots, layout.values);
    for (let at = 0; at < groups * tiles; at++) {
      const bytes = parts[0]!.subarray(at * size, (at + 1) * size);
      yield { group: Math.floor(at / tiles), tile: at % tiles, slots: layout.slots, bytes };
    }
    return;
  }
  const starts = viewOf(parts[0]!, Uint32Array);
  const counts = viewOf(parts[1]!, Uint16Array);
  const order = viewOf(parts[2]!, Uint16Array);
  for (let group = 0; group < groups; group++) {
    let entry = starts[2 * group]!;
    let at = starts[2 * group + 1]! * 4;
    for (let slots = 1; slots <= TILE_COLUMNS; slots++) {
      const size = tileBytes(slots, layout.values);
      for (let left = counts[group * TILE_COLUMNS + slots - 1]!; left > 0; left--) {
        yield { group, tile: order[entry++]!, slots, bytes: parts[3]!.subarray(at, at + size) };
        at += size;
      }
    }
  }
}

/** The integers and scales of tiles. */
export function decodeTiles(encoded: EncodedLinear<FixedTiles | SortedTiles>): QuantisedMatrix {
  const { layout, parts } = encoded;
  const { rows, columns, values } = layout;
  const q = new Int8Array(rows * columns);
  for (const { group, tile, slots, bytes } of storedTiles(encoded)) {
    const visit = (r: number, c: number, value: number): void => {
      const [row, column] = [group * TILE_ROWS + r, tile * TILE_COLUMNS + c];
      if (row < rows && column < columns) q[row * columns + column]! += value;
    };
    if ('index' in layout) readMasked(bytes, slots, visit);
    else readTile(bytes, slots, values, visit);
  }
  return { rows, columns, values, q, scales: decodeScales(layout, values, parts.at(-1)!) };
}
