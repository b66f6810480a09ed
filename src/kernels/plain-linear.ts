// Scalar twins of the kernels that multiply a linear by activations, in plain TypeScript on the stored layouts. Integer
// layouts round where the kernels round, and the kernels must match them to the last bit: int8 sums whole rows in
// integers; int4, int3 and int2 sum the columns that share a scale (in sorted tiles: one tile) in integers, multiply by the scale,
// and add these in float32 in storage order. Float layouts sum in double precision.

import type { EncodedLinear, FixedTiles, IntegerValues, SortedTiles } from '../layouts/portable.js';
import {
  decodeLinear,
  decodeQuantised,
  decodeScales,
  readTile,
  rowGroups,
  SCALE_GROUP,
  scaleGroups,
  storedTiles,
  TILE_COLUMNS,
  TILE_ROWS,
} from '../layouts/portable.js';

const { fround } = Math;

/** One token's activations: x ≈ q · scale, q in [−127, 127]. */
export type QuantisedVector = { readonly q: Int8Array; readonly scale: number };

/**
 * Symmetric int8 with the scale max |x| / 127: q = x · (127 / max |x|), rounded to the nearest integer, ties to even,
 * and clipped to ±127. A vector of zeros has the scale 0.
 */
export function plainQuantise(x: Float32Array): QuantisedVector {
  const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const scale = fround(largest / 127);
  if (scale === 0) return { q: new Int8Array(x.length), scale: 0 };
  const inverse = fround(127 / largest);
  return { q: Int8Array.from(x, (value) => Math.max(-127, Math.min(127, roundEven(fround(value * inverse))))), scale };
}

function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** y = W·x + bias for a float layout, in double precision, rounded at the end. */
export function plainMultiply(encoded: EncodedLinear, x: Float32Array, bias?: Float32Array): Float32Array {
  const { rows, columns } = encoded.layout;
  const W = decodeLinear(encoded);
  return Float32Array.from({ length: rows }, (_, row) => {
    let sum = bias?.[row] ?? 0;
    // A zero weight adds nothing, even where x is infinite, because sparse layouts do not store it.
    for (let i = 0; i < columns; i++) if (W[row * columns + i] !== 0) sum += W[row * columns + i]! * x[i]!;
    return sum;
  });
}

/** y = W·x + bias for a layout of integers. */
export function plainMultiplyQuantised(encoded: EncodedLinear, x: QuantisedVector, bias?: Float32Array): Float32Array {
  const sums = encoded.layout.values === 'int8' ? sumInt8(encoded, x.q) : sumGroups(encoded, x.q);
  return sums.map((sum, row) => {
    const y = fround(sum * x.scale);
    return bias ? fround(y + bias[row]!) : y;
  });
}

/** Σ q·x of each row in integers, times the row's scale. */
function sumInt8(encoded: EncodedLinear, x: Int8Array): Float32Array {
  const { rows, columns, q, scales } = decodeQuantised(encoded);
  return Float32Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += q[row * columns + i]! * x[i]!;
    return fround(fround(sum) * scales[row]!);
  });
}

/** Σ q·x of the columns that share a scale in integers, times that scale, added in float32. */
function sumGroups(encoded: EncodedLinear, x: Int8Array): Float32Array {
  const { layout } = encoded;
  const { rows, columns } = layout;
  const groups = scaleGroups(layout);
  const y = new Float32Array(rowGroups(layout) * TILE_ROWS);
  const scales = decodeScales(layout, layout.values as IntegerValues, encoded.parts.at(-1)! as Uint8Array<ArrayBuffer>);
  const add = (row: number, group: number, sum: number): void => {
    if (row < rows) y[row] = fround(y[row]! + fround(sum * scales[row * groups + group]!));
  };
  if (layout.layout === 'tiles' && layout.form === 'sorted') {
    for (const { group, tile, slots, bytes } of storedTiles(encoded as EncodedLinear<FixedTiles | SortedTiles>)) {
      const sums = new Int32Array(TILE_ROWS);
      readTile(bytes, slots, 'int4', (row, column, value) => {
        sums[row]! += value * (x[tile * TILE_COLUMNS + column] ?? 0);
      });
      const scaleGroup = Math.floor((tile * TILE_COLUMNS) / SCALE_GROUP);
      for (const [row, sum] of sums.entries()) add(group * TILE_ROWS + row, scaleGroup, sum);
    }
  } else {
    const { q } = decodeQuantised(encoded);
    for (let row = 0; row < rows; row++) {
      for (let group = 0; group < groups; group++) {
        let sum = 0;
        const end = Math.min((group + 1) * SCALE_GROUP, columns);
        for (let i = group * SCALE_GROUP; i < end; i++) sum += q[row * columns + i]! * x[i]!;
        add(row, group, sum);
      }
    }
  }
  return y.slice(0, rows);
}
