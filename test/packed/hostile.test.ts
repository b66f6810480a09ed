// Files that were cut, changed or made up: each opens soundly or says why, in words with a code; and no byte can be changed
// without verification noticing.

import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { openPacked, openPackedBytes, type PackedFile } from '../../src/packed/index.js';
import { codeOf, makeDir } from '../checkpoint/make.js';
import { enough } from '../scale.js';
import { directoryOf, INT8, packMatrices, randomMatrix, readBuffer, withDirectory } from './make.js';

type Json = Record<string, unknown>;
type Tensor = Json & { layout: Json & { parts: { name: string; bytes: number }[] } };
type Parsed = Json & { files: Json[]; tensors: Tensor[]; weights: { offset: number; bytes: number } };

let sound: Buffer;
let path: string;
beforeAll(async () => {
  const vector = {
    name: 'norm',
    role: 'vector' as const,
    rows: 1,
    columns: 40,
    data: randomMatrix(1, 40, { share: 0 }),
  };
  const linear = (name: string, data: Float32Array) => ({ name, rows: 16, columns: 160, data });
  // One full row of one tile, so that tiles of sixteen slots everywhere would be absurd.
  const uneven = randomMatrix(16, 160, { share: 0.97 }).fill(0.5, 0, 16);
  const matrices = [vector, linear('fixed', randomMatrix(16, 160, { kept: 3, of: 16 })), linear('sorted', uneven)];
  sound = await readBuffer(await packMatrices(matrices, { ...INT8, layout: 'tiles' }));
  path = join(await makeDir(), 'x.lw');
});

/** Opens, reads all, verifies: the code of what went wrong, which is the same from a disk and from bytes. */
async function outcome(bytes: Uint8Array, verify = true): Promise<string> {
  await writeFile(path, bytes);
  const code = await codeOf(readAll(openPacked(path), verify));
  expect(await codeOf(readAll(openPackedBytes(bytes), verify))).toBe(code);
  return code;
}

async function readAll(opening: Promise<PackedFile>, verify: boolean): Promise<void> {
  const packed = await opening;
  try {
    await packed.readText('config.json');
    await packed.readWeightsInto(new Uint8Array(packed.weightBytes), { verify });
    if (verify) await packed.verify();
  } finally {
    await packed.close();
  }
}

const changed = (change: (directory: Parsed) => void): Buffer => {
  const directory = JSON.parse(directoryOf(sound)) as Parsed;
  change(directory);
  return withDirectory(sound, JSON.stringify(directory));
};

test('the sound one opens, with tiles of both forms', async () => {
  expect(await outcome(sound)).toBe('no error');
  expect(await outcome(withDirectory(sound, directoryOf(sound)))).toBe('no error');
  const forms = (JSON.parse(directoryOf(sound)) as Parsed).tensors.map(({ layout }) => layout.form);
  expect(forms).toEqual([undefined, 'fixed', 'sorted']);
});

test('cut at any length, or longer than it says', async () => {
  const codes = new Set<string>();
  for (let length = 0; length < sound.length; length += length < 300 ? 1 : 97) {
    codes.add(await outcome(sound.subarray(0, length)));
  }
  codes.add(await outcome(Buffer.concat([sound, Buffer.alloc(1)])));
  expect([...codes]).toEqual(['E_CHECKPOINT_PACKED']);
});

test('other files, folders, nothing', async () => {
  expect(await outcome(Buffer.from('version https://git-lfs.github.com/spec/v1\n'.repeat(9)))).toBe(
    'E_CHECKPOINT_PACKED',
  );
  await expect(openPacked(path)).rejects.toThrow('git lfs pull');
  expect(await outcome(Buffer.alloc(5000))).toBe('E_CHECKPOINT_PACKED');
  expect(await codeOf(openPacked(join(path, '..')))).toBe('E_CHECKPOINT_PACKED');
  expect(await codeOf(openPacked(join(path, 'nothing')))).toBe('E_CHECKPOINT_PACKED');
});

test('a version of the future is unsupported by name', async () => {
  const bytes = Buffer.from(sound);
  bytes.writeUInt32LE(2, 8);
  expect(await outcome(bytes)).toBe('E_UNSUPPORTED_PACKED_VERSION');
});

test('a directory that is huge by its own account is not read', async () => {
  const bytes = Buffer.from(sound.subarray(0, 128));
  const size = 100 << 20;
  bytes.writeBigUInt64LE(BigInt(size), 16);
  bytes.writeBigUInt64LE(128n, 24);
  bytes.writeBigUInt64LE(BigInt(size - 128), 32);
  await writeFile(path, bytes);
  await truncate(path, size); // sparse
  const before = process.memoryUsage().rss;
  expect(await codeOf(openPacked(path))).toBe('E_CHECKPOINT_PACKED');
  expect(process.memoryUsage().rss - before).toBeLessThan(50e6);
});

