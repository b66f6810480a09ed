// A linear's matrix out of a file and back. Criteria, measures and layouts see W [rows = out, columns = in] row-major; where
// the file has Wᵀ (GPT-2's Conv1D), values are turned round here and nowhere else.

import { type Checkpoint, readTensorFloat32 } from '../checkpoint/index.js';
import type { Linear } from './layout.js';

/** The name of a linear's weights in the checkpoint. */
export const weightName = ({ name }: Pick<Linear, 'name'>): string => `${name}.weight`;

/** W in float32, row-major [rows, columns]. */
export const readLinear = async (checkpoint: Checkpoint, linear: Linear): Promise<Float32Array> =>
  toRows(linear, await readTensorFloat32(checkpoint, weightName(linear)));

/** Values in the file's order → row-major [rows, columns]. Returns `values` itself where that is the same. */
export const toRows = <A extends Float32Array | Uint8Array>({ rows, columns, transposed }: Linear, values: A): A =>
  transposed ? transpose(values, columns, rows) : values;

/** Values row-major [rows, columns] → the file's order. Returns `values` itself where that is the same. */
export const toStored = <A extends Float32Array | Uint8Array>({ rows, columns, transposed }: Linear, values: A): A =>
  transposed ? transpose(values, rows, columns) : values;

/** A matrix [height, width] turned round, in squares that stay in the cache. */
function transpose<A extends Float32Array | Uint8Array>(values: A, height: number, width: number): A {
  const turned = values.slice() as A;
  for (let top = 0; top < height; top += SQUARE) {
    for (let left = 0; left < width; left += SQUARE) {
      const [bottom, right] = [Math.min(top + SQUARE, height), Math.min(left + SQUARE, width)];
      for (let y = top; y < bottom; y++)
        for (let x = left; x < right; x++) turned[x * height + y] = values[y * width + x]!;
    }
  }
  return turned;
}
const SQUARE = 64;
