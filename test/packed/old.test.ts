// Files that version 0.1.0 wrote, when int4 was in [−7, 7] with scales ≥ 0: they open, and have the numbers that they had.
// numbers.json has the hashes of their weights and of the product with sin 0, sin 1, …, as 0.1.0 computed them.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { plainMultiplyQuantised, plainQuantise, sumsBytes } from '../../src/kernels/index.js';
import { activationBytes, decodeLinear } from '../../src/layouts/index.js';
import { openPacked } from '../../src/packed/index.js';
import { BUILDS, createPlace } from '../kernels/place.js';
import { takeTensor } from './make.js';

const folder = fileURLToPath(new URL('../golden/old-packed/', import.meta.url));
type Numbers = { readonly layout: string; readonly weights: string; readonly product: string };
const numbers = JSON.parse(readFileSync(`${folder}numbers.json`, 'utf8')) as Record<string, Numbers>;
const hash = (data: Float32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');

test.each(Object.entries(numbers))('%s', async (key, expected) => {
  const [values, name] = key.split(' ') as [string, string];
  const packed = await openPacked(`${folder}${values}.lw`);
  await packed.verify();
  const memory = new Uint8Array(packed.weightBytes);
  await packed.readWeightsInto(memory);
  await packed.close();
  const encoded = takeTensor(packed, memory, name);
  const { layout } = encoded;
  expect(layout.layout === 'tiles' ? `tiles ${layout.form}` : layout.layout).toBe(expected.layout);
  expect(hash(decodeLinear(encoded))).toBe(expected.weights);
  const x = plainQuantise(Float32Array.from({ length: layout.columns }, (_, i) => Math.sin(i)));
  expect(hash(plainMultiplyQuantised(encoded, x))).toBe(expected.product);
  for (const [, module] of BUILDS) {
    const place = createPlace(module);
    const linear = place.kernels.bindLinear(layout, encoded.parts.map(place.put));
    const q = new Int8Array(activationBytes(layout.columns));
    q.set(x.q);
    const input = { address: place.put(q), stride: q.length, scales: place.put(Float32Array.of(x.scale)) };
    const y = { address: place.take(4 * layout.rows), stride: 4 * layout.rows };
    const sums = place.take(sumsBytes(layout.columns, 1));
    linear.multiply({ x: input, y, tokens: 1, from: 0, to: linear.groups, sums });
    expect(hash(place.floats(y.address, layout.rows))).toBe(expected.product);
  }
});
