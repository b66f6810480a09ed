// A treated block in memory against the same block in a file: equal losses, to the last bit, in every dtype, of masks and of a
// solver; and what either leaves on the disk.

import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { readTensorFloat32 } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { createGemm, type EngineGemm } from '../../src/linalg/index.js';
import { type Model, openModel, weightName } from '../../src/model/index.js';
import { findCriterion } from '../../src/operators/index.js';
import {
  blockFileSource,
  blockPath,
  type DensePass,
  measureEvidence,
  measureMisalignment,
  runDense,
  scoreBlockFiles,
  scoreSurrogate,
  tapBlock,
  treatBlock,
  withTreatedBlock,
  writeBlockFile,
} from '../../src/pipeline/index.js';
import type { Plan } from '../../src/records/index.js';
import { embedWindows, type Text } from '../../src/stream/index.js';
import { fromFloat32 } from '../../src/tensor/index.js';
import { makeFolder, makeTiny, stutter } from '../api/make.js';
import { countWritten } from '../api/written.js';
import { planOf } from './plans.js';

let folder: string;
let engine: Engine;
let gemm: EngineGemm;
beforeAll(async () => {
  folder = await makeFolder();
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
  gemm = await createGemm(engine);
});
afterAll(async () => await engine.close());

describe.each(['F32', 'F16', 'BF16'] as const)('%s', (dtype) => {
  let model: Model;
  let text: Text;
  let dense: DensePass;
  let plan: Plan;
  const at = (name: string): string => join(folder, `${dtype}-${name}`);

  beforeAll(async () => {
    model = await openModel(await makeTiny(at('model'), { dtype, blocks: 3 }));
    const windows = {
      length: 24,
      windows: Array.from({ length: 50 }, (_, w) => Int32Array.from(Buffer.from(stutter(w, 24)))),
    };
    text = { content: windows, embedded: await embedWindows(model, windows) };
    dense = await runDense(engine, model, text, text, silent);
    plan = planOf(model, () => 0.6, { kind: 'row' });
  });

  test('a surrogate scores as block files do, and writes nothing', async () => {
    const treating = { model, operator: findCriterion('wanda'), plan };
    const input = { engine, ...treating, calibration: text, dir: at('surrogate') };
    const { result, bytes } = await countWritten(() => scoreSurrogate(input, dense, text));
    expect(bytes).toBe(0);
    expect(existsSync(at('surrogate'))).toBe(false);
    await mkdir(at('files'));
    for (const block of model.linears.keys()) {
      const evidence = { squareSums: dense.squareSums[block], sequences: text.content.windows.length };
      const treated = await treatBlock(treating, block, evidence, undefined);
      await writeBlockFile(model, block, treated, blockPath(at('files'), block));
    }
    expect(result).toEqual(await scoreBlockFiles(engine, model, at('files'), text, silent));
    expect(result).not.toEqual(dense.nll);
  });

  test('a misalignment writes nothing', async () => {
    const input = { engine, model, operator: findCriterion('sparsegpt'), plan, dir: at('aligned') };
    expect((await countWritten(() => measureMisalignment(input, text))).bytes).toBe(0);
  });

  test.each(['wanda', 'sparsegpt'])(
    '%s: the taps behind it are those of its file, where it lies in one too',
    async (name) => {
      const operator = findCriterion(name);
      const evidence = await measureEvidence(engine, model, operator, 1, text.embedded, text);
      const treated = await treatBlock({ model, operator, plan }, 1, evidence, gemm);
      const path = at(`${name}.safetensors`);
      await writeBlockFile(model, 1, treated, path);
      const expected = await tapBlock(engine, model, 1, text.embedded, 'taps', await blockFileSource(path));
      const dir = at(`large-${name}`);
      const parts: (readonly [limit: number | undefined, inDir: number])[] = [
        [undefined, 0],
        [0, 1],
      ];
      for (const [limit, inDir] of parts) {
        const got = await withTreatedBlock(
          ...([model, 1, treated, dir] as const),
          async (source) => {
            expect(existsSync(dir) ? await readdir(dir) : []).toHaveLength(inDir);
            return await tapBlock(engine, model, 1, text.embedded, 'taps', source);
          },
          limit,
        );
        expect(got).toEqual(expected);
        expect(existsSync(dir)).toBe(false);
      }
      expect(expected).not.toEqual(await tapBlock(engine, model, 1, text.embedded));
    },
  );

  test('with a tensor of another dtype it runs as its file does, and from one', async () => {
    const [linear] = model.linears[1]!;
    const name = weightName(linear!);
    const { shape } = model.checkpoint.tensors.get(name)!;
    const other = dtype === 'F32' ? 'F16' : 'F32';
    const read = async () =>
      fromFloat32(
        (await readTensorFloat32(model.checkpoint, name)).map((w) => w / 2),
        other,
      );
    const edits = new Map([[name, { name, dtype: other, shape, read } as const]]);
    const treated = { edits, notes: { damping: {}, unseen: [] } };
    const path = at('other.safetensors');
    await writeBlockFile(model, 1, treated, path);
    const expected = await tapBlock(engine, model, 1, text.embedded, 'taps', await blockFileSource(path));
    const got = await withTreatedBlock(model, 1, treated, at('other'), async (source) => {
      expect(await readdir(at('other'))).toHaveLength(1);
      return await tapBlock(engine, model, 1, text.embedded, 'taps', source);
    });
    expect(got).toEqual(expected);
    expect(existsSync(at('other'))).toBe(false);
    expect(got).not.toEqual(await tapBlock(engine, model, 1, text.embedded));
  });

  test('a large one goes from the disk where its use fails', async () => {
    const operator = findCriterion('magnitude');
    const treated = await treatBlock({ model, operator, plan }, 0, { sequences: 0 }, undefined);
    const failed = withTreatedBlock(
      ...([model, 0, treated, at('failed')] as const),
      async () => Promise.reject(new Error('used up')),
      0,
    );
    await expect(failed).rejects.toThrow('used up');
    expect(existsSync(at('failed'))).toBe(false);
  });
});
