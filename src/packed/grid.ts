// A linear that the checkpoint has on a grid already (layerwise.scales), as a matrix to store: its own integers and scales.
// What the layouts cannot hold is refused: quantised anew, the weights would no longer be those that were measured.

import { UnsupportedError } from '../base/index.js';
import type { GridNumbers } from '../checkpoint/index.js';
import { type IntegerValues, SCALE_GROUP } from '../layouts/index.js';
import { nearestHalf } from '../tensor/index.js';
import type { Quantised } from './quantise.js';

const VALUES: Readonly<Record<number, IntegerValues>> = { 8: 'int8', 4: 'int4', 3: 'int3', 2: 'int2' };

/** @throws UnsupportedError E_UNSUPPORTED_GRID */
export function takeGrid(grid: GridNumbers, file: string): Quantised {
  const { name, rows, columns, bits, group, q } = grid;
  const refuse = (expected: string, got: string, next: string): UnsupportedError => {
    const message = `${file}: ${JSON.stringify(name)}: expected ${expected}, got ${got}; ${next}, or pack with --values f32.`;
    return new UnsupportedError('E_UNSUPPORTED_GRID', message, { file, tensor: name, bits, group });
  };
  const values = VALUES[bits]!;
  if (values === 'int8' && group !== columns) {
    throw refuse('one scale for each row of 8 bits', `groups of ${group} columns`, 'quantise with one scale a row');
  }
  if (values !== 'int8' && group !== columns && group !== SCALE_GROUP) {
    const got = `groups of ${group}`;
    throw refuse(`groups of ${SCALE_GROUP} columns, or rows`, got, `quantise in groups of ${SCALE_GROUP}`);
  }
  const unfit = grid.scales.find((scale) => (values === 'int8' ? scale < 0 : nearestHalf(scale) !== scale));
  if (unfit !== undefined) {
    throw refuse(values === 'int8' ? 'scales ≥ 0' : 'float16 scales', `${unfit}`, 'quantise again');
  }
  const scales = values === 'int8' ? grid.scales : spread(grid);
  let nonzeros = 0;
  for (const value of q) if (value !== 0) nonzeros++;
  return { matrix: { rows, columns, values, q, scales }, nonzeros, rounded: 0 };
}

/** A scale for each 128 columns; a row's scale is the same for all of them. */
function spread({ rows, columns, group, scales }: GridNumbers): Float32Array {
  if (group === SCALE_GROUP) return scales;
  const groups = Math.ceil(columns / SCALE_GROUP);
  return Float32Array.from({ length: rows * groups }, (_, i) => scales[Math.floor(i / groups)]!);
}
