import { chmod, mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openCheckpoint, readTensor, readTensorFloat32 } from '../../src/checkpoint/index.js';
import { runs } from '../scale.js';
import { sharedPath, testWith } from '../shared.js';
import { codeOf, counting, data, entry, fileBytes, header, makeCheckpoint, makeDir, sharded } from './make.js';

const single = { 'model.safetensors': fileBytes(header, data) };
const codeOfFiles = async (files: Parameters<typeof makeCheckpoint>[0]) =>
  codeOf(openCheckpoint(await makeCheckpoint(files)));
const index = sharded['model.safetensors.index.json'];
const withMap = (map: unknown) => ({ ...sharded, 'model.safetensors.index.json': { weight_map: map } });

test('one file: config, tensors, shards, files', async () => {
  const dir = await makeCheckpoint({ ...single, 'tokenizer.json': '{}', LICENSE: 'free' });
  const checkpoint = await openCheckpoint(dir);
  expect(checkpoint.config).toEqual({ model_type: 'llama' });
  expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b', 'c', 'd']);
  expect(checkpoint.shards).toEqual(['model.safetensors']);
  expect(checkpoint.files).toEqual(['LICENSE', 'config.json', 'tokenizer.json']);
});

test('shards: tensors in the order of shards and data, the index among the files', async () => {
  const checkpoint = await openCheckpoint(await makeCheckpoint(sharded));
  expect([...checkpoint.tensors.keys()]).toEqual(['c', 'a', 'b']);
  expect(checkpoint.shards).toEqual(['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']);
  expect(checkpoint.files).toEqual(['config.json', 'model.safetensors.index.json']);
  expect(await readTensor(checkpoint, 'b')).toEqual(counting(4, 106));
});

test('a relative directory becomes absolute', async () => {
  const dir = await makeCheckpoint(single);
  const cwd = process.cwd();
  const { relative } = await import('node:path');
  expect((await openCheckpoint(relative(cwd, dir))).dir).toBe(dir);
});

test('links to shards are followed, as in the cache of the Hub', async () => {
  const blobs = await makeDir();
  await writeFile(join(blobs, 'abc'), single['model.safetensors']);
  const dir = await makeCheckpoint({});
  await symlink(join(blobs, 'abc'), join(dir, 'model.safetensors'));
  await symlink(join(blobs, 'abc'), join(dir, 'README.md'));
  await symlink(join(blobs, 'gone'), join(dir, 'NOTICE'));
  await symlink('circle', join(dir, 'circle'));
  await symlink(dir, join(dir, 'loop'));
  const checkpoint = await openCheckpoint(dir);
  expect(checkpoint.files).toEqual(['README.md', 'config.json']);
  expect(await readTensor(checkpoint, 'a')).toEqual(data.slice(0, 12));
});

test('files: folders three deep; no other weights, no caches, nothing of an earlier run', async () => {
  const left = ['pytorch_model.bin', 'pytorch_model.bin.index.json', 'consolidated.safetensors', 'q4.GGUF', 'x.onnx'];
  const own = ['layerwise.json', 'report.html', 'model.safetensors.index.json'];
  const dir = await makeCheckpoint({ ...single, ...Object.fromEntries([...left, ...own].map((name) => [name, 'x'])) });
  for (const folder of ['1/2/3/4', '.git', '.cache', 'onnx']) await mkdir(join(dir, folder), { recursive: true });
  for (const path of ['1/a', '1/2/3/c', '1/2/3/4/d', '.git/e', '.cache/f', 'onnx/g.onnx', '1/report.html']) {
    await writeFile(join(dir, path), 'x');
  }
  expect((await openCheckpoint(dir)).files).toEqual(['1/2/3/c', '1/a', '1/report.html', 'config.json']);
});

