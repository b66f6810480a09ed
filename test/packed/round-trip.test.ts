// What comes out is what went in: exactly for f32, as quantised for int8 and int4; the same from a file and from memory.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { readTensorFloat32 } from '../../src/checkpoint/index.js';
import { decodeLinear, decodeQuantised, type EncodedLinear } from '../../src/layouts/index.js';
import { describeTensors, openModel, readLinear } from '../../src/model/index.js';
import {
  openPacked,
  type PackedModel,
  type PackSource,
  packInMemory,
  partOffsets,
  quantise,
  readPackedConfig,
  requireTensors,
  type TensorEntry,
  writePacked,
} from '../../src/packed/index.js';
import { type DType, fromFloat32, toFloat32 } from '../../src/tensor/index.js';
import { makeFolder, makeTiny } from '../api/make.js';
import { codeOf, makeDir } from '../checkpoint/make.js';
import { F32, INT4, INT8, type Matrix, makeSource, packMatrices, randomMatrix, takeTensor } from './make.js';

/** WebAssembly's memory, which the ES libraries of TypeScript do not declare. */
declare const WebAssembly: {
  readonly Memory: new (of: {
    initial: number;
    maximum: number;
    shared: boolean;
  }) => { readonly buffer: SharedArrayBuffer };
};

async function load(packed: PackedModel): Promise<(name: string) => EncodedLinear> {
  const pages = Math.ceil(packed.weightBytes / 65536) + 1;
  const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const memory = new Uint8Array(buffer, 1024);
  await packed.readWeightsInto(memory, { verify: true });
  return (name) => takeTensor(packed, memory, name);
}

const shapes: readonly (readonly [rows: number, columns: number])[] = [
  [8, 16],
  [1, 1],
  [19, 200],
  [64, 128],
  [9, 131],
];
const zeros = [
  { kept: 4, of: 16 },
  { kept: 2, of: 4 },
  { share: 0.6 },
  { share: 0.95 },
  { share: 0 },
  { share: 1 },
] as const;
const matrices: readonly Matrix[] = shapes.flatMap(([rows, columns], s) =>
  zeros.map((kind, z) => ({
    name: `${rows}×${columns} ${JSON.stringify(kind)}`,
    rows,
    columns,
    data: randomMatrix(rows, columns, kind, 10 * s + z),
  })),
);

describe.each(['auto', 'tiles', 'dense'] as const)('layout %s', (layout) => {
  const types = ['int8', 'int4', ...(layout === 'tiles' ? [] : (['int3', 'int2'] as const))] as const;
  test.each(types)('%s: the integers and scales of the quantiser', async (values) => {
    const packed = await openPacked(await packMatrices(matrices, { values, layout, head: 'int8' }));
    const take = await load(packed);
    for (const { name, rows, columns, data } of matrices) {
      const { matrix, nonzeros, rounded } = quantise(name, data, rows, columns, values);
      expect(decodeQuantised(take(name)), name).toEqual(matrix);
      expect(packed.tensors.get(name)).toMatchObject({ nonzeros, rounded });
      expect(nonzeros + rounded).toBe(data.reduce((sum, w) => sum + (w === 0 ? 0 : 1), 0));
    }
    await packed.close();
  });
});

test.each<[DType, 'auto' | 'dense']>([
  ['F32', 'auto'],
  ['F32', 'dense'],
  ['BF16', 'auto'],
  ['F16', 'auto'],
])('f32 of %s, %s: every bit', async (dtype, layout) => {
  const path = join(await makeDir(), 'x.lw');
  await writePacked(path, await makeSource(matrices, dtype), { ...F32, layout }, silent);
  const packed = await openPacked(path);
  const take = await load(packed);
  for (const { name, data } of matrices) {
    const stored = toFloat32(fromFloat32(data, dtype), dtype);
    expect(new Uint32Array(decodeLinear(take(name)).buffer), name).toEqual(new Uint32Array(stored.buffer));
  }
  const kinds = new Set(packed.directory.tensors.map((tensor) => tensor.layout.layout));
  expect([...kinds].sort()).toEqual(layout === 'auto' ? ['dense', 'rows'] : ['dense']);
  await packed.close();
});

test('what is not stored comes back as +0', async () => {
  const data = new Float32Array(32 * 16).fill(-0);
  data[5] = 1;
  const packed = await openPacked(await packMatrices([{ name: 'w', rows: 32, columns: 16, data }], F32));
  const decoded = decodeLinear((await load(packed))('w'));
  expect(packed.tensors.get('w')!.layout.layout).toBe('rows');
  expect([...decoded].some((value) => Object.is(value, -0))).toBe(false);
  await packed.close();
});

