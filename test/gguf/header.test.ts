import { open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { readGguf } from '../../src/gguf/index.js';
import { codeOf, makeDir } from '../checkpoint/make.js';
import { enough, runs } from '../scale.js';
import { type FileSpec, ggufBytes, list, type Pair, type TensorSpec, text, u32, u64, value } from './make.js';

let path: string;
beforeAll(async () => {
  path = join(await makeDir(), 'x.gguf');
});

async function outcome(bytes: Uint8Array): Promise<string> {
  await writeFile(path, bytes);
  return codeOf(readGguf(path));
}

const tensor = (name: string, length: number, more: Partial<TensorSpec> = {}): TensorSpec => ({
  name,
  type: 0,
  dimensions: [length],
  data: new Uint8Array(4 * length).fill(name.charCodeAt(0)),
  ...more,
});

const sound: FileSpec = {
  pairs: [
    ['general.architecture', value('text', 'llama')],
    ['a.u8', value('u8', 200)],
    ['a.i8', value('i8', -100)],
    ['a.u16', value('u16', 60_000)],
    ['a.i16', value('i16', -30_000)],
    ['a.u32', value('u32', 4_000_000_000)],
    ['a.i32', value('i32', -2_000_000_000)],
    ['a.f32', value('f32', 0.25)],
    ['a.f64', value('f64', 0.1)],
    ['a.bool', value('bool', true)],
    ['a.u64', value('u64', 2n ** 40n)],
    ['a.large', value('u64', 2n ** 60n)],
    ['a.i64', value('i64', -5)],
    ['a.words', list('text', ['', 'ä', '\u2581b'])],
    ['a.numbers', list('i32', [1, -2, 3])],
    ['a.flags', list('bool', [true, false])],
    ['a.longs', list('u64', [7])],
    ['a.nothing', list('f32', [])],
  ],
  tensors: [
    tensor('a', 3),
    tensor('b', 64, { type: 8, dimensions: [32, 2], data: new Uint8Array(68).fill(9) }),
    tensor('c', 8, { dimensions: [2, 2, 2] }),
  ],
};
const bytes = ggufBytes(sound);
const header = bytes.length - 32 - 96 - 32;

test('values, names, shapes and places', async () => {
  await writeFile(path, bytes);
  const { values, tensors } = await readGguf(path);
  const plain = [...values].map(([key, one]) => [key, ArrayBuffer.isView(one) ? [...(one as Uint8Array)] : one]);
  expect(Object.fromEntries(plain)).toEqual({
    'general.architecture': 'llama',
    'a.u8': 200,
    'a.i8': -100,
    'a.u16': 60_000,
    'a.i16': -30_000,
    'a.u32': 4_000_000_000,
    'a.i32': -2_000_000_000,
    'a.f32': 0.25,
    'a.f64': 0.1,
    'a.bool': true,
    'a.u64': 2 ** 40,
    'a.large': 2n ** 60n,
    'a.i64': -5,
    'a.words': ['', 'ä', '\u2581b'],
    'a.numbers': [1, -2, 3],
    'a.flags': [1, 0],
    'a.longs': [7n],
    'a.nothing': [],
  });
  expect(
    [...tensors.values()].map(({ name, type, shape, offset, length }) => [name, type.name, shape, offset, length]),
  ).toEqual([
    ['a', 'F32', [3], header, 12],
    ['b', 'Q8_0', [2, 32], header + 32, 68],
    ['c', 'F32', [2, 2, 2], header + 128, 32],
  ]);
});

test('another alignment, version 2, no tensors, and holes between tensors', async () => {
  const pairs = [['general.alignment', value('u32', 64)]] as const;
  await writeFile(path, ggufBytes({ pairs, tensors: [tensor('a', 3), tensor('b', 1)], alignment: 64, version: 2 }));
  const { tensors } = await readGguf(path);
  expect(tensors.get('b')!.offset - tensors.get('a')!.offset).toBe(64);
  expect(await outcome(ggufBytes({}))).toBe('no error');
  const apart = [tensor('a', 3, { offset: 64 }), tensor('b', 1, { offset: 0 })];
  expect(await outcome(ggufBytes({ tensors: [...apart, tensor('c', 1, { offset: 128 })] }))).toBe('E_CHECKPOINT_GGUF');
  expect(await outcome(Buffer.concat([ggufBytes({ tensors: apart }), Buffer.alloc(32)]))).toBe('no error');
});

test('truncated at every length, it is refused', async () => {
  const codes = new Set<string>();
  for (let length = 0; length < bytes.length; length++) codes.add(await outcome(bytes.subarray(0, length)));
  expect([...codes]).toEqual(['E_CHECKPOINT_GGUF']);
});

const pair = (key: string, one: Pair): FileSpec => ({ pairs: [[key, one]] });
const one = (more: Partial<TensorSpec>): FileSpec => ({ tensors: [tensor('a', 8, more)] });

describe.each<[what: string, spec: FileSpec, code: string]>([
  ['more tensors than bytes', { counts: { tensors: 2n ** 40n } }, 'CHECKPOINT'],
  ['2^64 − 1 tensors', { counts: { tensors: 2n ** 64n - 1n } }, 'CHECKPOINT'],
  ['more pairs than bytes', { counts: { pairs: 2n ** 63n } }, 'CHECKPOINT'],
  ['one pair more than there are', { ...sound, counts: { pairs: sound.pairs!.length + 1 } }, 'CHECKPOINT'],
  ['a key twice', { pairs: [sound.pairs![1]!, sound.pairs![1]!] }, 'CHECKPOINT'],
  ['an empty key', pair('', value('u8', 1)), 'CHECKPOINT'],
  ['a type of value that there is not', pair('a', { type: 13, bytes: u64(0) }), 'CHECKPOINT'],
  ['a flag of 2', pair('a', { type: 7, bytes: Buffer.from([2]) }), 'CHECKPOINT'],
  [
    'a list of flags with a 2',
    pair('a', { type: 9, bytes: Buffer.concat([u32(7), u64(1), Buffer.from([2])]) }),
    'CHECKPOINT',
  ],
  ['text longer than the file', pair('a', { type: 8, bytes: u64(2n ** 50n) }), 'CHECKPOINT'],
  ['text that is no UTF-8', pair('a', { type: 8, bytes: Buffer.concat([u64(1), Buffer.from([0xff])]) }), 'CHECKPOINT'],
  ['a list longer than the file', pair('a', { type: 9, bytes: Buffer.concat([u32(0), u64(2n ** 62n)]) }), 'CHECKPOINT'],
  [
    'a list whose bytes overflow',
    pair('a', { type: 9, bytes: Buffer.concat([u32(12), u64(2n ** 61n)]) }),
    'CHECKPOINT',
  ],
  ['a list of a type that there is not', pair('a', { type: 9, bytes: Buffer.concat([u32(99), u64(0)]) }), 'CHECKPOINT'],
  [
    'a list of texts longer than the file',
    pair('a', { type: 9, bytes: Buffer.concat([u32(8), u64(2n ** 59n)]) }),
    'CHECKPOINT',
  ],
  ['a list of lists', pair('a', { type: 9, bytes: Buffer.concat([u32(9), u64(1), u32(0), u64(0)]) }), 'UNSUPPORTED'],
  ['version 1', { version: 1 }, 'UNSUPPORTED'],
  ['version 4', { version: 4 }, 'UNSUPPORTED'],
  ['a big-endian file', { version: 3 << 24 }, 'UNSUPPORTED'],
  ['alignment 0', pair('general.alignment', value('u32', 0)), 'CHECKPOINT'],
  ['alignment 24', pair('general.alignment', value('u32', 24)), 'CHECKPOINT'],
  ['alignment 2^31', pair('general.alignment', value('u32', 2 ** 31)), 'CHECKPOINT'],
  ['an alignment that is text', pair('general.alignment', value('text', '32')), 'CHECKPOINT'],
  ['a name twice', { tensors: [tensor('a', 8), tensor('a', 8)] }, 'CHECKPOINT'],
  ['an empty name', { tensors: [tensor('', 8)] }, 'CHECKPOINT'],
  ['no dimensions', one({ dimensions: [] }), 'CHECKPOINT'],
  ['five dimensions', one({ dimensions: [1, 1, 1, 1, 8] }), 'CHECKPOINT'],
  ['a tensor more than there are', { ...one({}), counts: { tensors: 2 } }, 'CHECKPOINT'],
  ['a dimension of 0', one({ dimensions: [8, 0] }), 'CHECKPOINT'],
  ['a product past 2^53', one({ dimensions: [2n ** 40n, 2n ** 40n] }), 'CHECKPOINT'],
  ['a product that wraps to 8', one({ dimensions: [2n ** 32n, 2n ** 32n, 8n] }), 'CHECKPOINT'],
  ['a dimension of 2^64 − 1', one({ dimensions: [2n ** 64n - 1n] }), 'CHECKPOINT'],
  ['more elements than bytes', one({ dimensions: [9] }), 'CHECKPOINT'],
  ['a type that we do not read', one({ type: 23, dimensions: [256] }), 'UNSUPPORTED'],
  ['a type that there is not', one({ type: 1000 }), 'UNSUPPORTED'],
  ['rows of parts of blocks', one({ type: 8, dimensions: [16, 2] }), 'CHECKPOINT'],
  ['an offset beside the alignment', one({ offset: 1 }), 'CHECKPOINT'],
  ['an offset past the file', one({ offset: 64 }), 'CHECKPOINT'],
  ['an offset past 2^53', one({ offset: 2n ** 60n }), 'CHECKPOINT'],
  ['an offset of 2^64 − 32', one({ offset: 2n ** 64n - 32n }), 'CHECKPOINT'],
  ['an overlap', { tensors: [tensor('a', 16), tensor('b', 8, { offset: 32 })] }, 'CHECKPOINT'],
  ['the same range twice', { tensors: [tensor('a', 8), tensor('b', 8, { offset: 0 })] }, 'CHECKPOINT'],
])('%s', (_what, spec, kind) => {
  test(`is E_${kind}_GGUF`, async () => {
    expect(await outcome(ggufBytes(spec))).toBe(`E_${kind}_GGUF`);
  });
});

test('no file, a folder, another file, and one of several parts', async () => {
  expect(await outcome(Buffer.from('GGML\x03\0\0\0'))).toBe('E_CHECKPOINT_GGUF');
  expect(await codeOf(readGguf(join(path, '..')))).toBe('E_CHECKPOINT_GGUF');
  expect(await codeOf(readGguf(join(path, '..', 'nothing')))).toBe('E_CHECKPOINT_GGUF');
  const part = join(path, '..', 'model-00001-of-00003.gguf');
  await writeFile(part, bytes);
  await expect(readGguf(part)).rejects.toThrow(
    /one of 3 parts .* merge them into model\.gguf .* from model-00001-of-00003\.gguf on/,
  );
  const whole = join(path, '..', 'model-00001-of-00001.gguf');
  await writeFile(whole, bytes);
  expect(await codeOf(readGguf(whole))).toBe('no error');
});

test('lengths of gigabytes in a file of gigabytes take no memory', async () => {
  const before = process.memoryUsage().rss;
  for (const bomb of [
    pair('a', { type: 8, bytes: u64(3e9) }),
    pair('a', { type: 9, bytes: Buffer.concat([u32(0), u64(3e9)]) }),
    pair('a', { type: 9, bytes: Buffer.concat([u32(8), u64(3e8)]) }),
    { counts: { pairs: 1e8 } },
    { counts: { tensors: 1e8 } },
  ]) {
    const handle = await open(path, 'w');
    await handle.write(ggufBytes(bomb));
    await handle.close();
    await truncate(path, 4e9); // sparse
    expect(await codeOf(readGguf(path))).toBe('E_CHECKPOINT_GGUF');
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
});

/** What must hold of every header that is accepted: tensors inside the file, aligned and apart. */
async function acceptedOrTyped(content: Uint8Array): Promise<string> {
  await writeFile(path, content);
  const code = await codeOf(readGguf(path));
  if (code !== 'no error') return code;
  const { tensors } = await readGguf(path);
  let end = 0;
  for (const { offset, length, shape, type } of [...tensors.values()].sort((a, b) => a.offset - b.offset)) {
    expect(offset).toBeGreaterThanOrEqual(end);
    expect(length).toBe((shape.reduce((a, b) => a * b, 1) / type.weights) * type.bytes);
    end = offset + length;
  }
  expect(end).toBeLessThanOrEqual(content.length);
  return code;
}

test('any bytes changed: it opens soundly or says why', async () => {
  const change = fc.record({ at: fc.nat(header - 1), to: fc.integer({ min: 0, max: 255 }) });
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
      const changed = Buffer.from(bytes);
      for (const { at, to } of changes) changed[at] = to;
      seen.add(await acceptedOrTyped(changed));
    }),
    { numRuns: enough(1500) },
  );
  expect([...seen].sort()).toEqual(['E_CHECKPOINT_GGUF', 'E_UNSUPPORTED_GGUF', 'no error']);
});

