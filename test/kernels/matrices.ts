// Random linears and activations for the tests of layouts and kernels: any density, empty rows, both ends of the range.

import fc from 'fast-check';
import { createRng } from '../../src/base/index.js';
import {
  countSlots,
  type EncodedLinear,
  encodeDense,
  encodeDenseFloat,
  encodeFixedTiles,
  encodeMaskedTiles,
  encodeRows,
  encodeSortedTiles,
  type FloatMatrix,
  type IntegerValues,
  type QuantisedMatrix,
  RANGES,
  scaleGroups,
} from '../../src/layouts/index.js';
import { fromFloat32, toFloat32 } from '../../src/tensor/index.js';

export type Case = {
  readonly rows: number;
  readonly columns: number;
  readonly density: number;
  /** Every weight is the least integer, which is the largest, and every activation the largest there is. */
  readonly saturated: boolean;
  readonly seed: number;
};

/** Shapes around every multiple that a layout or kernel cuts by. */
export const cases = fc.record({
  rows: fc.integer({ min: 1, max: 27 }),
  columns: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 100, max: 700 })),
  density: fc.oneof(fc.constantFrom(0, 0.05, 0.25, 1), fc.double({ min: 0, max: 1, noNaN: true })),
  saturated: fc.boolean(),
  seed: fc.nat({ max: 2 ** 31 }),
});

/** Weights between empty and full rows, scales of either sign where the type has them; a fifth of the rows are empty. */
export function quantised(c: Case, values: IntegerValues): QuantisedMatrix {
  const rng = createRng(c.seed);
  const [low, high] = RANGES[values];
  const q = new Int8Array(c.rows * c.columns);
  for (let row = 0; row < c.rows; row++) {
    if (!c.saturated && rng.below(5) === 0) continue;
    for (let i = row * c.columns; i < (row + 1) * c.columns; i++) {
      if (rng.uniform() < c.density) q[i] = c.saturated ? low : low + rng.below(high - low + 1);
    }
  }
  const count = values === 'int8' ? c.rows : c.rows * scaleGroups(c);
  const sign = (): number => (values === 'int8' || rng.below(2) === 0 ? 1 : -1);
  const scales = Float32Array.from({ length: count }, () => sign() * rng.uniform() * 10 ** (rng.below(9) - 6));
  return { ...c, values, q, scales: values === 'int8' ? scales : toFloat32(fromFloat32(scales, 'F16'), 'F16') };
}

export function floats(c: Case): FloatMatrix {
  const rng = createRng(c.seed);
  const scale = c.saturated ? 1e-38 : 1; // denormal products
  const data = Float32Array.from({ length: c.rows * c.columns }, () =>
    rng.uniform() < c.density ? (2 * rng.uniform() - 1) * scale : 0,
  );
  return { rows: c.rows, columns: c.columns, data };
}

/** An integer matrix in each layout that takes it. */
export function integerLayouts(c: Case, values: IntegerValues): readonly EncodedLinear[] {
  const matrix = quantised(c, values);
  if (values === 'int3' || values === 'int2') return [encodeDense(matrix)];
  const all = [encodeDense(matrix), encodeFixedTiles(matrix), encodeSortedTiles(matrix)];
  const fits = values === 'int4' && countSlots(matrix).every((n) => n <= 8);
  return fits ? [...all, encodeMaskedTiles(matrix)] : all;
}

export function floatLayouts(c: Case): readonly EncodedLinear[] {
  return [encodeDenseFloat(floats(c)), encodeRows(floats(c))];
}
