// Measures collected by the dense pass over a real, small checkpoint: the same for any number of workers, with or without
// validation text, and what plain computations on the block's inputs give.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { readSafetensors, readTensor, readTensorFloat32 } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { blockGraph, type Model, openModel } from '../../src/model/index.js';
import { scoreWanda } from '../../src/operators/index.js';
import { type DensePass, runDense } from '../../src/pipeline/index.js';
import { countBins } from '../../src/profile/histogram.js';
import { type BlockInputs, sampleInputs, visitResiduals } from '../../src/profile/index.js';
import type { MeasureName } from '../../src/records/index.js';
import { embedWindows, type Text } from '../../src/stream/index.js';

const root = fileURLToPath(new URL('../golden/wanda/', import.meta.url));
const ALL: readonly MeasureName[] = ['outliers', 'scoreMoments', 'scores', 'lamp', 'alpha', 'redundancy'];

let engine: Engine;
let model: Model;
let text: Text;
let dense: DensePass;

beforeAll(async () => {
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
  model = await openModel(join(root, 'model'));
  const { tensors } = await readSafetensors(join(root, 'golden.safetensors'));
  const golden = { dir: root, config: {}, tensors, shards: [], files: [] };
  const [count, length] = tensors.get('calibration')!.shape as [number, number];
  const ids = new Int32Array((await readTensor(golden, 'calibration')).buffer);
  const once = Array.from({ length: count }, (_, w) => ids.slice(w * length, (w + 1) * length));
  // More windows than are sampled, in more than one chunk.
  const windows = { length, windows: Array.from({ length: 3 * Math.ceil(2048 / length) }, (_, i) => once[i % count]!) };
  text = { content: windows, embedded: await embedWindows(model, windows) };
  dense = await runDense(engine, model, undefined, text, silent, ALL);
});
afterAll(() => engine.close());

/** Buffers compare fast; a histogram has 32,768 bins. */
const bytesOf = (pass: DensePass): string[] =>
  [...pass.measured.scores!, ...pass.measured.lamp!].map(({ counts }) => Buffer.from(counts.buffer).toString('base64'));
const rest = ({ measured: { scores, lamp, ...others } }: DensePass): unknown => others;

test('one worker gives what two give', async () => {
  const single = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
  const again = await runDense(single, model, undefined, text, silent, ALL);
  await single.close();
  expect(rest(again)).toEqual(rest(dense));
  expect(bytesOf(again)).toEqual(bytesOf(dense));
});

test('with validation text beside it they are the same; without measures there are none', async () => {
  const both = await runDense(engine, model, text, text, silent, ['outliers', 'redundancy']);
  await both.trace!.store.close();
  expect(both.nll).toHaveLength(text.content.windows.length);
  expect(both.measured).toEqual({ outliers: dense.measured.outliers, redundancy: dense.measured.redundancy });
  expect(dense.nll).toEqual([]);
  expect(dense.trace).toBeUndefined();
  expect((await runDense(engine, model, undefined, text, silent)).measured).toEqual({});
});

