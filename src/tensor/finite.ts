// Finds NaN and infinities in a checkpoint's bytes as they are stored. Looking at the stored bytes also shows what rounding
// to the dtype did: a float32 above 65504 is finite, but becomes infinity in F16.

import { UnsupportedError } from '../base/portable.js';
import { bytesPerElement, type DType } from './dtype.js';

/** Counts of NaN and ±infinity, and the index of the first such value; −1 where there is none. */
export type NonFinite = { readonly nan: number; readonly infinite: number; readonly first: number };

/** The largest number of the dtypes that weights are written in. */
export const LARGEST_NUMBER: Readonly<Partial<Record<DType, number>>> = {
  F32: 2 ** 128 - 2 ** 104,
  F16: 65504,
  BF16: 2 ** 128 - 2 ** 120,
};

/** @throws UnsupportedError E_UNSUPPORTED_DTYPE unless dtype is F64, F32, F16 or BF16 */
export function findNonFinite(bytes: Uint8Array, dtype: DType): NonFinite {
  const size = bytesPerElement(dtype);
  const { buffer, byteOffset } = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const n = bytes.byteLength / size;
  switch (dtype) {
    case 'F32':
      return scan(new Uint32Array(buffer, byteOffset, n), 0x7fffffff, 0x7f800000);
    case 'F16':
      return scan(new Uint16Array(buffer, byteOffset, n), 0x7fff, 0x7c00);
    case 'BF16':
      return scan(new Uint16Array(buffer, byteOffset, n), 0x7fff, 0x7f80);
    case 'F64': {
      const values = new Float64Array(buffer, byteOffset, n);
      let [nan, infinite] = [0, 0];
      for (const value of values) {
        if (Number.isNaN(value)) nan++;
        else if (!Number.isFinite(value)) infinite++;
      }
      const first = nan + infinite > 0 ? values.findIndex((value) => !Number.isFinite(value)) : -1;
      return { nan, infinite, first };
    }
    default: {
      const supported = 'F64, F32, F16 or BF16';
      const message = `dtype ${dtype}: expected ${supported}; convert the tensor to one of them.`;
      throw new UnsupportedError('E_UNSUPPORTED_DTYPE', message, { dtype, supported });
    }
  }
}

/** `infinity` is the bit pattern of +infinity; larger patterns, without the sign, are NaN. */
function scan(words: Uint16Array | Uint32Array, withoutSign: number, infinity: number): NonFinite {
  let [nan, infinite] = [0, 0];
  for (let i = 0; i < words.length; i++) {
    const size = words[i]! & withoutSign;
    if (size < infinity) continue;
    if (size === infinity) infinite++;
    else nan++;
  }
  const first = nan + infinite > 0 ? words.findIndex((word) => (word & withoutSign) >= infinity) : -1;
  return { nan, infinite, first };
}
