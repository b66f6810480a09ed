// layerwise.scales: the grids of a quantised checkpoint's linears. The checkpoint itself has ordinary weights W = q·scale in
// its dtype; this safetensors file beside it has, under the name of each such weight, its scales [rows, groups], and in its
// metadata the bits. q = round(W / scale) recovers the integers from the rounded products: half a step is more than what F16
// or BF16 loses of them. A group is that many consecutive columns of a row, the last one what is left.

import { join } from 'node:path';
import { CheckpointError } from '../base/index.js';
import { toFloat32 } from '../tensor/index.js';
import { allocate } from './allocate.js';
import { readFully, statIfThere, withFile } from './io.js';
import { isObject, show } from './json.js';
import { readSafetensors, type TensorInfo } from './safetensors.js';
import { SCALES_FILE } from './scales.js';

const FORMAT = 'layerwise-scales 1';
const BITS = [2, 3, 4, 8] as const;
const GROUPS = [32, 64, 128] as const;

/** The grid of a matrix of `columns`, known from headers. `group` is `columns` where a row has one scale. */
export type GridInfo = {
  readonly bits: number;
  readonly group: number;
  readonly columns: number;
  readonly tensor: TensorInfo;
};

/** Integers [rows, columns] and scales [rows, ceil(columns / group)], row-major. */
export type Grid = {
  readonly bits: number;
  readonly group: number;
  readonly q: Int8Array;
  readonly scales: Float32Array;
};

/**
 * The grids beside a checkpoint, by the name of the weight; none where there is no such file. `shapes` gives a weight's
 * [rows, columns].
 * @throws CheckpointError E_CHECKPOINT_SCALES where the file does not fit the checkpoint; E_CHECKPOINT_HEADER, …
 */
export async function openGrids(
  dir: string,
  shapeOf: (weight: string) => readonly [rows: number, columns: number] | undefined,
): Promise<ReadonlyMap<string, GridInfo>> {
  const path = join(dir, SCALES_FILE);
  if (!(await statIfThere(path))) return new Map();
  const { tensors, metadata } = await readSafetensors(path);
  if (metadata.format !== FORMAT) throw refuse(path, `the format ${show(FORMAT)}`, show(metadata.format));
  const bits = parseBits(path, metadata.bits);
  const grids = new Map<string, GridInfo>();
  for (const tensor of tensors.values()) {
    const shape = shapeOf(tensor.name);
    if (!shape) throw refuse(path, 'the name of a linear’s weights', show(tensor.name), tensor.name);
    grids.set(tensor.name, gridOf(path, tensor, bits[tensor.name], shape));
  }
  return grids;
}

function parseBits(path: string, text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const bits: unknown = JSON.parse(text ?? '');
    if (isObject(bits)) return bits;
  } catch {}
  throw refuse(path, 'a JSON object `bits` in the metadata', show(text));
}

function gridOf(
  path: string,
  tensor: TensorInfo,
  bits: unknown,
  [rows, columns]: readonly [rows: number, columns: number],
): GridInfo {
  const known = BITS.find((one) => one === bits);
  if (!known) throw refuse(path, `bits among ${BITS.join(', ')}`, show(bits), tensor.name);
  const [scaleRows, groups] = tensor.shape;
  if ((tensor.dtype !== 'F16' && tensor.dtype !== 'F32') || tensor.shape.length !== 2 || scaleRows !== rows) {
    throw refuse(path, `F16 or F32 [${rows}, groups]`, `${tensor.dtype} ${show(tensor.shape)}`, tensor.name);
  }
  const group = groups === 1 ? columns : GROUPS.find((one) => Math.ceil(columns / one) === groups);
  if (!group) throw refuse(path, `groups of ${GROUPS.join(', ')} or ${columns} columns`, `${groups}`, tensor.name);
  return { bits: known, group, columns, tensor };
}

/**
 * The integers and scales of `W` [rows, columns], a matrix as the checkpoint has it.
 * @throws CheckpointError E_CHECKPOINT_SCALES where a weight is not on the grid: it was changed after it was quantised
 */
export async function readGrid(dir: string, info: GridInfo, W: Float32Array): Promise<Grid> {
  const { bits, group, columns, tensor } = info;
  const path = join(dir, SCALES_FILE);
  const bytes = allocate(tensor.length, path);
  await withFile(path, (handle) => readFully(handle, bytes, tensor.offset, path));
  const scales = toFloat32(bytes, tensor.dtype);
  const [low, high] = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const q = new Int8Array(W.length);
  const groups = Math.ceil(columns / group);
  for (let row = 0; row * columns < W.length; row++) {
    for (let column = 0; column < columns; column++) {
      const i = row * columns + column;
      const w = W[i]!;
      if (w === 0) continue;
      const scale = scales[row * groups + Math.floor(column / group)]!;
      const value = Math.round(w / scale);
      // 2⁻⁸ of the weight is twice what BF16 rounds, 2⁻²⁴ what F16 rounds near zero.
      const fits = value >= low && value <= high && Math.abs(value * scale - w) <= Math.abs(w) / 256 + 2 ** -24;
      if (!fits) throw refuse(path, `q·${scale} with a whole q from ${low} to ${high}`, `${w}`, tensor.name);
      q[i] = value;
    }
  }
  return { bits, group, q, scales };
}

function refuse(file: string, expected: string, got: string, tensor?: string): CheckpointError {
  const place = tensor === undefined ? file : `${file}: tensor ${show(tensor)}`;
  const message = `${place}: expected ${expected}, got ${got}. The file does not belong to these weights: remove it, or quantise again.`;
  return new CheckpointError('E_CHECKPOINT_SCALES', message, { file, expected, got, tensor });
}