test('any bytes at all after the start', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(3), fc.nat(3), async (rest, tensors, pairs) => {
      const start = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors), u64(pairs), text('k')]);
      expect(await acceptedOrTyped(Buffer.concat([start, rest]))).toMatch(
        /^(E_(CHECKPOINT|UNSUPPORTED)_GGUF|no error)$/,
      );
    }),
    { numRuns: runs(500) },
  );
});

test('any tensors, plausible or absurd: accepted only when they are apart and inside', async () => {
  const number = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(0, 32, 64, 96, 128).map(BigInt) },
    { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
  );
  const any = fc.record({
    type: fc.constantFrom(0, 1, 2, 8, 12, 30, 99),
    dimensions: fc.array(fc.oneof(fc.constantFrom(1n, 2n, 8n, 32n), number), { minLength: 1, maxLength: 3 }),
    offset: number,
  });
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(any, { maxLength: 3 }), async (specs) => {
      const tensors = specs.map((spec, i) => ({ ...spec, name: `t${i}`, data: new Uint8Array(64) }));
      seen.add(await acceptedOrTyped(ggufBytes({ tensors })));
    }),
    { numRuns: enough(1000) },
  );
  expect([...seen].sort()).toEqual(['E_CHECKPOINT_GGUF', 'E_UNSUPPORTED_GGUF', 'no error']);
});
