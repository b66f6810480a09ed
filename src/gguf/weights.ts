// The weights of a file as the tensors of a checkpoint. They are read, dequantised, put in order and narrowed a slab of whole
// rows at a time, so that an embedding of gigabytes needs no more memory than a norm.

import type { FileHandle } from 'node:fs/promises';
import { CheckpointError } from '../base/index.js';
import { allocate, readFully, type TensorInSlabs } from '../checkpoint/index.js';
import { fromFloat32 } from '../tensor/index.js';
import { dequantise } from './dequantise.js';
import type { TwinTensor } from './names.js';
import { show } from './refuse.js';

export type TwinDType = 'F16' | 'BF16' | 'F32';

/** Weights of a slab; 16 MiB as float32. */
const SLAB = 4 << 20;
/** From here on a number rounds to infinity as F16. */
const PAST_HALVES = 65_520;

/** A weight that F16 cannot hold, which decides for F32. Nobody else sees it. */
export class PastHalves extends Error {}

/**
 * The type of all weights of the twin: that of the matrices where they are all of one of F32, F16 and BF16, F32 where these
 * are mixed, and F16 where one of them is quantised.
 */
export function chooseDType(tensors: readonly TwinTensor[]): TwinDType {
  const types = new Set(tensors.filter(({ from }) => from.shape.length > 1).map(({ from }) => from.type.name));
  const [first] = types;
  if ([...types].some((type) => type !== 'F32' && type !== 'F16' && type !== 'BF16')) return 'F16';
  return types.size === 1 ? (first as TwinDType) : 'F32';
}

/** A tensor to write. `onBytes` is told how many bytes of the file were read. */
export function twinWeights(
  handle: FileHandle,
  path: string,
  tensor: TwinTensor,
  dtype: TwinDType,
  headDim: number,
  onBytes: (bytes: number) => void,
): TensorInSlabs {
  const { from, name, change } = tensor;
  const { shape, type, offset, length } = from;
  // A bias is permuted as a column: its elements are the rows.
  const columns = shape.length > 1 ? shape.at(-1)! : change === 'unpermute' ? 1 : shape[0]!;
  const rows = (length / type.bytes) * (type.weights / columns);
  const rowBytes = length / rows;
  const step = change === 'unpermute' ? headDim : 1;
  const slabRows = step * Math.max(1, Math.floor(SLAB / (columns * step)));
  return {
    name,
    dtype,
    shape,
    async *slabs() {
      for (let row = 0; row < rows; row += slabRows) {
        const bytes = allocate(Math.min(slabRows, rows - row) * rowBytes, path);
        await readFully(handle, bytes, offset + row * rowBytes, path);
        let W = dequantise(bytes, type);
        if (change === 'unpermute') W = unpermute(W, headDim, columns);
        if (change === 'minus one') W = W.map((weight) => weight - 1);
        checkRange(W, dtype, path, from.name);
        yield fromFloat32(W, dtype);
        onBytes(bytes.length);
      }
    },
  };
}

/** Row 2i + j of a head, where j is the half, becomes row j·headDim/2 + i. */
function unpermute(W: Float32Array, headDim: number, columns: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(W.length);
  const half = headDim / 2;
  for (let row = 0; row < W.length / columns; row++) {
    const inHead = row % headDim;
    const to = row - inHead + (inHead % 2) * half + (inHead >> 1);
    out.set(W.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return out;
}

function checkRange(W: Float32Array, dtype: TwinDType, path: string, tensor: string): void {
  for (let i = 0; i < W.length; i++) {
    const weight = W[i]!;
    if (!Number.isFinite(weight)) {
      const message = `${path}: tensor ${show(tensor)}: expected finite weights, got ${weight}; download or convert it again.`;
      throw new CheckpointError('E_CHECKPOINT_GGUF', message, { file: path, tensor, got: String(weight) });
    }
    if (dtype === 'F16' && Math.abs(weight) >= PAST_HALVES) throw new PastHalves();
  }
}
