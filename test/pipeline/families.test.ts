// Wanda on every family against transformers and PyTorch (scripts/golden/families.py): where each linear reads, which way its
// weights lie, what a pruned block is followed by. Masks bit for bit, logits of the pruned model within rounding.

import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silent } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { type Linear, type Model, openModel, toRows, weightName } from '../../src/model/index.js';
import { findCriterion } from '../../src/operators/index.js';
import { blockFileSource, blockPath, pruneSequentially, readBlockFile } from '../../src/pipeline/index.js';
import { embedWindows } from '../../src/stream/index.js';
import { toFloat32 } from '../../src/tensor/index.js';
import { forwardLogits } from '../model/forward.js';
import { furthest, goldenCases, goldenDir, readGolden } from '../model/golden.js';
import { LOGITS } from '../tolerances.js';
import { planOf } from './plans.js';

let scratch: string;
let engine: Engine;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-families-'));
  engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(scratch, { recursive: true, force: true });
});

/** SHA-256 of where a linear of a pruned block is zero, row-major [rows, columns]. */
async function hashZeros(model: Model, linear: Linear, dir: string): Promise<string> {
  const name = weightName(linear);
  const bytes = await (await readBlockFile(model, blockPath(dir, linear.block)))(name);
  const weights = toRows(linear, toFloat32(bytes, model.checkpoint.tensors.get(name)!.dtype));
  return createHash('sha256')
    .update(Uint8Array.from(weights, (weight) => (weight === 0 ? 1 : 0)))
    .digest('hex');
}

test.each(goldenCases)('%s', async (name) => {
  const golden = await readGolden(name);
  const model = await openModel(goldenDir(name));
  const calibration = { content: golden.windows, embedded: await embedWindows(model, golden.windows) };
  const dir = join(scratch, name);
  await pruneSequentially({
    engine,
    model,
    operator: findCriterion('wanda'),
    plan: planOf(model, () => 0.5, { kind: 'row' }, 'published'),
    calibration,
    validation: undefined,
    trace: undefined,
    dir,
    onProgress: silent,
  });
  const masks: Record<string, string> = {};
  for (const linear of model.linears.flat()) {
    masks[linear.name.slice(model.tensorNames.blocks.length)] = await hashZeros(model, linear, dir);
  }
  expect(masks).toEqual(golden.masks);
  const sourceOf = (block: number) => blockFileSource(blockPath(dir, block));
  const logits = await forwardLogits(engine, model, golden.windows, sourceOf);
  expect(furthest(logits, golden.prunedLogits)).toBeLessThanOrEqual(LOGITS);
});
