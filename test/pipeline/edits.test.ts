// Edits may change a tensor's shape and dtype, or remove it: through a block's file and into a checkpoint, in one file and
// in shards. Whatever is not edited is byte for byte the source's, and an edit that changes neither leaves headers verbatim.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type Checkpoint,
  openCheckpoint,
  readSafetensors,
  readTensor,
  type TensorEdit,
  type TensorToWrite,
  writeCheckpoint,
  writeSafetensors,
} from '../../src/checkpoint/index.js';
import { blockTensorNames, type Model, openModel, weightName } from '../../src/model/index.js';
import {
  blockFileSource,
  blockPath,
  countBlockZeros,
  isWholeBlock,
  openBlockFile,
  readBlockFile,
  readNotes,
  type TreatedBlock,
  writeBlockFile,
} from '../../src/pipeline/index.js';
import { bytesPerElement, type DType, elementCount, fromFloat32 } from '../../src/tensor/index.js';
import { makeFolder, makeTiny } from '../api/make.js';
import { counting } from '../checkpoint/make.js';
import { runs } from '../scale.js';

const BLOCKS = 2;
const INDEX = 'model.safetensors.index.json';
const NOTES = { damping: { mlp_in: 0.01 }, unseen: [3] };
const SHARDINGS = [1, 4] as const;
let folder: string;
/** By the number of its shards. */
const models = new Map<number, Model>();

beforeAll(async () => {
  folder = await makeFolder();
  for (const shards of SHARDINGS) {
    const dir = await makeTiny(join(folder, `model-${shards}`), { shards, blocks: BLOCKS, dtype: 'F32' });
    await makeOdd(dir);
    models.set(shards, await openModel(dir));
  }
});

/** Spells headers and the index as our own writer never would, and has the index count parameters too. */
async function makeOdd(dir: string): Promise<void> {
  for (const file of (await readdir(dir)).filter((name) => name.endsWith('.safetensors'))) {
    const { header, data } = await splitFile(join(dir, file));
    const json = Buffer.from(` ${JSON.stringify(JSON.parse(header.subarray(8).toString()), null, 1)}\n`);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    await writeFile(join(dir, file), Buffer.concat([length, json, data]));
  }
  if (!(await readdir(dir)).includes(INDEX)) return;
  const index = JSON.parse(await readFile(join(dir, INDEX), 'utf8')) as object;
  const metadata = { maker: 'a test', total_parameters: 0, total_size: 0 };
  await writeFile(join(dir, INDEX), JSON.stringify({ ...index, metadata, more: [1] }));
}

/** A file's header, the eight bytes of its length among it, and its data. */
async function splitFile(path: string): Promise<{ readonly header: Buffer; readonly data: Buffer }> {
  const bytes = await readFile(path);
  const end = 8 + Number(bytes.readBigUInt64LE());
  return { header: bytes.subarray(0, end), data: bytes.subarray(end) };
}

type Outline = Pick<TensorToWrite, 'dtype' | 'shape'>;
/** What an operator makes of a tensor: another content, none, or (undefined) nothing at all. */
type Rule = (name: string, tensor: Outline) => Outline | 'removed' | undefined;

const sizeOf = ({ dtype, shape }: Outline): number => elementCount(shape) * bytesPerElement(dtype);
/** Bytes that tell which tensor they are of. */
const contentOf = (name: string, outline: Outline): Uint8Array =>
  counting(
    sizeOf(outline),
    Buffer.from(name).reduce((a, b) => a + b, 1),
  );

/** The edits of an operator that follows a rule. */
function treat({ checkpoint }: Model, names: readonly string[], rule: Rule): TreatedBlock {
  const edits = new Map<string, TensorEdit>();
  for (const name of names) {
    const made = rule(name, checkpoint.tensors.get(name)!);
    if (made === 'removed') edits.set(name, { name, remove: true });
    else if (made) edits.set(name, { name, ...made, read: async () => contentOf(name, made) });
  }
  return { edits, notes: NOTES };
}

