// Sparse float32 linears stored row by row, exact. `offsets` u32 [rows + 1] says where each row begins in the other two
// parts; `columns` u16 ascends within a row; `values` f32. At 6 bytes per weight it pays off from about a third of
// zeros.

import { UnsupportedError } from '../base/portable.js';
import { bytesOf, checkShape, type EncodedLinear, type FloatMatrix, type RowsLayout, viewOf } from './linear.js';
import type { Shape } from './shape.js';

const WIDEST = 65536;

/** The description of a linear in rows with `count` weights, without its bytes. @throws UnsupportedError E_UNSUPPORTED_COLUMNS */
export function layoutRows({ rows, columns }: Shape, count: number): RowsLayout {
  checkShape({ rows, columns }, 'f32');
  if (columns > WIDEST) {
    const message = `rows f32 of ${columns} columns: 16-bit column numbers allow at most ${WIDEST}; pack this linear as dense f32.`;
    throw new UnsupportedError('E_UNSUPPORTED_COLUMNS', message, { columns, layout: 'rows' });
  }
  return {
    layout: 'rows',
    values: 'f32',
    rows,
    columns,
    parts: [
      { name: 'offsets', bytes: (rows + 1) * 4 },
      { name: 'columns', bytes: count * 2 },
      { name: 'values', bytes: count * 4 },
    ],
  };
}

/** The nonzero weights of W; NaN is kept. */
export function encodeRows({ rows, columns, data }: FloatMatrix): EncodedLinear<RowsLayout> {
  let count = 0;
  for (const value of data) if (value !== 0) count++;
  const layout = layoutRows({ rows, columns }, count);
  const offsets = new Uint32Array(rows + 1);
  const where = new Uint16Array(count);
  const values = new Float32Array(count);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const value = data[row * columns + column]!;
      if (value === 0) continue;
      where[at] = column;
      values[at++] = value;
    }
    offsets[row + 1] = at;
  }
  return { layout, parts: [bytesOf(offsets), bytesOf(where), bytesOf(values)] };
}

/** W, row-major. */
export function decodeRows({ layout, parts }: EncodedLinear<RowsLayout>): Float32Array {
  const { rows, columns } = layout;
  const [offsets, where, values] = [
    viewOf(parts[0]!, Uint32Array),
    viewOf(parts[1]!, Uint16Array),
    viewOf(parts[2]!, Float32Array),
  ];
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let i = offsets[row]!; i < offsets[row + 1]!; i++) data[row * columns + where[i]!] = values[i]!;
  }
  return data;
}
