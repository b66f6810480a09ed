// Reads a linear's matrix from a file and writes it back. Criteria, measures and layouts see W [rows = out, columns = in]
// row-major; where the file has Wᵀ (GPT-2's Conv1D), values are transposed here.

import { type Checkpoint, readTensorFloat32 } from '../checkpoint/index.js';
import { transpose } from '../tensor/index.js';
import type { Linear } from './tensor-names.js';

/** The name of a linear's weights in the checkpoint. */
export const weightName = ({ name }: Pick<Linear, 'name'>): string => `${name}.weight`;

/** W in float32, row-major [rows, columns]. */
export const readLinear = async (checkpoint: Checkpoint, linear: Linear): Promise<Float32Array> =>
  toRows(linear, await readTensorFloat32(checkpoint, weightName(linear)));

/** Values in the file's order → row-major [rows, columns]. Returns `values` itself where nothing changes. */
export const toRows = <A extends Float32Array | Uint8Array>({ rows, columns, transposed }: Linear, values: A): A =>
  transposed ? transpose(values, columns, rows) : values;

/** Row-major values [rows, columns] → the file's order. Returns `values` itself where nothing changes. */
export const toStored = <A extends Float32Array | Uint8Array>({ rows, columns, transposed }: Linear, values: A): A =>
  transposed ? transpose(values, rows, columns) : values;
