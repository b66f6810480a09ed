// The frame of a .lw file (docs/reference/format.md): a preamble of fixed size, text files, the weights in one piece, and a JSON
// directory that says where everything is. Offsets follow from lengths in one fixed order, so a reader recomputes them
// and refuses any others: nothing can overlap, be left over, or point outside.
//
//   0   8  magic: 89 "LAYW" 0D 0A 1A (damaged by transfers as text)
//   8   4  version
//   12  4  zero
//   16  8  bytes of the file
//   24  8  offset of the directory, which ends the file
//   32  8  bytes of the directory
//   40  32 SHA-256 of the directory
//   72  56 zero
// Numbers are little-endian.

import { CheckpointError, UnsupportedError } from '../base/portable.js';

const MAGIC = Uint8Array.of(0x89, 0x4c, 0x41, 0x59, 0x57, 0x0d, 0x0a, 0x1a);
const FORMAT_VERSION = 1;
export const PREAMBLE_BYTES = 128;
/** Enough for the directory of a model with some 50,000 linears; it bounds the cost of parsing. */
export const MAX_DIRECTORY = 64 << 20;
/** The text files and each part of a tensor start at a multiple of this, so that vectors can be loaded aligned. */
export const ALIGNMENT = 64;
/** The weights start at a multiple of this, a page. */
export const WEIGHTS_ALIGNMENT = 4096;

export type Preamble = {
  readonly fileBytes: number;
  readonly directoryOffset: number;
  readonly directoryBytes: number;
  /** SHA-256, hexadecimal. */
  readonly directoryHash: string;
};

export const align = (offset: number, to: number = ALIGNMENT): number => Math.ceil(offset / to) * to;

export const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

const fromHex = (text: string): Uint8Array =>
  Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));

export function formatPreamble(preamble: Preamble): Uint8Array {
  const bytes = new Uint8Array(PREAMBLE_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setBigUint64(16, BigInt(preamble.fileBytes), true);
  view.setBigUint64(24, BigInt(preamble.directoryOffset), true);
  view.setBigUint64(32, BigInt(preamble.directoryBytes), true);
  bytes.set(fromHex(preamble.directoryHash), 40);
  return bytes;
}

/**
 * Parses the preamble of a file of `size` bytes.
 * @throws CheckpointError E_CHECKPOINT_PACKED where it is no complete .lw file; UnsupportedError
 * E_UNSUPPORTED_PACKED_VERSION
 */
export function parsePreamble(bytes: Uint8Array, path: string, size: number): Preamble {
  if (bytes.length < PREAMBLE_BYTES || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw packedError(path, 'a file that layerwise pack wrote', describeStart(bytes, size));
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, PREAMBLE_BYTES);
  const version = view.getUint32(8, true);
  if (version !== FORMAT_VERSION) {
    const message = `${path}: expected version ${FORMAT_VERSION} of the format, got ${version}; pack the checkpoint again with this version of Layerwise.`;
    throw new UnsupportedError('E_UNSUPPORTED_PACKED_VERSION', message, { file: path, version });
  }
  const [fileBytes, directoryOffset, directoryBytes] = [16, 24, 32].map((at) => view.getBigUint64(at, true));
  if (fileBytes !== BigInt(size)) throw packedError(path, `${fileBytes} bytes, as its preamble states`, `${size}`);
  if (directoryBytes! > BigInt(MAX_DIRECTORY) || directoryOffset! + directoryBytes! !== fileBytes) {
    const got = `${directoryBytes} bytes from ${directoryOffset} on, of ${size}`;
    throw packedError(path, `a directory of at most ${MAX_DIRECTORY} bytes at the end`, got);
  }
  const blank = [...bytes.subarray(12, 16), ...bytes.subarray(72, PREAMBLE_BYTES)];
  if (blank.some((byte) => byte !== 0)) throw packedError(path, 'zeros in the preamble', 'other bytes');
  return {
    fileBytes: size,
    directoryOffset: Number(directoryOffset),
    directoryBytes: Number(directoryBytes),
    directoryHash: toHex(bytes.subarray(40, 72)),
  };
}

function describeStart(bytes: Uint8Array, size: number): string {
  if (size < PREAMBLE_BYTES) return `${size} bytes`;
  return String.fromCharCode(...bytes.subarray(0, 8)) === 'version '
    ? 'a Git LFS pointer (run `git lfs pull`)'
    : 'another kind of file';
}

/** The error for an invalid .lw file. */
export function packedError(file: string, expected: string, got: string, cause?: unknown): CheckpointError {
  const message = `${file}: expected ${expected}, got ${got}; pack the checkpoint again, or copy the file again.`;
  return new CheckpointError('E_CHECKPOINT_PACKED', message, { file, expected, got }, { cause });
}
