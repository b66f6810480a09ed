import { chmod, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  openCheckpoint,
  readSafetensors,
  readTensor,
  readTensorFloat32,
  type TensorToWrite,
  writeCheckpoint,
  writeSafetensors,
} from '../../src/checkpoint/index.js';
import { type DType, fromFloat32 } from '../../src/tensor/index.js';
import { runs } from '../scale.js';
import { sharedPath, testWith } from '../shared.js';
import {
  codeOf,
  counting,
  data,
  entry,
  fileBytes,
  hashTree,
  header,
  makeCheckpoint,
  makeDir,
  sharded,
} from './make.js';

const tensor = (name: string, dtype: DType, shape: readonly number[], bytes: Uint8Array): TensorToWrite => ({
  name,
  dtype,
  shape,
  read: () => Promise.resolve(bytes),
});
const keep = () => undefined;

describe('writeSafetensors', () => {
  test.each(['F32', 'F16', 'BF16'] as const)('%s values come back', async (dtype) => {
    const dir = await makeCheckpoint({});
    const values = Float32Array.of(1, -2, 0.5, -0, 65504 / 65504, 2 ** -10);
    const bytes = fromFloat32(values, dtype);
    await writeSafetensors(join(dir, 'model.safetensors'), [tensor('w', dtype, [2, 3], bytes)], { format: 'pt' });
    const checkpoint = await openCheckpoint(dir);
    expect(await readTensorFloat32(checkpoint, 'w')).toEqual(values);
    expect((await readSafetensors(join(dir, 'model.safetensors'))).metadata).toEqual({ format: 'pt' });
    expect(checkpoint.tensors.get('w')!.offset % 8).toBe(0);
  });

  test('any names, shapes and metadata come back, in the order given', async () => {
    const path = join(await makeDir(), 'x.safetensors');
    const name = fc.string({ unit: 'grapheme' }).filter((text) => text !== '__metadata__' && text !== '__proto__');
    const part = fc.record({ name, shape: fc.array(fc.nat(3), { maxLength: 3 }) });
    const parts = fc.uniqueArray(part, { selector: (one) => one.name, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(parts, fc.dictionary(name, fc.string()), async (chosen, metadata) => {
        const sizes = chosen.map(({ shape }) => 2 * shape.reduce((a, b) => a * b, 1));
        await writeSafetensors(
          path,
          chosen.map((one, i) => tensor(one.name, 'F16', one.shape, counting(sizes[i]!, i))),
          metadata,
        );
        const file = await readSafetensors(path);
        expect({ ...file.metadata }).toEqual({ ...metadata });
        expect([...file.tensors.values()].map(({ name, shape }) => ({ name, shape }))).toEqual(
          expect.arrayContaining(chosen.map(({ name, shape }) => ({ name, shape }))),
        );
        const bytes = await readFile(path);
        for (const [i, one] of chosen.entries()) {
          const { offset, length } = file.tensors.get(one.name)!;
          expect(new Uint8Array(bytes.subarray(offset, offset + length))).toEqual(counting(sizes[i]!, i));
        }
      }),
      { numRuns: runs(100) },
    );
  });

  test('a failure leaves the old file and nothing beside it', async () => {
    const dir = await makeDir();
    const path = join(dir, 'x.safetensors');
    await writeFile(path, 'old');
    const whole = tensor('a', 'U8', [4], counting(4));
    const broken: readonly (readonly [TensorToWrite[], string])[] = [
      [[whole, tensor('b', 'U8', [4], counting(3))], 'E_INTERNAL_TENSOR'],
      [[whole, tensor('a', 'U8', [4], counting(4))], 'E_INTERNAL_TENSOR'],
      [[tensor('__metadata__', 'U8', [4], counting(4))], 'E_INTERNAL_TENSOR'],
      [[tensor('b', 'U8', [-1], counting(4))], 'E_SHAPE_DIMENSIONS'],
    ];
    for (const [tensors, code] of broken) expect(await codeOf(writeSafetensors(path, tensors))).toBe(code);
    const failing = { ...whole, read: () => Promise.reject(new Error('no bytes')) };
    await expect(writeSafetensors(path, [failing])).rejects.toThrow('no bytes');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(dir)).toEqual(['x.safetensors']);
    expect(await codeOf(writeSafetensors(join(dir, 'no', 'x'), [whole]))).toBe('E_RESOURCE_NOT_FOUND');
  });
});

