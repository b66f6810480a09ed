// The same .lw file as bytes of every kind; that hostile ones are refused alike is hostile.test.ts's.

import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { openPacked, openPackedBytes, type PackedBytes, type PackedFile } from '../../src/packed/index.js';
import { codeOf } from '../checkpoint/make.js';
import { INT8, packMatrices, randomMatrix } from './make.js';

const LARGE = 20 << 20; // more than one piece of a Blob

let path: string;
let bytes: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  const columns = LARGE / 4;
  const vector = { name: 'v', role: 'vector' as const, rows: 1, columns, data: new Float32Array(columns).fill(0.5) };
  vector.data[columns - 1] = 2;
  const linear = { name: 'w', rows: 16, columns: 160, data: randomMatrix(16, 160, { kept: 3, of: 16 }) };
  path = await packMatrices([vector, linear], INT8);
  bytes = new Uint8Array(await readFile(path));
});

async function weightsOf(packed: PackedFile): Promise<Buffer> {
  const weights = Buffer.alloc(packed.weightBytes);
  await packed.readWeightsInto(weights, { verify: true });
  await packed.verify();
  await packed.close();
  return weights;
}

test.each<[kind: string, make: () => PackedBytes]>([
  ['an ArrayBuffer', () => bytes.buffer],
  ['a Uint8Array', () => bytes],
  ['a part of another', () => Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(5)]).subarray(3, 3 + bytes.length)],
  ['a Blob', () => new Blob([bytes])],
  ['a Response', () => new Response(bytes)],
])('%s reads as the file', async (_, make) => {
  const [file, packed] = [await openPacked(path), await openPackedBytes(make(), 'mine')];
  expect(packed.path).toBe('mine');
  expect([packed.directory, packed.fileBytes, packed.weightBytes]).toEqual([
    ...[file.directory, file.fileBytes, file.weightBytes],
  ]);
  expect(await packed.readText('config.json')).toBe(await file.readText('config.json'));
  expect((await weightsOf(packed)).equals(await weightsOf(file))).toBe(true);
});

describe('what goes wrong', () => {
  test('bytes that are taken away, and a Blob that cannot be read any more', async () => {
    const taken = bytes.slice();
    const packed = await openPackedBytes(taken);
    structuredClone(taken.buffer, { transfer: [taken.buffer] });
    expect(await codeOf(weightsOf(packed))).toBe('E_CHECKPOINT_CHANGED');

    const blob = new Blob([bytes]);
    const gone = await openPackedBytes(blob);
    blob.slice = () => ({ arrayBuffer: () => Promise.reject(new Error('NotReadableError')) }) as unknown as Blob;
    expect(await codeOf(weightsOf(gone))).toBe('E_CHECKPOINT_CHANGED');
  });

  test('answers without the file', async () => {
    expect(await codeOf(openPackedBytes(new Response('no', { status: 404 })))).toBe('E_REMOTE_STATUS');
    const cut = new Response(
      new ReadableStream({ start: (controller) => controller.error(new Error('connection lost')) }),
    );
    await expect(openPackedBytes(cut)).rejects.toMatchObject({
      code: 'E_REMOTE_CUT',
      message: expect.stringContaining('connection lost'),
    });
  });
});
