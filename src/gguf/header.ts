// Reads the header of a GGUF file, version 2 or 3: 'GGUF', the version, two counts, key-value pairs, the list of tensors;
// then, from a multiple of the alignment on, the data. Nothing in the file is believed: a count or a length is checked
// against the bytes that remain before memory is taken for it, and tensors lie inside the file, at multiples of the
// alignment, apart from each other. The data stays on the disk.

import { basename } from 'node:path';
import { statIfThere, withFile } from '../checkpoint/index.js';
import { Cursor } from './cursor.js';
import { refuseFile, refuseTensor, show, unsupportedGguf } from './refuse.js';
import { BLOCK_TYPES, type BlockType, blockTypeOf, describeType } from './types.js';
import { readValue, type Value } from './values.js';

const MAX_HEADER = 100_000_000;
const MAX_NAME = 65_535;
const MAX_DIMENSIONS = 4;
const ALIGNMENT = 32;
/** The fewest bytes of a pair and of a tensor in the list. */
const MIN_PAIR = 8 + 1 + 4 + 1;
const MIN_TENSOR = 8 + 1 + 4 + 8 + 4 + 8;

/** Where a tensor is. `shape` is row-major, as in a checkpoint: the reverse of ggml's order. `offset` is the file's. */
export type GgufTensor = {
  readonly name: string;
  readonly type: BlockType;
  readonly shape: readonly number[];
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
};

export type GgufHeader = {
  readonly path: string;
  readonly values: ReadonlyMap<string, Value>;
  /** In the order of the file's list. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
};

const isMagic = (start: Uint8Array): boolean => Buffer.from(start).toString('latin1') === 'GGUF';

/**
 * Reads and checks the header.
 *
 * @throws CheckpointError E_CHECKPOINT_GGUF where the file is broken
 * @throws UnsupportedError E_UNSUPPORTED_GGUF for a version, a big-endian file, an array of arrays or a type of tensor that
 * we do not read
 * @throws ResourceError E_RESOURCE_…
 */
export async function readGguf(path: string): Promise<GgufHeader> {
  const stats = await statIfThere(path);
  if (!stats?.isFile()) throw refuseFile(path, 'a file', stats ? 'something else' : 'nothing');
  refuseSplit(path);
  return withFile(path, async (handle) => {
    const { size } = await handle.stat();
    return readHeader(path, new Cursor(handle, path, size, Math.min(size, MAX_HEADER)), size);
  });
}

/** @throws UnsupportedError E_UNSUPPORTED_GGUF for one file of several */
function refuseSplit(path: string): void {
  const parts = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i.exec(basename(path));
  if (!parts || Number(parts[3]) === 1) return;
  const next = `merge them into ${parts[1]}.gguf first with llama.cpp's llama-gguf-split, from ${parts[1]}-00001-of-${parts[3]}.gguf on`;
  throw unsupportedGguf(path, `one of ${Number(parts[3])} parts of a model`, 'the whole model in one file', next);
}

function readHeader(path: string, cursor: Cursor, size: number): GgufHeader {
  if (size < 4 || !isMagic(cursor.bytes(4))) throw refuseFile(path, "'GGUF' at the start", 'something else');
  const version = cursor.u32();
  if (version !== 2 && version !== 3) {
    const swapped = version >= 1 << 16;
    const next = swapped ? 'convert it to little-endian' : 'convert the model again with a current llama.cpp';
    throw unsupportedGguf(path, swapped ? 'a big-endian file' : `version ${version}`, 'version 2 or 3', next);
  }
  const tensorCount = cursor.count('tensors', MIN_TENSOR);
  const pairCount = cursor.count('key-value pairs', MIN_PAIR);
  const values = readPairs(path, cursor, pairCount);
  const alignment = alignmentOf(path, values);
  const listed = readList(path, cursor, tensorCount);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = listed.map((tensor) => {
    if (tensor.offset % alignment !== 0) {
      throw refuseTensor(path, tensor.name, `an offset that is a multiple of ${alignment}`, `${tensor.offset}`);
    }
    return { ...tensor, offset: dataStart + tensor.offset };
  });
  checkPlaces(path, tensors, size);
  return { path, values, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])) };
}

function readPairs(path: string, cursor: Cursor, count: number): ReadonlyMap<string, Value> {
  const values = new Map<string, Value>();
  for (let i = 0; i < count; i++) {
    const key = cursor.text(MAX_NAME, 'a key');
    if (key === '') throw refuseFile(path, 'a key', 'an empty one');
    if (values.has(key)) throw refuseFile(path, 'each key once', `${show(key)} again`);
    values.set(key, readValue(cursor, key));
  }
  return values;
}

function alignmentOf(path: string, values: ReadonlyMap<string, Value>): number {
  const value = values.get('general.alignment') ?? ALIGNMENT;
  const legal = typeof value === 'number' && value >= 1 && value <= 1 << 30 && (value & (value - 1)) === 0;
  if (legal) return value;
  throw refuseFile(path, 'general.alignment to be a power of two', show(value));
}

function readList(path: string, cursor: Cursor, count: number): readonly GgufTensor[] {
  const tensors: GgufTensor[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const name = cursor.text(MAX_NAME, 'the name of a tensor');
    if (name === '') throw refuseFile(path, 'the name of a tensor', 'an empty one');
    if (names.has(name)) throw refuseTensor(path, name, 'each name once', 'it again');
    names.add(name);
    tensors.push(readTensorInfo(path, cursor, name));
  }
  return tensors;
}

/** The offset is still the list's, which counts from the start of the data. */
function readTensorInfo(path: string, cursor: Cursor, name: string): GgufTensor {
  const rank = cursor.u32();
  if (rank < 1 || rank > MAX_DIMENSIONS) {
    throw refuseTensor(path, name, `1 to ${MAX_DIMENSIONS} dimensions`, `${rank}`);
  }
  const dimensions = Array.from({ length: rank }, () => cursor.u64());
  const elements = dimensions.reduce((product, dimension) => product * dimension, 1n);
  if (elements < 1n || elements > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw refuseTensor(path, name, 'at least one element and fewer than 2^53', `[${dimensions.join(', ')}]`);
  }
  const shape = dimensions.map(Number).reverse();
  const id = cursor.u32();
  const type = blockTypeOf(id);
  if (!type) {
    const known = Object.keys(BLOCK_TYPES).join(', ');
    const next = 'convert the model to one of them';
    throw unsupportedGguf(path, `${describeType(id)} in tensor ${show(name)}`, `types ${known}`, next);
  }
  const row = shape.at(-1)!;
  if (row % type.weights !== 0) {
    throw refuseTensor(path, name, `rows of whole blocks of ${type.weights} in ${type.name}`, `${row} columns`);
  }
  const length = (Number(elements) / type.weights) * type.bytes;
  const offset = cursor.u64();
  if (offset > BigInt(Number.MAX_SAFE_INTEGER) || !Number.isSafeInteger(length + Number(offset))) {
    throw refuseTensor(path, name, 'a place below 2^53', `${length} bytes from ${offset} on`);
  }
  return { name, type, shape, offset: Number(offset), length };
}

function checkPlaces(path: string, tensors: readonly GgufTensor[], size: number): void {
  let [end, before] = [0, ''];
  for (const { name, offset, length } of [...tensors].sort((a, b) => a.offset - b.offset)) {
    if (offset < end) throw refuseTensor(path, name, 'data apart from other data', `an overlap with ${show(before)}`);
    [end, before] = [offset + length, name];
    if (end > size) throw refuseTensor(path, name, `${length} bytes from ${offset} on`, `a file of ${size} bytes`);
  }
}
