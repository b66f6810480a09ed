// Dense int3 and int2: `values` [row group, 32 columns, vector, row in its group, 4 bytes], two vectors for int2 and three
// for int3; rows are whole groups of 128 columns; beyond the matrix are zeros. Byte b of a row's vectors holds the
// columns 4s + b of the 32, s = 0 … 7, each as q + 2 (int2) or q + 4 (int3). So one shift and one mask give four
// neighbouring columns of four rows, and the sums of a dot product of bytes are those of the rows.
//   int2: the two bits from bit 2k on of vector v are step s = 4v + k.
//   int3: bits 0–2 and 3–5 of vector v are steps 2v and 2v + 1. Steps 6 and 7 are in what is left: their low two bits in
//   bits 6–7 of vectors 0 and 1, their highest bits in bits 6 and 7 of vector 2.

import { roundUp, SCALE_GROUP, type Shape, TILE_ROWS } from './shape.js';

export type FewValues = 'int3' | 'int2';
const BITS = { int3: 3, int2: 2 } as const;
const COLUMNS = 32;
const VECTOR = 4 * TILE_ROWS;

/** The bytes of a matrix of integers, row-major. */
export function packFew({ rows, columns }: Shape, values: FewValues, q: Int8Array, bytes: Uint8Array): void {
  const bits = BITS[values];
  const offset = 2 ** (bits - 1);
  const padded = roundUp(columns, SCALE_GROUP);
  for (let row = 0; row < roundUp(rows, TILE_ROWS); row++) {
    for (let column = 0; column < padded; column++) {
      const field = (row < rows && column < columns ? q[row * columns + column]! : 0) + offset;
      const at = placeOf(row, column, padded, bits);
      for (const [bit, { vector, shift }] of piecesOf(bits, column).entries()) {
        bytes[at + vector * VECTOR]! |= ((field >> bit) & 1) << shift;
      }
    }
  }
}

/** The integers that packFew packed. */
export function unpackFew({ rows, columns }: Shape, values: FewValues, bytes: Uint8Array): Int8Array {
  const bits = BITS[values];
  const offset = 2 ** (bits - 1);
  const padded = roundUp(columns, SCALE_GROUP);
  const q = new Int8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = placeOf(row, column, padded, bits);
      let field = 0;
      for (const [bit, { vector, shift }] of piecesOf(bits, column).entries()) {
        field |= ((bytes[at + vector * VECTOR]! >> shift) & 1) << bit;
      }
      q[row * columns + column] = field - offset;
    }
  }
  return q;
}

/** The byte of a column in its row's first vector. */
function placeOf(row: number, column: number, padded: number, bits: number): number {
  const block = Math.floor(row / TILE_ROWS) * (padded / COLUMNS) + Math.floor(column / COLUMNS);
  return block * bits * VECTOR + (row % TILE_ROWS) * 4 + (column & 3);
}

type Piece = { readonly vector: number; readonly shift: number };

/** Where each bit of a column is, from the lowest. */
const piecesOf = (bits: 2 | 3, column: number): readonly Piece[] => PIECES[bits][(column % COLUMNS) >> 2]!;

const PIECES: Readonly<Record<2 | 3, readonly (readonly Piece[])[]>> = {
  2: Array.from({ length: 8 }, (_, s) => [0, 1].map((bit) => ({ vector: s >> 2, shift: 2 * (s & 3) + bit }))),
  3: Array.from({ length: 8 }, (_, s) =>
    s < 6
      ? [0, 1, 2].map((bit) => ({ vector: s >> 1, shift: 3 * (s & 1) + bit }))
      : [
          { vector: s - 6, shift: 6 },
          { vector: s - 6, shift: 7 },
          { vector: 2, shift: s },
        ],
  ),
};
