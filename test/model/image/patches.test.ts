// Rows of patches: their order, normalised bytes, and what the golden models make of them before their first block.

import { expect, test } from 'vitest';
import { patchRows, patchRowsOfBytes } from '../../../src/model/image/patches.js';
import { interpolatePositions } from '../../../src/model/image/positions.js';
import { goldenPixels, goldenTensors, readVisionGolden } from '../../vision-golden.js';

/** Pixel (channel, y, x) as a number that says so. */
const numbered = (height: number, width: number): Float32Array =>
  Float32Array.from({ length: 3 * height * width }, (_, i) => {
    const [channel, pixel] = [Math.floor(i / (height * width)), i % (height * width)];
    return 100 * channel + 10 * Math.floor(pixel / width) + (pixel % width);
  });

test('patches go row by row, each by channel, then down, then across', () => {
  const rows = patchRows(numbered(4, 6), { height: 4, width: 6 }, 2);
  expect(rows.length).toBe(6 * 12);
  expect(Array.from(rows.subarray(0, 12))).toEqual([0, 1, 10, 11, 100, 101, 110, 111, 200, 201, 210, 211]);
  expect(Array.from(rows.subarray(4 * 12, 4 * 12 + 4))).toEqual([22, 23, 32, 33]);
});

test('what is left over is refused, or not read', () => {
  const size = { height: 5, width: 7 };
  expect(() => patchRows(numbered(5, 7), size, 2)).toThrow(/5×7 pixels: expected whole patches of 2×2/);
  const rows = patchRows(numbered(5, 7), size, 2, { rest: 'drop' });
  expect(rows.length).toBe(6 * 12);
  expect(Array.from(rows.subarray(5 * 12, 5 * 12 + 4))).toEqual([24, 25, 34, 35]);
  expect(() => patchRows(numbered(1, 7), { height: 1, width: 7 }, 2, { rest: 'drop' })).toThrow(/whole patches/);
  expect(() => patchRows(numbered(4, 4), { height: 4, width: 6 }, 2)).toThrow(/expected 72 values, got 48/);
});

test('bytes are normalised by channel', () => {
  const bytes = Uint8Array.of(0, 128, 255, 255, 0, 128); // two pixels
  const normalisation = { rescale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  const rows = patchRowsOfBytes(bytes, { height: 1, width: 2 }, 1, normalisation);
  const of = (value: number, c: number): number => (value / 255 - normalisation.mean[c]!) / normalisation.std[c]!;
  const expected = [of(0, 0), of(128, 1), of(255, 2), of(255, 0), of(0, 1), of(128, 2)];
  for (const [i, value] of expected.entries()) expect(rows[i]).toBeCloseTo(value, 6);
});

test('bytes and planes give the same rows', () => {
  const [height, width] = [6, 4];
  const bytes = Uint8Array.from({ length: 3 * height * width }, (_, i) => (37 * i) % 256);
  const normalisation = { rescale: 1 / 255, mean: [0.5, 0.4, 0.3], std: [0.5, 0.25, 0.2] };
  const planes = new Float32Array(bytes.length);
  for (const [i, value] of bytes.entries()) {
    const channel = i % 3;
    const centred = Math.fround(Math.fround(value / 255) - Math.fround(normalisation.mean[channel]!));
    planes[channel * height * width + Math.floor(i / 3)] = centred / Math.fround(normalisation.std[channel]!);
  }
  expect(patchRowsOfBytes(bytes, { height, width }, 2, normalisation)).toEqual(patchRows(planes, { height, width }, 2));
});

/** Of a model whose residual begins with tokens before the patches: names of tensors. */
const ENTRIES = {
  vit: { base: 'vit.embeddings.', tokens: ['cls_token'], patch: 8 },
  deit: { base: 'deit.embeddings.', tokens: ['cls_token', 'distillation_token'], patch: 8 },
  dinov2: { base: 'dinov2.embeddings.', tokens: ['cls_token'], patch: 14 },
} as const;

test.each(Object.entries(ENTRIES))(
  '%s: patches and positions make the residual before the first block',
  (name, entry) => {
    const golden = readVisionGolden(name);
    const tensors = goldenTensors(golden);
    const tensor = (end: string): Float32Array => tensors.get(entry.base + end)!;
    const weight = tensor('patch_embeddings.projection.weight');
    const bias = tensor('patch_embeddings.projection.bias');
    const positions = tensor('position_embeddings');
    const D = bias.length;
    const first = entry.tokens.length;
    for (const { input, residuals } of golden.runs) {
      const [, , height, width] = input.pixels as [number, number, number, number];
      const rows = patchRows(goldenPixels(input.pixels!), { height, width }, entry.patch);
      const grid = [height / entry.patch, width / entry.patch] as const;
      const table = interpolatePositions(positions.subarray(first * D), D, grid);
      const K = weight.length / D;
      const residual = (t: number, d: number): number => {
        if (t < first) return tensor(entry.tokens[t]!)[d]! + positions[t * D + d]!;
        const n = t - first;
        let sum = bias[d]! + table[n * D + d]!;
        for (let k = 0; k < K; k++) sum += rows[n * K + k]! * weight[d * K + k]!;
        return sum;
      };
      const [stem] = residuals.vision!;
      const T = first + grid[0] * grid[1];
      expect(stem!.shape).toEqual([1, T, D]);
      for (const [i, t] of [0, 1, T - 1].entries()) {
        for (const [d, value] of stem!.rows[i]!.entries()) expect(residual(t, d)).toBeCloseTo(value, 5);
      }
      let squares = 0;
      for (let t = 0; t < T; t++) for (let d = 0; d < D; d++) squares += residual(t, d) ** 2;
      expect(squares / (T * D)).toBeCloseTo(stem!.meanSquare, 5);
    }
  },
);