/** All blocks by the rule: into block files, and from them into a checkpoint in `name`-out. */
async function assemble(model: Model, name: string, rule: Rule): Promise<Checkpoint> {
  const [dir, out] = [join(folder, `${name}-blocks`), join(folder, `${name}-out`)];
  for (const path of [dir, out]) {
    await rm(path, { recursive: true, force: true });
    await mkdir(path);
  }
  const files = new Map<string, (name: string) => TensorEdit>();
  for (let block = 0; block < BLOCKS; block++) {
    const [path, names] = [blockPath(dir, block), blockTensorNames(model, block)];
    expect(await isWholeBlock(model, block, path)).toBe(false);
    await writeBlockFile(model, block, treat(model, names, rule), path);
    expect(await isWholeBlock(model, block, path)).toBe(true);
    expect(await readNotes(path)).toEqual(NOTES);
    const [edit, read] = [await openBlockFile(model, path), await readBlockFile(model, path)];
    for (const name of names) {
      files.set(name, edit);
      const found = edit(name);
      const { dtype, shape } = model.checkpoint.tensors.get(name)!;
      const made = rule(name, { dtype, shape });
      if (made === 'removed') {
        expect(found).toEqual({ name, remove: true });
        continue;
      }
      const expected = made ? contentOf(name, made) : await readTensor(model.checkpoint, name);
      expect(found).toMatchObject({ name, ...(made ?? { dtype, shape }) });
      expect(await (found as TensorToWrite).read()).toEqual(expected);
      expect(await read(name)).toEqual(expected);
    }
  }
  const asked: string[] = [];
  await writeCheckpoint(model.checkpoint, out, (name) => {
    asked.push(name);
    return files.get(name)?.(name);
  });
  expect(asked).toEqual([...model.checkpoint.tensors.keys()]);
  return await openCheckpoint(out);
}

/** Whether a checkpoint is the source with the rule carried out on its blocks, and nothing else. */
async function expectEdited(source: Checkpoint, got: Checkpoint, inBlocks: Rule): Promise<void> {
  const kept: string[] = [];
  let [bytes, parameters] = [0, 0];
  for (const [name, tensor] of source.tensors) {
    const made = inBlocks(name, tensor);
    if (made === 'removed') continue;
    kept.push(name);
    const { dtype, shape } = made ?? tensor;
    expect(got.tensors.get(name)).toMatchObject({ dtype, shape, file: tensor.file });
    const content = made ? contentOf(name, made) : await readTensor(source, name);
    expect(Buffer.from(await readTensor(got, name)).equals(content), name).toBe(true);
    bytes += sizeOf({ dtype, shape });
    parameters += elementCount(shape);
  }
  expect([...got.tensors.keys()]).toEqual(kept);
  const homes = Object.fromEntries(kept.map((name) => [name, source.tensors.get(name)!.file]));
  expect(got.shards).toEqual(source.shards.filter((shard) => Object.values(homes).includes(shard)));
  expect((await readdir(got.dir)).filter((file) => file.endsWith('.safetensors')).sort()).toEqual(got.shards);
  for (const shard of got.shards) {
    const { metadata } = await readSafetensors(join(source.dir, shard));
    expect({ ...(await readSafetensors(join(got.dir, shard))).metadata }).toEqual({ ...metadata });
    const own = [...source.tensors.values()].filter(({ file }) => file === shard);
    const keepsAll = own.every((tensor) => keepsOutline(tensor, inBlocks(tensor.name, tensor)));
    const [before, after] = [await splitFile(join(source.dir, shard)), await splitFile(join(got.dir, shard))];
    expect(after.header.equals(before.header), shard).toBe(keepsAll);
  }
  expect(got.files).toEqual(source.files);
  const edited = [...source.tensors.values()].some((tensor) => !keepsOutline(tensor, inBlocks(tensor.name, tensor)));
  for (const file of source.files) {
    const [before, after] = [await readFile(join(source.dir, file)), await readFile(join(got.dir, file))];
    if (file !== INDEX || !edited) {
      expect(after.equals(before), file).toBe(true);
      continue;
    }
    const index = JSON.parse(before.toString()) as object;
    const metadata = { maker: 'a test', total_parameters: parameters, total_size: bytes };
    expect(JSON.parse(after.toString())).toEqual({ ...index, metadata, weight_map: homes });
  }
}

const keepsOutline = (tensor: Outline, made: ReturnType<Rule>): boolean =>
  made === undefined ||
  (made !== 'removed' && made.dtype === tensor.dtype && String(made.shape) === String(tensor.shape));

/** The rule in blocks alone. */
const within =
  (model: Model, rule: Rule): Rule =>
  (name, tensor) =>
    model.linears.some((_, block) => blockTensorNames(model, block).includes(name)) ? rule(name, tensor) : undefined;

/** Half of the output channels of `up_proj` in F16, `down_proj` in BF16 as it lies, and no norm behind the attention. */
const drastic: Rule = (name, { dtype, shape }) => {
  if (name.includes('0.mlp.up_proj')) return { dtype: 'F16', shape: [shape[0]! / 2, shape[1]!] };
  if (name.includes('0.mlp.down_proj')) return { dtype: 'BF16', shape };
  if (name.includes('0.self_attn.q_proj')) return { dtype, shape };
  if (name.includes('1.self_attn.v_proj')) return { dtype, shape: shape.toReversed() };
  return name.includes('post_attention_layernorm') ? 'removed' : undefined;
};
const gentle: Rule = (name, outline) => (name.includes('_proj') ? outline : undefined);

