// Counts zeros, NaN and infinities in a checkpoint, from the bytes on disk.

import { readTensor } from '../checkpoint/index.js';
import { type LinearKind, type Model, weightName } from '../model/index.js';
import { findNonFinite, toFloat32 } from '../tensor/index.js';

export type LinearReport = {
  readonly name: string;
  readonly block: number;
  readonly kind: LinearKind;
  readonly rows: number;
  readonly columns: number;
  readonly dtype: string;
  readonly zeros: number;
  /** The numbers of NaN and of ±infinity. */
  readonly nan: number;
  readonly infinite: number;
  /** zeros / (rows · columns). */
  readonly sparsity: number;
};

/** Counts the zeros, NaN and infinities of every prunable linear. */
export async function countZeros(model: Model): Promise<LinearReport[]> {
  const reports: LinearReport[] = [];
  for (const linear of model.linears.flat()) {
    const { name, block, kind, rows, columns } = linear;
    const { dtype } = model.checkpoint.tensors.get(weightName(linear))!;
    const bytes = await readTensor(model.checkpoint, weightName(linear));
    const { nan, infinite } = findNonFinite(bytes, dtype);
    const values = toFloat32(bytes, dtype);
    let zeros = 0;
    for (let i = 0; i < values.length; i++) if (values[i] === 0) zeros++;
    reports.push({ name, block, kind, rows, columns, dtype, zeros, nan, infinite, sparsity: zeros / values.length });
  }
  return reports;
}
