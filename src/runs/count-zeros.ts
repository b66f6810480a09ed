// The zeros of a checkpoint, counted from the bytes on disk.

import { readTensor } from '../checkpoint/index.js';
import { type LinearKind, type Model, weightName } from '../model/index.js';
import { toFloat32 } from '../tensor/index.js';

export type LinearReport = {
  readonly name: string;
  readonly block: number;
  readonly kind: LinearKind;
  readonly rows: number;
  readonly columns: number;
  readonly dtype: string;
  readonly zeros: number;
  /** zeros / (rows · columns). */
  readonly sparsity: number;
};

/** The zeros of every prunable linear, counted from the files. */
export async function countZeros(model: Model): Promise<LinearReport[]> {
  const reports: LinearReport[] = [];
  for (const linear of model.linears.flat()) {
    const { name, block, kind, rows, columns } = linear;
    const { dtype } = model.checkpoint.tensors.get(weightName(linear))!;
    const values = toFloat32(await readTensor(model.checkpoint, weightName(linear)), dtype);
    let zeros = 0;
    for (let i = 0; i < values.length; i++) if (values[i] === 0) zeros++;
    reports.push({ name, block, kind, rows, columns, dtype, zeros, sparsity: zeros / values.length });
  }
  return reports;
}
