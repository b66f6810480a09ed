// The damage of each linear that is treated alone, against the slow way: its edit, weights and bias, in a model of its own.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRng, silent, withResources } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { scoreDivergences } from '../../src/evaluate/index.js';
import { createGemm } from '../../src/linalg/index.js';
import { biasName, checkpointSource, cutHalves, openModel, readersOf, weightName } from '../../src/model/index.js';
import { cutOperator } from '../../src/operators/index.js';
import { measureEvidence, measureSensitivity, runBlocks, treatBlock } from '../../src/pipeline/index.js';
import type { Plan } from '../../src/records/index.js';
import { embedWindows, passBlock, sameShape, type Text } from '../../src/stream/index.js';
import { makeFamily } from '../families.js';
import { DIVERGENCE } from '../tolerances.js';

let scratch: string;
let engine: Engine;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-sensitivity-'));
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(scratch, { recursive: true, force: true });
});

test.each([
  ['flap', 'bias'],
  ['obs', 'least-squares'],
] as const)('%s with the repair %s counts what the bias takes over', async (importance, repair) => {
  const model = await openModel(await makeFamily(join(scratch, importance), 'gpt2', { blocks: 3 }));
  const textOf = async (seed: number, count: number): Promise<Text> => {
    const rng = createRng(seed);
    const draw = (): number => Math.floor(rng.uniform() * model.config.vocabulary);
    const content = { length: 24, windows: Array.from({ length: count }, () => Int32Array.from({ length: 24 }, draw)) };
    return { content, embedded: await embedWindows(model, content) };
  };
  const [calibration, text] = [await textOf(1, 16), await textOf(2, 3)];
  const halves = cutHalves(model, 'all', 1);
  const units = Object.fromEntries(
    halves.flatMap(({ readers, slices }) => readers.map((name) => [name, { keep: Math.floor(slices / 2) }])),
  );
  const plan: Plan = { format: 'layerwise-plan', version: 2, units };
  const operator = cutOperator({ importance, repair, readers: await readersOf(model) });
  const fast = await measureSensitivity({ engine, model, operator, plan, calibration }, undefined, text);

  const slow: number[] = [];
  const source = checkpointSource(model.checkpoint);
  await withResources(async (own) => {
    const gemm = await own(createGemm(engine));
    const seen = await own(sameShape(calibration.embedded));
    const reference = await own(runBlocks(engine, model, text, silent));
    for (let block = 0; block < model.config.blocks; block++) {
      const from = block === 0 ? calibration.embedded : seen;
      const evidence = await measureEvidence(engine, model, operator, block, from, calibration);
      const { edits } = await treatBlock({ model, operator, plan }, block, evidence, gemm);
      for (const linear of model.linears[block]!.filter(({ name }) => units[name])) {
        const made = new Map<string, Uint8Array>();
        for (const name of [weightName(linear), biasName(linear)]) {
          const edit = edits.get(name)!;
          if (!('remove' in edit)) made.set(name, await edit.read());
        }
        expect([...made.keys()]).toEqual([weightName(linear), biasName(linear)]);
        const find = (name: string) => {
          const bytes = made.get(name);
          return bytes ? { ...source.find(name), source: { kind: 'bytes', bytes } as const } : source.find(name);
        };
        const end = await own(runBlocks(engine, model, text, silent, (_, use) => use({ ...source, find })));
        const [windows] = await scoreDivergences(engine, model, [end], reference);
        slow.push(windows!.reduce((a, b) => a + b, 0) / windows!.length);
      }
      await passBlock(engine, model, block, [[from, seen]]);
    }
  });
  expect(fast).toHaveLength(2 * model.config.blocks);
  for (const [i, value] of slow.entries()) expect(Math.abs(fast[i]! - value), `${i}`).toBeLessThanOrEqual(DIVERGENCE);
  expect(Math.min(...slow)).toBeGreaterThan(10 * DIVERGENCE);
});