describe('config.json', () => {
  test.each<[string, string | Uint8Array]>([
    ['is empty', ''],
    ['is not JSON', '{"a":NaN}'],
    ['is a list', '[]'],
    ['is a number', '1'],
    ['is nested without end', '{"a":'.repeat(100_000)],
    ['touches the prototype', '{"rope_scaling":{"__proto__":{"polluted":true}}}'],
    ['has a key twice', '{"hidden_size":1,"hidden_size":2}'],
    ['is not UTF-8', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)],
  ])('that %s is refused', async (_what, text) => {
    expect(await codeOfFiles({ ...single, 'config.json': text })).toBe('E_CHECKPOINT_CONFIG');
    expect({}).not.toHaveProperty('polluted');
  });

  test('that is missing, a directory or above 16 MB is refused', async () => {
    const dir = await makeCheckpoint(single);
    await truncate(join(dir, 'config.json'), 16_000_001);
    expect(await codeOf(openCheckpoint(dir))).toBe('E_CHECKPOINT_CONFIG');
    await rm(join(dir, 'config.json'));
    expect(await codeOf(openCheckpoint(dir))).toBe('E_CHECKPOINT_CONFIG');
    await mkdir(join(dir, 'config.json'));
    expect(await codeOf(openCheckpoint(dir))).toBe('E_CHECKPOINT_CONFIG');
  });

  test('of any JSON opens with those values or is refused', async () => {
    const dir = await makeCheckpoint(single);
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        const text = JSON.stringify(value);
        await writeFile(join(dir, 'config.json'), text);
        const code = await codeOf(openCheckpoint(dir));
        if (code !== 'no error') expect(code).toBe('E_CHECKPOINT_CONFIG');
        else expect((await openCheckpoint(dir)).config).toEqual(JSON.parse(text));
      }),
      { numRuns: runs(200) },
    );
  });
});

test('what is not a directory is refused', async () => {
  const dir = await makeCheckpoint(single);
  for (const path of [
    join(dir, 'nothing'),
    join(dir, 'config.json'),
    join(dir, 'config.json', 'x'),
    'a\0b',
    'x'.repeat(9999),
  ]) {
    expect(await codeOf(openCheckpoint(path))).toBe('E_CHECKPOINT_DIRECTORY');
  }
});

test('no weights at all', async () => {
  await expect(openCheckpoint(await makeCheckpoint({}))).rejects.toMatchObject({ code: 'E_CHECKPOINT_WEIGHTS' });
  expect(await codeOfFiles({ 'model.safetensors': fileBytes({}, new Uint8Array(0)) })).toBe('E_CHECKPOINT_WEIGHTS');
});