describe('a whole model', () => {
  const sources = new Map<string, PackSource>();
  let packedFiles: string;
  beforeAll(async () => {
    packedFiles = await makeFolder();
    for (const tied of [true, false]) {
      const model = await openModel(await makeTiny(join(packedFiles, `${tied}`), { tied, dtype: 'BF16', shards: 2 }));
      sources.set(`${tied}`, {
        checkpoint: model.checkpoint,
        tensors: describeTensors(model.config, model.tensorNames),
      });
    }
  });

  test.each([
    ['tied', INT8],
    ['tied', F32],
    ['untied', INT8],
    ['untied', INT4],
    ['untied', F32],
  ] as const)('%s %o: from a file and from memory the same bytes', async (which, settings) => {
    const source = sources.get(`${which === 'tied'}`)!;
    const path = join(packedFiles, `${which}-${settings.values}.lw`);
    const written = await writePacked(path, source, settings, silent);
    const [fromFile, inMemory] = [await openPacked(path), await packInMemory(source, settings, silent)];
    expect(fromFile.directory).toEqual(written.directory);
    expect(inMemory.directory).toEqual(written.directory);
    const memories = [fromFile, inMemory].map(({ weightBytes }) => new Uint8Array(weightBytes));
    await fromFile.readWeightsInto(memories[0]!, { verify: true });
    await inMemory.readWeightsInto(memories[1]!);
    expect(memories[1]).toEqual(memories[0]);
    expect(fromFile.tensors.has('lm_head.weight')).toBe(which === 'untied');
    requireTensors(fromFile, source.tensors);
    for (const packed of [fromFile, inMemory]) {
      expect(await packed.readText('tokenizer.json')).toBe(
        await readFile(join(source.checkpoint.dir, 'tokenizer.json'), 'utf8'),
      );
      expect(await packed.readText('chat_template.jinja')).toBeUndefined();
      expect(await readPackedConfig(packed)).toEqual(source.checkpoint.config);
      await packed.close();
    }
  });

  test('the same call gives the same bytes; its tensors lie where the directory says', async () => {
    const source = sources.get('false')!;
    const paths = ['a', 'b'].map((name) => join(packedFiles, `${name}.lw`));
    for (const path of paths) await writePacked(path, source, INT4, silent);
    const [a, b] = [await readFile(paths[0]!), await readFile(paths[1]!)];
    expect(a.equals(b)).toBe(true);
    const packed = await openPacked(paths[0]!);
    const memory = new Uint8Array(packed.weightBytes);
    await packed.readWeightsInto(memory);
    expect(a.subarray(packed.directory.weights.offset).subarray(0, memory.length).equals(memory)).toBe(true);
    const parts = packed.directory.tensors.flatMap((tensor: TensorEntry) =>
      partOffsets(tensor).map((begin, i) => [begin, begin + tensor.layout.parts[i]!.bytes] as const),
    );
    let end = 0;
    for (const [begin, to] of parts) {
      expect(begin % 64).toBe(0);
      expect(begin).toBeGreaterThanOrEqual(end);
      end = to;
    }
    await packed.close();
  });

  test('memory that is too small is refused, and packed memory is read once', async () => {
    const packed = await packInMemory(sources.get('true')!, INT8, silent);
    expect(await codeOf(packed.readWeightsInto(new Uint8Array(packed.weightBytes - 1)))).toBe('E_SHAPE_TARGET');
    await packed.readWeightsInto(new Uint8Array(packed.weightBytes));
    expect(await codeOf(packed.readWeightsInto(new Uint8Array(packed.weightBytes)))).toBe('E_INTERNAL_PACKED');
  });
});

test('weights that lie [in, out] in the checkpoint lie [out, in] in the file; learned positions are exact', async () => {
  const model = await openModel(fileURLToPath(new URL('../golden/families/gpt2', import.meta.url)));
  const source = { checkpoint: model.checkpoint, tensors: describeTensors(model.config, model.tensorNames) };
  const packed = await packInMemory(source, F32, silent);
  const memory = new Uint8Array(packed.weightBytes);
  await packed.readWeightsInto(memory);
  for (const linear of model.linears.flat()) {
    const { layout, ...decoded } = takeTensor(packed, memory, `${linear.name}.weight`);
    expect([layout.rows, layout.columns]).toEqual([linear.rows, linear.columns]);
    expect(decodeLinear({ layout, ...decoded })).toEqual(await readLinear(model.checkpoint, linear));
  }
  const positions = model.tensorNames.positions!;
  expect(packed.tensors.get(positions)).toMatchObject({ role: 'positions', layout: { values: 'f32' } });
  expect(decodeLinear(takeTensor(packed, memory, positions))).toEqual(
    await readTensorFloat32(model.checkpoint, positions),
  );
});

test('a table in slabs is the table at once', async () => {
  const [rows, columns] = [43, 40];
  const data = randomMatrix(rows, columns, { share: 0.1 });
  const { encodeTensor } = await import('../../src/packed/encode.js');
  const source = await makeSource([{ name: 'table', rows, columns, data, role: 'embedding' }]);
  for (const head of ['int8', 'int4', 'f32'] as const) {
    const [tensor] = source.tensors;
    const whole = await encodeTensor(source.checkpoint, tensor!, { ...INT8, head });
    const slabs = await encodeTensor(source.checkpoint, tensor!, { ...INT8, head }, undefined, 3 * 4 * columns);
    expect(slabs).toEqual(whole);
    if (head === 'f32') expect(decodeLinear(whole.encoded)).toEqual(data);
    else expect(decodeQuantised(whole.encoded)).toEqual(quantise('table', data, rows, columns, head).matrix);
  }
});
