// Checks that a linear's description and its parts agree. Kernels do not check what they read: after this check none of
// them reads outside a part, whatever the file contains. Column numbers inside a tile have four bits and need no check.

import { CheckpointError } from '../base/portable.js';
import { toFloat32 } from '../tensor/index.js';
import { layoutDense } from './dense.js';
import { type EncodedLinear, type LinearLayout, type Part, RANGES, type SortedTiles, viewOf } from './linear.js';
import { areMasks, MASKED_SLOTS } from './masks.js';
import { layoutRows } from './rows.js';
import { isScale } from './scales.js';
import { rowGroups, TILE_COLUMNS, tilesPerRow } from './shape.js';
import { tileBytes } from './slots.js';
import { layoutFixedTiles, layoutMaskedTiles, layoutSortedTiles } from './tiles.js';

/** A part whose size the file states must hold whole elements. */
const isWhole = ({ name, bytes }: Part): boolean => bytes % (name === 'order' || name === 'columns' ? 2 : 4) === 0;

const wrong = (what: string, layout: LinearLayout): CheckpointError =>
  new CheckpointError(
    'E_CHECKPOINT_LINEAR',
    `A linear of ${layout.rows} x ${layout.columns} (${layout.layout} ${layout.values}): ${what}. The file is damaged; pack the model again.`,
    { rows: layout.rows, columns: layout.columns, layout: layout.layout, values: layout.values },
  );

/**
 * Checks a description from a file before its bytes are read: a known layout, with parts of the expected names and
 * sizes.
 * @throws CheckpointError E_CHECKPOINT_LINEAR; ShapeError, UnsupportedError for sizes that no linear can have
 */
export function checkLayout(layout: LinearLayout): void {
  const sizeOf = (name: string): number => layout.parts.find((part) => part.name === name)?.bytes ?? 0;
  const slots = layout.layout === 'tiles' && layout.form === 'fixed' ? layout.slots : 1;
  if (!Number.isInteger(slots) || slots < 1 || slots > TILE_COLUMNS)
    throw wrong(`expected 1 to 16 slots, got ${slots}`, layout);
  let expected: readonly Part[];
  if (layout.layout === 'dense' && (layout.values === 'f32' || Object.hasOwn(RANGES, layout.values))) {
    expected = layoutDense(layout, layout.values).parts;
  } else if (layout.layout === 'rows' && layout.values === 'f32') {
    expected = layoutRows(layout, sizeOf('columns') / 2).parts;
  } else if (layout.layout === 'tiles' && layout.form === 'fixed' && layout.index !== undefined) {
    if (layout.values !== 'int4' || layout.index !== 'mask' || !MASKED_SLOTS.some((n) => n === slots)) {
      throw wrong(`expected masks of ${MASKED_SLOTS.join(' or ')} slots in int4, got ${slots}`, layout);
    }
    expected = layoutMaskedTiles(layout, slots).parts;
  } else if (layout.layout === 'tiles' && ['int8', 'int4'].includes(layout.values) && layout.form === 'fixed') {
    expected = layoutFixedTiles(layout, layout.values, slots).parts;
  } else if (layout.layout === 'tiles' && ['int8', 'int4'].includes(layout.values) && layout.form === 'sorted') {
    const own = { order: sizeOf('order'), tiles: sizeOf('tiles') } as Readonly<Record<string, number>>;
    const { parts } = layoutSortedTiles(layout, layout.values, new Uint8Array(0));
    expected = parts.map(({ name, bytes }) => ({ name, bytes: own[name] ?? bytes }));
  } else {
    throw wrong('this version does not know this layout', layout);
  }
  const text = (parts: readonly Part[]): string => parts.map(({ name, bytes }) => `${name} of ${bytes}`).join(', ');
  const whole = layout.parts.every(({ bytes }) => Number.isSafeInteger(bytes)) && expected.every(isWhole);
  if (whole && text(layout.parts) === text(expected)) return;
  throw wrong(`expected parts ${text(expected)} bytes, got ${text(layout.parts) || 'none'}`, layout);
}

