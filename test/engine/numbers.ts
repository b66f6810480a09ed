// Seeded tensors, and the comparison that every engine test uses.

import { createRng, type Rng } from '../../src/base/index.js';
import type { HostTensor } from '../../src/engine/index.js';
import { type DType, elementCount, fromFloat32 } from '../../src/tensor/index.js';
import type { Tolerance } from '../tolerances.js';

export const rngOf = (seed: number): Rng => createRng(seed);

/** Values uniform in [−scale, scale). */
const values = (rng: Rng, count: number, scale = 1): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, () => (2 * rng.uniform() - 1) * scale);

export const f32 = (shape: readonly number[], data: Float32Array): HostTensor => ({ type: 'f32', shape, data });
export const i64 = (shape: readonly number[], data: readonly number[]): HostTensor => ({
  type: 'i64',
  shape,
  data: BigInt64Array.from(data, BigInt),
});
export const randomTensor = (rng: Rng, shape: readonly number[], scale = 1): HostTensor =>
  f32(shape, values(rng, elementCount(shape), scale));

/** Bytes of random values in a checkpoint's dtype. */
export const randomBytes = (rng: Rng, shape: readonly number[], dtype: DType, scale = 1): Uint8Array =>
  fromFloat32(values(rng, elementCount(shape), scale), dtype);

/** How far `got` is from `expected`, as a multiple of what `tolerance` allows; 1 is the limit, NaN counts as infinite. */
export function excess(got: HostTensor, expected: HostTensor, { absolute, relative }: Tolerance): number {
  if (got.shape.join() !== expected.shape.join() || got.type !== expected.type) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const want = Number(expected.data[i]);
    const ratio = Math.abs(Number(got.data[i]) - want) / (absolute + relative * Math.abs(want));
    worst = Math.max(worst, Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio);
  }
  return worst;
}
