import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openCheckpoint, readScales, readTensorFloat32, SCALES_FILE, writeScales } from '../../src/checkpoint/index.js';
import { type DType, fromFloat32, nearestHalf } from '../../src/tensor/index.js';
import { runs } from '../scale.js';
import { codeOf, entry, fileBytes, makeCheckpoint } from './make.js';

const name = 'w.weight';

/** A checkpoint of one linear whose weights are on a grid. */
async function quantised(
  dtype: DType,
  { rows, columns, group, q, scales }: Omit<Grid, 'bits'>,
): Promise<{ readonly dir: string; readonly linear: { name: string; rows: number; columns: number } }> {
  const groups = Math.ceil(columns / group);
  const W = Float32Array.from(q, (value, i) => {
    return value * scales[Math.floor(i / columns) * groups + Math.floor((i % columns) / group)]!;
  });
  const data = fromFloat32(W, dtype);
  const header = { [name]: entry(dtype, [rows, columns], 0, data.length) };
  const dir = await makeCheckpoint({ 'model.safetensors': fileBytes(header, data) });
  return { dir, linear: { name, rows, columns } };
}

type Grid = { rows: number; columns: number; bits: number; group: number; q: Int8Array; scales: Float32Array };
const grids: fc.Arbitrary<Grid> = fc
  .record({
    rows: fc.integer({ min: 1, max: 5 }),
    columns: fc.integer({ min: 1, max: 300 }),
    bits: fc.constantFrom(2, 3, 4, 8),
    size: fc.constantFrom(32, 64, 128, Number.POSITIVE_INFINITY),
    seed: fc.integer({ min: 1, max: 2 ** 30 }),
  })
  .map(({ rows, columns, bits, size, seed }) => {
    const group = Math.min(size, columns);
    const [low, high] = bits === 8 ? [-127, 127] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
    let state = seed;
    const next = (): number => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const q = Int8Array.from({ length: rows * columns }, () => low + Math.floor(next() * (high - low + 1)));
    const scales = Float32Array.from({ length: rows * Math.ceil(columns / group) }, () => nearestHalf(next() - 0.5));
    return { rows, columns, bits, group, q, scales };
  });

test('integers and scales come back as they were written, in every dtype of a checkpoint', async () => {
  await fc.assert(
    fc.asyncProperty(grids, fc.constantFrom<DType[]>('F32', 'F16', 'BF16'), async (grid, dtype) => {
      const { dir, linear } = await quantised(dtype, grid);
      await writeScales(dir, [{ ...linear, bits: grid.bits, scales: grid.scales }]);
      const checkpoint = await openCheckpoint(dir);
      expect(checkpoint.files).not.toContain(SCALES_FILE);
      const file = (await readScales(checkpoint, [linear]))!;
      const read = await file.read(name, await readTensorFloat32(checkpoint, name), dtype);
      const groups = Math.ceil(grid.columns / grid.group);
      // A scale of zero leaves nothing of its integers.
      const kept = grid.q.map((value, i) =>
        grid.scales[Math.floor(i / grid.columns) * groups + Math.floor((i % grid.columns) / grid.group)] === 0
          ? 0
          : value,
      );
      expect(read.q).toEqual(kept);
      expect(read.scales).toEqual(grid.scales);
      expect(read.bits).toBe(grid.bits);
      expect(Math.ceil(grid.columns / read.group)).toBe(groups);
    }),
    { numRuns: runs(60) },
  );
});

test('a checkpoint without scales has none', async () => {
  const { dir, linear } = await quantised('F16', one);
  expect(await readScales(await openCheckpoint(dir), [linear])).toBe(undefined);
});

const one = {
  rows: 2,
  columns: 40,
  bits: 4,
  group: 32,
  q: Int8Array.from({ length: 80 }, (_, i) => (i % 16) - 8),
  scales: Float32Array.of(0.5, -0.25, 1, 2),
};

test('weights that were edited since are refused', async () => {
  const { dir, linear } = await quantised('F16', one);
  await writeScales(dir, [{ ...linear, bits: 4, scales: one.scales }]);
  const checkpoint = await openCheckpoint(dir);
  const file = (await readScales(checkpoint, [linear]))!;
  const W = await readTensorFloat32(checkpoint, name);
  W[7]! += 0.01;
  expect(await codeOf(file.read(name, W, 'F16'))).toBe('E_CHECKPOINT_SCALES');
  W[7] = 4.5; // 9 · 0.5
  expect(await codeOf(file.read(name, W, 'F16'))).toBe('E_CHECKPOINT_SCALES');
});

const halves = (shape: readonly number[]) =>
  entry(
    'F16',
    shape,
    0,
    shape.reduce((a, b) => a * b, 2),
  );
const bits = (value: unknown) => JSON.stringify({ [name]: value });
const sound = { format: 'layerwise-scales 1', bits: bits(4) };
test.each([
  ['another format', { __metadata__: { ...sound, format: 'x' }, [name]: halves([2, 2]) }],
  ['no bits', { __metadata__: { format: sound.format }, [name]: halves([2, 2]) }],
  ['bits that are no JSON', { __metadata__: { ...sound, bits: '4' }, [name]: halves([2, 2]) }],
  ['five bits', { __metadata__: { ...sound, bits: bits(5) }, [name]: halves([2, 2]) }],
  ['bits as text', { __metadata__: { ...sound, bits: bits('4') }, [name]: halves([2, 2]) }],
  ['bits of a linear without scales', { __metadata__: sound }],
  ['scales without bits', { __metadata__: { ...sound, bits: '{}' }, [name]: halves([2, 2]) }],
  ['other metadata', { __metadata__: { ...sound, group: '32' }, [name]: halves([2, 2]) }],
  ['a tensor that is no linear', { __metadata__: { ...sound, bits: '{"x":4}' }, x: halves([2, 2]) }],
  ['too many rows', { __metadata__: sound, [name]: halves([3, 2]) }],
  ['a number of groups that no group size has', { __metadata__: sound, [name]: halves([2, 3]) }],
  ['three dimensions', { __metadata__: sound, [name]: halves([2, 2, 1]) }],
  ['another dtype', { __metadata__: sound, [name]: entry('BF16', [2, 2], 0, 8) }],
])('a file with %s is refused', async (_, header) => {
  const { dir, linear } = await quantised('F16', one);
  const length = Object.entries(header).reduce(
    (sum, [key, value]) =>
      sum + (key === '__metadata__' ? 0 : ((value as ReturnType<typeof entry>).data_offsets[1] as number)),
    0,
  );
  await writeFile(join(dir, SCALES_FILE), fileBytes(header, new Uint8Array(length)));
  expect(await codeOf(readScales(await openCheckpoint(dir), [linear]))).toBe('E_CHECKPOINT_SCALES');
});

test('a scale that is not finite is refused', async () => {
  const { dir, linear } = await quantised('F16', one);
  const header = { __metadata__: sound, [name]: halves([2, 2]) };
  await writeFile(join(dir, SCALES_FILE), fileBytes(header, Uint8Array.of(0, 0x7e, 0, 0, 0, 0, 0, 0)));
  const checkpoint = await openCheckpoint(dir);
  const file = (await readScales(checkpoint, [linear]))!;
  expect(await codeOf(file.read(name, await readTensorFloat32(checkpoint, name), 'F16'))).toBe('E_CHECKPOINT_SCALES');
});
