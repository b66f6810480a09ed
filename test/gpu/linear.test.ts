// Linears on the GPU against their plain twins: integers to the last bit, over odd shapes, every layout, and every number
// of tokens that share what is read.

import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { LARGE, SMALL } from '../../src/gpu/kernels/prompt.js';
import { type EncodedLinear, encodeDense, encodeFixedTiles, encodeMaskedTiles } from '../../src/layouts/index.js';
import { cases, floatLayouts, integerLayouts, quantised } from '../kernels/matrices.js';
import { runs } from '../scale.js';
import { copiesOf, type DrawnTile, linearCase, quantiseCase } from './calls.js';
import { startGpu } from './gpu.js';

const started = await startGpu();
if ('reason' in started) console.warn(`skipped: linears on the GPU (${started.reason})`);
const gpu = 'gpu' in started ? started.gpu : undefined;
afterAll(() => gpu?.close());

const vectors = (seed: number, columns: number, count: number): Float32Array[] => {
  const rng = createRng(seed);
  const scale = 10 ** (rng.below(7) - 3);
  return Array.from({ length: count }, () =>
    Float32Array.from({ length: columns }, () => (2 * rng.uniform() - 1) * scale),
  );
};

async function multiply(encoded: EncodedLinear, xs: readonly Float32Array[], tile: DrawnTile, more = {}) {
  const { call, expected, read } = linearCase(encoded, xs, tile, more);
  return { found: read(await gpu!.run(call)), expected };
}

const TILES = [1, 2, 4, 8] as const;
const DRAWN = [...TILES, SMALL] as const;

/** Up to ten workgroups of a prompt's rows, and three of its tokens. */
const shapes = fc.tuple(cases, fc.boolean()).map(([c, more]) => (more ? { ...c, rows: 3 * c.rows } : c));
const counts = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 17, max: 40 }));

test.skipIf(!gpu).each(['int8', 'int4', 'int3', 'int2'] as const)(
  '%s: the twin’s bits in every layout',
  async (values) => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.constantFrom(...DRAWN), counts, async (c, tile, count) => {
        const xs = vectors(c.seed, c.columns, count);
        for (const encoded of integerLayouts(c, values)) {
          const { found, expected } = await multiply(encoded, xs, tile);
          expect(found, JSON.stringify({ ...encoded.layout, parts: [], tile, count })).toEqual(expected);
        }
      }),
      { numRuns: runs(5) },
    );
  },
);

test.skipIf(!gpu)('every number of slots, in int8, int4 and masks', async () => {
  const shape = { rows: 21, columns: 300, density: 1, saturated: false };
  for (const values of ['int8', 'int4'] as const) {
    const whole = quantised({ ...shape, seed: 4 }, values);
    for (let n = 1; n <= 16; n++) {
      const matrix = { ...whole, q: whole.q.map((q, i) => ((i % 300) % 16 < n ? q : 0)) };
      // Seven are four, two and one; six and eight have masks.
      for (const tile of n >= 6 && n <= 8 ? [2, SMALL] : [2]) {
        const { found, expected } = await multiply(encodeFixedTiles(matrix, n), vectors(n, 300, 2), tile);
        expect(found, `${values}, ${n} slots, ${JSON.stringify(tile)}`).toEqual(expected);
        if (values === 'int8' || (n !== 6 && n !== 8)) continue;
        const masked = await multiply(encodeMaskedTiles(matrix, n), vectors(n, 300, 2), tile);
        expect(masked.found, `masks of ${n}, ${JSON.stringify(tile)}`).toEqual(masked.expected);
      }
    }
  }
});

test.skipIf(!gpu)('a bias, a sum with the residual, and an expert’s rows: one rounding after another', async () => {
  for (const values of ['int8', 'int4'] as const) {
    const encoded = encodeDense(quantised({ rows: 21, columns: 300, density: 0.7, saturated: false, seed: 3 }, values));
    const [bias, target] = vectors(9, 21, 2) as [Float32Array, Float32Array];
    const xs = vectors(5, 300, 5);
    for (const more of [{ bias }, { target }, { bias, target }, { first: 3 }, { first: 0 }]) {
      for (const tile of [4, SMALL]) {
        const { found, expected } = await multiply(encoded, xs, tile, more);
        expect(found, `${values} ${Object.keys(more)} ${JSON.stringify(tile)}`).toEqual(expected);
      }
    }
  }
});

