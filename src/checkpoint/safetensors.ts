// Reads one safetensors file: 8 bytes of little-endian header length, a JSON header, the data. The header is checked as the
// format’s reference implementation checks it: entries sorted by offset cover the data without a hole, an overlap or a
// rest, and each has exactly the bytes of its dtype and shape. One rule is stricter: no key may occur twice anywhere.

import { basename } from 'node:path';
import { CheckpointError, ShapeError } from '../base/index.js';
import { bytesPerElement, type DType, dtypes, elementCount, isDType } from '../tensor/index.js';
import { allocate } from './allocate.js';
import { describeContent } from './foreign.js';
import { readFully, statIfThere, withFile } from './io.js';
import { isObject, parseJsonObject, show } from './json.js';

export const MAX_HEADER = 100_000_000;
/** How many bytes are enough to recognise another format. */
const START = 32;

/**
 * Where a tensor is. `file` is the shard's name in the directory, `offset` counts from the file's first byte, `length` is
 * in bytes.
 */
export type TensorInfo = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly file: string;
  readonly offset: number;
  readonly length: number;
};

/** The header of one file: its tensors in the order of their data, and its `__metadata__` ({} where absent). */
export type SafetensorsFile = {
  readonly tensors: Map<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
};

/**
 * Reads and checks the header of a safetensors file; the data stays on the disk.
 *
 * @throws CheckpointError E_CHECKPOINT_HEADER for a broken file or header, E_CHECKPOINT_TENSOR for a broken entry
 * @throws UnsupportedError E_UNSUPPORTED_DTYPE for dtypes below one byte
 */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  const stats = await statIfThere(path);
  if (!stats?.isFile()) throw headerError(path, 'a file', stats ? 'something else' : 'nothing');
  return withFile(path, async (handle) => {
    const { size } = await handle.stat();
    if (size < 8) throw headerError(path, 'at least 8 bytes', `${size}`);
    const start = new Uint8Array(Math.min(size, START));
    await readFully(handle, start, 0, path);
    const declared = new DataView(start.buffer).getBigUint64(0, true);
    const limit = Math.min(MAX_HEADER, size - 8);
    if (declared > BigInt(limit)) {
      const foreign = describeContent(start);
      if (foreign) throw headerError(path, 'a safetensors file', foreign.got, foreign.next);
      throw headerError(path, `a header of at most ${limit} bytes in a file of ${size}`, `${declared}`);
    }
    const header = allocate(Number(declared), path);
    await readFully(handle, header, 8, path);
    return checkHeader(path, header, size - 8 - header.length);
  });
}

function checkHeader(path: string, header: Uint8Array, dataLength: number): SafetensorsFile {
  const dataStart = 8 + header.length;
  const infos: TensorInfo[] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, entry] of Object.entries(parseJsonObject(header, path, 'E_CHECKPOINT_HEADER'))) {
    if (name === '__metadata__') metadata = checkMetadata(path, entry);
    else infos.push(checkEntry(path, name, entry, dataStart));
  }
  infos.sort((a, b) => a.offset - b.offset || a.length - b.length);
  let end = dataStart;
  for (const { name, offset, length } of infos) {
    if (offset !== end) {
      const what = offset < end ? 'an overlap' : 'a hole';
      throw tensorError(path, name, `data from ${end - dataStart} on`, `${offset - dataStart}, which leaves ${what}`);
    }
    end += length;
  }
  if (end !== dataStart + dataLength) {
    throw headerError(path, `${end - dataStart} bytes of data after the header`, `${dataLength}`);
  }
  return { tensors: new Map(infos.map((info) => [info.name, info])), metadata };
}

function checkMetadata(path: string, entry: unknown): Readonly<Record<string, string>> {
  if (isObject(entry) && Object.values(entry).every((value) => typeof value === 'string')) {
    return entry as Readonly<Record<string, string>>;
  }
  throw headerError(path, '__metadata__ to map strings to strings', show(entry));
}

function checkEntry(path: string, name: string, entry: unknown, dataStart: number): TensorInfo {
  if (!isObject(entry)) throw tensorError(path, name, 'an object with dtype, shape and data_offsets', show(entry));
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDType(dtype)) throw tensorError(path, name, `a dtype of ${dtypes.join(', ')}`, show(dtype));
  if (!isNaturals(shape)) throw tensorError(path, name, 'a shape of integers ≥ 0', show(shape));
  if (!isNaturals(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw tensorError(path, name, 'data_offsets [begin, end] with 0 ≤ begin ≤ end', show(offsets));
  }
  const [begin, end] = offsets as readonly [number, number];
  if (!Number.isSafeInteger(end + dataStart)) throw tensorError(path, name, 'offsets below 2^53', show(offsets));
  const length = end - begin;
  const expected = bytesPerElement(dtype) * countOrFail(path, name, shape);
  if (length !== expected) {
    throw tensorError(path, name, `${expected} bytes for ${dtype} ${show(shape)}`, `${length}`);
  }
  return { name, dtype, shape, file: basename(path), offset: dataStart + begin, length };
}

function isNaturals(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0 && !Object.is(n, -0));
}

function countOrFail(path: string, name: string, shape: readonly number[]): number {
  try {
    return elementCount(shape);
  } catch (error) {
    if (error instanceof ShapeError) throw tensorError(path, name, 'fewer than 2^53 elements', show(shape));
    throw error;
  }
}

function headerError(
  file: string,
  expected: string,
  got: string,
  next = 'download or export it again',
): CheckpointError {
  const message = `${file}: expected ${expected}, got ${got}; ${next}.`;
  return new CheckpointError('E_CHECKPOINT_HEADER', message, { file, expected, got });
}

function tensorError(file: string, tensor: string, expected: string, got: string): CheckpointError {
  const message = `${file}: tensor ${show(tensor)}: expected ${expected}, got ${got}; download or export it again.`;
  return new CheckpointError('E_CHECKPOINT_TENSOR', message, { file, tensor, expected, got });
}
