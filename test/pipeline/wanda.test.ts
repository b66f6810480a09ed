// Block-sequential Wanda (uniform and ATP's rates) and magnitude against an independent implementation in PyTorch
// (scripts/golden/wanda.py): masks bit for bit, column norms, perplexities and reconstruction errors within rounding.

import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { readSafetensors, readTensor } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { summarise } from '../../src/evaluate/index.js';
import { blockGraph, linearUnits, type Model, openModel } from '../../src/model/index.js';
import {
  findCriterion,
  type MaskOperator,
  maskOperator,
  type Operator,
  type Pattern,
} from '../../src/operators/index.js';
import {
  blockPath,
  type DensePass,
  measureMisalignment,
  pruneSequentially,
  readBlockFile,
  runDense,
  scoreBlockFiles,
  tapBlock,
} from '../../src/pipeline/index.js';
import { allocate, findPolicy, zeroRate } from '../../src/plan/index.js';
import type { Plan } from '../../src/records/index.js';
import { chunkTensor, embedWindows, type Text } from '../../src/stream/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { COLUMN_SUMS, MISALIGNMENT, NORMS, PERPLEXITY, RECONSTRUCTION } from '../tolerances.js';
import { planOf, realise } from './plans.js';

const root = fileURLToPath(new URL('../golden/wanda/', import.meta.url));

type Run = {
  sparsity: number;
  beta: number;
  rates: number[];
  pruned: number;
  perplexity: number;
  errors: number[];
  misalignment: number;
};
type Facts = {
  dense: { perplexity: number };
  wanda: Record<'uniform' | 'atp', Run>;
  magnitude: Record<'row' | 'matrix', Omit<Run, 'beta' | 'rates' | 'misalignment'>>;
};

const facts = JSON.parse(await readFile(join(root, 'golden.json'), 'utf8')) as Facts;
const { tensors } = await readSafetensors(join(root, 'golden.safetensors'));
const golden = { dir: root, config: {}, tensors, shards: [], files: [] };

const ROW: Pattern = { kind: 'row' };
let scratch: string;
let engine: Engine;
let model: Model;
let calibration: Text;
let evaluation: Text;
let dense: DensePass;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-golden-'));
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
  model = await openModel(join(root, 'model'));
  calibration = await textOf('calibration');
  evaluation = await textOf('evaluation');
  dense = await runDense(engine, model, calibration, calibration, silent);
});
afterAll(async () => {
  await engine.close();
  await rm(scratch, { recursive: true, force: true });
});

async function textOf(name: string): Promise<Text> {
  const [count, length] = tensors.get(name)!.shape as [number, number];
  const ids = new Int32Array((await readTensor(golden, name)).buffer);
  const windows = {
    length,
    windows: Array.from({ length: count }, (_, w) => ids.slice(w * length, (w + 1) * length)),
  };
  return { content: windows, embedded: await embedWindows(model, windows) };
}

/** A golden mask, one byte per weight: bit j % 8 of byte j / 8 of a row is column j. */
async function goldenMask(key: string, rows: number, columns: number): Promise<Uint8Array> {
  const packed = await readTensor(golden, key);
  return Uint8Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return (packed[row * (columns / 8) + (column >> 3)]! >> (column & 7)) & 1;
  });
}

/** Where the blocks in `dir` are zero; no weight of the dense model is. */
async function zerosOf(dir: string): Promise<Map<string, Uint8Array>> {
  const zeros = new Map<string, Uint8Array>();
  for (const { name, block } of model.linears.flat()) {
    const bytes = await (await readBlockFile(model, blockPath(dir, block)))(`${name}.weight`);
    zeros.set(
      name,
      Uint8Array.from(toFloat32(bytes, 'F32'), (weight) => (weight === 0 ? 1 : 0)),
    );
  }
  return zeros;
}

/** The criterion, noting ‖X_j‖ of every linear it is asked about; it is asked in the order of the model's linears. */
function listening(criterion: MaskOperator): { readonly operator: Operator; readonly norms: Float64Array[] } {
  const norms: Float64Array[] = [];
  return {
    norms,
    operator: maskOperator({
      ...criterion,
      mask: (W, count, pattern, statistics) => {
        if (statistics) norms.push(statistics.squareSums.map((sum) => Math.sqrt(sum / statistics.sequences)));
        return criterion.mask(W, count, pattern, statistics);
      },
    }),
  };
}

async function prune(name: string, operator: Operator, plan: Plan) {
  const dir = join(scratch, name);
  const needsActivations = operator.needs.length > 0;
  const { errors } = await pruneSequentially({
    engine,
    model,
    operator,
    plan,
    calibration: needsActivations ? calibration : undefined,
    validation: calibration,
    trace: dense.trace,
    firstSquareSums: needsActivations ? dense.squareSums[0] : undefined,
    dir,
    onProgress: silent,
  });
  const nll = await scoreBlockFiles(engine, model, dir, evaluation, silent);
  return {
    dir,
    errors,
    zeros: await zerosOf(dir),
    perplexity: summarise(nll, { rows: evaluation.content.length - 1 }).perplexity,
  };
}

async function expectMasks(zeros: ReadonlyMap<string, Uint8Array>, prefix: string, pruned: number): Promise<void> {
  let total = 0;
  for (const { name, rows, columns } of model.linears.flat()) {
    const expected = await goldenMask(`${prefix}.mask.${name}`, rows, columns);
    expect(Buffer.from(zeros.get(name)!).equals(expected), name).toBe(true);
    for (const bit of expected) total += bit;
  }
  expect(total).toBe(pruned);
}

