// A pruned block in memory against the same block in a file: equal losses, to the last bit, in every dtype, of masks and of a
// solver; and what either leaves on the disk.

import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { createGemm, type EngineGemm } from '../../src/linalg/index.js';
import { type Model, openModel } from '../../src/model/index.js';
import { findCriterion, maskOf } from '../../src/operators/index.js';
import {
  type BlockPruning,
  blockFileSource,
  blockPath,
  type DensePass,
  measureMisalignment,
  prepareBlock,
  runDense,
  scoreBlockFiles,
  scoreSurrogate,
  tapBlock,
  writePrunedBlock,
} from '../../src/pipeline/index.js';
import { withPrunedBlock } from '../../src/pipeline/pruned-block.js';
import { countPruned } from '../../src/plan/index.js';
import { embedWindows, type Text } from '../../src/stream/index.js';
import { makeFolder, makeTiny, stutter } from '../api/make.js';
import { countWritten } from '../api/written.js';

let folder: string;
let engine: Engine;
let gemm: EngineGemm;
beforeAll(async () => {
  folder = await makeFolder();
  engine = await createOrtEngine({ device: 'cpu', lanes: 2, threads: 1 });
  gemm = await createGemm(engine);
});
afterAll(async () => await engine.close());

describe.each(['F32', 'F16', 'BF16'] as const)('%s', (dtype) => {
  let model: Model;
  let text: Text;
  let dense: DensePass;
  let counts: ReadonlyMap<string, number>;
  const pattern = { kind: 'row' } as const;
  const at = (name: string): string => join(folder, `${dtype}-${name}`);

  beforeAll(async () => {
    model = await openModel(await makeTiny(at('model'), { dtype, blocks: 3 }));
    const windows = {
      length: 24,
      windows: Array.from({ length: 50 }, (_, w) => Int32Array.from(Buffer.from(stutter(w, 24)))),
    };
    text = { windows, embedded: await embedWindows(model, windows) };
    dense = await runDense(engine, model, text, text, silent);
    counts = countPruned(model.linears.flat(), () => 0.6, 'exact');
  });

  test('a surrogate scores as block files do, and writes nothing', async () => {
    const criterion = maskOf(findCriterion('wanda'));
    const input = { engine, model, criterion, pattern, counts, calibration: text, dir: at('surrogate') };
    const { result, bytes } = await countWritten(() => scoreSurrogate(input, dense, text));
    expect(bytes).toBe(0);
    expect(existsSync(at('surrogate'))).toBe(false);
    await mkdir(at('files'));
    for (const block of model.linears.keys()) {
      const squareSums = dense.squareSums[block];
      const pruning = { criterion, pattern, counts, squareSums, sequences: text.windows.windows.length };
      await writePrunedBlock(model, block, pruning, blockPath(at('files'), block));
    }
    expect(result).toEqual(await scoreBlockFiles(engine, model, at('files'), text, silent));
    expect(result).not.toEqual(dense.nll);
  });

  test('a misalignment writes nothing', async () => {
    const input = { engine, model, criterion: findCriterion('sparsegpt'), pattern, counts, dir: at('aligned') };
    expect((await countWritten(() => measureMisalignment(input, text))).bytes).toBe(0);
  });

  test.each(['wanda', 'sparsegpt'])(
    '%s: the taps behind it are those of its file, where it lies in one too',
    async (name) => {
      const criterion = findCriterion(name);
      const input = { engine, model, criterion, pattern, counts, calibration: text };
      const pruning: BlockPruning = await prepareBlock(input, 1, text.embedded, gemm);
      const path = at(`${name}.safetensors`);
      await writePrunedBlock(model, 1, pruning, path);
      const expected = await tapBlock(engine, model, 1, text.embedded, 'taps', await blockFileSource(path));
      const dir = at(`large-${name}`);
      const parts: (readonly [limit: number | undefined, inDir: number])[] = [
        [undefined, 0],
        [0, 1],
      ];
      for (const [limit, inDir] of parts) {
        const got = await withPrunedBlock(
          ...([model, 1, pruning, dir] as const),
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

  test('a large one goes from the disk where its use fails', async () => {
    const criterion = maskOf(findCriterion('magnitude'));
    const pruning = { criterion, pattern, counts, squareSums: undefined, sequences: 0 };
    const failed = withPrunedBlock(
      ...([model, 0, pruning, at('failed')] as const),
      async () => Promise.reject(new Error('used up')),
      0,
    );
    await expect(failed).rejects.toThrow('used up');
    expect(existsSync(at('failed'))).toBe(false);
  });
});
