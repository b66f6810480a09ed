// Dense linears, the honest baseline of the sparse ones. f32: `values`, row-major. int8: `values`, row-major, each row
// rounded up to a multiple of 16 bytes with zeros. int4: `values`, row-major, each row a whole number of 16-byte blocks of
// 32 columns; a block is eight 16-bit lanes of four nibbles, nibble k (from the lowest) of lane l being column 8k + l of
// the block in two's complement, so that shifting the lanes yields eight neighbouring columns at once.

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
import { denseRowBytes, type Shape } from './shape.js';

/** The description of a dense linear, without its bytes. */
export function layoutDense({ rows, columns }: Shape, values: DenseLayout['values']): DenseLayout {
  checkShape({ rows, columns }, values);
  const parts = [{ name: 'values', bytes: rows * denseRowBytes(columns, values) }];
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
  const pitch = denseRowBytes(columns, values);
  const bytes = new Uint8Array(rows * pitch);
  for (let row = 0; row < rows; row++) {
    const from = q.subarray(row * columns, (row + 1) * columns);
    if (values === 'int8') bytes.set(from, row * pitch);
    else
      for (const [column, value] of from.entries())
        bytes[row * pitch + byteOf(column)]! |= (value & 15) << shiftOf(column);
  }
  return { layout: layoutDense(matrix, values), parts: [bytes, encodeScales(matrix)] };
}

/** The integers and scales of a dense int8 or int4 linear. */
export function decodeDense({ layout, parts }: EncodedLinear<DenseLayout>): QuantisedMatrix {
  const { rows, columns, values } = layout;
  if (values === 'f32') throw new TypeError('decodeDense reads integers');
  const pitch = denseRowBytes(columns, values);
  const [bytes, scales] = parts;
  const q = new Int8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = row * pitch + (values === 'int8' ? column : byteOf(column));
      q[row * columns + column] = values === 'int8' ? bytes![at]! : signed(bytes![at]! >> shiftOf(column));
    }
  }
  return { rows, columns, values, q, scales: decodeScales(layout, values, scales!) };
}

export const decodeDenseFloat = ({ parts }: EncodedLinear<DenseLayout>): Float32Array =>
  viewOf(parts[0]!, Float32Array).slice();

/** Where a column's nibble is in its row: lane l = column mod 8, nibble k = column / 8 mod 4. */
const byteOf = (column: number): number => (column >> 5) * 16 + (column & 7) * 2 + ((column >> 4) & 1);
const shiftOf = (column: number): number => ((column >> 3) & 1) * 4;
const signed = (nibble: number): number => ((nibble & 15) << 28) >> 28;