function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>, relative: number, what: string): void {
  expect(got.length, what).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs(got[i]! / expected[i]! - 1), `${what} [${i}]`).toBeLessThanOrEqual(relative);
  }
}

test('the dense perplexity is that of PyTorch', async () => {
  const nll = await scoreBlockFiles(engine, model, undefined, evaluation, silent);
  const { perplexity } = summarise(nll, { rows: evaluation.content.length - 1 });
  expectClose([perplexity], [facts.dense.perplexity], PERPLEXITY, 'perplexity');
});

describe.each(['uniform', 'atp'] as const)('Wanda, %s', (name) => {
  const run = facts.wanda[name];
  const allocated = (): Plan =>
    allocate(findPolicy(name), {
      target: run.sparsity,
      facts: { blocks: model.config.blocks, linears: linearUnits(model) },
      counting: 'published',
      values: name === 'atp' ? { beta: run.beta } : {},
    });

  test('rates are the published ones', () => {
    const plan = allocated();
    const perBlock = model.linears.map(([linear]) => zeroRate(plan, { id: linear!.name, block: linear!.block }));
    for (const [block, rate] of run.rates.entries()) expect(perBlock[block]).toBeCloseTo(rate, 12);
  });

  test('masks bit for bit, column norms, errors and perplexity', async () => {
    const { operator, norms } = listening(findCriterion('wanda') as MaskOperator);
    const result = await prune(name, operator, realise(model, allocated(), ROW, 'published'));
    await expectMasks(result.zeros, `wanda.${name}`, run.pruned);
    const linears = model.linears.flat();
    expect(norms).toHaveLength(linears.length);
    for (const [i, linear] of linears.entries()) {
      const expected = new Float32Array((await readTensor(golden, `wanda.${name}.norms.${linear.name}`)).buffer);
      expectClose(norms[i]!, expected, NORMS, linear.name);
    }
    expectClose(result.errors, run.errors, RECONSTRUCTION, 'error of block');
    expectClose([result.perplexity], [run.perplexity], PERPLEXITY, 'perplexity');
  });
});

test.each(['uniform', 'atp'] as const)('NeuronAl’s misalignment, %s', async (name) => {
  const run = facts.wanda[name];
  const plan = planOf(model, ({ block }) => run.rates[block]!, ROW, 'published');
  const operator = findCriterion('wanda');
  const dir = join(scratch, `misaligned-${name}`);
  const got = await measureMisalignment({ engine, model, operator, plan, dir }, calibration);
  expectClose([got], [run.misalignment], MISALIGNMENT, 'misalignment');
  await expect(access(dir)).rejects.toThrow();
});

describe.each(['row', 'matrix'] as const)('magnitude, %s', (pattern) => {
  const run = facts.magnitude[pattern];

  test('masks bit for bit, ties included, errors and perplexity', async () => {
    const plan = planOf(model, () => run.sparsity, { kind: pattern }, 'exact');
    const result = await prune(`magnitude-${pattern}`, findCriterion('magnitude'), plan);
    await expectMasks(result.zeros, `magnitude.${pattern}`, run.pruned);
    expectClose(result.errors, run.errors, RECONSTRUCTION, 'error of block');
    expectClose([result.perplexity], [run.perplexity], PERPLEXITY, 'perplexity');
  });
});

test('the sums of the inputs of a block are those of the inputs', async () => {
  const { embedded } = calibration;
  const got = await tapBlock(engine, model, 0, embedded, 'sums');
  const session = await engine.load(blockGraph(model, 0, { length: embedded.length, outputs: 'inputs' }));
  const inputs = [];
  for (const chunk of embedded.chunks.keys()) {
    inputs.push(await session.run({ x: chunkTensor(embedded, chunk, await embedded.read(chunk)) }));
  }
  await session.release();
  expect(Object.keys(got).sort()).toEqual(Object.keys(inputs[0]!).sort());
  for (const [site, sums] of Object.entries(got)) {
    for (const [column, sum] of sums.entries()) {
      let [expected, size] = [0, 0];
      for (const input of inputs) {
        const { data } = input[site]!;
        for (let at = column; at < data.length; at += sums.length) {
          expected += Number(data[at]);
          size += Math.abs(Number(data[at]));
        }
      }
      expect(Math.abs(sum - expected), `${site} ${column}`).toBeLessThanOrEqual(COLUMN_SUMS * size);
    }
  }
});

test('without the statistics of block 0 at hand, and with the file of a finished block, the bytes are the same', async () => {
  const plan = planOf(model, () => facts.wanda.uniform.sparsity, ROW, 'published');
  const input = {
    engine,
    model,
    operator: findCriterion('wanda'),
    plan,
    calibration,
  } as const;
  const dir = join(scratch, 'again');
  const silently = { ...input, validation: undefined, trace: undefined, dir, onProgress: silent };
  await pruneSequentially(silently);
  await rm(blockPath(dir, 2));
  const result = await pruneSequentially(silently);
  expect(result).toEqual({ nll: [], errors: [] });
  await expectMasks(await zerosOf(dir), 'wanda.uniform', facts.wanda.uniform.pruned);
});