describe('a visitor of the residual', () => {
  /** The engine, counting the graphs it loads and the times they run. */
  function counting() {
    const counts = { loads: 0, runs: 0 };
    const { name, device, workers, concurrency } = engine;
    const load: Engine['load'] = async (graph) => {
      counts.loads++;
      const session = await engine.load(graph);
      const run: typeof session.run = (inputs, transfer) => {
        counts.runs++;
        return session.run(inputs, transfer);
      };
      const lend: typeof session.lend = (inputs) => {
        counts.runs++;
        return session.lend(inputs);
      };
      return { run, lend, release: () => session.release() };
    };
    const counted: Engine = { name, device, workers, concurrency, load, close: () => engine.close() };
    return { counts, counted };
  }
  type Seen = [block: number, before: Float32Array, after: Float32Array];

  test('sees every block’s input and output, and the measures are the same', async () => {
    // What a visitor is shown it has to copy: the values travel on.
    const into = (list: Seen[]) => (block: number, before: Float32Array, after: Float32Array) =>
      void list.push([block, before.slice(), after.slice()]);
    const seen: Seen[] = [];
    const pass = await runDense(engine, model, undefined, text, silent, ALL, into(seen));
    expect(rest(pass)).toEqual(rest(dense));
    expect(bytesOf(pass)).toEqual(bytesOf(dense));
    const alone: Seen[] = [];
    await visitResiduals(engine, model, text, into(alone), silent);
    const chunks = text.embedded.chunks.length;
    expect(seen).toHaveLength(model.config.blocks * chunks);
    const same = (a: Float32Array, b: Float32Array): boolean => a.every((value, i) => value === b[i]);
    for (const [i, [block, before, after]] of seen.entries()) {
      expect(block).toBe(Math.floor(i / chunks));
      expect(same(before, alone[i]![1]) && same(after, alone[i]![2])).toBe(true);
      if (block > 0) expect(same(before, seen[i - chunks]![2])).toBe(true);
    }
  });

  test('all measures and the visitor are one pass; without measures of activations no input is tapped', async () => {
    const chunks = text.embedded.chunks.length;
    const { blocks } = model.config;
    const one = counting();
    await runDense(one.counted, model, undefined, text, silent, ALL, () => {});
    // Of each block the taps, the inputs of the sampled windows, and the block itself.
    expect(one.counts.loads).toBe(3 * blocks);
    expect(one.counts.runs).toBeLessThanOrEqual(3 * blocks * chunks);
    const other = counting();
    const { squareSums, measured } = await runDense(
      other.counted,
      model,
      undefined,
      text,
      silent,
      ['alpha', 'lamp'],
      () => {},
    );
    expect(other.counts).toEqual({ loads: blocks, runs: blocks * chunks });
    expect(squareSums).toEqual([]);
    expect(measured.alpha).toEqual(dense.measured.alpha);
  });
});

test('measures of weights need no text at all; others are refused without it', async () => {
  const alone = await runDense(engine, model, undefined, undefined, silent, ['alpha']);
  expect(alone).toMatchObject({ squareSums: [], nll: [], measured: { alpha: dense.measured.alpha } });
  await expect(runDense(engine, model, undefined, undefined, silent, ['outliers'])).rejects.toThrowError(
    expect.objectContaining({ code: 'E_INTERNAL_MEASURE' }),
  );
});

test('scores are those that Wanda prunes by', async () => {
  for (const [l, linear] of model.linears.flat().entries()) {
    const data = await readTensorFloat32(model.checkpoint, `${linear.name}.weight`);
    const squareSums = dense.squareSums[linear.block]![linear.site]!;
    const scores = scoreWanda({ ...linear, data }, { squareSums, sequences: text.content.windows.length });
    expect(
      Buffer.from(countBins(scores).counts.buffer).equals(Buffer.from(dense.measured.scores![l]!.counts.buffer)),
    ).toBe(true);
  }
});

describe('inputs', () => {
  let inputs: BlockInputs;
  beforeAll(async () => {
    const { length } = text.content;
    const session = await engine.load(blockGraph(model, 0, { length, outputs: 'inputs' }));
    inputs = await sampleInputs(engine, session, text.embedded);
    await session.release();
  });

  test('512 tokens of the first 16 windows, the first of each among them', async () => {
    const { width, data } = inputs.block;
    const { length } = text.content;
    const perWindow = Math.min(length, 32);
    expect(data).toHaveLength(16 * perWindow * width);
    const chunk = await text.embedded.read(0);
    expect(data.subarray(0, width)).toEqual(chunk.subarray(0, width));
    expect(data.subarray(perWindow * width, (perWindow + 1) * width)).toEqual(
      chunk.subarray(length * width, (length + 1) * width),
    );
    const sites = Object.values(inputs.sites);
    expect(sites).toHaveLength(4);
    for (const { data: rows, width: wide } of sites) expect(rows.length / wide).toBe(16 * perWindow);
  });

  test('redundancy is ‖XᵀY‖² over the norms, by the plain sum', () => {
    const product = (a: BlockInputs['block'], b: BlockInputs['block']): number => {
      let sum = 0;
      for (let i = 0; i < a.width; i++) {
        for (let j = 0; j < b.width; j++) {
          let dot = 0;
          for (let t = 0; t * a.width < a.data.length; t++) dot += a.data[t * a.width + i]! * b.data[t * b.width + j]!;
          sum += dot * dot;
        }
      }
      return sum;
    };
    const [q, down] = [inputs.sites.attention_in!, inputs.sites.mlp_out!];
    const expected = product(q, down) / Math.sqrt(product(q, q) * product(down, down));
    expect(dense.measured.redundancy!.linears[0]![0]![6]).toBeCloseTo(expected, 5);
    expect(dense.measured.redundancy!.linears[0]![0]!.slice(0, 3)).toEqual([1, 1, 1]);
  });
});
