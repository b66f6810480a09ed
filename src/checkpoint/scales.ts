// layerwise.scales: the grids of an edited checkpoint's quantised linears. The checkpoint beside it has W = q · scale in
// its own dtype, so it runs anywhere; this file has what that loses, the scale of each group of columns, from which q
// follows exactly. It is a safetensors file with a tensor [rows, groups] of each linear's weights (F16 or F32, by the
// weights' name; rows = outputs, also where the checkpoint stores W transposed), and two metadata: `format` and `bits`,
// a JSON object from names to 2, 3, 4 or 8. q is in [−2^(b−1), 2^(b−1) − 1], for 8 bits in [−127, 127]. A group is 32,
// 64 or 128 consecutive columns of a row, or the row; the last of a row may be shorter. The file is not trusted, and
// weights that were edited after it was written are refused.

import { join } from 'node:path';
import { CheckpointError } from '../base/index.js';
import { type DType, fromFloat32, toFloat32 } from '../tensor/index.js';
import { statIfThere } from './io.js';
import { parseJsonObject, show } from './json.js';
import type { Checkpoint } from './open.js';
import { readTensorFloat32 } from './read.js';
import { readSafetensors, type TensorInfo } from './safetensors.js';
import { type TensorToWrite, writeSafetensors } from './write.js';

/** Its name in the checkpoint's directory. */
export const SCALES_FILE = 'layerwise.scales';
const FORMAT = 'layerwise-scales 1';
const GROUPS = [32, 64, 128] as const;

/** A linear's weights by the checkpoint's name, [rows = out, columns = in]. */
type Weights = { readonly name: string; readonly rows: number; readonly columns: number };

/** The grid of one linear. `group` is how many columns share a scale; where it is `columns`, a row has one scale. */
export type LinearGrid = Weights & {
  readonly bits: number;
  readonly group: number;
  /** In which the scales are stored. */
  readonly dtype: 'F16' | 'F32';
};

/** A linear's grid with its numbers, row-major: W = q · scale, q [rows, columns], scales [rows, ⌈columns / group⌉]. */
export type GridNumbers = LinearGrid & { readonly q: Int8Array; readonly scales: Float32Array };

/** The numbers alone, of a grid that need not be in a file. */
export type Grid = Pick<GridNumbers, 'bits' | 'group' | 'q' | 'scales'>;

export type ScalesFile = {
  readonly path: string;
  /** The quantised linears by the name of their weights. */
  readonly grids: ReadonlyMap<string, LinearGrid>;
  /**
   * The scales and integers of a linear whose weights, row-major and widened from `dtype`, are `W`.
   * @throws CheckpointError E_CHECKPOINT_SCALES where a scale is not finite, or a weight is not on the grid
   */
  read(name: string, W: Float32Array, dtype: DType): Promise<GridNumbers>;
};

/** Whether a checkpoint is quantised. @throws ResourceError where that cannot be seen */
export const hasScales = async ({ dir }: Pick<Checkpoint, 'dir'>): Promise<boolean> =>
  (await statIfThere(join(dir, SCALES_FILE))) !== undefined;

/**
 * Opens a checkpoint's scales; undefined where it has none. `linears` are those that may have some.
 * @throws CheckpointError E_CHECKPOINT_SCALES, and as `readSafetensors`
 */
export async function readScales(checkpoint: Checkpoint, linears: Iterable<Weights>): Promise<ScalesFile | undefined> {
  if (!(await hasScales(checkpoint))) return undefined;
  const path = join(checkpoint.dir, SCALES_FILE);
  const { tensors, metadata } = await readSafetensors(path);
  const { format, bits: text, ...others } = metadata;
  if (format !== FORMAT) throw scalesError(path, `the format ${show(FORMAT)}`, show(format));
  if (text === undefined) throw scalesError(path, 'the metadata "bits"', 'none');
  if (Object.keys(others).length > 0) throw scalesError(path, 'no other metadata', show(Object.keys(others)));
  const bits = new Map(
    Object.entries(parseJsonObject(new TextEncoder().encode(text), `${path}: bits`, 'E_CHECKPOINT_SCALES')),
  );
  const known = new Map([...linears].map((linear) => [linear.name, linear]));
  const grids = new Map<string, LinearGrid>();
  for (const [name, info] of tensors) grids.set(name, gridOf(path, info, known.get(name), bits.get(name)));
  const unstored = [...bits.keys()].find((name) => !tensors.has(name));
  if (unstored !== undefined) throw scalesError(path, 'scales for each linear that has bits', 'none', unstored);
  const source: Checkpoint = { ...checkpoint, tensors };
  return {
    path,
    grids,
    read: async (name, W, dtype) => {
      const grid = grids.get(name);
      if (!grid) throw scalesError(path, 'scales of this linear', 'none', name);
      return recover(path, grid, await readTensorFloat32(source, name), W, dtype);
    },
  };
}