describe('writeCheckpoint', () => {
  // Headers as others write them: odd spacing, unsorted, unpadded, with metadata.
  const odd = `{ "c": ${JSON.stringify(entry('F32', [2], 20, 28))},  ${JSON.stringify(header)
    .slice(1)
    .replace(/"c":.*?\]\},/, '')} `;
  const make = () => makeCheckpoint({ 'model.safetensors': fileBytes(odd, data), 'tokenizer.json': '{ }' });

  test.each<[string, () => Promise<string>]>([
    ['one file', make],
    ['shards', () => makeCheckpoint(sharded)],
  ])('%s: without replacements it is a copy, byte for byte', async (_what, source) => {
    const dir = await source();
    await mkdir(join(dir, 'a', 'b'), { recursive: true });
    await writeFile(join(dir, 'a', 'b', 'c.txt'), 'deep');
    await writeFile(join(dir, 'empty.txt'), '');
    const out = await makeDir();
    await writeCheckpoint(await openCheckpoint(dir), out, keep);
    expect(await hashTree(out)).toEqual(await hashTree(dir));
    expect(Object.keys(await hashTree(out))).toContain(join('a', 'b', 'c.txt'));
  });

  test('any tensors replaced: those differ, everything else is the same', async () => {
    for (const files of [{ 'model.safetensors': fileBytes(odd, data) }, sharded]) {
      const source = await openCheckpoint(await makeCheckpoint(files));
      const names = [...source.tensors.keys()];
      await fc.assert(
        fc.asyncProperty(fc.subarray(names), async (replaced) => {
          const out = await makeDir();
          const asked: string[] = [];
          await writeCheckpoint(source, out, (name) => {
            asked.push(name);
            if (!replaced.includes(name)) return undefined;
            const { dtype, shape, length } = source.tensors.get(name)!;
            return { name, dtype, shape, read: async () => new Uint8Array(length).fill(255) };
          });
          expect(asked).toEqual(names);
          const target = await openCheckpoint(out);
          expect([...target.tensors]).toEqual([...source.tensors]);
          for (const name of names) {
            const old = await readTensor(source, name);
            expect(await readTensor(target, name)).toEqual(replaced.includes(name) ? old.fill(255) : old);
          }
        }),
        { numRuns: runs(12) },
      );
    }
  });

  test('a copy of a read-only file can be written to', async () => {
    const dir = await make();
    await chmod(join(dir, 'tokenizer.json'), 0o444);
    const out = await makeDir();
    await writeCheckpoint(await openCheckpoint(dir), out, keep);
    await writeFile(join(out, 'tokenizer.json'), '{}');
    expect(await readFile(join(out, 'tokenizer.json'), 'utf8')).toBe('{}');
  });

  test('a replacement of another length is our fault', async () => {
    const source = await openCheckpoint(await make());
    const { dtype, shape } = source.tensors.get('b')!;
    const short = (name: string) =>
      name === 'b' ? { name, dtype, shape, read: async () => new Uint8Array(7) } : undefined;
    expect(await codeOf(writeCheckpoint(source, await makeDir(), short))).toBe('E_INTERNAL_TENSOR');
  });

  test('only an existing, empty directory is written into', async () => {
    const dir = await make();
    const source = await openCheckpoint(dir);
    const before = await hashTree(dir);
    for (const out of [dir, join(dir, 'nothing'), join(dir, 'config.json')]) {
      expect(await codeOf(writeCheckpoint(source, out, keep))).toBe('E_OPTION_OUT');
    }
    expect(await hashTree(dir)).toEqual(before);
  });

  test('a source that changed since it was opened is refused', async () => {
    const dir = await make();
    const source = await openCheckpoint(dir);
    await writeFile(join(dir, 'model.safetensors'), fileBytes({ ...header, a: entry('BF16', [2, 3], 0, 12) }, data));
    expect(await codeOf(writeCheckpoint(source, await makeDir(), keep))).toBe('E_CHECKPOINT_CHANGED');
    await truncate(join(dir, 'model.safetensors'), 20);
    expect(await codeOf(writeCheckpoint(source, await makeDir(), keep))).toBe('E_CHECKPOINT_HEADER');
  });
});

const novels = sharedPath('models', 'novels-2m');
testWith(novels, 'the checkpoint novels-2m')('a real checkpoint copies byte for byte', async () => {
  const out = await makeDir();
  await writeCheckpoint(await openCheckpoint(novels!), out, keep);
  expect(await hashTree(out)).toEqual(await hashTree(novels!));
});