describe.each(SHARDINGS)('files: %i', (shards) => {
  test('other shapes, other dtypes, and tensors that go', async () => {
    const model = models.get(shards)!;
    const got = await assemble(model, `drastic-${shards}`, drastic);
    await expectEdited(model.checkpoint, got, within(model, drastic));
    const names = [...got.tensors.keys()];
    expect(names).toHaveLength(model.checkpoint.tensors.size - BLOCKS);
    const up = got.tensors.get('model.layers.0.mlp.up_proj.weight')!;
    const dense = model.checkpoint.tensors.get(up.name)!;
    expect([up.dtype, up.length]).toEqual(['F16', dense.length / 4]);
  });

  test('an edit that keeps shape and dtype leaves headers and index verbatim, and all other bytes', async () => {
    const model = models.get(shards)!;
    const { checkpoint } = model;
    const got = await assemble(model, `gentle-${shards}`, gentle);
    await expectEdited(checkpoint, got, within(model, gentle));
    expect([...got.tensors]).toEqual([...checkpoint.tensors]);
    for (const shard of checkpoint.shards) {
      const bytes = await readFile(join(checkpoint.dir, shard));
      for (const { name, file, offset, dtype, shape } of checkpoint.tensors.values()) {
        if (file === shard && name.includes('_proj')) bytes.set(contentOf(name, { dtype, shape }), offset);
      }
      expect((await readFile(join(got.dir, shard))).equals(bytes), shard).toBe(true);
    }
  });

  test('any edits', async () => {
    const model = models.get(shards)!;
    const { checkpoint } = model;
    const names = model.linears.flatMap((_, block) => blockTensorNames(model, block));
    const outline = fc.record({
      dtype: fc.constantFrom<DType>('F32', 'F16', 'BF16', 'U8'),
      shape: fc.array(fc.nat(5), { maxLength: 3 }),
    });
    const whatOf = (name: string) => {
      const { dtype, shape } = checkpoint.tensors.get(name)!;
      return fc.oneof(
        { weight: 3, arbitrary: fc.constant(undefined) },
        { weight: 3, arbitrary: fc.constant({ dtype, shape }) },
        { weight: 1, arbitrary: outline },
        { weight: 1, arbitrary: fc.constant('removed' as const) },
      );
    };
    // Where few tensors may be edited, some shards keep their headers.
    const some = fc.subarray(names).chain((chosen) => fc.record(Object.fromEntries(chosen.map((n) => [n, whatOf(n)]))));
    await fc.assert(
      fc.asyncProperty(some, async (made) => {
        const rule: Rule = (name) => made[name];
        const got = await assemble(model, `any-${shards}`, rule);
        await expectEdited(checkpoint, got, rule);
      }),
      { numRuns: runs(15) },
    );
  });
});

test('a shard that loses all its tensors is left out, of the index too', async () => {
  const model = models.get(4)!;
  const { checkpoint } = model;
  const names = model.linears.flatMap((_, block) => blockTensorNames(model, block));
  const outside = [...checkpoint.tensors.values()].filter(({ name }) => !names.includes(name)).map(({ file }) => file);
  const lost = checkpoint.shards.find((shard) => !outside.includes(shard))!;
  const rule: Rule = (name) => (checkpoint.tensors.get(name)!.file === lost ? 'removed' : undefined);
  const got = await assemble(model, 'lost', rule);
  await expectEdited(checkpoint, got, rule);
  expect(got.shards).toEqual(checkpoint.shards.filter((shard) => shard !== lost));
});

test('zeros are counted in the dtype that a block file has, and of what was removed none are', async () => {
  const model = models.get(1)!;
  const dir = join(folder, 'zeros');
  await mkdir(dir);
  let zeros = 0;
  for (const [block, linears] of model.linears.entries()) {
    const edits = new Map<string, TensorEdit>();
    for (const [i, linear] of linears.entries()) {
      const name = weightName(linear);
      if (i === 0) {
        edits.set(name, { name, remove: true });
        continue;
      }
      const shape = [linear.rows / 2, linear.columns];
      const values = Float32Array.from({ length: elementCount(shape) }, (_, at) => (at % 3 === 0 ? 0 : at / 1024));
      zeros += values.filter((value) => value === 0).length;
      const dtype = (['F32', 'F16', 'BF16'] as const)[i % 3]!;
      edits.set(name, { name, dtype, shape, read: async () => fromFloat32(values, dtype) });
    }
    await writeBlockFile(model, block, { edits, notes: NOTES }, blockPath(dir, block));
  }
  expect(await countBlockZeros(model, dir)).toBe(zeros);
});

