// Turns the result of an operator for a matrix into an edit of the stored tensor: in the checkpoint's dtype and order of
// storage, with +0 for every zero. Values that the dtype cannot hold are refused. Weights on a grid have a second tensor,
// their scales [rows, groups], from which the integers follow (checkpoint/scales.ts).

import { InternalError, NumericError } from '../base/index.js';
import { readTensor, type TensorToWrite } from '../checkpoint/index.js';
import {
  biasName,
  type Linear,
  type Model,
  requireFiniteTensors,
  toRows,
  toStored,
  unitOf,
  weightName,
} from '../model/index.js';
import { gridShape, type Mask, type Matrix, type MatrixGrid, type Prepared } from '../operators/index.js';
import type { Treatment } from '../records/index.js';
import { type DType, findNonFinite, fromFloat32, LARGEST_NUMBER, toFloat32 } from '../tensor/index.js';

/** What is stored of one linear. The tensors are read in this order. */
export type LinearEdit = {
  readonly weights: TensorToWrite;
  /** The bits and the scales of weights on a grid; the tensor has the name of the weights. */
  readonly grid?: { readonly bits: number; readonly scales: TensorToWrite };
  readonly bias?: TensorToWrite;
};

/**
 * The edit of one linear's weights. Its `read` reads the weights and treats them.
 * @throws NumericError E_NUMERIC_WEIGHT if a weight is NaN or infinite, E_NUMERIC_OVERFLOW if one becomes so in the dtype
 */
export function editLinear(model: Model, linear: Linear, prepared: Prepared, treatment: Treatment): LinearEdit {
  const { rows, columns } = linear;
  const name = weightName(linear);
  const { dtype, shape } = model.checkpoint.tensors.get(name)!;
  let made: MatrixGrid | undefined;
  /** What the operator adds to the bias; none where it took nothing out. */
  let moved: Float32Array | 'none' | undefined;
  const read = async (): Promise<Uint8Array> => {
    const bytes = await readTensor(model.checkpoint, name);
    const W = { rows, columns, data: toRows(linear, toFloat32(bytes, dtype)) };
    return await nameErrors(model, linear, async () => {
      const { zeroed, weights, grid, bias } = await prepared.apply(unitOf(linear), W, treatment);
      moved = bias ?? 'none';
      made = grid && { ...grid, q: new Int8Array() };
      const stored = weights ? fromFloat32(toStored(linear, weights), dtype) : bytes;
      zeroMasked(stored, dtype, toStored(linear, zeroed));
      if (weights) requireStorable(linear, { ...W, data: weights }, stored, dtype, treatment);
      return stored;
    });
  };
  const weights = { name, dtype, shape, read };
  if (prepared.movesBias?.(unitOf(linear))) return { weights, bias: editBias(model, linear, () => moved) };
  if (!treatment.bits) return { weights };
  const { bits } = treatment.bits;
  const { groups, halves } = gridShape(bits, treatment.bits.group, columns);
  const scales: TensorToWrite = {
    name,
    dtype: halves ? 'F16' : 'F32',
    shape: [rows, groups],
    read: async () => {
      if (made) return fromFloat32(made.scales, halves ? 'F16' : 'F32');
      throw new InternalError('E_INTERNAL_EDIT', `The scales of ${name} were read before its weights.`);
    },
  };
  return { weights, grid: { bits, scales } };
}

/** A linear's bias with what the edit of its weights adds to it, which is known once these are read. */
function editBias(
  { checkpoint }: Model,
  linear: Linear,
  moved: () => Float32Array | 'none' | undefined,
): TensorToWrite {
  const name = biasName(linear);
  const { dtype, shape } = checkpoint.tensors.get(name)!;
  const read = async (): Promise<Uint8Array> => {
    const bytes = await readTensor(checkpoint, name);
    const by = moved();
    if (by === undefined) {
      throw new InternalError('E_INTERNAL_EDIT', `The bias of ${linear.name} was read before its weights.`);
    }
    if (by === 'none') return bytes;
    const values = toFloat32(bytes, dtype).map((value, i) => value + by[i]!);
    return storable(values, dtype, () => {
      const { name: of, block } = linear;
      const message = `Block ${block}, ${of}: the repaired bias is not finite in ${dtype}. Use a copy of the checkpoint in BF16 or F32, or --repair none.`;
      throw new NumericError(OVERFLOW, message, { block, linear: of, tensor: name, dtype });
    });
  };
  return { name, dtype, shape, read };
}