describe('what people have instead of model.safetensors: the message says what it is and the next step', () => {
  const shard = 'model-00001-of-00002.safetensors';
  const other = 'model-00002-of-00002.safetensors';
  test.each<[readonly string[], RegExp]>([
    [
      [shard, other],
      /got model-00001.*, model-00002.* without their index; the index is missing: download model\.safetensors\.index\.json from where the shards come from/,
    ],
    [[other], /without their index; the index and some of the shards are missing/],
    [[shard, other, 'model-00003-of-00003.safetensors'], /some of the shards are missing/],
    [
      ['consolidated.safetensors'],
      /Mistral's own names and layout; download config\.json and the model\*\.safetensors/,
    ],
    [['consolidated-00001-of-00002.safetensors', 'params.json'], /Mistral's own names and layout/],
    [['adapter_model.safetensors', 'adapter_config.json'], /an adapter without the model that it changes; merge it/],
    [['adapter_model.bin'], /an adapter.*merge_and_unload/],
    [
      ['pytorch_model.bin'],
      /pytorch_model\.bin, which Layerwise does not load \(a pickle may run code\); .*save_pretrained/,
    ],
    [
      ['pytorch_model-00001-of-00002.bin', 'pytorch_model-00002-of-00002.bin', 'pytorch_model.bin.index.json'],
      /pickle/,
    ],
    [['consolidated.00.pth', 'params.json'], /pickle/],
    [['tiny.Q4_K_M.gguf'], /a llama\.cpp file; give the path of the \.gguf file in place of the folder/],
    [['tiny.ggml'], /an old llama\.cpp; start from the safetensors checkpoint/],
    [['model.onnx', 'model.onnx_data'], /an ONNX graph; start from/],
    [['tf_model.h5'], /TensorFlow, JAX or Rust; download the model\*\.safetensors/],
    [['flax_model.msgpack'], /TensorFlow, JAX or Rust/],
    [['weights.safetensors'], /rename it to model\.safetensors/],
  ])('%j', async (names, message) => {
    const files = Object.fromEntries(names.map((name) => [name, 'x']));
    const failing = openCheckpoint(await makeCheckpoint(files));
    await expect(failing).rejects.toMatchObject({ code: 'E_CHECKPOINT_WEIGHTS' });
    await expect(failing).rejects.toThrow(message);
    await expect(failing).rejects.not.toThrow(/convert the weights to safetensors/);
    // Most of these folders have no config.json; that is not what is wrong with them.
    const dir = await makeCheckpoint(files);
    await rm(join(dir, 'config.json'));
    await expect(openCheckpoint(dir)).rejects.toThrow(message);
  });

  test('the file itself in place of its folder', async () => {
    const dir = await makeCheckpoint({ ...single, 'tiny.gguf': 'GGUF', 'model.safetensors.index.json': '{}' });
    const messageOf = (name: string) => openCheckpoint(join(dir, name)).then(String, (error: Error) => error.message);
    expect(await messageOf('tiny.gguf')).toMatch(/a llama\.cpp file; give the path of the \.gguf file/);
    for (const name of ['model.safetensors', 'model.safetensors.index.json']) {
      expect(await messageOf(name)).toMatch(/give the folder that contains it/);
    }
  });

  test('an adapter beside weights is not left out unseen', async () => {
    const failing = openCheckpoint(await makeCheckpoint({ ...single, 'adapter_config.json': '{}' }));
    await expect(failing).rejects.toMatchObject({ code: 'E_UNSUPPORTED_ADAPTER' });
  });

  test.each<[string, string | Uint8Array, RegExp]>([
    [
      'a pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
      /a Git LFS pointer; run `git lfs pull`/,
    ],
    ['GGUF', Buffer.from('GGUF\x03\0\0\0\x10\0\0\0'), /a GGUF file; give the path of the file/],
    ['a zipped pickle', Buffer.from('PK\x03\x04\0\0\x08\x08\0\0\0\0'), /a PyTorch pickle; export it/],
    ['an old pickle', Buffer.from('\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P', 'latin1'), /a PyTorch pickle/],
    ['a page', '<!DOCTYPE html><html></html>', /a web page; download it again/],
    ['an error', '{"error":"Repository not found"}', /JSON text; download it again/],
  ])('%s under the name of safetensors', async (_, content, message) => {
    await expect(openCheckpoint(await makeCheckpoint({ 'model.safetensors': content }))).rejects.toThrow(message);
  });

  test('a pointer in place of config.json or of the index', async () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n';
    for (const files of [
      { ...single, 'config.json': pointer },
      { ...sharded, 'model.safetensors.index.json': pointer },
    ]) {
      await expect(openCheckpoint(await makeCheckpoint(files))).rejects.toThrow(/Git LFS pointer; run `git lfs pull`/);
    }
  });
});

