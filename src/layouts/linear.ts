// How a linear W [rows, columns] is stored in memory and in a file: a small description, written as JSON, and parts,
// which are byte arrays that kernels read directly. Decoded matrices are row-major. Encoded rows are grouped by eight
// and columns cut into tiles of sixteen; beyond the matrix are zeros.

import { ShapeError, UnsupportedError } from '../base/portable.js';
import { LARGEST_COLUMNS, type Shape, scaleGroups } from './shape.js';

export type Part = { readonly name: string; readonly bytes: number };
type Common = {
  readonly rows: number;
  readonly columns: number;
  /** Every list of parts has this order. */
  readonly parts: readonly Part[];
};
export type IntegerValues = 'int8' | 'int4' | 'int3' | 'int2';
/** Types that tiles can have. */
export type TileValues = 'int8' | 'int4';
/** The least and the largest integer of a type. */
export const RANGES: Readonly<Record<IntegerValues, readonly [low: number, high: number]>> = {
  int8: [-127, 127],
  int4: [-8, 7],
  int3: [-4, 3],
  int2: [-2, 1],
};
export type DenseLayout = Common & { readonly layout: 'dense'; readonly values: 'f32' | IntegerValues };
/** Every row has the same number of slots in every tile. */
export type FixedTiles = Common & {
  readonly layout: 'tiles';
  readonly form: 'fixed';
  readonly values: TileValues;
  readonly slots: number;
  /** The columns of a row's slots are a mask of sixteen bits (masks.ts), not a number for each slot (slots.ts). */
  readonly index?: 'mask';
};
/** Each tile has as many slots per row as its fullest row needs. The tiles of a row group are sorted by that number. */
export type SortedTiles = Common & {
  readonly layout: 'tiles';
  readonly form: 'sorted';
  readonly values: TileValues;
};
export type RowsLayout = Common & { readonly layout: 'rows'; readonly values: 'f32' };
/** The layout of one linear, as in JSON. */
export type LinearLayout = DenseLayout | FixedTiles | SortedTiles | RowsLayout;

/** A linear with its bytes; `parts[i]` holds the bytes of `layout.parts[i]`. */
export type EncodedLinear<L extends LinearLayout = LinearLayout> = {
  readonly layout: L;
  readonly parts: readonly Uint8Array<ArrayBuffer>[];
};

/** W in float32, row-major. */
export type FloatMatrix = Shape & { readonly data: Float32Array };

/**
 * A matrix of integers with scales, W = q · scale, row-major; q is in RANGES. int8: one scale ≥ 0 per row. Others: scales
 * [rows, ⌈columns / 128⌉], float16 numbers of either sign: a negative one lets the largest weight of a group be positive
 * and have the integer of the longer side.
 */
export type QuantisedMatrix = Shape & {
  readonly values: IntegerValues;
  readonly q: Int8Array;
  readonly scales: Float32Array;
};

/** Bytes of all parts, without alignment gaps. */
export const layoutBytes = ({ parts }: LinearLayout): number => parts.reduce((sum, { bytes }) => sum + bytes, 0);

/** Checks that a linear can have this shape. @throws ShapeError E_SHAPE_LINEAR, UnsupportedError E_UNSUPPORTED_COLUMNS */
export function checkShape(shape: Shape, values: LinearLayout['values']): void {
  const { rows, columns } = shape;
  const whole = Number.isSafeInteger(rows) && Number.isSafeInteger(columns) && rows >= 1 && columns >= 1;
  if (!whole || rows > 2 ** 31 || columns > 2 ** 31) {
    const message = `A linear of ${rows} x ${columns}: expected whole numbers of rows and columns from 1 to 2^31.`;
    throw new ShapeError('E_SHAPE_LINEAR', message, { rows, columns });
  }
  if (values === 'f32' || columns <= LARGEST_COLUMNS) return;
  throw new UnsupportedError(
    'E_UNSUPPORTED_COLUMNS',
    `${values} of ${columns} columns: 32-bit sums allow at most ${LARGEST_COLUMNS}; pack this linear as dense f32.`,
    { columns, values },
  );
}

/** Checks a matrix of integers. @throws ShapeError E_SHAPE_LINEAR, E_SHAPE_QUANTISED */
export function checkQuantised(matrix: QuantisedMatrix): void {
  checkShape(matrix, matrix.values);
  const { rows, columns, values, q, scales } = matrix;
  const wanted = values === 'int8' ? rows : rows * scaleGroups(matrix);
  const [low, high] = RANGES[values];
  const wrong = (what: string): ShapeError =>
    new ShapeError('E_SHAPE_QUANTISED', `${values} matrix of ${rows} x ${columns}: ${what}.`, {
      rows,
      columns,
      values,
    });
  if (q.length !== rows * columns) throw wrong(`expected ${rows * columns} integers, got ${q.length}`);
  if (scales.length !== wanted) throw wrong(`expected ${wanted} scales, got ${scales.length}`);
  const outside = q.findIndex((value) => value > high || value < low);
  if (outside >= 0) throw wrong(`expected integers in [${low}, ${high}], got ${q[outside]} at ${outside}`);
}

/** A view of a part as another type; copies only where the part is not aligned. */
export function viewOf<T>(
  bytes: Uint8Array<ArrayBuffer>,
  Type: { new (buffer: ArrayBuffer, at: number, length: number): T; readonly BYTES_PER_ELEMENT: number },
): T {
  const aligned = bytes.byteOffset % Type.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new Type(aligned.buffer, aligned.byteOffset, Math.floor(aligned.byteLength / Type.BYTES_PER_ELEMENT));
}

export const bytesOf = (view: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
