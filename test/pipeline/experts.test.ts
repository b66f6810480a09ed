// Pruning experts: each criterion is told of an expert's own tokens, and one that saw none is neither zeroed whole nor
// passed over in silence.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { readTensor } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine, type HostTensor } from '../../src/engine/index.js';
import { blockGraph, type Linear, type Model, openModel, readLinear, weightName } from '../../src/model/index.js';
import {
  findCriterion,
  type MaskOperator,
  maskOperator,
  type Operator,
  type Pattern,
  type SolverOperator,
  solverOperator,
} from '../../src/operators/index.js';
import { blockPath, pruneSequentially, readBlockFile, readNotes } from '../../src/pipeline/index.js';
import { chunkTensor, embedWindows, type Text } from '../../src/stream/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { goldenDir, readGolden } from '../model/golden.js';
import { planOf } from './plans.js';

/** The expert of the golden mixture that no token is given to. */
const IDLE = 4;
const COLUMNS: Pattern = { kind: 'columns' };
let scratch: string;
let engine: Engine;
let model: Model;
let calibration: Text;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-experts-'));
  engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
  model = await openModel(goldenDir('mixtral'));
  const { windows } = await readGolden('mixtral');
  calibration = { content: windows, embedded: await embedWindows(model, windows) };
});
afterAll(async () => {
  await engine.close();
  await rm(scratch, { recursive: true, force: true });
});

async function prune(operator: Operator, pattern: Pattern): Promise<string> {
  const dir = join(scratch, `${operator.name}-${pattern.kind}`);
  const plan = planOf(model, () => 0.5, pattern);
  const texts = { calibration: operator.needs.length > 0 ? calibration : undefined, validation: undefined };
  await pruneSequentially({
    ...{ engine, model, operator, plan, ...texts, trace: undefined, dir },
    onProgress: silent,
  });
  return dir;
}

/** Weights of the idle expert's linears in the block files in `dir`. */
async function idleWeights(dir: string): Promise<readonly Float32Array[]> {
  const idle = model.linears.flat().filter(({ expert }) => expert === IDLE);
  return await Promise.all(
    idle.map(async (linear) => {
      const bytes = await (await readBlockFile(model, blockPath(dir, linear.block)))(weightName(linear));
      return toFloat32(bytes, model.checkpoint.tensors.get(weightName(linear))!.dtype);
    }),
  );
}

test.each(['wanda', 'sparsegpt'])(
  '%s orders the weights of an expert that saw no token by their size',
  async (name) => {
    const dir = await prune(findCriterion(name), COLUMNS);
    const bySize = await prune(findCriterion('magnitude'), COLUMNS);
    const [got, expected] = [await idleWeights(dir), await idleWeights(bySize)];
    expect(got).toHaveLength(6);
    expect(got).toEqual(expected);
    for (const block of [0, 1]) {
      expect((await readNotes(blockPath(dir, block))).unseen).toEqual([IDLE]);
      expect((await readNotes(blockPath(bySize, block))).unseen).toEqual([]);
    }
  },
);

test('DSnoT swaps nothing in it, and is told how many tokens each expert saw', async () => {
  const told: [expert: number | undefined, tokens: number | undefined][] = [];
  const order = model.linears.flat();
  const dsnot = findCriterion('dsnot') as MaskOperator;
  const listening = maskOperator({
    ...dsnot,
    mask: (W, count, pattern, statistics) => {
      told.push([order[told.length]!.expert, statistics?.tokens]);
      return dsnot.mask(W, count, pattern, statistics);
    },
  });
  const dir = await prune(listening, { kind: 'row' });
  const bySize = await prune(findCriterion('magnitude'), { kind: 'row' });
  expect(await idleWeights(dir)).toEqual(await idleWeights(bySize));
  const tokens = calibration.content.windows.length * calibration.content.length;
  const seen = told.filter(([expert]) => expert !== undefined && expert !== IDLE);
  // Three linears of each expert, in two blocks, two experts for each token.
  expect(seen.reduce((sum, [, own]) => sum + own!, 0)).toBe(3 * 2 * 2 * tokens);
  for (const [expert, own] of told) if (expert === undefined) expect(own).toBe(tokens);
});

test('DSnoT from SparseGPT’s mask too: an idle expert’s weights go by their size, and tokens are those of each expert', async () => {
  const told: number[] = [];
  const criterion = findCriterion('dsnot-sparsegpt') as SolverOperator;
  const listening = solverOperator({
    ...criterion,
    factorise: (gram, columns, options) => {
      if (options.name.startsWith('block 0, expert_')) told.push(options.statistics!.tokens!);
      return criterion.factorise(gram, columns, options);
    },
  });
  const dir = await prune(listening, { kind: 'row' });
  const bySize = await prune(findCriterion('magnitude'), { kind: 'row' });
  expect(await idleWeights(dir)).toEqual(await idleWeights(bySize));
  const tokens = calibration.content.windows.length * calibration.content.length;
  // Two sites of each expert, two experts for each token; the idle one is told of all, of which it has no sums.
  expect(told.reduce((sum, own) => sum + own, 0)).toBe(2 * 2 * tokens + 2 * tokens);
});

test('the router and the norms stay as they are', async () => {
  const dir = await prune(findCriterion('wanda'), COLUMNS);
  const linears = new Set(model.linears.flat().map(weightName));
  const others = [...model.checkpoint.tensors.keys()].filter((name) => /layers\.0\./.test(name) && !linears.has(name));
  expect(others.map((name) => name.replace('model.layers.0.', '')).sort()).toEqual([
    'block_sparse_moe.gate.weight',
    'input_layernorm.weight',
    'post_attention_layernorm.weight',
  ]);
  for (const name of others) {
    expect(await (await readBlockFile(model, blockPath(dir, 0)))(name)).toEqual(
      await readTensor(model.checkpoint, name),
    );
  }
});

test('the weights of one expert’s linear may be an input', async () => {
  const linear = model.linears[0]!.find(({ expert, kind }) => expert === 2 && kind === 'down')!;
  const { embedded } = calibration;
  const x = chunkTensor(embedded, 0, await embedded.read(0));
  const run = async (weightInput: Linear | undefined, inputs: Record<string, HostTensor>) => {
    const options = { length: embedded.length, outputs: 'hidden', ...(weightInput ? { weightInput } : {}) } as const;
    const session = await engine.load(blockGraph(model, 0, options));
    const { y } = await session.run(inputs);
    await session.release();
    return y!.data;
  };
  const own = await readLinear(model.checkpoint, linear);
  const w = (data: Float32Array): HostTensor => ({ type: 'f32', shape: [linear.rows, linear.columns], data });
  const plain = await run(undefined, { x });
  expect(await run(linear, { x, w: w(own) })).toEqual(plain);
  expect(await run(linear, { x, w: w(own.map((value) => 2 * value)) })).not.toEqual(plain);
});
