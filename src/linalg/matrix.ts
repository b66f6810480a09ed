// Row-major float32 matrices, and copies of blocks in and out of them, for blocked algorithms.

export type Matrix = { readonly rows: number; readonly columns: number; readonly data: Float32Array };

/** The diagonal of a row-major [n, n] matrix. */
export const diagonalOf = (matrix: Float32Array, n: number): Float64Array =>
  Float64Array.from({ length: n }, (_, j) => matrix[j * (n + 1)]!);

/** Rows [top, bottom) of columns [left, right). */
export type Block = { readonly top: number; readonly bottom: number; readonly left: number; readonly right: number };

/** Copies a block into a matrix that owns its buffer. */
export function copyBlock({ columns, data }: Matrix, { top, bottom, left, right }: Block): Matrix {
  const width = right - left;
  const copy = new Float32Array((bottom - top) * width);
  if (width === columns) copy.set(data.subarray(top * columns, bottom * columns));
  else {
    for (let row = top, to = 0; row < bottom; row++, to += width) {
      copy.set(data.subarray(row * columns + left, row * columns + right), to);
    }
  }
  return { rows: bottom - top, columns: width, data: copy };
}

/** Writes `values` [bottom − top, right − left] over a block. */
export function writeBlock({ columns, data }: Matrix, { top, bottom, left, right }: Block, values: Float32Array): void {
  const width = right - left;
  for (let row = top, from = 0; row < bottom; row++, from += width) {
    data.set(values.subarray(from, from + width), row * columns + left);
  }
}

/** Subtracts `values` [bottom − top, right − left] from a block. */
export function subtractBlock({ columns, data }: Matrix, block: Block, values: Float32Array): void {
  const { top, bottom, left, right } = block;
  let from = 0;
  for (let row = top; row < bottom; row++) {
    const base = row * columns;
    for (let at = base + left; at < base + right; at++) data[at]! -= values[from++]!;
  }
}
