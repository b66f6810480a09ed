// Matrices of integers to time kernels with.

import type { createRng } from '#src/base';
import { type IntegerValues, type QuantisedMatrix, RANGES, scaleGroups } from '#src/layouts';

/** Integers of which `kept` of sixteen columns of each row, at random, are not zero. All scales are alike. */
export function randomMatrix(
  rng: ReturnType<typeof createRng>,
  {
    rows,
    columns,
    values,
    kept,
  }: { readonly rows: number; readonly columns: number; readonly values: IntegerValues; readonly kept: number },
): QuantisedMatrix {
  const [low, high] = RANGES[values];
  const q = Int8Array.from({ length: rows * columns }, () => low + rng.below(high - low + 1) || 1);
  for (let first = 0; kept < 16 && first < q.length; first += 16) {
    const places = Array.from({ length: 16 }, (_, i) => i);
    for (let left = 16 - kept; left > 0; left--) q[first + places.splice(rng.below(places.length), 1)[0]!] = 0;
  }
  const scales = new Float32Array(values === 'int8' ? rows : rows * scaleGroups({ rows, columns })).fill(0.5);
  return { rows, columns, values, q, scales };
}