/** Values in a tensor's dtype. Calls `refuse` with the place of the first that is not finite in it. */
export function storable(values: Float32Array, dtype: DType, refuse: (first: number) => never): Uint8Array {
  const stored = fromFloat32(values, dtype);
  const { first } = findNonFinite(stored, dtype);
  return first < 0 ? stored : refuse(first);
}

/** An edit that holds its bytes, so that reading it twice computes it once. */
export async function computed({ name, dtype, shape, read }: TensorToWrite): Promise<TensorToWrite> {
  const bytes = await read();
  return { name, dtype, shape, read: async () => bytes };
}

/** Adds the linear's name to a NumericError of an operator, which knows no names. Blames the checkpoint if it is broken. */
async function nameErrors<T>(model: Model, linear: Linear, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NumericError)) throw error;
    await requireFiniteTensors(model, [weightName(linear)]);
    const { name, block } = linear;
    if (error.code === OVERFLOW) throw error;
    const message = `Block ${block}, ${name}: its weights in the checkpoint are finite. ${error.message}`;
    throw new NumericError(error.code, message, { ...error.facts, block, linear: name }, { cause: error });
  }
}

const OVERFLOW = 'E_NUMERIC_OVERFLOW';

/**
 * Refuses weights of a solver that are NaN or infinite in the dtype of the tensor: F16 ends at 65504.
 * @throws NumericError E_NUMERIC_OVERFLOW
 */
function requireStorable(
  { name, block }: Linear,
  { columns, data }: Matrix,
  stored: Uint8Array,
  dtype: DType,
  treatment: Treatment,
): void {
  const { nan, infinite, first } = findNonFinite(stored, dtype);
  if (first < 0) return;
  let at = data.findIndex((weight) => Number.isNaN(weight));
  if (at < 0) {
    at = 0;
    for (let i = 0; i < data.length; i++) if (Math.abs(data[i]!) > Math.abs(data[at]!)) at = i;
  }
  const [count, largest, limit] = [nan + infinite, data[at]!, LARGEST_NUMBER[dtype]];
  const position = [Math.floor(at / columns), at % columns];
  const wider = dtype === 'F16' ? 'Use a copy of the checkpoint in BF16 or F32' : 'Use more calibration text';
  const other = treatment.bits
    ? 'method that repairs no weights, such as rtn'
    : 'criterion that repairs no weights, such as wanda';
  throw new NumericError(
    OVERFLOW,
    `Block ${block}, ${name}: ${count} repaired ${count === 1 ? 'weight exceeds' : 'weights exceed'} the largest number of ${dtype} (${limit}); the largest is ${largest}, at [${position.join(', ')}]. ${wider}, or use a ${other}.`,
    { block, linear: name, tensor: weightName({ name }), dtype, count, largest, limit, position },
  );
}

/** Writes +0 where the mask is 1, and turns every −0 into +0: some sparse kernels mishandle negative zeros. */
function zeroMasked(bytes: Uint8Array, dtype: DType, mask: Mask): void {
  if (dtype === 'F32') {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, mask.length);
    for (let i = 0; i < mask.length; i++) if (mask[i] === 1 || words[i] === 0x80000000) words[i] = 0;
  } else {
    const words = new Uint16Array(bytes.buffer, bytes.byteOffset, mask.length);
    for (let i = 0; i < mask.length; i++) if (mask[i] === 1 || words[i] === 0x8000) words[i] = 0;
  }
}
