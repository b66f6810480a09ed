// The dtypes a safetensors file may hold. All of them can be copied; only the four in FLOATS can be computed with.
// Values are little-endian, as in the file.

import { ShapeError, UnsupportedError } from '../base/portable.js';

const BITS = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
  C64: 64,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;

const FLOATS: ReadonlySet<unknown> = new Set(['F64', 'F32', 'F16', 'BF16']);

/** A dtype by its name in a safetensors header. */
export type DType = keyof typeof BITS;

/** Every dtype name a safetensors header may use. */
export const dtypes = Object.keys(BITS) as readonly DType[];

/** Whether `name` is a dtype of the safetensors format. */
export function isDType(name: unknown): name is DType {
  return typeof name === 'string' && Object.hasOwn(BITS, name);
}

/**
 * Whether `dtype` holds real numbers that `toFloat32` converts: F64, F32, F16, BF16. The 8-bit floats are not among them.
 */
export function isFloat(dtype: DType): boolean {
  return FLOATS.has(dtype);
}

/** Bytes of one element. @throws UnsupportedError E_UNSUPPORTED_DTYPE for dtypes below one byte (F4, F6_E2M3, F6_E3M2) */
export function bytesPerElement(dtype: DType): number {
  const bits = BITS[dtype];
  if (bits % 8 === 0) return bits / 8;
  const message = `dtype ${dtype}: expected elements of whole bytes, got ${bits} bits; store the tensor in F16 or BF16.`;
  throw new UnsupportedError('E_UNSUPPORTED_DTYPE', message, { dtype, bits });
}

/**
 * The product of a shape's dimensions; 1 for a scalar.
 * @throws ShapeError E_SHAPE_DIMENSIONS when a dimension or the product is not a safe integer ≥ 0
 */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) {
    count *= dimension;
    if (dimension < 0 || !Number.isSafeInteger(dimension) || !Number.isSafeInteger(count)) {
      const shown = shape.length > 8 ? `${shape.slice(0, 8).join(', ')}, …` : shape.join(', ');
      const message = `shape [${shown}]: expected integers ≥ 0 with a product below 2^53, got ${dimension}.`;
      throw new ShapeError('E_SHAPE_DIMENSIONS', message, { shape });
    }
  }
  return count;
}
