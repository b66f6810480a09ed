// The values of a GGUF header's pairs. Numbers are numbers, 64-bit ones beyond 2^53 bigints; arrays of numbers are typed
// arrays, so that an array takes no more memory than bytes of the file.

import type { Cursor } from './cursor.js';
import { refuseFile, show, unsupportedGguf } from './refuse.js';

export type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

export type Value = number | bigint | boolean | string | NumberArray | readonly string[];

type Kind = {
  readonly bytes: number;
  readonly read: (bytes: Buffer) => number | bigint;
  readonly list: (data: ArrayBuffer) => NumberArray;
};

const NUMBERS: ReadonlyMap<number, Kind> = new Map([
  [0, { bytes: 1, read: (b) => b.readUInt8(), list: (data) => new Uint8Array(data) }],
  [1, { bytes: 1, read: (b) => b.readInt8(), list: (data) => new Int8Array(data) }],
  [2, { bytes: 2, read: (b) => b.readUInt16LE(), list: (data) => new Uint16Array(data) }],
  [3, { bytes: 2, read: (b) => b.readInt16LE(), list: (data) => new Int16Array(data) }],
  [4, { bytes: 4, read: (b) => b.readUInt32LE(), list: (data) => new Uint32Array(data) }],
  [5, { bytes: 4, read: (b) => b.readInt32LE(), list: (data) => new Int32Array(data) }],
  [6, { bytes: 4, read: (b) => b.readFloatLE(), list: (data) => new Float32Array(data) }],
  [10, { bytes: 8, read: (b) => small(b.readBigUInt64LE()), list: (data) => new BigUint64Array(data) }],
  [11, { bytes: 8, read: (b) => small(b.readBigInt64LE()), list: (data) => new BigInt64Array(data) }],
  [12, { bytes: 8, read: (b) => b.readDoubleLE(), list: (data) => new Float64Array(data) }],
] satisfies [number, Kind][]);
const BOOLEAN = 7;
const STRING = 8;
const ARRAY = 9;

const small = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);

/** Reads a type and the value after it. @throws CheckpointError E_CHECKPOINT_GGUF, UnsupportedError E_UNSUPPORTED_GGUF */
export function readValue(cursor: Cursor, key: string): Value {
  const type = cursor.u32();
  if (type === ARRAY) return readArray(cursor, key);
  if (type === STRING) return cursor.text(cursor.left, `the value of ${show(key)}`);
  if (type === BOOLEAN) return readFlag(cursor, key, cursor.bytes(1)[0]!);
  const kind = NUMBERS.get(type);
  if (!kind) throw refuseFile(cursor.path, `a type of 0 to 12 for ${show(key)}`, `${type}`);
  return kind.read(cursor.bytes(kind.bytes));
}

function readFlag(cursor: Cursor, key: string, byte: number): boolean {
  if (byte > 1) throw refuseFile(cursor.path, `0 or 1 for ${show(key)}`, `${byte}`);
  return byte === 1;
}

function readArray(cursor: Cursor, key: string): NumberArray | readonly string[] {
  const type = cursor.u32();
  if (type === ARRAY) {
    throw unsupportedGguf(cursor.path, `an array of arrays (${key})`, 'flat arrays', 'convert the model again');
  }
  if (type === STRING) {
    const count = cursor.count(`strings of ${key}`, 8);
    const strings: string[] = [];
    for (let i = 0; i < count; i++) strings.push(cursor.text(cursor.left, `a string of ${show(key)}`));
    return strings;
  }
  const kind = NUMBERS.get(type === BOOLEAN ? 0 : type);
  if (!kind) throw refuseFile(cursor.path, `elements of a type of 0 to 12 for ${show(key)}`, `${type}`);
  const count = cursor.count(`elements of ${key}`, kind.bytes);
  const bytes = cursor.bytes(count * kind.bytes);
  if (type === BOOLEAN) for (const byte of bytes) readFlag(cursor, key, byte);
  return kind.list(new Uint8Array(bytes).buffer);
}
