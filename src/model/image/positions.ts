// A table of position embeddings for a grid of patches of another size. The table is s² rows of D numbers, row by row, without
// the rows of class or distillation tokens, which are never interpolated. Bicubic as PyTorch's `interpolate` without
// antialias and with align_corners false, a = −0.75, in float32 and one axis after the other: with f = ⌊c⌋ and t = c − f of
//   c = (i + ½)·s/g − ½,
// output i is Σ k(t + 1), k(t), k(1 − t), k(2 − t) of the rows f − 1 … f + 2, those beyond an edge being the edge's.

import { ShapeError } from '../../base/portable.js';

/** Patches down and across. */
export type PatchGrid = readonly [height: number, width: number];

const A = -0.75;

/** The weights of four neighbours, of which the second lies `t` before the place. In float32, as they are in PyTorch. */
function cubicWeights(t: number): readonly [number, number, number, number] {
  const near = (x: number): number => ((A + 2) * x - (A + 3)) * x * x + 1;
  const far = (x: number): number => ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)].map(Math.fround) as [number, number, number, number];
}

type Taps = { readonly rows: readonly number[]; readonly weights: readonly number[] };

/** What each of `to` places reads of `from`. The place is rounded to float32 where PyTorch rounds it. */
function tapsOf(from: number, to: number): readonly Taps[] {
  const scale = Math.fround(from / to);
  return Array.from({ length: to }, (_, i) => {
    const place = Math.fround(Math.fround(scale * (i + 0.5)) - 0.5);
    const floor = Math.floor(place);
    const rows = [-1, 0, 1, 2].map((step) => Math.min(Math.max(floor + step, 0), from - 1));
    return { rows, weights: cubicWeights(Math.fround(place - floor)) };
  });
}

/** The side of a square table. @throws ShapeError E_SHAPE_POSITIONS */
function sideOf(table: Float32Array, width: number): number {
  const side = Math.sqrt(table.length / width);
  if (Number.isInteger(side) && side > 0) return side;
  throw new ShapeError(
    'E_SHAPE_POSITIONS',
    `Position table: expected the rows of a square of patches, got ${table.length / width} rows of ${width} numbers. Leave out the rows of class tokens.`,
    { rows: table.length / width, width },
  );
}

/** Rows for a grid, [height · width, D]. The table itself where it has the grid's size. */
export function interpolatePositions(table: Float32Array, width: number, [height, across]: PatchGrid): Float32Array {
  const side = sideOf(table, width);
  if (height === side && across === side) return table;
  const [down, right] = [tapsOf(side, height), tapsOf(side, across)];
  const wide = new Float32Array(side * across * width);
  for (let row = 0; row < side; row++) {
    for (const [j, { rows, weights }] of right.entries()) {
      for (let d = 0; d < width; d++) {
        const at = (k: number): number => weights[k]! * table[(row * side + rows[k]!) * width + d]!;
        wide[(row * across + j) * width + d] = at(0) + at(1) + at(2) + at(3);
      }
    }
  }
  const line = across * width;
  const result = new Float32Array(height * line);
  for (const [i, { rows, weights }] of down.entries()) {
    for (let d = 0; d < line; d++) {
      const at = (k: number): number => weights[k]! * wide[rows[k]! * line + d]!;
      result[i * line + d] = at(0) + at(1) + at(2) + at(3);
    }
  }
  return result;
}
