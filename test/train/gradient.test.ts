// The gradient of the whole model's loss, through the head and all blocks, against central differences of the loss itself: for
// divergence and likelihood, for some tensors of the first block.

import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silent, withResources } from '../../src/base/index.js';
import { readTensorFloat32 } from '../../src/checkpoint/index.js';
import { createOrtEngine, type Engine } from '../../src/engine/index.js';
import { blockTensors, type Model, openModel } from '../../src/model/index.js';
import { runBlocks } from '../../src/pipeline/index.js';
import { embedSamples } from '../../src/stream/index.js';
import { type Parameter, trainLogits } from '../../src/train/index.js';
import { makeFolder } from '../api/make.js';
import { makeFamily } from '../families.js';
import { limit } from '../scale.js';

const LENGTH = 12;
const windows = {
  length: LENGTH,
  windows: Array.from({ length: 3 }, (_, w) =>
    Int32Array.from({ length: LENGTH }, (_, t) => (w * 71 + t * t * 13 + 5) % 256),
  ),
};

let folder: string;
let engine: Engine;
beforeAll(async () => {
  folder = await makeFolder();
  engine = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(() => engine.close());

/** A tensor that notes its gradient and never moves. */
function noting(tensor: string, values: Float32Array, noted: Map<string, Float32Array>): Parameter {
  return {
    tensor,
    variables: [],
    values: () => values,
    gradients: (gradient) => {
      noted.set(tensor, gradient.slice());
      return [];
    },
  };
}

let count = 0;
/** The loss of the model, and the gradient of each tensor, from one step on all the text. */
async function lossOf(model: Model, dense: Model, loss: 'kl' | 'nll', tensors: ReadonlyMap<string, Float32Array>) {
  return await withResources(async (own) => {
    const text = await embedSamples(own, engine, model, windows);
    const noted = new Map<string, Float32Array>();
    const parameters = Array.from({ length: model.config.blocks }, (_, block) =>
      blockTensors(model.config, model.tensorNames, block).flatMap(({ name }) =>
        tensors.has(name) ? [noting(name, tensors.get(name)!, noted)] : [],
      ),
    );
    const reference = await own(runBlocks(engine, dense, text, silent));
    const path = join(folder, `run-${count++}`);
    const { training, validation } = await trainLogits({
      ...{
        engine,
        model,
        loss,
        parameters,
        training: text,
        validation: text,
        perStep: text.embedded.chunks.length,
        seed: 0,
      },
      reference: loss === 'kl' ? { training: reference, validation: reference } : undefined,
      settings: { steps: 1, rate: 0, scorings: 1, decay: 0, path, onProgress: silent },
      onProgress: silent,
    });
    return { training: training[0]!.loss, validation: validation[0]!.loss, gradients: noted };
  });
}

test.each([
  ['llama', 'kl'],
  ['llama', 'nll'],
  ['gpt2', 'kl'],
] as const)(
  '%s, %s',
  async (family, loss) => {
    const model = await openModel(await makeFamily(join(folder, `${family}-${loss}`), family));
    const dense = await openModel(await makeFamily(join(folder, `${family}-${loss}-dense`), family, { seed: 2 }));
    const names = blockTensors(model.config, model.tensorNames, 0)
      .filter(({ role }) => /^(attentionNorm|q|qkv|down)\.(weight|bias)$/.test(role))
      .map(({ name }) => name);
    const tensors = new Map<string, Float32Array>();
    for (const name of names) tensors.set(name, await readTensorFloat32(model.checkpoint, name));
    const { training, validation, gradients } = await lossOf(model, dense, loss, tensors);
    expect(training).toBeCloseTo(validation, 5);
    expect([...gradients.keys()].sort()).toEqual([...names].sort());
    for (const name of names) {
      const gradient = gradients.get(name)!;
      // Along the gradient, the loss falls by its norm.
      const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
      if (norm < 1e-4) continue;
      const h = 0.02;
      const at = async (sign: number): Promise<number> => {
        const moved = tensors.get(name)!.map((w, i) => w + (sign * h * gradient[i]!) / norm);
        return (await lossOf(model, dense, loss, new Map(tensors).set(name, moved))).validation;
      };
      const slope = ((await at(1)) - (await at(-1))) / (2 * h);
      expect(Math.abs(slope / norm - 1), name).toBeLessThan(0.02);
    }
  },
  limit(60_000),
);
