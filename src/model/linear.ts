// Reads a linear's matrix from a file and writes it back. Criteria, measures and layouts see W [rows = out, columns = in]
// row-major; where the file has Wᵀ (GPT-2's Conv1D), values are transposed here.

import { InternalError } from '../base/index.js';
import { type Checkpoint, type Moves, readTensorFloat32 } from '../checkpoint/index.js';
import type { Graph } from '../graph/index.js';
import { transpose } from '../tensor/index.js';
import type { Linear } from './tensor-names.js';

/** The name of a linear's weights in the checkpoint. */
export const weightName = ({ name }: Pick<Linear, 'name'>): string => `${name}.weight`;

/** The name of a linear's bias in the checkpoint, if it has one. */
export const biasName = ({ name }: Pick<Linear, 'name'>): string => `${name}.bias`;

export const hasBias = ({ tensors }: Checkpoint, linear: Pick<Linear, 'name'>): boolean =>
  tensors.has(biasName(linear));

/** W in float32, row-major [rows, columns]. */
export const readLinear = async (checkpoint: Checkpoint, linear: Linear): Promise<Float32Array> =>
  toRows(linear, await readTensorFloat32(checkpoint, weightName(linear)));

/** Values in the file's order → row-major [rows, columns]. Returns `values` itself where nothing changes. */
export const toRows = <A extends Float32Array | Uint8Array>({ rows, columns, transposed }: Linear, values: A): A =>
  transposed ? transpose(values, columns, rows) : values;

/** Row-major values [rows, columns] → the file's order. Returns `values` itself where nothing changes. */
export const toStored = <A extends Float32Array | Uint8Array>({ rows, columns, transposed }: Linear, values: A): A =>
  transposed ? transpose(values, rows, columns) : values;

/** Moves of W's rows and columns → those of what the file has. */
export const movesStored = ({ transposed }: Linear, moves: Moves): Moves =>
  transposed ? { shape: moves.shape.toReversed(), rows: moves.columns, columns: moves.rows } : moves;

/** The value in a block's graph that a linear gives, [tokens, rows], bias and all. */
export function linearOutput({ name, nodes }: Graph, linear: Pick<Linear, 'name'>): string {
  const stored = weightName(linear);
  const cast = nodes.find(({ op, inputs }) => op === 'Cast' && inputs[0] === stored)?.outputs[0];
  const made = nodes.filter(({ op, inputs }) => op === 'Gemm' && (inputs[1] === stored || inputs[1] === cast));
  if (made.length === 1) return made[0]!.outputs[0]!;
  throw new InternalError('E_INTERNAL_GRAPH', `${name}: ${made.length} products with ${stored}, not one.`);
}
