// Counts the bits that a checkpoint's quantised linears have, from the files that were written: integers, and scales. Every
// weight is checked to be on its grid.

import { readScales } from '../checkpoint/index.js';
import { type Model, readLinear, weightName } from '../model/index.js';
import { fullestTile, storedBits } from '../packed/index.js';
import { bytesPerElement } from '../tensor/index.js';

export type BitsReport = {
  readonly name: string;
  readonly block: number;
  readonly weights: number;
  /** Bits of a weight, and columns that share a scale; those of the dtype, and 0, where it is not quantised. */
  readonly bits: number;
  readonly group: number;
  /** Bits per weight with the scales (16 bits each, 32 with 8 bits), in the smallest layout: with masks where zeros save. */
  readonly stored: number;
};

/** Undefined where nothing is quantised. @throws CheckpointError E_CHECKPOINT_SCALES where a weight is not on its grid */
export async function countBits(model: Model): Promise<readonly BitsReport[] | undefined> {
  const { checkpoint } = model;
  const linears = model.linears.flat();
  const scales = await readScales(
    checkpoint,
    linears.map((linear) => ({ name: weightName(linear), rows: linear.rows, columns: linear.columns })),
  );
  if (!scales) return undefined;
  const reports: BitsReport[] = [];
  for (const linear of linears) {
    const { name, block, rows, columns } = linear;
    const weights = rows * columns;
    const { dtype } = checkpoint.tensors.get(weightName(linear))!;
    const grid = scales.grids.get(weightName(linear));
    if (!grid) {
      const bits = 8 * bytesPerElement(dtype);
      reports.push({ name, block, weights, bits, group: 0, stored: bits });
      continue;
    }
    const { bits, group } = grid;
    const { q } = await scales.read(grid.name, await readLinear(checkpoint, linear), dtype);
    const stored = storedBits({ rows, columns }, { bits, group }, fullestTile(q, columns)) / weights;
    reports.push({ name, block, weights, bits, group, stored });
  }
  return reports;
}
