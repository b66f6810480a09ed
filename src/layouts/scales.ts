// The scales of quantised linears. int8: `scales`, float32, one per row, for rows rounded up to whole groups of eight.
// int4, int3 and int2: `scales`, float16 of either sign [row group, column group, row in its group], so that the eight a kernel needs at
// once are adjacent.

import { ShapeError } from '../base/portable.js';
import { fromFloat32, toFloat32 } from '../tensor/index.js';
import { bytesOf, type IntegerValues, type QuantisedMatrix, viewOf } from './linear.js';
import { rowGroups, type Shape, scaleGroups, TILE_ROWS } from './shape.js';

export const scaleBytes = (shape: Shape, values: IntegerValues): number =>
  values === 'int8' ? rowGroups(shape) * TILE_ROWS * 4 : rowGroups(shape) * scaleGroups(shape) * TILE_ROWS * 2;

const placeOf = (row: number, group: number, groups: number): number =>
  (Math.floor(row / TILE_ROWS) * groups + group) * TILE_ROWS + (row % TILE_ROWS);

/** Whether a type can have this scale: a finite number, and of int8 none below zero. */
export const isScale = (scale: number, values: IntegerValues): boolean =>
  Number.isFinite(scale) && (scale >= 0 || values !== 'int8');

/** Encodes the scales of a matrix. @throws ShapeError E_SHAPE_SCALE where a scale does not fit its type */
export function encodeScales(matrix: QuantisedMatrix): Uint8Array<ArrayBuffer> {
  const { rows, values, scales } = matrix;
  const wrong = scales.findIndex((scale) => !isScale(scale, values));
  if (wrong >= 0) {
    throw scaleError(`expected ${values} scales ${SCALES_OF[values]}, got ${scales[wrong]}`, { at: wrong });
  }
  if (values === 'int8') {
    const padded = new Float32Array(rowGroups(matrix) * TILE_ROWS);
    padded.set(scales);
    return bytesOf(padded);
  }
  const halves = fromFloat32(scales, 'F16');
  const inexact = toFloat32(halves, 'F16').findIndex((scale, i) => scale !== scales[i]);
  if (inexact >= 0) {
    throw scaleError(`expected ${values} scales that are float16 numbers, got ${scales[inexact]}`, { at: inexact });
  }
  const from = viewOf(halves, Uint16Array);
  const groups = scaleGroups(matrix);
  const placed = new Uint16Array(rowGroups(matrix) * groups * TILE_ROWS);
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) placed[placeOf(row, group, groups)] = from[row * groups + group]!;
  }
  return bytesOf(placed);
}

/** Decodes the scales that encodeScales wrote. */
export function decodeScales(shape: Shape, values: IntegerValues, part: Uint8Array<ArrayBuffer>): Float32Array {
  if (values === 'int8') return viewOf(part, Float32Array).slice(0, shape.rows);
  const placed = toFloat32(part, 'F16');
  const groups = scaleGroups(shape);
  return Float32Array.from(
    { length: shape.rows * groups },
    (_, i) => placed[placeOf(Math.floor(i / groups), i % groups, groups)]!,
  );
}

const SCALES_OF = {
  int8: 'of at least zero',
  int4: 'that are finite',
  int3: 'that are finite',
  int2: 'that are finite',
} as const;

const scaleError = (what: string, facts: { at: number }): ShapeError =>
  new ShapeError('E_SHAPE_SCALE', `Scales: ${what} at ${facts.at}.`, facts);
