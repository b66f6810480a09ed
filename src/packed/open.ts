// Opening a .lw file: the preamble, the directory whose hash the preamble gives, and nothing else. What it costs depends
// on the number of tensors, not of weights. Text files are hashed when they are read; the weights' hashes are compared
// on request (`verify`), since hashing takes longer than reading; their index parts are always checked.

import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { CheckpointError, fileError, LayerwiseError, ShapeError } from '../base/index.js';
import { allocate, readFully, statIfThere } from '../checkpoint/index.js';
import { checkLinear } from '../kernels/index.js';
import { type Directory, parseDirectory, partOffsets, type TensorEntry, tensorError } from './directory.js';
import { PREAMBLE_BYTES, packedError, parsePreamble, sha256 } from './format.js';
import type { PackedModel } from './packed.js';

/** A packed model in a file. */
export interface PackedFile extends PackedModel {
  readonly fileBytes: number;
  /**
   * Reads everything, one tensor at a time, and compares every checksum; after it no byte can be other than was written.
   * @throws CheckpointError E_CHECKPOINT_PACKED_CHECKSUM; otherwise as `readWeightsInto`
   */
  verify(): Promise<void>;
}

/**
 * Opens a .lw file and checks all but the numbers in it; the file stays open until `close`.
 * @throws CheckpointError E_CHECKPOINT_PACKED (no whole .lw file, or its directory is unsound), E_CHECKPOINT_PACKED_TENSOR,
 * E_CHECKPOINT_PACKED_CHECKSUM; UnsupportedError E_UNSUPPORTED_PACKED_VERSION; ResourceError E_RESOURCE_…
 */
export async function openPacked(path: string): Promise<PackedFile> {
  const stats = await statIfThere(path);
  if (!stats?.isFile()) throw packedError(path, 'a file', stats ? 'something else' : 'nothing');
  const handle = await open(path, 'r').catch((error) => {
    throw fileError(error, path);
  });
  try {
    return fromFile(resolve(path), handle, await readDirectory(path, handle));
  } catch (error) {
    await handle.close();
    throw fileError(error, path);
  }
}

/** Whether a path is a .lw file rather than a checkpoint's folder: a regular file. */
export async function isPackedPath(path: string): Promise<boolean> {
  return (await statIfThere(path))?.isFile() ?? false;
}

async function readDirectory(path: string, handle: FileHandle): Promise<{ directory: Directory; fileBytes: number }> {
  const { size } = await handle.stat();
  const start = new Uint8Array(Math.min(PREAMBLE_BYTES, size));
  await readFully(handle, start, 0, path);
  const preamble = parsePreamble(start, path, size);
  const bytes = allocate(preamble.directoryBytes, path);
  await readFully(handle, bytes, preamble.directoryOffset, path);
  if (sha256(bytes) !== preamble.directoryHash) throw checksumError(path, 'the directory');
  return { directory: parseDirectory(bytes, preamble, path), fileBytes: size };
}

function fromFile(
  path: string,
  handle: FileHandle,
  { directory, fileBytes }: { directory: Directory; fileBytes: number },
): PackedFile {
  const { files, weights, tensors } = directory;
  const read = async (target: Uint8Array, offset: number): Promise<void> => {
    await readFully(handle, target, offset, path).catch((error) => {
      throw fileError(error, path);
    });
  };
  const readText = async (name: string): Promise<string | undefined> => {
    const entry = files.find((file) => file.name === name);
    if (!entry) return undefined;
    const bytes = allocate(entry.bytes, path);
    await read(bytes, entry.offset);
    if (sha256(bytes) !== entry.sha256) throw checksumError(path, name);
    return new TextDecoder().decode(bytes);
  };
  const readInto = async (target: Uint8Array, tensor: TensorEntry, verify: boolean): Promise<void> => {
    await read(target, weights.offset + tensor.offset);
    if (verify && sha256(target) !== tensor.sha256) throw checksumError(path, tensor.name);
    checkTensor(path, tensor, target);
  };
  return {
    path,
    directory,
    fileBytes,
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    weightBytes: weights.bytes,
    readText,
    readWeightsInto: async (target, { verify = false, onTensor } = {}) => {
      requireRoom(path, target, weights.bytes);
      for (const tensor of tensors) {
        await readInto(target.subarray(tensor.offset, tensor.offset + tensor.bytes), tensor, verify);
        onTensor?.(tensor);
      }
    },
    verify: async () => {
      await requireBlankGaps(path, directory, read);
      for (const { name } of files) await readText(name);
      for (const tensor of tensors) await readInto(allocate(tensor.bytes, path), tensor, true);
    },
    close: () => handle.close(),
  };
}

/** Checks that between the preamble, the text files and the weights there are zeros. */
async function requireBlankGaps(
  path: string,
  { files, weights }: Directory,
  read: (target: Uint8Array, offset: number) => Promise<void>,
): Promise<void> {
  let end = PREAMBLE_BYTES;
  for (const next of [...files, { offset: weights.offset, bytes: 0 }]) {
    const gap = allocate(next.offset - end, path);
    await read(gap, end);
    if (gap.some((byte) => byte !== 0)) throw packedError(path, `zeros from byte ${end} to ${next.offset}`, 'others');
    end = next.offset + next.bytes;
  }
}

/** @throws ShapeError E_SHAPE_TARGET */
export function requireRoom(path: string, target: Uint8Array, bytes: number): void {
  if (target.length >= bytes) return;
  const message = `${path}: expected memory for ${bytes} bytes of weights, got ${target.length}.`;
  throw new ShapeError('E_SHAPE_TARGET', message, { file: path, expected: bytes, got: target.length });
}

/** Checks every number in a tensor that says where something is, and its scales; `bytes` are the tensor's. */
function checkTensor(path: string, tensor: TensorEntry, bytes: Uint8Array): void {
  const places = partOffsets(tensor);
  const parts = tensor.layout.parts.map(({ bytes: length }, i) => {
    const begin = places[i]! - tensor.offset;
    return bytes.subarray(begin, begin + length) as Uint8Array<ArrayBuffer>; // or of shared memory, which reads the same
  });
  try {
    checkLinear({ layout: tensor.layout, parts });
  } catch (cause) {
    if (cause instanceof LayerwiseError) throw tensorError(path, tensor.name, 'sound weights', cause.message, cause);
    throw cause;
  }
}

export function checksumError(file: string, part: string): CheckpointError {
  const message = `${file}: the checksum of ${part} does not match its bytes; the file is damaged. Copy it again, or pack the checkpoint again.`;
  return new CheckpointError('E_CHECKPOINT_PACKED_CHECKSUM', message, { file, part });
}
