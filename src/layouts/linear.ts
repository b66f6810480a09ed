// What a linear W [rows, columns] looks like in memory and in a file: a small description that goes into JSON, and parts,
// byte arrays that kernels read as they are. W is row-major where it is whole; rows are grouped by eight, columns are cut
// into tiles of sixteen, and what lies beyond the matrix is zeros.

import { ShapeError, UnsupportedError } from '../base/portable.js';
import { LARGEST_COLUMNS, type Shape, scaleGroups } from './shape.js';

export type Part = { readonly name: string; readonly bytes: number };
type Common = {
  readonly rows: number;
  readonly columns: number;
  /** In this order in every list of parts. */
  readonly parts: readonly Part[];
};
export type IntegerValues = 'int8' | 'int4';
export type DenseLayout = Common & { readonly layout: 'dense'; readonly values: 'f32' | IntegerValues };
/** Every row has the same number of slots in every tile. */
export type FixedTiles = Common & {
  readonly layout: 'tiles';
  readonly form: 'fixed';
  readonly values: IntegerValues;
  readonly slots: number;
};
/** Each tile has as many slots a row as its fullest row needs; a row group's tiles are ordered by that number. */
export type SortedTiles = Common & {
  readonly layout: 'tiles';
  readonly form: 'sorted';
  readonly values: IntegerValues;
};
export type RowsLayout = Common & { readonly layout: 'rows'; readonly values: 'f32' };
/** How one linear is stored; JSON. */
export type LinearLayout = DenseLayout | FixedTiles | SortedTiles | RowsLayout;

/** A linear with its bytes, `parts[i]` being those of `layout.parts[i]`. */
export type EncodedLinear<L extends LinearLayout = LinearLayout> = {
  readonly layout: L;
  readonly parts: readonly Uint8Array<ArrayBuffer>[];
};

/** W in float32, row-major. */
export type FloatMatrix = Shape & { readonly data: Float32Array };

/**
 * A matrix of integers with scales, W = q · scale, row-major. int8: q in [−127, 127], a scale for each row. int4: q in
 * [−7, 7], scales [rows, ⌈columns / 128⌉] which are float16 numbers already.
 */
export type QuantisedMatrix = Shape & {
  readonly values: IntegerValues;
  readonly q: Int8Array;
  readonly scales: Float32Array;
};

/** Bytes of all parts, without the gaps that aligning them leaves. */
export const layoutBytes = ({ parts }: LinearLayout): number => parts.reduce((sum, { bytes }) => sum + bytes, 0);

/** A shape that a linear can have. @throws ShapeError E_SHAPE_LINEAR, UnsupportedError E_UNSUPPORTED_COLUMNS */
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
    `${values} of ${columns} columns: at most ${LARGEST_COLUMNS} can be summed in 32 bits; pack this linear as dense f32.`,
    { columns, values },
  );
}

/** A matrix of integers as it should be. @throws ShapeError E_SHAPE_LINEAR, E_SHAPE_QUANTISED */
export function checkQuantised(matrix: QuantisedMatrix): void {
  checkShape(matrix, matrix.values);
  const { rows, columns, values, q, scales } = matrix;
  const wanted = values === 'int8' ? rows : rows * scaleGroups(matrix);
  const limit = values === 'int8' ? 127 : 7;
  const wrong = (what: string): ShapeError =>
    new ShapeError('E_SHAPE_QUANTISED', `${values} matrix of ${rows} x ${columns}: ${what}.`, {
      rows,
      columns,
      values,
    });
  if (q.length !== rows * columns) throw wrong(`expected ${rows * columns} integers, got ${q.length}`);
  if (scales.length !== wanted) throw wrong(`expected ${wanted} scales, got ${scales.length}`);
  const outside = q.findIndex((value) => value > limit || value < -limit);
  if (outside >= 0) throw wrong(`expected integers in [-${limit}, ${limit}], got ${q[outside]} at ${outside}`);
}

/** A view of a part as another type, without a copy where it is aligned. */
export function viewOf<T>(
  bytes: Uint8Array<ArrayBuffer>,
  Type: { new (buffer: ArrayBuffer, at: number, length: number): T; readonly BYTES_PER_ELEMENT: number },
): T {
  const aligned = bytes.byteOffset % Type.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new Type(aligned.buffer, aligned.byteOffset, Math.floor(aligned.byteLength / Type.BYTES_PER_ELEMENT));
}

export const bytesOf = (view: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
