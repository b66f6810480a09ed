import { createHash } from 'node:crypto';
import { readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import {
  type Checkpoint,
  hashCheckpoint,
  openCheckpoint,
  readRows,
  readTensor,
  readTensorFloat32,
  readTensorRange,
} from '../../src/checkpoint/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { runs } from '../scale.js';
import { codeOf, counting, data, entry, fileBytes, header, makeCheckpoint } from './make.js';

let checkpoint: Checkpoint;
beforeAll(async () => {
  checkpoint = await openCheckpoint(await makeCheckpoint({ 'model.safetensors': fileBytes(header, data) }));
});

test('tensors come byte for byte, each in a buffer of its own', async () => {
  const bytes = await readTensor(checkpoint, 'b');
  expect(bytes).toEqual(data.slice(12, 20));
  expect(bytes.buffer.byteLength).toBe(8);
  expect(await readTensor(checkpoint, 'd')).toEqual(data.slice(28, 36));
});

test('float32 of every real dtype; of others refused', async () => {
  for (const [name, dtype] of [
    ['a', 'F16'],
    ['b', 'BF16'],
    ['c', 'F32'],
  ] as const) {
    const bytes = await readTensor(checkpoint, name);
    expect(await readTensorFloat32(checkpoint, name)).toEqual(toFloat32(bytes, dtype));
  }
  expect(await codeOf(readTensorFloat32(checkpoint, 'd'))).toBe('E_UNSUPPORTED_DTYPE');
});

test('a tensor that is not there, a range that is not inside', async () => {
  for (const name of ['x', '__metadata__', 'constructor']) {
    expect(await codeOf(readTensor(checkpoint, name))).toBe('E_CHECKPOINT_MISSING');
  }
  expect(await readTensorRange(checkpoint, 'a', 3, 4)).toEqual(data.slice(3, 7));
  expect(await readTensorRange(checkpoint, 'a', 12, 0)).toHaveLength(0);
  for (const [begin, length] of [
    [0, 13],
    [12, 1],
    [-1, 2],
    [0.5, 1],
    [0, Number.NaN],
  ] as const) {
    expect(await codeOf(readTensorRange(checkpoint, 'a', begin, length))).toBe('E_OPTION_RANGE');
  }
});

test('slabs of rows, of any size, put together are the tensor', async () => {
  const shape = [7, 5];
  const file = fileBytes({ pad: entry('U8', [1], 0, 1), t: entry('F16', shape, 1, 71) }, counting(71));
  const table = await openCheckpoint(await makeCheckpoint({ 'model.safetensors': file }));
  const whole = await readTensorFloat32(table, 't');
  await fc.assert(
    fc.asyncProperty(fc.nat(100), async (slabBytes) => {
      const values: number[] = [];
      await readRows(
        table,
        't',
        async (firstRow, rows, rowLength) => {
          await Promise.resolve();
          expect([firstRow * 5, rowLength]).toEqual([values.length, 5]);
          expect(rows.length * 2).toBeLessThanOrEqual(Math.max(slabBytes, 10));
          values.push(...rows);
        },
        slabBytes,
      );
      expect(Float32Array.from(values)).toEqual(whole);
    }),
    { numRuns: runs(50) },
  );
  expect(await codeOf(readRows(table, 'pad', () => {}))).toBe('E_SHAPE_RANK');
});

test('a file that shrank since it was opened is told apart', async () => {
  const dir = await makeCheckpoint({ 'model.safetensors': fileBytes(header, data) });
  const opened = await openCheckpoint(dir);
  await truncate(join(dir, 'model.safetensors'), opened.tensors.get('d')!.offset + 3);
  expect(await codeOf(readTensor(opened, 'd'))).toBe('E_CHECKPOINT_CHANGED');
  expect(await readTensor(opened, 'a')).toEqual(data.slice(0, 12));
});

test('hashes are of the files', async () => {
  const dir = await makeCheckpoint({
    'model.safetensors': fileBytes(header, data),
    'tokenizer.json': '{}',
    README: 'x',
  });
  const hashes = await hashCheckpoint(await openCheckpoint(dir));
  expect(Object.keys(hashes)).toEqual(['config.json', 'tokenizer.json', 'model.safetensors']);
  for (const [file, hash] of Object.entries(hashes)) {
    expect(hash).toBe(
      createHash('sha256')
        .update(await readFile(join(dir, file)))
        .digest('hex'),
    );
  }
});
