// The inner loops of linears of integers, one for each layout: what a thread does with one unit of its row for several
// tokens. A unit is as many columns as are added in integers before a scale: a block or tile of int8, a group of 128
// columns of int4, int3 and int2, a tile of sorted int4. Bytes are those of the file (layouts/). `row` is the row in its
// group of eight, `rg` the group, `u` the unit; the tensor is at w0 to w3 and ws; sums go to s0, s1, … of the tokens.

import {
  type FixedTiles,
  type LinearLayout,
  type SortedTiles,
  scaleGroups,
  tilesPerRow,
} from '../../layouts/portable.js';
import type { Copies } from './rows.js';
import { each } from './shader.js';

export type Unit = {
  readonly weights: 'u32' | 'vec4<u32>';
  /** Units of a row group, as WGSL; an expression that is equal for all threads. */
  readonly count: string;
  /** The group of scales of unit u; undefined where a row has one scale. */
  readonly group: string | undefined;
  /** Sums are this many bits too far left. */
  readonly shift: number;
  readonly functions: string;
  readonly body: string;
};

/** The copies of quantised activations that a layout's unit reads; undefined where it reads floats. */
export function readsOf({ layout, values }: LinearLayout): keyof Copies | undefined {
  if (layout === 'tiles') return 'wide';
  if (layout !== 'dense' || values === 'f32') return undefined;
  return values === 'int4' ? 'turned' : 'packed';
}

/** The unit of a layout; undefined where it has floats. */
export function unitOf(layout: LinearLayout, tokens: number): Unit | undefined {
  if (layout.layout === 'tiles') return tileUnit(layout, tokens);
  if (layout.layout !== 'dense') return undefined;
  switch (layout.values) {
    case 'int8':
      return denseInt8(layout, tokens);
    case 'int4':
      return denseInt4(layout, tokens);
    case 'int3':
    case 'int2':
      return denseFew(layout, layout.values, tokens);
    default:
      return undefined;
  }
}

function denseInt8(layout: LinearLayout, tokens: number): Unit {
  const blocks = tilesPerRow(layout);
  const x = (t: number, i: number): string => `A[p.packed + r${t} * p.packedStride + 4u * u + ${i}u]`;
  const dots = (t: number): string => [0, 1, 2, 3].map((i) => `dot4I8Packed(w[${i}], ${x(t, i)})`).join(' + ');
  return {
    weights: 'vec4<u32>',
    count: `${blocks}u`,
    group: undefined,
    shift: 0,
    functions: '',
    body: `let w = W[(w0 >> 2u) + (rg * ${blocks}u + u) * 8u + row];
      ${each(tokens, (t) => `s${t} += ${dots(t)};`)}`,
  };
}

/** Nibbles stay where they are and the activations are turned into their order, so nothing is shifted for its sign. */
function denseInt4(layout: LinearLayout, tokens: number): Unit {
  const blocks = Math.ceil(layout.columns / 32);
  const x = (t: number, i: number): string => `A[p.turned + r${t} * p.packedStride + b * 8u + ${i}u]`;
  const dots = (t: number): string =>
    [0, 1, 2, 3]
      .map((i) => `dot4I8Packed(low[${i}], ${x(t, 2 * i)}) + dot4I8Packed(high[${i}], ${x(t, 2 * i + 1)})`)
      .join(' + ');
  return {
    weights: 'vec4<u32>',
    count: `${scaleGroups(layout)}u`,
    group: 'u',
    shift: 4,
    functions: '',
    body: `for (var b = 4u * u; b < min(4u * u + 4u, ${blocks}u); b++) {
      let w = W[(w0 >> 2u) + (rg * ${blocks}u + b) * 8u + row];
      let low = (w << vec4u(4u)) & vec4u(0xf0f0f0f0u);
      let high = w & vec4u(0xf0f0f0f0u);
      ${each(tokens, (t) => `s${t} += ${dots(t)};`)}
    }`,
  };
}

/** Blocks of int3 and int2: words of a row, what is added to its integers, and four columns' fields by their step. */
export function fieldsOf(values: 'int3' | 'int2') {
  const [vectors, offset] = values === 'int3' ? [3, 4] : [2, 2];
  const field = (s: number): string => {
    if (values === 'int2') return `(v${s >> 2} >> ${2 * (s & 3)}u) & 0x03030303u`;
    if (s < 6) return `(v${s >> 1} >> ${3 * (s & 1)}u) & 0x07070707u`;
    return `((v${s - 6} >> 6u) & 0x03030303u) | (((v2 >> ${s}u) & 0x01010101u) << 2u)`;
  };
  return { vectors, offset, field } as const;
}