test('any one byte changed: noticed', async () => {
  const codes = new Map<string, number>();
  for (let at = 0; at < sound.length; at += at < 128 ? 1 : 13) {
    const bytes = Buffer.from(sound);
    bytes[at]! ^= 1 << (at % 8);
    const code = await outcome(bytes);
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  expect([...codes.keys()].sort()).toEqual([
    'E_CHECKPOINT_PACKED',
    'E_CHECKPOINT_PACKED_CHECKSUM',
    'E_UNSUPPORTED_PACKED_VERSION',
  ]);
});

test('weights changed and nobody verifies: refused where a number points somewhere, else read', async () => {
  const { weights } = JSON.parse(directoryOf(sound)) as Parsed;
  const change = fc.record({ at: fc.nat(weights.bytes - 1), to: fc.integer({ min: 0, max: 255 }) });
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
      const bytes = Buffer.from(sound);
      for (const { at, to } of changes) bytes[weights.offset + at] = to;
      seen.add(await outcome(bytes, false));
    }),
    { numRuns: enough(400) },
  );
  expect([...seen].sort()).toEqual(['E_CHECKPOINT_PACKED_TENSOR', 'no error']);
});

test('column orders and counts that point outside are refused unasked', async () => {
  const { weights, tensors } = JSON.parse(directoryOf(sound)) as Parsed;
  const sorted = tensors.find(({ layout }) => layout.form === 'sorted')!;
  let begin = weights.offset + (sorted.offset as number);
  for (const { name, bytes: length } of sorted.layout.parts) {
    const bytes = Buffer.from(sound);
    bytes.fill(0xff, begin, begin + Math.min(2, length));
    const refused = ['starts', 'counts', 'order'].includes(name);
    expect(await outcome(bytes, false), name).toBe(refused ? 'E_CHECKPOINT_PACKED_TENSOR' : 'no error');
    begin += Math.ceil(length / 64) * 64;
  }
});

const at = (i: number) => (directory: Parsed) => directory.tensors[i]!;
const edit =
  (i: number, change: (tensor: Tensor) => void) =>
  (directory: Parsed): void =>
    change(at(i)(directory));
/** A linear twice as tall, whose parts and offsets agree with that, in a file that is not. */
const taller = (tensor: Tensor): void => {
  Object.assign(tensor.layout, { rows: 32 });
  for (const part of tensor.layout.parts) part.bytes *= 2;
};

describe.each<[what: string, change: (directory: Parsed) => void, code: string]>([
  ['a key too many', (d) => Object.assign(d, { more: 1 }), ''],
  ['a key too few', (d) => Object.assign(d, { head: undefined }), ''],
  ['unknown values', (d) => Object.assign(d, { values: 'int5' }), ''],
  ['unknown values of a linear', edit(1, (t) => Object.assign(t.layout, { values: 'int5' })), ''],
  ['tiles of int3', edit(1, (t) => Object.assign(t.layout, { values: 'int3' })), ''],
  ['no tensors', (d) => Object.assign(d, { tensors: [] }), ''],
  ['a tensor that is null', (d) => Object.assign(d.tensors, { 1: null }), ''],
  ['no config', (d) => d.files.splice(0, 1), ''],
  ['config twice', (d) => d.files.splice(1, 1, { ...d.files[0]! }), ''],
  ['a path for a name', (d) => Object.assign(d.files[1]!, { name: '../../etc/passwd' }), ''],
  ['a text that begins elsewhere', (d) => Object.assign(d.files[1]!, { offset: 128 }), ''],
  ['a text of negative length', (d) => Object.assign(d.files[1]!, { bytes: -1 }), ''],
  ['a text past the file', (d) => Object.assign(d.files[1]!, { bytes: 1e7 }), ''],
  ['a text past all bounds', (d) => Object.assign(d.files[1]!, { bytes: 2 ** 60 }), ''],
  ['a hash that is none', (d) => Object.assign(d.files[1]!, { sha256: 'x' }), ''],
  ['another hash', (d) => Object.assign(d.files[0]!, { sha256: '0'.repeat(64) }), '_CHECKSUM'],
  ['weights elsewhere', (d) => Object.assign(d.weights, { offset: 0 }), ''],
  ['fewer weights', (d) => Object.assign(d.weights, { bytes: d.weights.bytes - 64 }), ''],
  ['weights past the file', (d) => Object.assign(d.weights, { bytes: 2 ** 50 }), ''],
  ['a name twice', edit(1, (t) => Object.assign(t, { name: 'sorted' })), '_TENSOR'],
  ['no name', edit(1, (t) => Object.assign(t, { name: '' })), ''],
  ['an overlap', edit(2, (t) => Object.assign(t, { offset: (t.offset as number) - 64 })), '_TENSOR'],
  ['a hole', edit(1, (t) => Object.assign(t, { offset: (t.offset as number) + 64 })), '_TENSOR'],
  ['fewer bytes', edit(1, (t) => Object.assign(t, { bytes: (t.bytes as number) - 64 })), '_TENSOR'],
  ['a fraction', edit(1, (t) => Object.assign(t, { bytes: 0.5 })), ''],
  ['more nonzeros than weights', edit(1, (t) => Object.assign(t, { nonzeros: 1e9 })), '_TENSOR'],
  ['a vector in tiles', edit(1, (t) => Object.assign(t, { role: 'vector' })), '_TENSOR'],
  ['embeddings in int3', edit(1, (t) => Object.assign(t, { role: 'embedding' })), '_TENSOR'],
  ['a head in tiles', edit(1, (t) => Object.assign(t, { role: 'head' })), '_TENSOR'],
  ['another hash of weights', edit(1, (t) => Object.assign(t, { sha256: '0'.repeat(64) })), '_CHECKSUM'],
  ['more slots', edit(1, (t) => Object.assign(t.layout, { slots: 4 })), '_TENSOR'],
  ['no slots', edit(1, (t) => Object.assign(t.layout, { slots: 0 })), '_TENSOR'],
  ['seventeen slots', edit(1, (t) => Object.assign(t.layout, { slots: 17 })), '_TENSOR'],
  ['int4 for int8', edit(1, (t) => Object.assign(t.layout, { values: 'int4' })), '_TENSOR'],
  ['sorted for fixed', edit(1, (t) => Object.assign(t.layout, { form: 'sorted' })), ''],
  ['rows for tiles', edit(1, (t) => Object.assign(t.layout, { layout: 'rows' })), ''],
  ['no rows', edit(1, (t) => Object.assign(t.layout, { rows: 0 })), ''],
  ['more rows', edit(1, (t) => Object.assign(t.layout, { rows: 32 })), '_TENSOR'],
  ['rows past all bounds', edit(1, (t) => Object.assign(t.layout, { rows: 2 ** 52, columns: 2 ** 52 })), '_TENSOR'],
  ['other parts', edit(1, (t) => Object.assign(t.layout.parts[0]!, { name: 'scales' })), '_TENSOR'],
  ['no parts', edit(1, (t) => Object.assign(t.layout, { parts: [] })), '_TENSOR'],
  ['parts without end', edit(1, (t) => t.layout.parts.push(...Array(20).fill(t.layout.parts[0]))), ''],
  ['a taller linear', edit(2, taller), '_TENSOR'],
  ['fewer tiles listed', edit(2, (t) => (t.layout.parts[2]!.bytes -= 2)), '_TENSOR'],
  ['more bytes of tiles', edit(2, (t) => (t.layout.parts[3]!.bytes += 4)), '_TENSOR'],
])('%s', (_, change, code) => {
  test(`is E_CHECKPOINT_PACKED${code}`, async () => {
    expect(await outcome(changed(change))).toBe(`E_CHECKPOINT_PACKED${code}`);
  });
});