describe('the index', () => {
  const first = 'model-00001-of-00002.safetensors';
  const second = 'model-00002-of-00002.safetensors';
  test.each<[string, unknown]>([
    ['is missing', undefined],
    ['is null', null],
    ['is a list', [first]],
    ['is empty', {}],
    ['names a number', { a: 1 }],
    ['names nothing', { a: '' }],
    ['names an absolute path', { a: '/etc/x.safetensors' }],
    ['leads out of the directory', { a: '../x.safetensors' }],
    ['leads into a folder', { a: 'y/x.safetensors' }],
    ['leads out on other systems', { a: '..\\x.safetensors' }],
    ['names a drive', { a: 'C:x.safetensors' }],
    ['hides a NUL', { a: 'x\0.safetensors' }],
    ['names the parent', { a: '..' }],
    ['names another kind of file', { a: 'config.json' }],
  ])('whose weight_map %s is refused', async (_what, map) => {
    expect(await codeOfFiles(withMap(map))).toBe('E_CHECKPOINT_INDEX');
  });

  test('that is no JSON object, or says one tensor twice, is refused', async () => {
    for (const text of ['', '[]', '{"weight_map":', `{"weight_map":{"a":"${first}","a":"${second}"}}`]) {
      expect(await codeOfFiles({ ...sharded, 'model.safetensors.index.json': text })).toBe('E_CHECKPOINT_INDEX');
    }
  });

  test.each<[string, object]>([
    ['names a shard that is not there', { ...index.weight_map, d: 'model-3.safetensors' }],
    ['names a shard of 5,000 letters', { ...index.weight_map, d: `${'x'.repeat(5000)}.safetensors` }],
    ['names a tensor that is not there', { ...index.weight_map, d: first }],
    ['puts a tensor into the wrong shard', { ...index.weight_map, c: second }],
    ['forgets a tensor', { a: second, c: first }],
  ])('that %s is refused', async (_what, map) => {
    expect(await codeOfFiles(withMap(map))).toBe('E_CHECKPOINT_SHARD');
  });

  test('with a tensor in two shards is refused', async () => {
    const twice = fileBytes({ c: entry('F32', [2], 0, 8), a: entry('U8', [1], 8, 9) }, counting(9));
    await expect(openCheckpoint(await makeCheckpoint({ ...sharded, [first]: twice }))).rejects.toMatchObject({
      code: 'E_CHECKPOINT_SHARD',
      facts: { tensor: 'a', file: expect.stringContaining(first) },
    });
  });

  test('with a broken shard tells which', async () => {
    const dir = await makeCheckpoint({ ...sharded, [second]: sharded[second].subarray(0, 50) });
    await expect(openCheckpoint(dir)).rejects.toMatchObject({
      code: 'E_CHECKPOINT_HEADER',
      facts: { file: join(dir, second) },
    });
  });

  test('of any JSON never leads to an untyped error', async () => {
    const dir = await makeCheckpoint(sharded);
    const name = fc.oneof(fc.constantFrom(first, second, `../${first}`), fc.string(), fc.jsonValue());
    const map = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), name);
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.jsonValue(), fc.record({ weight_map: map })), async (value) => {
        await writeFile(join(dir, 'model.safetensors.index.json'), JSON.stringify(value));
        expect(await codeOf(openCheckpoint(dir))).toMatch(/^(E_CHECKPOINT_(INDEX|SHARD)|no error)$/);
      }),
      { numRuns: runs(300) },
    );
  });
});

test('model.safetensors wins over an index beside it, which is told where its shards are there', async () => {
  const checkpoint = await openCheckpoint(await makeCheckpoint({ ...sharded, ...single }));
  expect(checkpoint.shards).toEqual(['model.safetensors']);
  expect(checkpoint.files).toEqual(['config.json']);
  expect(checkpoint.notes).toHaveLength(1);
  expect(checkpoint.notes![0]).toMatch(/model\.safetensors is used, as in transformers, and not 2 files/);
  for (const index of ['{', { weight_map: { a: 'model.safetensors' } }]) {
    const files = { ...single, 'model.safetensors.index.json': index };
    expect((await openCheckpoint(await makeCheckpoint(files))).notes).toEqual([]);
  }
});

test.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
  'a file without permission is typed',
  async () => {
    const dir = await makeCheckpoint(single);
    await chmod(join(dir, 'model.safetensors'), 0);
    expect(await codeOf(openCheckpoint(dir))).toBe('E_RESOURCE_PERMISSION');
  },
);

const novels = sharedPath('models', 'novels-2m');
testWith(novels, 'the checkpoint novels-2m')('a real checkpoint opens', async () => {
  const checkpoint = await openCheckpoint(novels!);
  expect(checkpoint.tensors.size).toBe(110);
  expect(checkpoint.files).toEqual(['config.json', 'tokenizer.json', 'tokenizer_config.json']);
  const norm = await readTensorFloat32(checkpoint, 'model.norm.weight');
  expect(norm).toHaveLength(128);
  expect(norm.every((value) => Number.isFinite(value) && value !== 0)).toBe(true);
});
