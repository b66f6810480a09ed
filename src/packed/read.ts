// Opens a .lw file from any source of bytes. It reads only the preamble and the directory, whose hash is in the
// preamble, so the cost depends on the number of tensors, not of weights. Text files are hashed when they are read. The
// weights' hashes are compared only on request (`verify`), because hashing takes longer than reading. Their index parts
// are always checked, after they are copied out of the file.

import { CheckpointError, LayerwiseError } from '../base/portable.js';
import { allocate } from '../checkpoint/portable.js';
import { checkLinear } from '../layouts/portable.js';
import { type Directory, parseDirectory, partOffsets, type TensorEntry, tensorError } from './directory.js';
import { PREAMBLE_BYTES, packedError, parsePreamble } from './format.js';
import { type PackedModel, requireTarget } from './packed.js';

/** The bytes of a .lw file. */
export interface ByteSource {
  /** A name for messages. */
  readonly path: string;
  readonly size: number;
  /**
   * Fills `target` from `offset` on.
   * @throws CheckpointError E_CHECKPOINT_CHANGED where the source is too short; ResourceError E_RESOURCE_…
   */
  read(target: Uint8Array, offset: number): Promise<void>;
  /** SHA-256 in hexadecimal. */
  sha256(bytes: Uint8Array): Promise<string> | string;
  close(): Promise<void>;
}

/** A packed model in a file. */
export interface PackedFile extends PackedModel {
  readonly fileBytes: number;
  /**
   * Reads everything, one tensor at a time, and compares every checksum. Afterwards every byte is known to be as
   * written.
   * @throws CheckpointError E_CHECKPOINT_PACKED_CHECKSUM; otherwise as `readWeightsInto`
   */
  verify(): Promise<void>;
}

/**
 * Checks all of a .lw file except the numbers in it. The source stays open until the model is closed; if this throws,
 * the caller closes it.
 * @throws CheckpointError E_CHECKPOINT_PACKED (no complete .lw file, or an invalid directory),
 * E_CHECKPOINT_PACKED_TENSOR, E_CHECKPOINT_PACKED_CHECKSUM; UnsupportedError E_UNSUPPORTED_PACKED_VERSION; otherwise as
 * the source's `read`
 */
export async function readPacked(source: ByteSource): Promise<PackedFile> {
  const { path, size } = source;
  const directory = await readDirectory(source);
  const { files, weights, tensors } = directory;
  const readText = async (name: string): Promise<string | undefined> => {
    const entry = files.find((file) => file.name === name);
    if (!entry) return undefined;
    const bytes = allocate(entry.bytes, path);
    await source.read(bytes, entry.offset);
    if ((await source.sha256(bytes)) !== entry.sha256) throw checksumError(path, name);
    return new TextDecoder().decode(bytes);
  };
  const readInto = async (target: Uint8Array, tensor: TensorEntry, verify: boolean): Promise<void> => {
    await source.read(target, weights.offset + tensor.offset);
    if (verify && (await source.sha256(target)) !== tensor.sha256) throw checksumError(path, tensor.name);
    checkTensor(path, tensor, target);
  };
  return {
    path,
    directory,
    fileBytes: size,
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    weightBytes: weights.bytes,
    readText,
    readWeightsInto: async (target, { verify = false, onTensor } = {}) => {
      requireTarget(path, target, weights.bytes);
      for (const tensor of tensors) {
        await readInto(target.subarray(tensor.offset, tensor.offset + tensor.bytes), tensor, verify);
        onTensor?.(tensor);
      }
    },
    verify: async () => {
      await requireBlankGaps(source, directory);
      for (const { name } of files) await readText(name);
      for (const tensor of tensors) await readInto(allocate(tensor.bytes, path), tensor, true);
    },
    close: () => source.close(),
  };
}

async function readDirectory(source: ByteSource): Promise<Directory> {
  const { path, size } = source;
  const start = new Uint8Array(Math.min(PREAMBLE_BYTES, size));
  await source.read(start, 0);
  const preamble = parsePreamble(start, path, size);
  const bytes = allocate(preamble.directoryBytes, path);
  await source.read(bytes, preamble.directoryOffset);
  if ((await source.sha256(bytes)) !== preamble.directoryHash) throw checksumError(path, 'the directory');
  return parseDirectory(bytes, preamble, path);
}

/** Checks that the gaps between the preamble, the text files and the weights hold zeros. */
async function requireBlankGaps(source: ByteSource, { files, weights }: Directory): Promise<void> {
  const { path } = source;
  let end = PREAMBLE_BYTES;
  for (const next of [...files, { offset: weights.offset, bytes: 0 }]) {
    const gap = allocate(next.offset - end, path);
    await source.read(gap, end);
    if (gap.some((byte) => byte !== 0)) throw packedError(path, `zeros from byte ${end} to ${next.offset}`, 'others');
    end = next.offset + next.bytes;
  }
}

/** Checks every index in a tensor, and its scales. `bytes` are the tensor's. */
function checkTensor(path: string, tensor: TensorEntry, bytes: Uint8Array): void {
  const places = partOffsets(tensor);
  const parts = tensor.layout.parts.map(({ bytes: length }, i) => {
    const begin = places[i]! - tensor.offset;
    return bytes.subarray(begin, begin + length) as Uint8Array<ArrayBuffer>; // or over shared memory, which reads the same
  });
  try {
    checkLinear({ layout: tensor.layout, parts });
  } catch (cause) {
    if (cause instanceof LayerwiseError) throw tensorError(path, tensor.name, 'sound weights', cause.message, cause);
    throw cause;
  }
}

function checksumError(file: string, part: string): CheckpointError {
  const message = `${file}: the checksum of ${part} does not match its bytes; the file is damaged. Copy it again, or pack the checkpoint again.`;
  return new CheckpointError('E_CHECKPOINT_PACKED_CHECKSUM', message, { file, part });
}
