// Whatever the rates, the zeros in the block files are as many as the budget says, in every linear and in all.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { linearUnits, type Model, openModel } from '../../src/model/index.js';
import { findCriterion, parsePattern } from '../../src/operators/index.js';
import { blockPath, readBlockFile, treatBlock, writeBlockFile } from '../../src/pipeline/index.js';
import { COUNTINGS, countInGroups, countPruned, type LinearUnit } from '../../src/plan/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { makeTiny } from '../api/make.js';
import { runs } from '../scale.js';
import { planOf } from './plans.js';

const BLOCKS = 3;
const magnitude = findCriterion('magnitude');
let dir: string;
let model: Model;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'layerwise-counts-'));
  model = await openModel(await makeTiny(join(dir, 'model'), { blocks: BLOCKS, dtype: 'F32' }));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const rate = fc.oneof(fc.constantFrom(0, 1, 0.5), fc.double({ min: 0, max: 1, noNaN: true }));

test('zeros on disk are those that were counted', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(rate, { minLength: BLOCKS, maxLength: BLOCKS }),
      fc.constantFrom('row', 'matrix', 'columns', 'n:8', 'n:32'),
      fc.constantFrom(...COUNTINGS),
      async (rates, name, counting) => {
        const pattern = parsePattern(name);
        const linears = linearUnits(model);
        const rateOf = ({ block }: LinearUnit): number => rates[block]!;
        const counted =
          pattern.kind === 'n:m' ? countInGroups(linears, rateOf, pattern.of) : countPruned(linears, rateOf, counting);
        const counts = new Map(linears.map(({ id }, i) => [id, counted[i]]));
        const treating = { model, operator: magnitude, plan: planOf(model, rateOf, pattern, counting) };
        let total = 0;
        for (let block = 0; block < BLOCKS; block++) {
          const path = blockPath(dir, block);
          await writeBlockFile(model, block, await treatBlock(treating, block, { sequences: 0 }, undefined), path);
          const read = await readBlockFile(model, path);
          for (const { name } of model.linears[block]!) {
            const weights = toFloat32(await read(`${name}.weight`), 'F32');
            const zeros = weights.reduce((sum, weight) => sum + (weight === 0 ? 1 : 0), 0);
            expect(zeros).toBe(counts.get(name));
            total += zeros;
          }
        }
        if (pattern.kind === 'n:m') return;
        const wanted = linears.reduce((sum, unit) => sum + unit.rows * unit.columns * rateOf(unit), 0);
        if (counting === 'exact') expect(Math.abs(total - wanted)).toBeLessThanOrEqual(0.5 + 1e-6);
        else expect(total).toBeLessThanOrEqual(wanted);
      },
    ),
    { numRuns: runs(15) },
  );
});
