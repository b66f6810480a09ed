import { open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { readSafetensors } from '../../src/checkpoint/index.js';
import { bytesPerElement, elementCount } from '../../src/tensor/index.js';
import { enough, runs } from '../scale.js';
import { codeOf, data, entry, fileBytes, header, makeDir } from './make.js';

let path: string;
beforeAll(async () => {
  path = join(await makeDir(), 'x.safetensors');
});

async function outcome(bytes: Uint8Array): Promise<string> {
  await writeFile(path, bytes);
  return codeOf(readSafetensors(path));
}

/** What must hold of every header that is accepted: the tensors tile the data exactly. Returns the code otherwise. */
async function acceptedOrTyped(bytes: Uint8Array): Promise<string> {
  await writeFile(path, bytes);
  const code = await codeOf(readSafetensors(path));
  if (code !== 'no error') return code;
  const { tensors } = await readSafetensors(path);
  let end = 8 + Number(Buffer.from(bytes).readBigUInt64LE());
  for (const tensor of tensors.values()) {
    expect(tensor.offset).toBe(end);
    expect(tensor.length).toBe(elementCount(tensor.shape) * bytesPerElement(tensor.dtype));
    end += tensor.length;
  }
  expect(end).toBe(bytes.length);
  return code;
}

test('a sound header gives names, shapes, absolute offsets and metadata', async () => {
  const bytes = fileBytes(header, data);
  await writeFile(path, bytes);
  const { tensors, metadata } = await readSafetensors(path);
  const start = bytes.length - data.length;
  expect(metadata).toEqual({ format: 'pt' });
  expect([...tensors.keys()]).toEqual(['a', 'b', 'c', 'd']);
  expect(tensors.get('b')).toEqual({
    name: 'b',
    dtype: 'BF16',
    shape: [4],
    file: 'x.safetensors',
    offset: start + 12,
    length: 8,
  });
  expect(tensors.get('d')?.shape).toEqual([]);
});

test('tensors come in the order of their data; empty ones and padding are fine', async () => {
  const text = JSON.stringify({ z: entry('U8', [2], 1, 3), e: entry('F32', [0, 5], 1, 1), y: entry('I8', [1], 0, 1) });
  await writeFile(path, fileBytes(`${text}    `, new Uint8Array(3)));
  const { tensors, metadata } = await readSafetensors(path);
  expect([...tensors.keys()]).toEqual(['y', 'e', 'z']);
  expect(metadata).toEqual({});
});

test('truncated at every length, it is refused', async () => {
  const bytes = fileBytes(header, data);
  const codes = new Set<string>();
  for (let length = 0; length < bytes.length; length++) codes.add(await outcome(bytes.subarray(0, length)));
  expect([...codes]).toEqual(['E_CHECKPOINT_HEADER']);
});

const long = 'x'.repeat(5000);
describe.each<[what: string, header: unknown, code: string]>([
  ['an overlap', { a: entry('U8', [6], 0, 6), b: entry('U8', [6], 2, 8) }, 'TENSOR'],
  ['the same range twice', { a: entry('U8', [8], 0, 8), b: entry('U8', [8], 0, 8) }, 'TENSOR'],
  ['a hole', { a: entry('U8', [3], 0, 3), b: entry('U8', [4], 4, 8) }, 'TENSOR'],
  ['a start after 0', { a: entry('U8', [7], 1, 8) }, 'TENSOR'],
  ['data after the last tensor', { a: entry('U8', [7], 0, 7) }, 'HEADER'],
  ['an end past the file', { a: entry('U8', [9], 0, 9) }, 'HEADER'],
  ['an end far past the file', { a: entry('U8', [2 ** 52], 0, 2 ** 52) }, 'HEADER'],
  ['no tensors for the data', {}, 'HEADER'],
  ['begin after end', { a: entry('U8', [8], 8, 0) }, 'TENSOR'],
  ['negative offsets', { a: entry('U8', [8], -8, 0) }, 'TENSOR'],
  ['fractional offsets', { a: entry('U8', [8], 0, 8.5) }, 'TENSOR'],
  ['offsets past 2^53', { a: entry('U8', [8], 2 ** 60, 2 ** 60 + 8) }, 'TENSOR'],
  ['offsets that are text', { a: entry('U8', [8], '0', '8') }, 'TENSOR'],
  ['three offsets', { a: { dtype: 'U8', shape: [8], data_offsets: [0, 4, 8] } }, 'TENSOR'],
  ['no offsets', { a: { dtype: 'U8', shape: [8] } }, 'TENSOR'],
  ['an unknown dtype', { a: entry('F7', [8], 0, 8) }, 'TENSOR'],
  ['a dtype from the prototype', { a: entry('constructor', [8], 0, 8) }, 'TENSOR'],
  ['a lower-case dtype', { a: entry('u8', [8], 0, 8) }, 'TENSOR'],
  ['too few bytes for the shape', { a: entry('F16', [5], 0, 8) }, 'TENSOR'],
  ['too many bytes for the shape', { a: entry('F16', [3], 0, 8) }, 'TENSOR'],
  ['a negative shape', { a: entry('U8', [-2, -4], 0, 8) }, 'TENSOR'],
  ['a fractional shape', { a: entry('U8', [0.5, 16], 0, 8) }, 'TENSOR'],
  ['a shape of −0', '{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}', 'TENSOR'],
  ['a product past 2^53', { a: entry('U8', [2 ** 40, 2 ** 40], 0, 8) }, 'TENSOR'],
  ['a product that would wrap to 8', { a: entry('U8', [2 ** 32, 2 ** 32, 0, 8], 0, 8) }, 'TENSOR'],
  ['a shape that is a number', { a: { dtype: 'U8', shape: 8, data_offsets: [0, 8] } }, 'TENSOR'],
  ['an entry that is null', { a: null }, 'TENSOR'],
  ['an entry that is a list', { a: [] }, 'TENSOR'],
  ['metadata with a number', { __metadata__: { n: 1 }, a: entry('U8', [8], 0, 8) }, 'HEADER'],
  ['metadata that is a list', { __metadata__: [], a: entry('U8', [8], 0, 8) }, 'HEADER'],
  ['a list', [], 'HEADER'],
  ['null', 'null', 'HEADER'],
  ['nothing', '', 'HEADER'],
  ['a byte order mark', '\ufeff{}', 'HEADER'],
  ['no JSON', '{"a":', 'HEADER'],
  ['a long string that is no JSON', `{"${long}`, 'HEADER'],
  ['the prototype', '{"__proto__":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}', 'HEADER'],
  ['the prototype, escaped', '{"\\u005f_proto__":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}', 'HEADER'],
  ['deep nesting', '['.repeat(1_000_000), 'HEADER'],
  ['deep nesting in an entry', `{"a":${'{"a":'.repeat(100)}1${'}'.repeat(100)}}`, 'HEADER'],
])('%s', (_what, broken, code) => {
  test(`is E_CHECKPOINT_${code}`, async () => {
    expect(await outcome(fileBytes(broken, new Uint8Array(8)))).toBe(`E_CHECKPOINT_${code}`);
    expect({}).not.toHaveProperty('dtype');
  });
});

test('a name twice is refused, also when escapes hide it; the same key in two objects is not', async () => {
  const one = JSON.stringify(entry('U8', [8], 0, 8));
  for (const name of ['"a"', '"\\u0061"', '"a" \n']) {
    expect(await outcome(fileBytes(`{"a":${one},${name}:${one}}`, new Uint8Array(8)))).toBe('E_CHECKPOINT_HEADER');
  }
  const field = '{"a":{"dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]}}';
  expect(await outcome(fileBytes(field, new Uint8Array(8)))).toBe('E_CHECKPOINT_HEADER');
  const quotes = {
    'a":"': entry('U8', [4], 0, 4),
    '\\': entry('U8', [4], 4, 8),
    __metadata__: { 'a":"': '{"a":1,"a":2}' },
  };
  expect(await outcome(fileBytes(quotes, new Uint8Array(8)))).toBe('no error');
});

test('dtypes below one byte are unsupported by name', async () => {
  expect(await outcome(fileBytes({ a: entry('F4', [16], 0, 8) }, new Uint8Array(8)))).toBe('E_UNSUPPORTED_DTYPE');
});

test('invalid UTF-8, Git LFS pointers and directories are told apart', async () => {
  const bytes = fileBytes(header, data);
  bytes[12] = 0xff;
  expect(await outcome(bytes)).toBe('E_CHECKPOINT_HEADER');
  await writeFile(path, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n');
  await expect(readSafetensors(path)).rejects.toThrow('got a Git LFS pointer; run `git lfs pull`');
  expect(await codeOf(readSafetensors(join(path, '..')))).toBe('E_CHECKPOINT_HEADER');
  expect(await codeOf(readSafetensors(join(path, 'nothing')))).toBe('E_CHECKPOINT_HEADER');
});

test('declared lengths: above the file, above 100 MB, above 2^53, all without reading them', async () => {
  for (const declared of [BigInt(2 ** 20), 2n ** 53n + 1n, 2n ** 64n - 1n]) {
    expect(await outcome(fileBytes(header, data, declared))).toBe('E_CHECKPOINT_HEADER');
  }
  const handle = await open(path, 'w');
  await handle.write(fileBytes(header, data, 100_000_001n));
  await handle.close();
  await truncate(path, 4e9); // sparse
  await expect(readSafetensors(path)).rejects.toMatchObject({
    code: 'E_CHECKPOINT_HEADER',
    facts: { got: '100000001' },
  });
});

test('a header of many small objects is refused before it becomes gigabytes', async () => {
  const before = process.memoryUsage().rss;
  const bytes = fileBytes(`{"a":[{}${',{}'.repeat(3_000_000)}]}`, new Uint8Array(0));
  expect(await outcome(bytes)).toBe('E_CHECKPOINT_HEADER');
  expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
});

test('any bytes changed: it opens soundly or says why', async () => {
  const sound = fileBytes(header, data);
  const change = fc.record({ at: fc.nat(sound.length - 1), to: fc.integer({ min: 0, max: 255 }) });
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
      const bytes = Buffer.from(sound);
      for (const { at, to } of changes) bytes[at] = to;
      seen.add(await acceptedOrTyped(bytes));
    }),
    { numRuns: enough(1500) },
  );
  expect([...seen]).toEqual(expect.arrayContaining(['no error', 'E_CHECKPOINT_HEADER', 'E_CHECKPOINT_TENSOR']));
});