test.skipIf(!gpu)(
  'workgroups of prompts as a GPU has them: rows and tokens of several, and ends in the middle',
  async () => {
    const shape = { rows: 85, columns: 300, density: 0.2, saturated: false, seed: 12 };
    const xs = vectors(3, 300, 45);
    for (const encoded of [encodeDense(quantised(shape, 'int8')), encodeFixedTiles(quantised(shape, 'int4'))]) {
      const { found, expected } = await multiply(encoded, xs, LARGE, { threads: 128 });
      expect(found, encoded.layout.layout).toEqual(expected);
    }
  },
);

test.skipIf(!gpu)('float16 scales below the normal range are read by integers', async () => {
  const matrix = quantised({ rows: 9, columns: 140, density: 1, saturated: false, seed: 8 }, 'int4');
  const scales = matrix.scales.map((_, i) => (i % 3 === 0 ? -1 : 1) * 2 ** -24 * (1 + (i % 1023)));
  const { found, expected } = await multiply(encodeDense({ ...matrix, scales }), vectors(1, 140, 1), 1);
  expect(found).toEqual(expected);
});

test.skipIf(!gpu)('float layouts: within float32 sums of the twin in double precision', async () => {
  await fc.assert(
    fc.asyncProperty(cases, fc.constantFrom(...TILES), async (c, tile) => {
      const xs = vectors(c.seed, c.columns, 3);
      for (const encoded of floatLayouts(c)) {
        const { found, expected } = await multiply(encoded, xs, tile);
        const largest = xs.flatMap((x) => [...x]).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        // Every product is at most so large in these cases. A GPU may take denormal weights, inputs and products for 0.
        const most = largest * (c.saturated ? 1e-38 : 1);
        const flushed = 1.2e-38 * Math.max(1, largest);
        for (const [i, value] of found.entries()) {
          expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(c.columns * (most * 2 ** -22 + flushed));
        }
      }
    }),
    { numRuns: runs(4) },
  );
});

test.skipIf(!gpu)('quantised activations: the twin’s bits in all three orders', async () => {
  for (const width of [1, 31, 128, 300]) {
    const rows = [
      ...vectors(width, width, 3),
      new Float32Array(width),
      Float32Array.from({ length: width }, (_, i) => i - 0.5),
    ];
    const { call, expected } = quantiseCase(rows);
    expect(await gpu!.run(call), `${width}`).toEqual(expected);
  }
});

test.skipIf(!gpu)('an index outside is seen: one word behind the scales, the activations, and the cache', async () => {
  const { call } = linearCase(
    encodeDense(quantised({ rows: 8, columns: 16, density: 1, saturated: false, seed: 1 }, 'int8')),
    vectors(1, 16, 1),
    1,
  );
  await gpu!.run(call);
  const words = call.weights.length / 4;
  const far = { ...call, parameters: { ...call.parameters, s: words } };
  await expect(gpu!.run(far)).rejects.toThrow('outside W');
  const end = { ...call, parameters: { ...call.parameters, scales: call.arena.length } };
  await expect(gpu!.run(end)).rejects.toThrow('outside A');
  const cached = { ...call, code: call.code.replace('let row = lid & 7u;', 'let row = lid & 7u; C[4] = 1f;') };
  await expect(gpu!.run(cached)).rejects.toThrow('outside C');
});

test('the order that int4 wants is a permutation of each 32 columns', () => {
  const q = Int8Array.from({ length: 32 }, (_, i) => i + 1);
  const { turned } = copiesOf({ q, scale: 1 });
  expect([...new Uint8Array(turned.buffer, 0, 32)].sort((a, b) => a - b)).toEqual([...q]);
});