/** Fields are q + 2 or q + 4; so much times the activations' sum is too much. */
function denseFew(layout: LinearLayout, values: 'int3' | 'int2', tokens: number): Unit {
  const { vectors, offset, field } = fieldsOf(values);
  const blocks = 4 * scaleGroups(layout);
  const ones = `0x0${offset}0${offset}0${offset}0${offset}u`;
  const step = (s: number): string => `{ let f = ${field(s)};
      ${each(tokens, (t) => `{ let x = A[p.packed + r${t} * p.packedStride + b * 8u + ${s}u]; s${t} += dot4I8Packed(f, x) - dot4I8Packed(${ones}, x); }`)} }`;
  return {
    weights: 'u32',
    count: `${scaleGroups(layout)}u`,
    group: 'u',
    shift: 0,
    functions: '',
    body: `for (var b = 4u * u; b < 4u * u + 4u; b++) {
      let at = w0 + (rg * ${blocks}u + b) * ${8 * vectors}u + row;
      ${Array.from({ length: vectors }, (_, v) => `let v${v} = W[at + ${8 * v}u];`).join(' ')}
      ${[0, 1, 2, 3, 4, 5, 6, 7].map(step).join('\n      ')}
    }`,
  };
}

/** Words of a tile with a fixed number of slots. */
export function tileWords({ values, slots, index }: FixedTiles): number {
  if (index === 'mask') return 4 + slots;
  return (values === 'int8' ? 3 : 2) * slots;
}

function tileUnit(layout: FixedTiles | SortedTiles, tokens: number): Unit {
  const tiles = tilesPerRow(layout);
  if (layout.form === 'sorted') return sortedUnit(layout, tokens);
  const masked = layout.index === 'mask';
  const inside = masked
    ? maskedTile(
        layout.slots,
        each(tokens, (t) => `s${t} += v * extractBits(i32(${wide(t, 'k')}), 0u, 8u);`),
      )
    : plainTile(layout.values, `${layout.slots}u`, dotsOf(tokens));
  const tile = (t: string): string => `var at = w0 + (rg * ${tiles}u + ${t}) * ${tileWords(layout)}u;
      let c0 = 16u * ${t};
      ${inside}`;
  const int8 = layout.values === 'int8';
  return {
    weights: 'u32',
    count: int8 ? `${tiles}u` : `${scaleGroups(layout)}u`,
    group: int8 ? undefined : 'u',
    shift: int8 || masked ? 0 : 4,
    functions: '',
    body: int8
      ? tile('u')
      : `for (var tile = 8u * u; tile < min(8u * u + 8u, ${tiles}u); tile++) {
      ${tile('tile')}
    }`,
  };
}

/** w0 starts, w1 counts, w2 order, w3 tiles. Entry u of a row group has as many slots as the counts before it say. */
function sortedUnit(layout: SortedTiles, tokens: number): Unit {
  const int8 = layout.values === 'int8';
  const entry = `let e = W[w0 + 2u * rg] + u;
      let spot = locate(w1, rg, u);
      let c0 = 16u * tileOf(w2, e);
      let n = spot.x;
      var at = w3 + W[w0 + 2u * rg + 1u] + spot.y;`;
  return {
    weights: 'u32',
    count: '(W[w0 + 2u * rg + 2u] - W[w0 + 2u * rg])',
    group: int8 ? undefined : '(tileOf(w2, W[w0 + 2u * rg] + u) >> 3u)',
    shift: int8 ? 0 : 4,
    functions: `
fn tileOf(order: u32, e: u32) -> u32 { return (W[order + (e >> 1u)] >> (16u * (e & 1u))) & 0xffffu; }
fn locate(counts: u32, rg: u32, u: u32) -> vec2u {
  var before = 0u;
  var words = 0u;
  for (var n = 1u; n <= 16u; n++) {
    let count = (W[counts + rg * 8u + ((n - 1u) >> 1u)] >> (16u * ((n - 1u) & 1u))) & 0xffffu;
    if (u < before + count) { return vec2u(n, words + (u - before) * ${int8 ? 3 : 2}u * n); }
    before += count;
    words += count * ${int8 ? 3 : 2}u * n;
  }
  return vec2u(0u, 0u);
}
`,
    body: `${entry}
      ${plainTile(layout.values, 'n', dotsOf(tokens))}`,
  };
}

