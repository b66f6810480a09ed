// Decodes a linear of any layout into a dense matrix, for tests and inspection.

import { decodeDense, decodeDenseFloat } from './dense.js';
import type { DenseLayout, EncodedLinear, FixedTiles, QuantisedMatrix, RowsLayout, SortedTiles } from './linear.js';
import { decodeRows } from './rows.js';
import { SCALE_GROUP, scaleGroups } from './shape.js';
import { decodeTiles } from './tiles.js';

/** The integers and scales of an int8 or int4 linear, as they were encoded. */
export function decodeQuantised(encoded: EncodedLinear): QuantisedMatrix {
  if (encoded.layout.layout === 'tiles') return decodeTiles(encoded as EncodedLinear<FixedTiles | SortedTiles>);
  return decodeDense(encoded as EncodedLinear<DenseLayout>);
}

/** W in float32, row-major. Where it is quantised: q · scale, rounded once. */
export function decodeLinear(encoded: EncodedLinear): Float32Array {
  const { layout } = encoded;
  if (layout.layout === 'rows') return decodeRows(encoded as EncodedLinear<RowsLayout>);
  if (layout.values === 'f32') return decodeDenseFloat(encoded as EncodedLinear<DenseLayout>);
  const { rows, columns, values, q, scales } = decodeQuantised(encoded);
  const groups = scaleGroups({ rows, columns });
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const scale = values === 'int8' ? scales[row]! : scales[row * groups + Math.floor(column / SCALE_GROUP)]!;
      const value = q[row * columns + column]!;
      data[row * columns + column] = value === 0 ? 0 : value * scale;
    }
  }
  return data;
}
