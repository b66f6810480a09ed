// The database of treated linears: a candidate that is stitched from it scores as the same linears do when they are treated
// directly; every linear is treated once at each level; a killed fill continues to the same bytes, for any number of workers.

import { mkdir, readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { createGemm, type EngineGemm } from '../../src/linalg/index.js';
import { linearUnits, type Model, openModel } from '../../src/model/index.js';
import { findCriterion, type Operator, parsePattern } from '../../src/operators/index.js';
import {
  blockPath,
  type DensePass,
  fillLevels,
  levelBytes,
  levelsIn,
  measureEvidence,
  openLevels,
  runDense,
  scoreBlockFiles,
  treatBlock,
  writeBlockFile,
} from '../../src/pipeline/index.js';
import type { Plan } from '../../src/records/index.js';
import { embedWindows, passBlock, sameShape, type Text } from '../../src/stream/index.js';
import { makeFolder, makeTiny, stutter } from '../api/make.js';
import { planOf } from './plans.js';

const BLOCKS = 3;
let folder: string;
let engine: Engine;
let gemm: EngineGemm;
let model: Model;
let text: Text;
let dense: DensePass;

beforeAll(async () => {
  folder = await makeFolder();
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
  gemm = await createGemm(engine);
  model = await openModel(await makeTiny(join(folder, 'model'), { dtype: 'F16', blocks: BLOCKS }));
  const windows = {
    length: 24,
    windows: Array.from({ length: 50 }, (_, w) => Int32Array.from(Buffer.from(stutter(w, 24)))),
  };
  text = { content: windows, embedded: await embedWindows(model, windows) };
  dense = await runDense(engine, model, text, text, silent);
});
afterAll(async () => await engine.close());

/** Every linear at three rates. */
const plans = ({ patterns }: Operator): readonly Plan[] =>
  [0.5, 0.6, 0.7].map((rate) => planOf(model, () => rate, parsePattern(patterns[0]!)));
/** Linears at different levels of `plans`. */
const mixed = (operator: Operator): Plan => {
  const levels = plans(operator);
  const units = linearUnits(model).map(({ id }, l) => [id, levels[l % 3]!.units[id]!]);
  return { ...levels[0]!, units: Object.fromEntries(units) };
};

/** Counts how often it treats a linear. */
function counting(operator: Operator): { operator: Operator; count: () => number } {
  let count = 0;
  const prepare: Operator['prepare'] = async (...input) => {
    const prepared = await operator.prepare(...input);
    const apply: typeof prepared.apply = (...given) => {
      count++;
      return prepared.apply(...given);
    };
    return { ...prepared, apply };
  };
  return { operator: { ...operator, prepare }, count: () => count };
}

const readAll = (dir: string): Promise<Buffer[]> =>
  Promise.all(Array.from({ length: BLOCKS }, (_, block) => readFile(blockPath(dir, block))));

describe.each(['wanda', 'dsnot', 'sparsegpt', 'admm'])('%s', (name) => {
  const criterion = findCriterion(name);
  const inputOf = (dir: string, operator = criterion) => ({
    ...{ engine, model, operator, levels: levelsIn(model, plans(criterion)), calibration: text, dense, dir },
    onProgress: silent,
  });

  test('a stitched candidate scores as those linears treated directly, by the inputs of the dense model', async () => {
    const [database, files] = [join(folder, `${name}-levels`), join(folder, `${name}-files`)];
    await fillLevels(inputOf(database));
    const plan = mixed(criterion);
    await writeDirectly(criterion, plan, files);
    const store = await openLevels(engine, model, database);
    const stitched = await store.score(plan, text);
    expect(stitched).toEqual(await scoreBlockFiles(engine, model, files, text, silent));
    expect(stitched).not.toEqual(dense.nll);
    expect(stitched).not.toEqual(await store.score(plans(criterion)[0]!, text));
    const bytes = (await readAll(database)).reduce((sum, { length }) => sum + length, 0);
    const promised = levelBytes(model, levelsIn(model, plans(criterion)));
    expect(bytes).toBeGreaterThanOrEqual(promised);
    expect(bytes - promised).toBeLessThan(BLOCKS * 20_000);
  });

  test('every linear is treated once at each level, and after a kill only those of the missing blocks again', async () => {
    const dir = join(folder, `${name}-again`);
    const linears = model.linears[0]!.length;
    const first = counting(criterion);
    await fillLevels(inputOf(dir, first.operator));
    expect(first.count()).toBe(BLOCKS * linears * 3);
    const whole = await readAll(dir);
    const second = counting(criterion);
    await fillLevels(inputOf(dir, second.operator));
    expect(second.count()).toBe(0);
    await truncate(blockPath(dir, 1), 1000);
    await rm(blockPath(dir, 2));
    await fillLevels(inputOf(dir, second.operator));
    expect(second.count()).toBe(2 * linears * 3);
    expect(await readAll(dir)).toEqual(whole);
    const alone = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
    try {
      const other = join(folder, `${name}-alone`);
      await fillLevels({ ...inputOf(other), engine: alone });
      expect(await readAll(other)).toEqual(whole);
    } finally {
      await alone.close();
    }
  });

  async function writeDirectly(operator: Operator, plan: Plan, dir: string): Promise<void> {
    await mkdir(dir);
    const seen = await sameShape(text.embedded);
    for (let block = 0; block < BLOCKS; block++) {
      const inputs = block === 0 ? text.embedded : seen;
      const evidence = await measureEvidence(engine, model, operator, block, inputs, text);
      const treated = await treatBlock({ model, operator, plan }, block, evidence, gemm);
      await writeBlockFile(model, block, treated, blockPath(dir, block));
      await passBlock(engine, model, block, [[inputs, seen]]);
    }
    await seen.close();
  }
});

test('a plan with a treatment that the database has not is our mistake', async () => {
  const dir = join(folder, 'beyond');
  const operator = findCriterion('wanda');
  const levels = levelsIn(model, plans(operator));
  await fillLevels({ engine, model, operator, levels, calibration: text, dense, dir, onProgress: silent });
  const store = await openLevels(engine, model, dir);
  const beyond = planOf(model, () => 0.65, { kind: 'row' });
  await expect(store.score(beyond, text)).rejects.toMatchObject({ code: 'E_INTERNAL_LEVELS' });
});