function gridOf(path: string, info: TensorInfo, linear: Weights | undefined, bits: unknown): LinearGrid {
  const { name, dtype, shape } = info;
  if (!linear) throw scalesError(path, 'only linears of the checkpoint’s blocks', 'another tensor', name);
  if (bits !== 2 && bits !== 3 && bits !== 4 && bits !== 8) {
    throw scalesError(path, '2, 3, 4 or 8 bits', show(bits), name);
  }
  if (dtype !== 'F16' && dtype !== 'F32') throw scalesError(path, 'scales in F16 or F32', dtype, name);
  const { rows, columns } = linear;
  const [ownRows, groups] = shape;
  // Where a group size gives one group, that is the row.
  const group = groups === 1 ? columns : GROUPS.find((size) => Math.ceil(columns / size) === groups);
  if (shape.length !== 2 || ownRows !== rows || group === undefined) {
    const counts = [...new Set([...GROUPS.map((size) => Math.ceil(columns / size)), 1])];
    throw scalesError(path, `scales [${rows}, ${counts.join(' or ')}]`, show(shape), name);
  }
  return { name, rows, columns, bits, group, dtype };
}

/** q = W / scale, rounded; checks that W is q · scale, rounded to the checkpoint's dtype. */
function recover(path: string, grid: LinearGrid, scales: Float32Array, W: Float32Array, dtype: DType): GridNumbers {
  const { name, rows, columns, bits, group } = grid;
  if (W.length !== rows * columns) throw scalesError(path, `${rows * columns} weights`, `${W.length}`, name);
  const strange = scales.findIndex((scale) => !Number.isFinite(scale));
  if (strange >= 0) throw scalesError(path, 'finite scales', `${scales[strange]} at ${strange}`, name);
  const [low, high] = bits === 8 ? [-127, 127] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const groups = Math.ceil(columns / group);
  const q = new Int8Array(rows * columns);
  const products = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      const scale = scales[row * groups + Math.floor(column / group)]!;
      const value = scale === 0 ? 0 : Math.min(high, Math.max(low, Math.round(W[at]! / scale)));
      q[at] = value;
      products[at] = value * scale;
    }
  }
  const stored = dtype === 'F64' || dtype === 'F32' ? products : toFloat32(fromFloat32(products, dtype), dtype);
  const off = stored.findIndex((value, i) => value !== W[i]);
  if (off >= 0) {
    const got = `${W[off]} at row ${Math.floor(off / columns)}, column ${off % columns}`;
    throw scalesError(path, `weights that are a scale times a whole number from ${low} to ${high}`, got, name);
  }
  return { ...grid, q, scales };
}

/**
 * Writes the scales of a checkpoint's quantised linears into its directory. They are F16 where that is exact, else F32.
 * @throws InternalError E_INTERNAL_TENSOR; ResourceError E_RESOURCE_…
 */
export async function writeScales(
  dir: string,
  linears: readonly (Weights & { readonly bits: number; readonly scales: Float32Array })[],
): Promise<void> {
  const tensors = linears.map(({ name, rows, scales }): TensorToWrite => {
    const halves = fromFloat32(scales, 'F16');
    const exact = toFloat32(halves, 'F16').every((half, i) => half === scales[i]);
    const bytes = exact ? halves : fromFloat32(scales, 'F32');
    return { name, dtype: exact ? 'F16' : 'F32', shape: [rows, scales.length / rows], read: async () => bytes };
  });
  const bits = Object.fromEntries(linears.map((linear) => [linear.name, linear.bits]));
  await writeSafetensors(join(dir, SCALES_FILE), tensors, { format: FORMAT, bits: JSON.stringify(bits) });
}

function scalesError(file: string, expected: string, got: string, linear?: string): CheckpointError {
  const which = linear === undefined ? '' : ` ${show(linear)}:`;
  const message = `${file}:${which} expected ${expected}, got ${got}; write the quantised checkpoint again, or remove this file to quantise its weights anew.`;
  return new CheckpointError('E_CHECKPOINT_SCALES', message, { file, linear, expected, got });
}
