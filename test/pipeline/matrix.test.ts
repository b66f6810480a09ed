// Every criterion, in every pattern it has, on every family, pair by pair (test/matrix.ts): exactly as many zeros as were asked
// for, where the pattern has them, and a model that still computes.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { valuesOf } from '../../scripts/docs/matrix.js';
import { createRng, silent } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { type Linear, linearUnits, type Model, openModel, toRows, weightName } from '../../src/model/index.js';
import { formatPattern } from '../../src/operators/index.js';
import { blockPath, pruneSequentially, readBlockFile, runDense } from '../../src/pipeline/index.js';
import { allocate, POLICIES, zeroRate } from '../../src/plan/index.js';
import { collectable } from '../../src/profile/index.js';
import { embedWindows, type Text } from '../../src/stream/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { makeFamily } from '../families.js';
import { cellsToTest, MATRIX } from '../matrix.js';
import { planOf } from './plans.js';

const LENGTH = 24;
const CELLS = cellsToTest(MATRIX, valuesOf);
let scratch: string;
let engine: Engine;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-matrix-'));
  engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(scratch, { recursive: true, force: true });
});

async function textOf(model: Model, seed: number, count: number): Promise<Text> {
  const rng = createRng(seed);
  const windows = Array.from({ length: count }, () =>
    Int32Array.from({ length: LENGTH }, () => rng.below(model.config.vocabulary)),
  );
  const text = { length: LENGTH, windows };
  return { content: text, embedded: await embedWindows(model, text) };
}

/** W after pruning, row-major [rows, columns]. */
async function prunedWeights(model: Model, linear: Linear, dir: string): Promise<Float32Array> {
  const name = weightName(linear);
  const bytes = await (await readBlockFile(model, blockPath(dir, linear.block)))(name);
  return toRows(linear, toFloat32(bytes, model.checkpoint.tensors.get(name)!.dtype));
}

const zerosOf = (weights: Float32Array): number => weights.filter((weight) => weight === 0).length;

describe.each([...new Set(MATRIX.map(({ family }) => family))])('%s', (family) => {
  let model: Model;
  let calibration: Text;
  let validation: Text;
  beforeAll(async () => {
    model = await openModel(await makeFamily(join(scratch, family), family, { dtype: 'BF16' }));
    calibration = await textOf(model, 1, 16);
    validation = await textOf(model, 2, 4);
  });

  test('what policies measure, and rates that keep the budget by it', async () => {
    const policies = [...POLICIES.values()].filter(({ needs }) => needs.length === collectable(needs).length);
    expect(policies.length).toBeGreaterThan(8);
    const measures = [...new Set(policies.flatMap(({ needs }) => needs))];
    const { measured } = await runDense(engine, model, undefined, calibration, silent, measures);
    const facts = { blocks: model.config.blocks, linears: linearUnits(model) };
    for (const policy of policies) {
      const toFind = policy.hyperparameters.filter(({ fallback }) => fallback === undefined);
      const values = Object.fromEntries(toFind.map(({ name, range }) => [name, range(0.6, facts)[1] / 4]));
      const plan = allocate(policy, { target: 0.6, facts, counting: 'exact', measured, values });
      let [zeros, weights] = [0, 0];
      for (const unit of facts.linears) {
        zeros += unit.rows * unit.columns * zeroRate(plan, unit);
        weights += unit.rows * unit.columns;
      }
      expect(zeros / weights, policy.name).toBeCloseTo(0.6, 9);
    }
  });

  test.each(
    CELLS.filter((cell) => cell.family === family).map(
      (cell) => [cell.criterion.name, formatPattern(cell.pattern), cell] as const,
    ),
  )('%s, %s', async (name, patternName, { criterion, pattern }) => {
    const dir = join(scratch, `${family}-${name}-${patternName.replace(':', '-')}`);
    const plan = planOf(model, () => 0.5, pattern);
    const { nll } = await pruneSequentially({
      ...{ engine, model, operator: criterion, plan, calibration, validation, trace: undefined, dir },
      onProgress: silent,
    });
    expect(nll).toHaveLength(4);
    for (const loss of nll) expect(loss).toBeGreaterThan(0);
    for (const linear of model.linears.flat()) {
      const weights = await prunedWeights(model, linear, dir);
      expect(zerosOf(weights), linear.name).toBe((linear.rows * linear.columns) / 2);
      const step = pattern.kind === 'row' ? linear.columns : pattern.kind === 'n:m' ? pattern.of : weights.length;
      for (let at = 0; at < weights.length; at += step) {
        expect(zerosOf(weights.subarray(at, at + step))).toBe(step / 2);
      }
    }
  });
});
