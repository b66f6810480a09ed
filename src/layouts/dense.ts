// Dense linears, the baseline for the sparse ones. f32: `values`, row-major. int8 and int4: `values` [row group, block,
// row in its group, 16 bytes]. The blocks of eight rows alternate, so that a kernel reads one stream; beyond the matrix
// are zeros. An int8 block holds sixteen columns. An int4 block holds 32 columns in eight 16-bit lanes of four nibbles:
// nibble k (from the lowest) of lane l is column 8k + l of the block in two's complement, so that shifting the lanes
// gives eight neighbouring columns at once. int3 and int2 are in dense-few.ts.

import { packFew, unpackFew } from './dense-few.js';
import {
  bytesOf,
  checkQuantised,
  checkShape,
  type DenseLayout,
  type EncodedLinear,
  type FloatMatrix,
  type QuantisedMatrix,
  viewOf,
} from './linear.js';
import { decodeScales, encodeScales, scaleBytes } from './scales.js';
import { denseRowBytes, roundUp, type Shape, TILE_ROWS } from './shape.js';

/** The description of a dense linear, without its bytes. */
export function layoutDense({ rows, columns }: Shape, values: DenseLayout['values']): DenseLayout {
  checkShape({ rows, columns }, values);
  const stored = values === 'f32' ? rows : roundUp(rows, TILE_ROWS);
  const parts = [{ name: 'values', bytes: stored * denseRowBytes(columns, values) }];
  if (values !== 'f32') parts.push({ name: 'scales', bytes: scaleBytes({ rows, columns }, values) });
  return { layout: 'dense', values, rows, columns, parts };
}

/** W in float32, unchanged. */
export function encodeDenseFloat({ rows, columns, data }: FloatMatrix): EncodedLinear<DenseLayout> {
  return { layout: layoutDense({ rows, columns }, 'f32'), parts: [bytesOf(data.slice())] };
}

/** Every weight, as integers. */
export function encodeDense(matrix: QuantisedMatrix): EncodedLinear<DenseLayout> {
  checkQuantised(matrix);
  const { rows, columns, values, q } = matrix;
  const layout = layoutDense(matrix, values);
  const bytes = new Uint8Array(layout.parts[0]!.bytes);
  if (values === 'int3' || values === 'int2') {
    packFew(matrix, values, q, bytes);
    return { layout, parts: [bytes, encodeScales(matrix)] };
  }
  const rowBytes = denseRowBytes(columns, values);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const value = q[row * columns + column]!;
      if (values === 'int8') bytes[placeOf(row, column, rowBytes)] = value;
      else bytes[placeOf(row, byteOf(column), rowBytes)]! |= (value & 15) << shiftOf(column);
    }
  }
  return { layout, parts: [bytes, encodeScales(matrix)] };
}

/** The integers and scales of a dense linear. */
export function decodeDense({ layout, parts }: EncodedLinear<DenseLayout>): QuantisedMatrix {
  const { rows, columns, values } = layout;
  if (values === 'f32') throw new TypeError('decodeDense reads integers');
  const scales = decodeScales(layout, values, parts[1]!);
  const bytes = parts[0]!;
  if (values === 'int3' || values === 'int2') {
    return { rows, columns, values, q: unpackFew(layout, values, bytes), scales };
  }
  const rowBytes = denseRowBytes(columns, values);
  const q = new Int8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const found = bytes[placeOf(row, values === 'int8' ? column : byteOf(column), rowBytes)]!;
      q[row * columns + column] = values === 'int8' ? found : signed(found >> shiftOf(column));
    }
  }
  return { rows, columns, values, q, scales };
}

export const decodeDenseFloat = ({ parts }: EncodedLinear<DenseLayout>): Float32Array =>
  viewOf(parts[0]!, Float32Array).slice();

/** The index of byte `at` of a row. */
const placeOf = (row: number, at: number, rowBytes: number): number =>
  Math.floor(row / TILE_ROWS) * TILE_ROWS * rowBytes + (at >> 4) * 16 * TILE_ROWS + (row % TILE_ROWS) * 16 + (at & 15);

/** The byte of its row that holds a column's nibble: lane l = column mod 8, nibble k = column / 8 mod 4. */
const byteOf = (column: number): number => (column >> 5) * 16 + (column & 7) * 2 + ((column >> 4) & 1);
const shiftOf = (column: number): number => ((column >> 3) & 1) * 4;
const signed = (nibble: number): number => ((nibble & 15) << 28) >> 28;
