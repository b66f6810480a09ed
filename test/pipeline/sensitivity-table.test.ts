// A table of sensitivities in one sweep against the slow way: each unit treated alone, as a model of its own, for a family of
// plain blocks and for a mixture.

import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { silent } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { scoreDivergences } from '../../src/evaluate/index.js';
import { linearUnits, openModel } from '../../src/model/index.js';
import { findQuantiser } from '../../src/operators/index.js';
import { measureTable, pruneSequentially, runBlockFiles, runBlocks } from '../../src/pipeline/index.js';
import type { Plan, Treatment } from '../../src/records/index.js';
import { embedWindows, passBlock, sameShape, type Text } from '../../src/stream/index.js';
import { loadTokenizer, makeWindows, readCorpus, tokenizeCorpus } from '../../src/text/index.js';
import { LENGTH, makeFolder, makeTexts } from '../api/make.js';
import { makeFamily } from '../families.js';
import { limit } from '../scale.js';
import { DIVERGENCE } from '../tolerances.js';

vi.setConfig({ testTimeout: limit(120_000) });

let engine: Engine;
beforeAll(async () => {
  engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(() => engine.close());

const TREATMENTS: readonly Treatment[] = [
  { bits: { bits: 2, group: 128 } },
  { bits: { bits: 3, group: 128 }, zeros: { rate: 0.5, pattern: '8:16' } },
  { bits: { bits: 8, group: 128 } },
];

test.each(['llama', 'mixtral'])(
  '%s: every damage is that of the whole model with this unit treated',
  async (family) => {
    const folder = await makeFolder();
    const { calibration, validation } = await makeTexts(folder);
    const model = await openModel(await makeFamily(join(folder, 'model'), family, { seed: 3 }));
    const tokenizer = await loadTokenizer(model.checkpoint.dir);
    const read = async (path: string, count: number): Promise<Text> => {
      const tokens = await tokenizeCorpus(tokenizer, await readCorpus(path));
      const windows = makeWindows(tokens, { length: LENGTH, order: 'sequential', count, seed: 0 });
      return { content: windows, embedded: await embedWindows(model, windows) };
    };
    const seen = await read(calibration, 8);
    const text = await read(validation, 3);
    const shared = { engine, model, operator: findQuantiser('gptq'), calibration: seen, onProgress: silent };
    const { units: table, drops } = await measureTable({ ...shared, treatments: TREATMENTS, drops: true }, text);

    const linears = linearUnits(model);
    // q, k and v; o; and of each feed-forward network, gate and up; down.
    const networks = family === 'llama' ? 1 : 5;
    expect(table).toHaveLength(2 * (2 + 2 * networks));
    expect(table.flatMap((unit) => unit.linears).sort((a, b) => a - b)).toEqual([...linears.keys()]);
    const reference = await runBlocks(engine, model, text, silent);
    for (const [u, unit] of table.entries()) {
      for (const [t, treatment] of TREATMENTS.entries()) {
        const units = Object.fromEntries(unit.linears.map((index) => [linears[index]!.id, treatment]));
        const plan: Plan = { format: 'layerwise-plan', version: 2, units };
        const dir = join(folder, `${u}-${t}`);
        await pruneSequentially({ ...shared, plan, validation: undefined, trace: undefined, dir });
        const residual = await runBlockFiles(engine, model, dir, text, silent);
        const [slow] = await scoreDivergences(engine, model, [residual], reference);
        const mean = slow!.reduce((a, b) => a + b, 0) / slow!.length;
        expect(Math.abs(unit.damages[t]! - mean), `${unit.linears} ${t}`).toBeLessThanOrEqual(DIVERGENCE);
      }
    }
    for (const [block, damage] of drops!.entries()) {
      const residual = await sameShape(text.embedded);
      let from = text.embedded;
      for (const other of model.linears.keys()) {
        if (other === block) continue;
        await passBlock(engine, model, other, [[from, residual]]);
        from = residual;
      }
      const [slow] = await scoreDivergences(engine, model, [residual], reference);
      expect(Math.abs(damage - slow!.reduce((a, b) => a + b, 0) / slow!.length)).toBeLessThanOrEqual(DIVERGENCE);
    }
    // Two bits do more harm than eight, to each unit that tokens pass through.
    const [two, eight] = [0, 2].map((t) => table.reduce((sum, { damages }) => sum + damages[t]!, 0));
    expect(two!).toBeGreaterThan(100 * Math.max(eight!, DIVERGENCE));
  },
);
