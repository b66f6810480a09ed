// Bytes of a checkpoint to float32 and back, on whole arrays. Widening is exact for F16 and BF16 (a table of all 65,536
// halves, a shift). Narrowing, and reading F64, rounds to nearest with ties to even: tiny values go through denormals to
// ±0, values past the largest become ±infinity. NaN stays NaN and keeps the payload bits that fit, so every F16 and BF16
// pattern survives a round trip bit for bit. Little-endian machines only; of those that Node ships for, only s390x is not
// one.

import { ShapeError, UnsupportedError } from '../base/portable.js';
import { bytesPerElement, type DType } from './dtype.js';

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

let halves: Uint32Array | undefined;

/** Float32 bits of every F16 pattern. */
function halfTable(): Uint32Array {
  if (halves) return halves;
  const table = new Uint32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const sign = (h & 0x8000) << 16;
    const exponent = (h >>> 10) & 0x1f;
    const mantissa = h & 0x3ff;
    let bits: number;
    if (exponent === 31) bits = 0x7f800000 | (mantissa << 13);
    else if (exponent > 0) bits = ((exponent + 112) << 23) | (mantissa << 13);
    else if (mantissa === 0) bits = 0;
    else {
      const shift = Math.clz32(mantissa) - 21; // brings the leading one to bit 10
      bits = ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13);
    }
    table[h] = sign | bits;
  }
  halves = table;
  return table;
}

/** F16 bits nearest to the float32 with bits `x`. */
function roundToHalf(x: number): number {
  const sign = (x >>> 16) & 0x8000;
  const a = x & 0x7fffffff;
  if (a >= 0x38800000) {
    if (a < 0x47800000) return sign | ((a - 0x38000000 + 0xfff + ((a >>> 13) & 1)) >>> 13); // may carry into infinity
    if (a <= 0x7f800000) return sign | 0x7c00;
    return sign | 0x7c00 | ((a >>> 13) & 0x3ff || 0x200);
  }
  if (a <= 0x33000000) return sign; // up to 2^-25, the tie below the smallest denormal
  const shift = 126 - (a >>> 23);
  const mantissa = (a & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept);
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The F16 number nearest to `value`, which is rounded to float32 first; past 65504 ±infinity. */
export function nearestHalf(value: number): number {
  scratch[0] = value;
  scratchBits[0] = halfTable()[roundToHalf(scratchBits[0]!)]!;
  return scratch[0];
}

/** The bits of `nearestHalf`. */
export function halfBits(value: number): number {
  scratch[0] = value;
  return roundToHalf(scratchBits[0]!);
}

/** BF16 bits nearest to the float32 with bits `x`. */
function roundToBrain(x: number): number {
  if ((x & 0x7fffffff) > 0x7f800000) return (x >>> 16) & 0x7f ? x >>> 16 : (x >>> 16) | 0x40;
  return (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
}

function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : bytes.slice();
}

function requireLittleEndian(): void {
  if (LITTLE_ENDIAN) return;
  throw new UnsupportedError('E_UNSUPPORTED_MACHINE', 'Expected a little-endian machine, got a big-endian one.');
}

function unsupported(dtype: DType, supported: string): UnsupportedError {
  const message = `dtype ${dtype}: expected ${supported}; convert the tensor to one of them.`;
  return new UnsupportedError('E_UNSUPPORTED_DTYPE', message, { dtype, supported });
}

/**
 * Returns `bytes` as float32 values in a new array; `bytes` may start anywhere in its buffer.
 *
 * @throws UnsupportedError E_UNSUPPORTED_DTYPE unless dtype is F64, F32, F16 or BF16
 * @throws ShapeError E_SHAPE_BYTES when the length is not a whole number of elements
 */
export function toFloat32(bytes: Uint8Array, dtype: DType): Float32Array<ArrayBuffer> {
  requireLittleEndian();
  const size = bytesPerElement(dtype);
  const n = bytes.byteLength / size;
  if (!Number.isInteger(n)) {
    const message = `dtype ${dtype}: expected a multiple of ${size} bytes, got ${bytes.byteLength}.`;
    throw new ShapeError('E_SHAPE_BYTES', message, { dtype, bytes: bytes.byteLength });
  }
  switch (dtype) {
    case 'F32': {
      const copy = new Uint8Array(bytes.byteLength);
      copy.set(bytes);
      return new Float32Array(copy.buffer);
    }
    case 'F64': {
      const source = aligned(bytes, 8);
      return Float32Array.from(new Float64Array(source.buffer, source.byteOffset, n));
    }
    case 'F16': {
      const source = aligned(bytes, 2);
      const from = new Uint16Array(source.buffer, source.byteOffset, n);
      const to = new Uint32Array(n);
      const table = halfTable();
      for (let i = 0; i < n; i++) to[i] = table[from[i]!]!;
      return new Float32Array(to.buffer);
    }
    case 'BF16': {
      const source = aligned(bytes, 2);
      const from = new Uint16Array(source.buffer, source.byteOffset, n);
      const to = new Uint32Array(n);
      for (let i = 0; i < n; i++) to[i] = from[i]! << 16;
      return new Float32Array(to.buffer);
    }
    default:
      throw unsupported(dtype, 'F64, F32, F16 or BF16');
  }
}

/**
 * Returns `values` as bytes of `dtype` in a new array, rounded to nearest, ties to even.
 *
 * @throws UnsupportedError E_UNSUPPORTED_DTYPE unless dtype is F32, F16 or BF16
 */
export function fromFloat32(values: Float32Array, dtype: DType): Uint8Array<ArrayBuffer> {
  requireLittleEndian();
  const n = values.length;
  const bits = new Uint32Array(values.buffer, values.byteOffset, n);
  switch (dtype) {
    case 'F32':
      return new Uint8Array(bits.slice().buffer as ArrayBuffer);
    case 'F16': {
      const to = new Uint16Array(n);
      for (let i = 0; i < n; i++) to[i] = roundToHalf(bits[i]!);
      return new Uint8Array(to.buffer);
    }
    case 'BF16': {
      const to = new Uint16Array(n);
      for (let i = 0; i < n; i++) to[i] = roundToBrain(bits[i]!);
      return new Uint8Array(to.buffer);
    }
    default:
      throw unsupported(dtype, 'F32, F16 or BF16');
  }
}
