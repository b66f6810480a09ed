// Weights read from a safetensors file where they lie: every dtype at every alignment, by both engines; and what is said
// when the file is not what the graph was built from.

import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import { type Graph, GraphBuilder, type Initializer, int } from '../../src/graph/index.js';
import { bytesPerElement } from '../../src/tensor/index.js';
import { ENGINE } from '../tolerances.js';
import { excess, randomBytes, randomTensor, rngOf } from './numbers.js';

const rng = rngOf(7);
const [N, K, M] = [9, 33, 5];
let dir: string;
let cpu: Engine;
const reference = createReferenceEngine();
const engines = [
  ['the reference', () => reference],
  ['ONNX Runtime', () => cpu],
] as const;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'layerwise-in-place-'));
  cpu = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
});
afterAll(async () => {
  await cpu.close();
  await rm(dir, { recursive: true });
});

/** x · Wᵀ with W from `source`. */
function linear(dtype: 'F32' | 'F16' | 'BF16', source: Initializer['source'], folder: string | undefined): Graph {
  const g = new GraphBuilder();
  const raw = g.initializer({ name: 'w', dtype, shape: [N, K], source });
  const w = dtype === 'F32' ? raw : g.op('Cast', [raw], { to: int(1) });
  g.output(g.op('Gemm', [g.input('x', 'f32', ['M', K]), w], { transB: int(1) }), 'y', ['M', N]);
  return g.build('linear', folder);
}

describe.each(['F32', 'F16', 'BF16'] as const)('%s', (dtype) => {
  test.each([0, 1, 2, 3, 4, 5, 6, 7, 4095])(
    'at byte offset %i gives what the same bytes inline give',
    async (offset) => {
      const bytes = randomBytes(rng, [N, K], dtype);
      const file = `${dtype}-${offset}.safetensors`;
      const noise = Uint8Array.from({ length: 13 }, () => rng.below(256));
      await writeFile(join(dir, file), Buffer.concat([Buffer.alloc(offset, 0xa5), bytes, noise]));
      const inPlace = linear(dtype, { kind: 'file', file, offset, length: bytes.length }, dir);
      const inline = linear(dtype, { kind: 'bytes', bytes }, undefined);
      const x = randomTensor(rng, [M, K]);
      const run = async (engine: Engine, graph: Graph) => {
        const session = await engine.load(graph);
        const { y } = await session.run({ x });
        await session.release();
        return y!;
      };
      const expected = await run(reference, inline);
      expect(await run(reference, inPlace)).toEqual(expected);
      const got = await run(cpu, inPlace);
      expect(got).toEqual(await run(cpu, inline));
      expect(excess(got, expected, ENGINE)).toBeLessThanOrEqual(1);
    },
  );
});

test.each(engines)(
  '%s reads through links that lead out of the folder, as the Hub’s cache has them',
  async (name, engine) => {
    const bytes = randomBytes(rng, [N, K], 'F32');
    const [snapshot, blobs] = [join(dir, name, 'snapshots', 'abc'), join(dir, name, 'blobs')];
    for (const folder of [snapshot, join(blobs, 'deeper')]) await mkdir(folder, { recursive: true });
    const g = new GraphBuilder();
    const x = g.input('x', 'f32', ['M', K]);
    // Two files in different folders, and one that is no link.
    for (const [i, blob] of ['one', 'deeper/two', undefined].entries()) {
      const file = `model-${i}.safetensors`;
      await writeFile(blob ? join(blobs, blob) : join(snapshot, file), bytes);
      if (blob) await symlink(join('../../blobs', blob), join(snapshot, file));
      const source = { kind: 'file' as const, file, offset: 0, length: bytes.length };
      const w = g.initializer({ name: `w${i}`, dtype: 'F32', shape: [N, K], source });
      g.output(g.op('Gemm', [x, w], { transB: int(1) }), `y${i}`, ['M', N]);
    }
    const input = randomTensor(rng, [M, K]);
    const session = await engine().load(g.build('linked', snapshot));
    const { y0, y1, y2 } = await session.run({ x: input });
    await session.release();
    const inline = await engine().load(linear('F32', { kind: 'bytes', bytes }, undefined));
    const { y } = await inline.run({ x: input });
    await inline.release();
    for (const one of [y0, y1, y2]) expect(one).toEqual(y);
  },
);

describe.each(engines)('%s says what is wrong', (_, engine) => {
  const length = N * K * bytesPerElement('F16');
  const from = (file: string, folder: string, bytes = length): Graph =>
    linear('F16', { kind: 'file', file, offset: 8, length: bytes }, folder);

  test('with a folder that is gone', async () => {
    const graph = from('model.safetensors', join(dir, 'gone'));
    await expect(engine().load(graph)).rejects.toMatchObject({
      code: 'E_RESOURCE_NOT_FOUND',
      message: expect.stringContaining('gone'),
    });
  });

  test('with a file that became shorter', async () => {
    const path = join(dir, 'short.safetensors');
    await writeFile(path, new Uint8Array(8 + length));
    await (await engine().load(from('short.safetensors', dir))).release();
    await truncate(path, 8 + length - 1);
    await expect(engine().load(from('short.safetensors', dir))).rejects.toMatchObject({
      code: 'E_CHECKPOINT_CHANGED',
      facts: { path, tensor: 'w' },
    });
  });

  test('with bytes that are not as many as the shape asks for', async () => {
    await writeFile(join(dir, 'long.safetensors'), new Uint8Array(1000));
    await expect(engine().load(from('long.safetensors', dir, length + 2))).rejects.toMatchObject({
      code: 'E_SHAPE_INITIALIZER',
    });
  });

  test.each([
    ['nothing', {}],
    ['another rank', { x: randomTensor(rng, [1, 1, K]) }],
    ['another width', { x: randomTensor(rng, [M, K + 1]) }],
    ['fewer values than its shape', { x: { ...randomTensor(rng, [M, K]), shape: [M + 1, K] } }],
    ['another type', { x: { type: 'i64', shape: [1, K], data: new BigInt64Array(K) } }],
  ] as const)('with an input that is %s', async (_, inputs) => {
    await writeFile(join(dir, 'good.safetensors'), new Uint8Array(8 + length));
    const session = await engine().load(from('good.safetensors', dir));
    await expect(session.run(inputs as never)).rejects.toMatchObject({ code: 'E_SHAPE_INPUT' });
    await session.release();
  });
});

test('sizes of the same name must agree between inputs', async () => {
  const g = new GraphBuilder();
  g.output(g.op('Add', [g.input('a', 'f32', ['N', 1]), g.input('b', 'f32', ['N', 2])]), 'y', ['N', 2]);
  const session = await reference.load(g.build('add', undefined));
  const [a, b] = [randomTensor(rng, [1, 1]), randomTensor(rng, [3, 2])];
  await expect(session.run({ a, b })).rejects.toMatchObject({ code: 'E_SHAPE_INPUT' });
});
