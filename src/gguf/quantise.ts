// Weights → blocks of a GGUF tensor, the reverse of dequantise.ts: F32, F16, BF16, and seven quantised types. Weights that lie
// on a grid of ours already are stored exactly where the type can: its integers and scales go into Q4_0 and Q8_0 as they are.
// Scales are rounded to halves first and integers chosen for the rounded scale. Zeros stay zeros, except in Q4_K and Q2_K.

import { InternalError } from '../base/index.js';
import type { Grid } from '../checkpoint/index.js';
import { fromFloat32, halfBits, nearestHalf } from '../tensor/index.js';
import { writeQ2K, writeQ3K, writeQ4K, writeQ6K } from './quantise-k.js';
import { bestScale, requireScalable, roundTo } from './round.js';
import { BLOCK_TYPES, type BlockType, type BlockTypeName } from './types.js';

/** The types that are written. */
export const WRITTEN_TYPES = [
  'F32',
  'F16',
  'BF16',
  'Q8_0',
  'Q4_0',
  'Q6_K',
  'Q4_K',
  'Q3_K',
  'Q2_K',
] as const satisfies BlockTypeName[];
export type WrittenType = (typeof WRITTEN_TYPES)[number];

/** Whether a zero of the weights is always a zero of the blocks. */
export const keepsZeros = (type: WrittenType): boolean => type !== 'Q4_K' && type !== 'Q2_K';

/** Writes the block of the weights from `from` on at byte `at`. */
export type WriteBlock = (W: Float32Array, from: number, bytes: DataView, at: number) => void;

const writeQ8: WriteBlock = (W, from, bytes, at) => {
  let largest = 0;
  for (let i = from; i < from + 32; i++) largest = Math.max(largest, Math.abs(W[i]!));
  const scale = nearestHalf(largest / 127);
  bytes.setUint16(at, halfBits(scale), true);
  for (let i = 0; i < 32; i++) {
    const q = scale === 0 ? 0 : Math.round(W[from + i]! / scale);
    bytes.setInt8(at + 2 + i, Math.min(127, Math.max(-127, q)));
  }
};

const writeQ4: WriteBlock = (W, from, bytes, at) => {
  const scale = bestScale(W, from, from + 32, 4, nearestHalf);
  bytes.setUint16(at, halfBits(scale), true);
  const q = (i: number): number => (scale === 0 ? 8 : roundTo(W[from + i]!, scale, 7) + 8);
  for (let i = 0; i < 16; i++) bytes.setUint8(at + 2 + i, q(i) | (q(i + 16) << 4));
};

const WRITERS = {
  Q8_0: writeQ8,
  Q4_0: writeQ4,
  Q6_K: writeQ6K,
  Q4_K: writeQ4K,
  Q3_K: writeQ3K,
  Q2_K: writeQ2K,
} as const;

/** The largest integer of a type on the side of the largest weight. */
const REACH = { Q8_0: 127, Q4_0: 8, Q6_K: 128 * 32, Q4_K: 63 * 15, Q3_K: 4 * 32, Q2_K: 3 * 15 } as const;

/**
 * The blocks of whole rows.
 * @throws NumericError E_NUMERIC_WEIGHT for a weight that is not finite, or too large for the type
 */
export function quantise(name: string, W: Float32Array, typeName: WrittenType): Uint8Array<ArrayBuffer> {
  const type = BLOCK_TYPES[typeName];
  if (typeName === 'F32' || typeName === 'F16' || typeName === 'BF16') {
    requireScalable(name, W, 0, W.length, 0, typeName === 'F16' ? nearestHalf : Math.fround);
    return fromFloat32(W, typeName);
  }
  requireScalable(name, W, 0, W.length, REACH[typeName] - 1, nearestHalf);
  const bytes = emptyBlocks(W.length, type);
  const view = new DataView(bytes.buffer);
  const write = WRITERS[typeName];
  for (let block = 0; block * type.weights < W.length; block++) {
    write(W, block * type.weights, view, block * type.bytes);
  }
  return bytes;
}

function emptyBlocks(count: number, type: BlockType): Uint8Array<ArrayBuffer> {
  if (count % type.weights === 0) return new Uint8Array((count / type.weights) * type.bytes);
  const message = `${type.name}: expected whole blocks of ${type.weights} weights, got ${count} weights; please report this.`;
  throw new InternalError('E_INTERNAL_TENSOR', message, { type: type.name, count });
}

/** Whether a type holds a grid's integers and the scales of its groups, blocks lying inside groups. */
export const holdsGrid = (type: WrittenType, { bits, group }: Pick<Grid, 'bits' | 'group'>): boolean =>
  group % 32 === 0 && (type === 'Q8_0' || (type === 'Q4_0' && bits <= 4));

/** The blocks of a grid of `columns`, in a type that holds it. Scales that are not halves (8 bits) are rounded to halves. */
export function encodeGrid(
  { q, scales, group }: Grid,
  columns: number,
  typeName: WrittenType,
): Uint8Array<ArrayBuffer> {
  const type = BLOCK_TYPES[typeName];
  const bytes = emptyBlocks(q.length, type);
  const view = new DataView(bytes.buffer);
  const groups = Math.ceil(columns / group);
  for (let block = 0; block * 32 < q.length; block++) {
    const [from, at] = [block * 32, block * type.bytes];
    const row = Math.floor(from / columns);
    const scale = scales[row * groups + Math.floor((from - row * columns) / group)]!;
    view.setUint16(at, halfBits(scale), true);
    for (let i = 0; i < (typeName === 'Q4_0' ? 16 : 32); i++) {
      const value = q[from + i]!;
      if (typeName === 'Q8_0') view.setInt8(at + 2 + i, value);
      else view.setUint8(at + 2 + i, (value + 8) | ((q[from + i + 16]! + 8) << 4));
    }
  }
  return bytes;
}