describe.each<[what: string, text: string | Buffer]>([
  ['nothing', ''],
  ['no JSON', '{"layerwise":'],
  ['a list', '[]'],
  ['bytes that are no UTF-8', Buffer.of(0x7b, 0xff, 0x7d)],
  ['deep nesting', '['.repeat(1_000_000)],
  ['many small values', `{"a":[{}${',{}'.repeat(2_500_000)}]}`],
  ['the prototype', '{"__proto__":{"layerwise":"0"}}'],
])('a directory of %s', (_, text) => {
  test('is E_CHECKPOINT_PACKED', async () => {
    expect(await outcome(withDirectory(sound, text))).toBe('E_CHECKPOINT_PACKED');
    expect({}).not.toHaveProperty('layerwise');
  });
});

test('a key twice is refused', async () => {
  const twice = directoryOf(sound).replace('"role"', '"name":"other","role"');
  expect(await outcome(withDirectory(sound, twice))).toBe('E_CHECKPOINT_PACKED');
});

test('any one value of the directory replaced: refused, or the file is as sound as before', async () => {
  const leaves: (readonly (string | number)[])[] = [];
  const walk = (value: unknown, place: readonly (string | number)[]): void => {
    if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) walk(inner, [...place, key]);
    }
    if (place.length > 0) leaves.push(place);
  };
  walk(JSON.parse(directoryOf(sound)), []);
  const values = fc.oneof(
    fc.constantFrom<unknown>(null, -1, 0, 1, 0.5, 64, 2 ** 31, 2 ** 53, 1e300, '', 'int4', 'f32', [], {}, true),
    fc.nat(5000),
    fc.string(),
  );
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...leaves), values, async (place, value) => {
      const bytes = changed((directory) => {
        let inner = directory as unknown as Record<string | number, unknown>;
        for (const key of place.slice(0, -1)) inner = inner[key] as Record<string | number, unknown>;
        inner[place.at(-1)!] = value;
      });
      seen.add(await outcome(bytes));
    }),
    { numRuns: enough(1500) },
  );
  expect([...seen].sort()).toEqual([
    'E_CHECKPOINT_PACKED',
    'E_CHECKPOINT_PACKED_CHECKSUM',
    'E_CHECKPOINT_PACKED_TENSOR',
    'no error', // a word, a count of nonzeros
  ]);
});
