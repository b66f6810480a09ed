// Dense linears, the honest baseline of the sparse ones. f32: `values`, row-major. int8 and int4: `values`, for eight rows
// at a time one 16-byte block of each row, then the next block of each, so that a kernel reads one stream: [row group, block,
// row in its group, 16 bytes], with zeros beyond the matrix. A block is sixteen columns in int8, 32 in int4: eight 16-bit
// lanes of four nibbles, nibble k (from the lowest) of lane l being column 8k + l of the block in two's complement, so that
// shifting the lanes yields eight neighbouring columns at once.

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

/** W in float32, as it is. */
export function encodeDenseFloat({ rows, columns, data }: FloatMatrix): EncodedLinear<DenseLayout> {
  return { layout: layoutDense({ rows, columns }, 'f32'), parts: [bytesOf(data.slice())] };
}

/** int8 or int4, every weight stored. */
export function encodeDense(matrix: QuantisedMatrix): EncodedLinear<DenseLayout> {
  checkQuantised(matrix);
  const { rows, columns, values, q } = matrix;
  const layout = layoutDense(matrix, values);
  const bytes = new Uint8Array(layout.parts[0]!.bytes);
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

/** The integers and scales of a dense int8 or int4 linear. */
export function decodeDense({ layout, parts }: EncodedLinear<DenseLayout>): QuantisedMatrix {
  const { rows, columns, values } = layout;
  if (values === 'f32') throw new TypeError('decodeDense reads integers');
  const rowBytes = denseRowBytes(columns, values);
  const bytes = parts[0]!;
  const q = new Int8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const found = bytes[placeOf(row, values === 'int8' ? column : byteOf(column), rowBytes)]!;
      q[row * columns + column] = values === 'int8' ? found : signed(found >> shiftOf(column));
    }
  }
  return { rows, columns, values, q, scales: decodeScales(layout, values, parts[1]!) };
}

export const decodeDenseFloat = ({ parts }: EncodedLinear<DenseLayout>): Float32Array =>
  viewOf(parts[0]!, Float32Array).slice();

/** Where byte `at` of a row is. */
const placeOf = (row: number, at: number, rowBytes: number): number =>
  Math.floor(row / TILE_ROWS) * TILE_ROWS * rowBytes + (at >> 4) * 16 * TILE_ROWS + (row % TILE_ROWS) * 16 + (at & 15);

/** Which byte of its row a column's nibble is in: lane l = column mod 8, nibble k = column / 8 mod 4. */
const byteOf = (column: number): number => (column >> 5) * 16 + (column & 7) * 2 + ((column >> 4) & 1);
const shiftOf = (column: number): number => ((column >> 3) & 1) * 4;
const signed = (nibble: number): number => ((nibble & 15) << 28) >> 28;