const wide = (t: number, column: string): string => `A[p.wide + r${t} * p.wideStride + c0 + (${column})]`;

/** A byte of a word of values, and the column that it is for. */
type Placed = { readonly column: string; readonly byte: number };
/** What is done with a word of values. */
type Use = (v: string, columns: readonly Placed[]) => string;

/** Its products with the activations of its columns, to each token's sum. */
const dotsOf =
  (tokens: number): Use =>
  (v, columns) => {
    const gather = (t: number): string =>
      columns
        .map(({ column, byte }) => (byte === 0 ? wide(t, column) : `(${wide(t, column)} << ${8 * byte}u)`))
        .join(' | ');
    return each(tokens, (t) => `s${t} += dot4I8Packed(${v}, ${gather(t)});`);
  };

/** A row of a tile of `n` slots: by four, then two, then one (layouts/slots.ts). */
export function plainTile(values: LinearLayout['values'], n: string, use: Use): string {
  const nibble = (shift: number): string => `(k >> ${shift}u) & 15u`;
  const placed = (shifts: readonly number[]): Placed[] =>
    shifts.map((shift, byte) => ({ column: nibble(shift), byte }));
  const step = (fourWords: number, twoWords: number, four: string, two: string, one: string): string => `
      for (var f = 0u; f < (${n} >> 2u); f++) { ${four} at += ${fourWords}u; }
      if ((${n} & 2u) != 0u) { ${two} at += ${twoWords}u; }
      if ((${n} & 1u) != 0u) { ${one} }`;
  if (values === 'int8') {
    return `let low = row & 3u; let up = row >> 2u; let half16 = 16u * (low & 1u);
      ${step(
        12,
        6,
        `let k = W[at + low] >> (4u * up);
        let e = W[at + 4u + 4u * up + (low >> 1u)] >> half16;
        let o = W[at + 6u + 4u * up + (low >> 1u)] >> half16;
        let v = (e & 0xffffu) | (o << 16u);
        ${use('v', placed([0, 16, 8, 24]))}`,
        `let k = (W[at + (low >> 1u)] >> half16) >> (4u * up);
        let v = (W[at + 2u + 2u * up + (low >> 1u)] >> half16) & 0xffffu;
        ${use('v', placed([0, 8]))}`,
        `let k = W[at] >> (4u * row);
        let v = (W[at + 1u + up] >> (8u * low)) & 0xffu;
        ${use('v', placed([0]))}`,
      )}`;
  }
  const two: readonly Placed[] = [
    { column: nibble(0), byte: 0 },
    { column: nibble(16), byte: 2 },
  ];
  return `let low = row & 3u; let up = row >> 2u;
      ${step(
        8,
        4,
        `let k = W[at + 4u * up + low]; let v = k & 0xf0f0f0f0u;
        ${use('v', placed([0, 8, 16, 24]))}`,
        `let k = (W[at + low] >> (8u * up)) & 0x00ff00ffu; let v = k & 0xf0f0f0f0u;
        ${use('v', two)}`,
        `let k = (W[at + up] >> (8u * low)) & 0xffu; let v = k & 0xf0u;
        ${use('v', placed([0]))}`,
      )}`;
}

/** A row of a tile with masks (layouts/masks.ts): its bits in turn; `use` has the value v and its column k. */
export function maskedTile(slots: number, use: string): string {
  return `var mask = (W[at + (row >> 1u)] >> (16u * (row & 1u))) & 0xffffu;
      var slot = 32u + row * ${slots}u;
      while (mask != 0u) {
        let k = firstTrailingBit(mask);
        mask &= mask - 1u;
        let v = extractBits(i32(W[at + (slot >> 3u)]), 4u * (slot & 7u), 4u);
        slot++;
        ${use}
      }`;
}

/** The scale of `row` of a row group, of a group of its columns or of all of them. */
export const scaleAt = (layout: LinearLayout, group: string | undefined, rg = 'rg'): string =>
  group === undefined
    ? `bitcast<f32>(SCALE(ws + ${rg} * 8u + row))`
    : `half((SCALE(ws + (${rg} * ${scaleGroups(layout)}u + ${group}) * 4u + (row >> 1u)) >> (16u * (row & 1u))) & 0xffffu)`;
