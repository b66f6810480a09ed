// Encodes one tensor of a checkpoint for a .lw file. Vectors, routers and learned positions are float32. Embeddings and
// the head are dense, and encoded in slabs of rows. Linears are quantised and get the chosen layout; those that the
// checkpoint has on a grid already (layerwise.scales) keep its integers and scales. −0 becomes +0 where zeros are not
// stored.

import { UnsupportedError } from '../base/index.js';
import { type Checkpoint, readRows, readTensorFloat32, type ScalesFile } from '../checkpoint/index.js';
import {
  countSlots,
  type EncodedLinear,
  encodeDense,
  encodeDenseFloat,
  encodeFixedTiles,
  encodeMaskedTiles,
  encodeRows,
  encodeSortedTiles,
  layoutDense,
  type QuantisedMatrix,
} from '../layouts/index.js';
import { bytesPerElement, transpose } from '../tensor/index.js';
import { type ChosenLayout, chooseFloat, chooseTiles, type LayoutChoice } from './choose.js';
import type { HeadValues, StoredValues } from './directory.js';
import { takeGrid } from './grid.js';
import { type Quantised, quantise, requireFinite } from './quantise.js';
import type { PackedTensor } from './source.js';

export type PackSettings = {
  /** Number type of the blocks' linears. */
  readonly values: StoredValues;
  readonly layout: LayoutChoice;
  /** Number type of the embeddings and the LM head. */
  readonly head: HeadValues;
};

/** The default type of embeddings and head: exact where the linears are exact. */
export const headFor = (values: StoredValues): HeadValues => (values === 'f32' ? 'f32' : 'int8');

export type EncodedTensor = {
  readonly encoded: EncodedLinear;
  /** Stored weights that are not zero; and weights of the source that were not zero and were rounded to it. */
  readonly nonzeros: number;
  readonly rounded: number;
  readonly reason: string;
};

/** Bytes of a table read at once. A slab is a multiple of eight rows, so that encoded slabs can be joined. */
const SLAB_BYTES = 32 << 20;

/** @throws NumericError E_NUMERIC_WEIGHT; CheckpointError, ResourceError from reading */
export async function encodeTensor(
  checkpoint: Checkpoint,
  tensor: PackedTensor,
  { values, layout, head }: PackSettings,
  scales?: ScalesFile,
  slabBytes: number = SLAB_BYTES,
): Promise<EncodedTensor> {
  if (tensor.role === 'embedding' || tensor.role === 'head') return encodeTable(checkpoint, tensor, head, slabBytes);
  const { name, rows, columns } = tensor;
  const stored = await readTensorFloat32(checkpoint, name);
  const data = tensor.transposed ? transpose(stored, columns, rows) : stored;
  if (tensor.role !== 'linear') return { ...encodeFloat(name, data, rows, columns), reason: `${tensor.role} in f32` };
  if (values === 'f32') return encodeFloatLinear(name, data, rows, columns, layout);
  const found = scales?.grids.has(name)
    ? takeGrid(await scales.read(name, data, checkpoint.tensors.get(name)!.dtype), scales.path)
    : quantise(name, data, rows, columns, values);
  return encodeIntegerLinear(name, found, layout);
}

function encodeIntegerLinear(name: string, { matrix, ...counts }: Quantised, asked: LayoutChoice): EncodedTensor {
  const { values } = matrix;
  if (asked === 'tiles' && (values === 'int3' || values === 'int2')) {
    const message = `${name}: tiles hold int8 or int4, and this linear is ${values}; use --layout auto or dense.`;
    throw new UnsupportedError('E_UNSUPPORTED_TILES', message, { tensor: name, values });
  }
  const { chosen, reason } = chooseTiles(matrix, values, countSlots(matrix), asked);
  return { encoded: encodeAs(chosen.layout, matrix), ...counts, reason };
}

function encodeAs(layout: ChosenLayout['chosen']['layout'], matrix: QuantisedMatrix): EncodedLinear {
  if (layout.layout !== 'tiles') return encodeDense(matrix);
  if (layout.form === 'sorted') return encodeSortedTiles(matrix);
  const encode = layout.index === 'mask' ? encodeMaskedTiles : encodeFixedTiles;
  return encode(matrix, layout.slots);
}

function encodeFloatLinear(
  name: string,
  data: Float32Array,
  rows: number,
  columns: number,
  asked: LayoutChoice,
): EncodedTensor {
  const { chosen, reason } = chooseFloat({ rows, columns }, countNonzeros(data), asked);
  if (chosen.layout.layout === 'dense') return { ...encodeFloat(name, data, rows, columns), reason };
  requireFinite(name, data);
  return { encoded: encodeRows({ rows, columns, data }), nonzeros: countNonzeros(data), rounded: 0, reason };
}

function encodeFloat(name: string, data: Float32Array, rows: number, columns: number): Omit<EncodedTensor, 'reason'> {
  requireFinite(name, data);
  return { encoded: encodeDenseFloat({ rows, columns, data }), nonzeros: countNonzeros(data), rounded: 0 };
}

async function encodeTable(
  checkpoint: Checkpoint,
  tensor: PackedTensor,
  head: HeadValues,
  slabBytes: number,
): Promise<EncodedTensor> {
  const { name, role, rows, columns } = tensor;
  const layout = layoutDense({ rows, columns }, head);
  const parts = layout.parts.map(({ bytes }) => new Uint8Array(bytes));
  const ends = parts.map(() => 0);
  const counts = { nonzeros: 0, rounded: 0 };
  const encodeSlab = (_: number, data: Float32Array): void => {
    const slab = encodeRowsOfTable(name, data, columns, head);
    counts.nonzeros += slab.nonzeros;
    counts.rounded += slab.rounded;
    for (const [i, part] of slab.encoded.parts.entries()) {
      parts[i]!.set(part, ends[i]!);
      ends[i]! += part.length;
    }
  };
  const rowBytes = columns * bytesPerElement(checkpoint.tensors.get(name)!.dtype);
  const slabRows = 8 * Math.max(1, Math.floor(slabBytes / (8 * rowBytes)));
  await readRows(checkpoint, name, encodeSlab, slabRows * rowBytes);
  return { encoded: { layout, parts }, ...counts, reason: `${role} in ${head}` };
}

function encodeRowsOfTable(
  name: string,
  data: Float32Array,
  columns: number,
  head: HeadValues,
): Omit<EncodedTensor, 'reason'> {
  const rows = data.length / columns;
  if (head === 'f32') return encodeFloat(name, data, rows, columns);
  const { matrix, ...counts } = quantise(name, data, rows, columns, head);
  return { encoded: encodeDense(matrix), ...counts };
}

function countNonzeros(data: Float32Array): number {
  let count = 0;
  for (let i = 0; i < data.length; i++) if (data[i] !== 0) count++;
  return count;
}
