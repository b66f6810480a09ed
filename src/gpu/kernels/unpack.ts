// A linear's weights as dense int8 in workgroup memory, for many tokens (prompt.ts): from each layout of integers the same 128
// columns of some row groups, four columns a word, in the order of the activations that the layout's other kernels read (`turned`
// for dense int4). All of it is zero where a tensor has no rows or columns. `c` is the group of 128 columns, `rg` the first
// row group, `groups` how many the tensor has. Sorted tiles have no kernel for prompts: their tiles are in no order of columns.

import { type FixedTiles, type LinearLayout, scaleGroups, tilesPerRow } from '../../layouts/portable.js';
import { fieldsOf, maskedTile, plainTile, tileWords } from './units.js';

/** Words of a row's 128 columns; one more from row to row keeps rows out of each other's banks. */
export const CHUNK_WORDS = 32;
export const CHUNK_STRIDE = CHUNK_WORDS + 1;

export type Unpacking = {
  /** Whether each 128 columns have a scale; otherwise a row has one. */
  readonly grouped: boolean;
  /** Sums are this many bits too far left. */
  readonly shift: number;
  readonly text: string;
};

/** A workgroup: its threads and row groups. */
type Group = { readonly threads: number; readonly groups: number };

/** Undefined where prompts are read as everything else is. */
export function unpackOf(layout: LinearLayout, group: Group): Unpacking | undefined {
  const grouped = layout.values !== 'int8';
  if (layout.layout === 'tiles') {
    if (layout.form === 'sorted') return undefined;
    const masked = layout.index === 'mask';
    return { grouped, shift: grouped && !masked ? 4 : 0, text: tiles(layout, group) };
  }
  if (layout.layout !== 'dense' || layout.values === 'f32') return undefined;
  const shift = layout.values === 'int4' ? 4 : 0;
  return { grouped, shift, text: { int8, int4, int3: few, int2: few }[layout.values](layout, group) };
}

/** Runs `body` for each unit of the chunk: `row` of group `g`, and `b` of `perRow` units of it; r is its row of the workgroup. */
const forUnits = ({ threads, groups }: Group, perRow: number, body: string): string => `
    for (var i = lid; i < ${8 * groups * perRow}u; i += ${threads}u) {
      let row = i & 7u;
      let b = (i >> 3u) % ${perRow}u;
      let r = (i / ${8 * perRow}u) * 8u + row;
      let g = rg + (r >> 3u);
      ${body}
    }`;

/** Blocks of 16 columns: four words. */
function int8(layout: LinearLayout, group: Group): string {
  const blocks = tilesPerRow(layout);
  return forUnits(
    group,
    8,
    `let at = w0 + ((g * ${blocks}u + 8u * c + b) * 8u + row) * 4u;
      let here = g < groups && 8u * c + b < ${blocks}u;
      for (var j = 0u; j < 4u; j++) {
        var v = 0u;
        if (here) { v = W[at + j]; }
        rows8[r * ${CHUNK_STRIDE}u + 4u * b + j] = v;
      }`,
  );
}

/** Blocks of 32 columns: four words, each the low and the high nibbles of two words of turned activations. */
function int4(layout: LinearLayout, group: Group): string {
  const blocks = Math.ceil(layout.columns / 32);
  return forUnits(
    group,
    4,
    `let at = w0 + ((g * ${blocks}u + 4u * c + b) * 8u + row) * 4u;
      let here = g < groups && 4u * c + b < ${blocks}u;
      for (var j = 0u; j < 4u; j++) {
        var v = 0u;
        if (here) { v = W[at + j]; }
        let to = r * ${CHUNK_STRIDE}u + 8u * b + 2u * j;
        rows8[to] = (v << 4u) & 0xf0f0f0f0u;
        rows8[to + 1u] = v & 0xf0f0f0f0u;
      }`,
  );
}

/** Blocks of 32 columns, whose fields are q + 2 or q + 4. */
function few(layout: LinearLayout, group: Group): string {
  const { vectors, offset, field } = fieldsOf(layout.values === 'int3' ? 'int3' : 'int2');
  const blocks = 4 * scaleGroups(layout);
  const bytes = `0x0${offset}0${offset}0${offset}0${offset}u`;
  const puts = Array.from(
    { length: 8 },
    (_, s) => `rows8[to + ${s}u] = (((${field(s)}) | 0x80808080u) - ${bytes}) ^ 0x80808080u;`,
  );
  return forUnits(
    group,
    4,
    `let to = r * ${CHUNK_STRIDE}u + 8u * b;
      if (g < groups) {
        let at = w0 + (g * ${blocks}u + 4u * c + b) * ${8 * vectors}u + row;
        ${Array.from({ length: vectors }, (_, v) => `let v${v} = W[at + ${8 * v}u];`).join(' ')}
        ${puts.join('\n        ')}
      } else { for (var j = 0u; j < 8u; j++) { rows8[to + j] = 0u; } }`,
  );
}

/** Tiles of 16 columns with as many slots each: bytes go where their columns are. */
function tiles(layout: FixedTiles, group: Group): string {
  const { slots, values } = layout;
  const count = tilesPerRow(layout);
  const masked = layout.index === 'mask';
  const put = (column: string, byte: string): string =>
    `{ let k16 = ${column}; rows8[to + (k16 >> 2u)] |= (${byte}) << (8u * (k16 & 3u)); }`;
  const inside = masked
    ? maskedTile(slots, put('k', 'bitcast<u32>(v) & 0xffu'))
    : plainTile(values, `${slots}u`, (v, columns) =>
        columns.map(({ column, byte }) => put(column, `(${v} >> ${8 * byte}u) & 0xffu`)).join(' '),
      );
  return forUnits(
    group,
    8,
    `let to = r * ${CHUNK_STRIDE}u + 4u * b;
      for (var j = 0u; j < 4u; j++) { rows8[to + j] = 0u; }
      let tile = 8u * c + b;
      if (g < groups && tile < ${count}u) {
        var at = w0 + (g * ${count}u + tile) * ${tileWords(layout)}u;
        ${inside}
      }`,
  );
}
