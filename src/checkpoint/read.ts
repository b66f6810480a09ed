// Reads tensors of an opened checkpoint: whole, in ranges, or row by row for tables too large to hold at once.

import { join } from 'node:path';
import { CheckpointError, hashFile, OptionError, ShapeError } from '../base/index.js';
import { bytesPerElement, toFloat32 } from '../tensor/index.js';
import { allocate } from './allocate.js';
import { readFully, withFile } from './io.js';
import { show } from './json.js';
import { type Checkpoint, givenPath } from './open.js';
import type { TensorInfo } from './safetensors.js';

const SLAB_BYTES = 32 << 20;

function find(checkpoint: Checkpoint, name: string): TensorInfo {
  const tensor = checkpoint.tensors.get(name);
  if (tensor) return tensor;
  const message = `${givenPath(checkpoint)}: expected a tensor ${show(name)}, got none; the checkpoint has ${checkpoint.tensors.size} others.`;
  throw new CheckpointError('E_CHECKPOINT_MISSING', message, { file: checkpoint.dir, tensor: name });
}

/**
 * Reads a tensor's bytes, row-major and little-endian, into their own buffer.
 *
 * @throws CheckpointError E_CHECKPOINT_MISSING, E_CHECKPOINT_CHANGED (the file is shorter than when it was opened)
 * @throws ResourceError E_RESOURCE_MEMORY, E_RESOURCE_…
 */
export async function readTensor(checkpoint: Checkpoint, name: string): Promise<Uint8Array<ArrayBuffer>> {
  return readTensorRange(checkpoint, name, 0, find(checkpoint, name).length);
}

/** Reads `length` bytes of a tensor from its byte `begin` on. @throws OptionError E_OPTION_RANGE; otherwise as `readTensor` */
export async function readTensorRange(
  checkpoint: Checkpoint,
  name: string,
  begin: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const tensor = find(checkpoint, name);
  const whole = [begin, length].every((n) => Number.isSafeInteger(n) && n >= 0);
  if (!whole || begin + length > tensor.length) {
    const message = `${name}: expected a range inside ${tensor.length} bytes, got ${length} bytes from ${begin} on.`;
    throw new OptionError('E_OPTION_RANGE', message, { tensor: name, begin, length });
  }
  const path = join(checkpoint.dir, tensor.file);
  const bytes = allocate(length, path);
  await withFile(path, (handle) => readFully(handle, bytes, tensor.offset + begin, path));
  return bytes;
}

/** Reads a tensor as float32, row-major. @throws UnsupportedError E_UNSUPPORTED_DTYPE unless it is F64, F32, F16 or BF16; otherwise as `readTensor` */
export async function readTensorFloat32(checkpoint: Checkpoint, name: string): Promise<Float32Array<ArrayBuffer>> {
  const { dtype } = find(checkpoint, name);
  const bytes = await readTensor(checkpoint, name);
  return dtype === 'F32' ? new Float32Array(bytes.buffer) : toFloat32(bytes, dtype);
}

/**
 * Streams a tensor [rows, rowLength] as float32, in order, in slabs of whole rows. `visit` receives the index of the
 * slab’s first row, its values (k × rowLength, a new array each time) and rowLength, and is awaited. A slab is at most
 * `slabBytes` bytes of the file, but at least one row. Defaults to 32 MiB.
 *
 * @throws ShapeError E_SHAPE_RANK unless the tensor has two dimensions; otherwise as `readTensorFloat32`
 */
export async function readRows(
  checkpoint: Checkpoint,
  name: string,
  visit: (firstRow: number, rows: Float32Array, rowLength: number) => void | Promise<void>,
  slabBytes: number = SLAB_BYTES,
): Promise<void> {
  const tensor = find(checkpoint, name);
  const [rows, rowLength] = tensor.shape;
  if (tensor.shape.length !== 2 || rows === undefined || rowLength === undefined) {
    const message = `${name}: expected a tensor [rows, columns], got ${show(tensor.shape)}.`;
    throw new ShapeError('E_SHAPE_RANK', message, { tensor: name, shape: tensor.shape });
  }
  const rowBytes = rowLength * bytesPerElement(tensor.dtype);
  if (rowBytes === 0) return;
  const slab = Math.max(1, Math.floor(slabBytes / rowBytes));
  const path = join(checkpoint.dir, tensor.file);
  await withFile(path, async (handle) => {
    for (let first = 0; first < rows; first += slab) {
      const bytes = allocate(Math.min(slab, rows - first) * rowBytes, path);
      await readFully(handle, bytes, tensor.offset + first * rowBytes, path);
      await visit(first, toFloat32(bytes, tensor.dtype), rowLength);
    }
  });
}

/**
 * SHA-256 in hexadecimal of every shard, of config.json and, where present, of the tokenizer's files, by file name; and, under
 * `gguf`, of the file that the checkpoint was made from. A file in `known` is not read again.
 */
export async function hashCheckpoint(
  checkpoint: Checkpoint,
  known: Readonly<Record<string, string>> = {},
): Promise<Record<string, string>> {
  const described = ['config.json', 'tokenizer.json', 'tokenizer_config.json'].filter((file) =>
    checkpoint.files.includes(file),
  );
  const hashes: Record<string, string> = checkpoint.origin ? { gguf: checkpoint.origin.sha256 } : {};
  for (const file of [...described, ...checkpoint.shards]) {
    hashes[file] = known[file] ?? (await hashFile(join(checkpoint.dir, file)));
  }
  return hashes;
}
