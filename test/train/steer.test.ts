// The loss of steering against a plain twin, and its gradient against finite differences, for every family.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRng, withResources } from '../../src/base/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { type Model, openModel } from '../../src/model/index.js';
import { type Activations, createActivations, passBlock } from '../../src/stream/index.js';
import { openSteering, steeredTensors, steeringParameters } from '../../src/train/steer-stage.js';
import { normal } from '../api/make.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { limit } from '../scale.js';

let scratch: string;
let engine: Engine;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-steer-'));
  engine = await createOrtEngine({ device: 'cpu', workers: 2, threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(scratch, { recursive: true, force: true });
});

const [LENGTH, LAYER, ALPHA] = [9, 3, 7];

/** A residual of two chunks. */
async function residual(model: Model, seed: number): Promise<Activations> {
  const rng = createRng(seed);
  const store = await createActivations([2, 1], LENGTH, model.config.hidden);
  for (const [chunk, windows] of store.chunks.entries()) {
    await store.write(
      chunk,
      Float32Array.from({ length: windows * LENGTH * model.config.hidden }, () => normal(rng)),
    );
  }
  return store;
}

async function after(model: Model, before: Activations, blocks: readonly number[]): Promise<Activations> {
  const to = await createActivations(before.chunks, LENGTH, model.config.hidden);
  let from = before;
  for (const block of blocks) {
    await passBlock(engine, model, block, [[from, to]]);
    from = to;
  }
  return to;
}

const valuesOf = async ({ chunks, read }: Activations): Promise<number[]> =>
  (await Promise.all(chunks.map((_, chunk) => read(chunk)))).flatMap((part) => [...part]);

describe.each(Object.keys(FAMILY_CONFIGS))('%s', (family) => {
  test(
    'is what it says it is, and its gradient points where it grows',
    async () => {
      const model = await openModel(await makeFamily(join(scratch, family), family, { blocks: 4 }));
      const { hidden: D } = model.config;
      const [forget, retain] = [await residual(model, 1), await residual(model, 2)];
      const rng = createRng(3);
      const goal = Float32Array.from({ length: D }, () => 2 * normal(rng));
      // Not where the retain text is now, so that both terms have a gradient.
      const kept = await after(model, await residual(model, 4), [1, 2, 3]);
      const texts = { forget: { before: forget }, retain: { before: retain, after: kept } };
      const parameters = await steeringParameters(model, LAYER);
      expect(parameters.map(({ tensor }) => tensor)).toEqual(steeredTensors(model, LAYER));
      if (!model.config.mixtures.some(Boolean)) expect(parameters).toHaveLength(3);
      await withResources(async (own) => {
        const problem = await openSteering(own, {
          ...{ engine, model, layer: LAYER, goal, alpha: ALPHA, parameters, perStep: 2, seed: 0 },
          ...{ training: texts, validation: texts },
        });
        const [h, r, r0] = [
          await valuesOf(await after(model, forget, [1, 2, 3])),
          await valuesOf(await after(model, retain, [1, 2, 3])),
          await valuesOf(kept),
        ];
        let [toForget, toKeep] = [0, 0];
        for (const [i, value] of h.entries()) {
          if (Math.floor(i / D) % LENGTH !== 0) toForget += (value - goal[i % D]!) ** 2;
        }
        for (const [i, value] of r.entries()) toKeep += (value - r0[i]!) ** 2;
        const expected = toForget / (3 * (LENGTH - 1) * D) + (ALPHA * toKeep) / (3 * LENGTH * D);
        const start = await problem.validate();
        expect(Math.abs(start / expected - 1)).toBeLessThan(1e-4);

        const { loss, gradients } = await problem.gradient(0);
        expect(Math.abs(loss / expected - 1)).toBeLessThan(1e-4);
        // Along the gradient of each tensor; a router's choice does not depend on what follows it.
        for (const parameter of parameters) {
          const w = parameter.values();
          const g = gradients.get(parameter.tensor)!;
          const norm = Math.sqrt(g.reduce((sum, value) => sum + value ** 2, 0));
          if (norm === 0) continue; // an expert without tokens
          const size = Math.min(0.02, (0.01 * start) / norm);
          const at = async (sign: number): Promise<number> => {
            for (let i = 0; i < w.length; i++) w[i]! += (sign * size * g[i]!) / norm;
            const value = await problem.validate();
            for (let i = 0; i < w.length; i++) w[i]! -= (sign * size * g[i]!) / norm;
            return value;
          };
          const slope = ((await at(1)) - (await at(-1))) / (2 * size);
          expect(Math.abs(slope / norm - 1), parameter.tensor).toBeLessThan(0.03);
        }
      });
    },
    limit(60_000),
  );
});