test('any header text at all: it opens soundly or says why', async () => {
  const text = fc.oneof(fc.json(), fc.string(), fc.string({ unit: fc.constantFrom(...'{}[]":,\\ea0') }));
  await fc.assert(
    fc.asyncProperty(text, fc.nat(16), async (json, length) => {
      expect(await acceptedOrTyped(fileBytes(json, new Uint8Array(length)))).toMatch(/^(E_CHECKPOINT_|no error)/);
    }),
    { numRuns: runs(500) },
  );
});

test('any entries, plausible or absurd: accepted only when they tile the data', async () => {
  const number = fc.oneof(fc.nat(8), fc.constantFrom<unknown>(-1, 0.5, 2 ** 53, 1e300, null, '1', [], -0));
  const entries = fc.dictionary(
    fc.string({ maxLength: 3 }).filter((key) => key !== '__metadata__' && key !== '__proto__'),
    fc.record({
      dtype: fc.constantFrom<unknown>('U8', 'F16', 'F32', 'F9', 1, null),
      shape: fc.oneof({ weight: 9, arbitrary: fc.array(number, { maxLength: 3 }) }, { weight: 1, arbitrary: number }),
      data_offsets: fc.array(number, { minLength: 1, maxLength: 3 }),
    }),
    { maxKeys: 3 },
  );
  await fc.assert(
    fc.asyncProperty(entries, fc.nat(8), async (object, length) => {
      expect(await acceptedOrTyped(fileBytes(object, new Uint8Array(length)))).toMatch(/^(E_CHECKPOINT_|no error)/);
    }),
    { numRuns: runs(1000) },
  );
});

test('any tiling is accepted, and any one offset moved is refused', async () => {
  const sizes = fc.array(fc.nat(5), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.nat(), fc.integer({ min: 1, max: 3 }), fc.nat(1), async (lengths, which, by, side) => {
      let at = 0;
      const tiles = lengths.map((length) => {
        at += length;
        return entry('U8', [length], at - length, at);
      });
      const build = () => fileBytes(Object.fromEntries(tiles.map((tile, i) => [`t${i}`, tile])), new Uint8Array(at));
      expect(await acceptedOrTyped(build())).toBe('no error');
      const moved = tiles[which % tiles.length]!;
      moved.data_offsets[side] = (moved.data_offsets[side] as number) + by;
      expect(await acceptedOrTyped(build())).toMatch(/^E_CHECKPOINT_(HEADER|TENSOR)$/);
    }),
    { numRuns: runs(300) },
  );
});
