// Blocks of a GGUF tensor to float32. A block is one or more scales and packed integers q; W = d·q, or d·q + m. Weights are
// read in the order in which ggml stores them (ggml-quants.c, dequantize_row_…). The products of a half scale, a sub-scale
// and an integer are exact in a double, so each weight is rounded once, when it is stored; ggml, which works in float32,
// gets the same numbers.

import { InternalError } from '../base/index.js';
import { toFloat32 } from '../tensor/index.js';
import type { BlockType, BlockTypeName } from './types.js';

/** Reads the block that starts at `at` and writes its weights from `to` on. */
type ReadBlock = (bytes: Uint8Array, at: number, half: HalfAt, W: Float32Array, to: number) => void;
/** The half at a byte. */
type HalfAt = (at: number) => number;

/** IQ4_NL's sixteen levels. */
const LEVELS = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

/** 32 weights in 16 bytes: the first 16 in the low halves. `fifth` is where the fifth bits are, one of each weight. */
function nibbles(
  scales: number,
  fifth: number | undefined,
  value: (q: number, d: number, m: number) => number,
): ReadBlock {
  const quants = scales + (fifth === undefined ? 0 : 4);
  return (bytes, at, half, W, to) => {
    const d = half(at);
    const m = scales === 4 ? half(at + 2) : 0;
    const high = fifth === undefined ? 0 : uint32(bytes, at + fifth);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + quants + i]!;
      W[to + i] = value((byte & 15) | (((high >>> i) & 1) << 4), d, m);
      W[to + i + 16] = value((byte >> 4) | (((high >>> (i + 16)) & 1) << 4), d, m);
    }
  };
}

const uint32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;

const readQ8: ReadBlock = (bytes, at, half, W, to) => {
  const d = half(at);
  for (let i = 0; i < 32; i++) W[to + i] = d * signed(bytes[at + 2 + i]!);
};

const signed = (byte: number): number => (byte << 24) >> 24;

// K-quants: 256 weights, in groups of 16 or 32 with a scale each. Two halves of 128 weights; in a half, byte i holds bits of
// the weights i, i + 32, i + 64 and i + 96.

/** 16 bytes: scale and minimum of each group of 16, 4 bits each; 64 bytes of 2 bits; d, dmin. */
const readQ2K: ReadBlock = (bytes, at, half, W, to) => {
  const [d, dmin] = [half(at + 80), half(at + 82)];
  for (let i = 0; i < 256; i++) {
    const scale = bytes[at + (i >> 4)]!;
    const q = (bytes[at + 16 + ((i >> 7) << 5) + (i & 31)]! >> (((i >> 5) & 3) << 1)) & 3;
    W[to + i] = d * (scale & 15) * q - dmin * (scale >> 4);
  }
};

/** 32 bytes: third bits, of which 0 means −4; 64 bytes of 2 bits; 16 scales of 6 bits; d. */
const readQ3K: ReadBlock = (bytes, at, half, W, to) => {
  const d = half(at + 108);
  for (let i = 0; i < 256; i++) {
    const group = i >> 4;
    const low = (bytes[at + 96 + (group & 7)]! >> (group < 8 ? 0 : 4)) & 15;
    const high = (bytes[at + 104 + (group & 3)]! >> ((group >> 2) << 1)) & 3;
    const q = (bytes[at + 32 + ((i >> 7) << 5) + (i & 31)]! >> (((i >> 5) & 3) << 1)) & 3;
    const third = (bytes[at + (i & 31)]! >> (i >> 5)) & 1;
    W[to + i] = d * ((low | (high << 4)) - 32) * (q - (third ? 0 : 4));
  }
};

/** d, dmin, 12 bytes with eight scales and eight minima of 6 bits, in Q5_K 32 bytes of fifth bits, 128 bytes of 4 bits. */
const readQ45K =
  (fifth: boolean): ReadBlock =>
  (bytes, at, half, W, to) => {
    const [d, dmin] = [half(at), half(at + 2)];
    const quants = at + (fifth ? 48 : 16);
    for (let group = 0; group < 8; group++) {
      const j = at + 4 + (group & 3);
      const [a, b, c] = [bytes[j]!, bytes[j + 4]!, bytes[j + 8]!];
      const first = group < 4;
      const scale = d * (first ? a & 63 : (c & 15) | ((a >> 6) << 4));
      const minimum = dmin * (first ? b & 63 : (c >> 4) | ((b >> 6) << 4));
      for (let i = 0; i < 32; i++) {
        const q = (bytes[quants + ((group >> 1) << 5) + i]! >> ((group & 1) << 2)) & 15;
        const high = fifth ? ((bytes[at + 16 + i]! >> group) & 1) << 4 : 0;
        W[to + group * 32 + i] = scale * (q | high) - minimum;
      }
    }
  };

/** 128 bytes of 4 bits, 64 bytes of 2 bits, 16 signed scales, d. A byte of 4 bits holds the weights i and i + 64. */
const readQ6K: ReadBlock = (bytes, at, half, W, to) => {
  const d = half(at + 208);
  for (let i = 0; i < 256; i++) {
    const side = i >> 7;
    const low = (bytes[at + (side << 6) + (i & 63)]! >> ((i >> 6) & 1 ? 4 : 0)) & 15;
    const high = (bytes[at + 128 + (side << 5) + (i & 31)]! >> (((i >> 5) & 3) << 1)) & 3;
    W[to + i] = d * signed(bytes[at + 192 + (i >> 4)]!) * ((low | (high << 4)) - 32);
  }
};

const READERS: Readonly<Record<Exclude<BlockTypeName, 'F32' | 'F16' | 'BF16'>, ReadBlock>> = {
  Q4_0: nibbles(2, undefined, (q, d) => d * (q - 8)),
  Q4_1: nibbles(4, undefined, (q, d, m) => d * q + m),
  Q5_0: nibbles(2, 2, (q, d) => d * (q - 16)),
  Q5_1: nibbles(4, 4, (q, d, m) => d * q + m),
  IQ4_NL: nibbles(2, undefined, (q, d) => d * LEVELS[q]!),
  Q8_0: readQ8,
  Q2_K: readQ2K,
  Q3_K: readQ3K,
  Q4_K: readQ45K(false),
  Q5_K: readQ45K(true),
  Q6_K: readQ6K,
};

let halves: Float32Array | undefined;

/** Every half as float32. */
function halfTable(): Float32Array {
  halves ??= toFloat32(new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer), 'F16');
  return halves;
}

/** The weights of whole blocks, in a new array. Infinite and NaN scales give what IEEE 754 says. */
export function dequantise(bytes: Uint8Array, type: BlockType): Float32Array<ArrayBuffer> {
  const blocks = bytes.length / type.bytes;
  if (!Number.isInteger(blocks)) {
    const message = `${type.name}: expected whole blocks of ${type.bytes} bytes, got ${bytes.length} bytes; please report this.`;
    throw new InternalError('E_INTERNAL_TENSOR', message, { type: type.name, bytes: bytes.length });
  }
  if (type.name === 'F32' || type.name === 'F16' || type.name === 'BF16') return toFloat32(bytes, type.name);
  const read = READERS[type.name];
  const table = halfTable();
  const half: HalfAt = (at) => table[bytes[at]! | (bytes[at + 1]! << 8)]!;
  const W = new Float32Array(blocks * type.weights);
  for (let block = 0; block < blocks; block++) read(bytes, block * type.bytes, half, W, block * type.weights);
  return W;
}