test('a block file without a tensor that nobody removed is not whole, nor is one that was cut', async () => {
  const model = models.get(1)!;
  const path = blockPath(folder, 0);
  const names = blockTensorNames(model, 0);
  const tensors = names.map((name): TensorToWrite => {
    const { dtype, shape } = model.checkpoint.tensors.get(name)!;
    return { name, dtype, shape, read: () => readTensor(model.checkpoint, name) };
  });
  await writeSafetensors(path, tensors, { format: 'pt' });
  expect(await isWholeBlock(model, 0, path)).toBe(true);
  await writeSafetensors(path, tensors.slice(1), { format: 'pt' });
  expect(await isWholeBlock(model, 0, path)).toBe(false);
  await writeBlockFile(model, 0, treat(model, names, drastic), path);
  expect(await isWholeBlock(model, 0, path)).toBe(true);
  // Of another block's tensors none is here.
  expect(await isWholeBlock(model, 1, path)).toBe(false);
  const bytes = await readFile(path);
  await writeFile(path, bytes.subarray(0, -1));
  expect(await isWholeBlock(model, 0, path)).toBe(false);
});

test('a block file gives what it holds, says what was removed, and refuses any other name', async () => {
  const model = models.get(1)!;
  const path = blockPath(folder, 0);
  const [kept, gone] = blockTensorNames(model, 0) as [string, string];
  await writeBlockFile(model, 0, { edits: new Map([[gone, { name: gone, remove: true }]]), notes: NOTES }, path);
  const edit = await openBlockFile(model, path);
  expect(edit(gone)).toEqual({ name: gone, remove: true });
  expect(edit(kept)).toMatchObject({ name: kept });
  const { find } = await blockFileSource(path);
  expect(find(kept)).toMatchObject({ name: kept });
  for (const [ask, name] of [
    [edit, 'model.norm.weight'],
    [find, 'model.norm.weight'],
    [find, gone],
  ] as const) {
    const refusal = { code: 'E_INTERNAL_BLOCK_FILE', message: expect.stringContaining(name) };
    expect(() => ask(name)).toThrow(expect.objectContaining(refusal));
  }
});

test.each([
  ['layerwise.removed', 'not JSON'],
  ['layerwise.removed', '"model.norm.weight"'],
  ['layerwise.removed', '[1]'],
  ['layerwise.unseen', 'null'],
  ['layerwise.unseen', '["1"]'],
  ['layerwise.damping', '[0.1]'],
  ['layerwise.damping', 'null'],
  ['layerwise.damping', '{"mlp_in":"0.1"}'],
])('a block file whose note %s is %s is not whole', async (note, value) => {
  const model = models.get(1)!;
  const path = blockPath(folder, 0);
  const tensors = blockTensorNames(model, 0).map((name): TensorToWrite => {
    const { dtype, shape } = model.checkpoint.tensors.get(name)!;
    return { name, dtype, shape, read: () => readTensor(model.checkpoint, name) };
  });
  await writeSafetensors(path, tensors, { [note]: value });
  expect(await isWholeBlock(model, 0, path)).toBe(false);
  const refusal = { code: 'E_INTERNAL_BLOCK_FILE', message: expect.stringContaining(path) };
  await expect(openBlockFile(model, path)).rejects.toMatchObject(refusal);
  await expect(readNotes(path)).rejects.toMatchObject(refusal);
});

test('an edit of another tensor than the one asked for is our fault', async () => {
  const model = models.get(1)!;
  const [name, other] = blockTensorNames(model, 0) as [string, string];
  const wrong: TensorEdit = { name: other, remove: true };
  const treated = { edits: new Map([[name, wrong]]), notes: NOTES };
  await expect(writeBlockFile(model, 0, treated, blockPath(folder, 1))).rejects.toMatchObject({
    code: 'E_INTERNAL_EDIT',
    message: expect.stringContaining(other),
  });
  const out = join(folder, 'wrong-name');
  await mkdir(out);
  const edit = (one: string) => (one === name ? wrong : undefined);
  await expect(writeCheckpoint(model.checkpoint, out, edit)).rejects.toMatchObject({
    code: 'E_INTERNAL_TENSOR',
    message: expect.stringContaining(other),
  });
  expect(await readdir(out)).toEqual([]);
});

test('bytes that do not fit an edit’s shape and dtype are our fault, in a block file and in a checkpoint', async () => {
  const model = models.get(1)!;
  const [name] = blockTensorNames(model, 0) as [string];
  const short: TensorEdit = { name, dtype: 'F16', shape: [2, 2], read: async () => new Uint8Array(7) };
  const fault = { code: 'E_INTERNAL_TENSOR' };
  const path = blockPath(folder, 1);
  await expect(writeBlockFile(model, 0, { edits: new Map([[name, short]]), notes: NOTES }, path)).rejects.toMatchObject(
    fault,
  );
  const out = join(folder, 'short');
  await mkdir(out);
  const edit = (one: string) => (one === name ? short : undefined);
  await expect(writeCheckpoint(model.checkpoint, out, edit)).rejects.toMatchObject(fault);
});
