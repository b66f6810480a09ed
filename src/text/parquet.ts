// The rows of a Parquet file as objects. 64-bit whole numbers become numbers, or their digits where a number cannot hold
// them; strings are decoded strictly (unfit.ts).

import { type AsyncBuffer, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { observed } from '../base/index.js';
import { decodeStrictly, NotUtf8 } from './unfit.js';

export type Row = Readonly<Record<string, unknown>>;

const parsers = {
  stringFromBytes: (bytes: Uint8Array | undefined) => bytes && decodeStrictly(bytes),
  jsonFromBytes: (bytes: Uint8Array | undefined) => {
    const text = bytes && decodeStrictly(bytes);
    return typeof text === 'string' ? JSON.parse(text) : text;
  },
};

/** The rows, or some of their columns. Throws whatever the library does. A string that is not UTF-8 is a NotUtf8. */
export async function readParquetRows(bytes: Buffer, columns?: readonly string[]): Promise<readonly Row[]> {
  const whole = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
  // A column that cannot be read would else fail where nobody looks any more.
  const slice = async (start: number, end?: number): Promise<ArrayBuffer> => whole.slice(start, end);
  const file: AsyncBuffer = { byteLength: whole.byteLength, slice: (start, end) => observed(slice(start, end)) };
  const some = columns ? { columns: [...columns] } : {};
  const rows = await parquetReadObjects({ file, compressors, parsers, ...some });
  return rows.map((row) => withNumbers(row) as Row);
}

function withNumbers(value: unknown): unknown {
  if (typeof value === 'bigint') {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : `${value}`;
  }
  if (typeof value !== 'object' || value === null || value instanceof NotUtf8) return value;
  if (value instanceof Date || value instanceof Uint8Array) return value;
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value as ArrayLike<unknown>, withNumbers);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withNumbers(inner)]));
}