/**
 * Checks a whole linear from a file.
 * @throws CheckpointError E_CHECKPOINT_LINEAR; ShapeError, UnsupportedError for sizes that no linear can have
 */
export function checkLinear({ layout, parts }: EncodedLinear): void {
  checkLayout(layout);
  const sizes = parts.map(({ byteLength }) => byteLength);
  const same = sizes.length === layout.parts.length && layout.parts.every(({ bytes }, i) => bytes === sizes[i]);
  if (!same) throw wrong(`expected parts of ${layout.parts.map(({ bytes }) => bytes)} bytes, got ${sizes}`, layout);
  if (layout.values !== 'f32') {
    const part = parts.at(-1)!;
    const scales = layout.values === 'int8' ? viewOf(part, Float32Array) : toFloat32(part, 'F16');
    const { values } = layout;
    if (!scales.every((scale) => isScale(scale, values))) {
      throw wrong(`a scale is ${values === 'int8' ? 'negative or ' : ''}not a number`, layout);
    }
  }
  if (layout.layout === 'rows') checkRows(parts, layout);
  if (layout.layout !== 'tiles') return;
  if (layout.form === 'sorted') checkSorted(parts, layout);
  else if (layout.index === 'mask' && !areMasks(parts[0]!, layout.slots)) {
    throw wrong('a mask has another number of bits than slots', layout);
  }
}

function checkRows(parts: readonly Uint8Array<ArrayBuffer>[], layout: LinearLayout): void {
  const offsets = viewOf(parts[0]!, Uint32Array);
  const columns = viewOf(parts[1]!, Uint16Array);
  if (offsets[0] !== 0 || offsets[layout.rows] !== columns.length) {
    throw wrong('the offsets do not span the weights', layout);
  }
  for (let row = 0; row < layout.rows; row++) {
    const end = offsets[row + 1]!;
    if (end < offsets[row]! || end > columns.length)
      throw wrong(`the offsets descend or go too far at row ${row}`, layout);
    for (let i = offsets[row]!; i < end; i++) {
      const column = columns[i]!;
      const rises = i === offsets[row] || column > columns[i - 1]!;
      if (column >= layout.columns || !rises) throw wrong(`column ${column} is out of order in row ${row}`, layout);
    }
  }
}

function checkSorted(parts: readonly Uint8Array<ArrayBuffer>[], layout: SortedTiles): void {
  const starts = viewOf(parts[0]!, Uint32Array);
  const counts = viewOf(parts[1]!, Uint16Array);
  const order = viewOf(parts[2]!, Uint16Array);
  const tiles = tilesPerRow(layout);
  const seen = new Int32Array(tiles).fill(-1);
  let [entry, at] = [0, 0];
  const groups = rowGroups(layout);
  for (let group = 0; group < groups; group++) {
    if (starts[2 * group] !== entry || starts[2 * group + 1] !== at / 4) {
      throw wrong(`row group ${group} does not begin where the previous one ends`, layout);
    }
    for (let n = 1; n <= TILE_COLUMNS; n++) {
      const count = counts[group * TILE_COLUMNS + n - 1]!;
      if (entry + count > order.length) throw wrong(`row group ${group} has more tiles than are listed`, layout);
      for (let i = 0; i < count; i++) {
        const tile = order[entry++]!;
        if (tile >= tiles || seen[tile] === group)
          throw wrong(`row group ${group} has tile ${tile} twice or out of range`, layout);
        seen[tile] = group;
      }
      at += count * tileBytes(n, layout.values);
    }
  }
  const whole = starts[2 * groups] === entry && starts[2 * groups + 1] === at / 4;
  if (!whole || entry !== order.length || at !== parts[3]!.byteLength) {
    throw wrong(`starts, order and tiles disagree with the counts, which give ${entry} tiles of ${at} bytes`, layout);
  }
}
