// Gradients through whole models: norms of all tensors' gradients against PyTorch in float64 for every family, finite
// differences of each loss, and that neither threads nor the way in which weights come in change anything.

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readTensorFloat32 } from '../../src/checkpoint/index.js';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import { createBackward, type Gradients, type Objective, type Place, type Weights } from '../../src/evaluate/index.js';
import { ERROR, squaredError } from '../../src/graph/index.js';
import {
  blockTensorNames,
  headTensorNames,
  type Model,
  openModel,
  pairGraph,
  partGraph,
} from '../../src/model/index.js';
import { type Activations, createActivations, embedWindows, sameShape, type Text } from '../../src/stream/index.js';
import type { Windows } from '../../src/text/index.js';
import { makeFolder, VOCABULARY } from '../api/make.js';
import { randomTensor, rngOf } from '../engine/numbers.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { slopeErrors } from '../graph/slopes.js';
import { goldenDir, goldenGradientCases, readGolden, readGoldenGradients } from '../model/golden.js';
import { LOSS, SLOPE, WHOLE_GRADIENT } from '../tolerances.js';

let ort: Engine;
const reference = createReferenceEngine();
beforeAll(async () => {
  ort = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(() => ort.close());

const everything =
  (model: Model) =>
  (place: Place): readonly string[] =>
    place === 'head' ? headTensorNames(model) : blockTensorNames(model, place);

const embed = async (model: Model, windows: Windows): Promise<Text> => ({
  content: windows,
  embedded: await embedWindows(model, windows),
});

/** The loss and the gradients of all tensors; what is of two places, such as a tied head, is that of the last. */
async function gradientsOf(
  engine: Engine,
  model: Model,
  text: Text,
  loss: Objective,
  options: { weights?: (place: Place) => Weights; hold?: boolean; input?: Activations } = {},
): Promise<{ readonly loss: number; readonly gradients: ReadonlyMap<string, Float32Array> }> {
  const { hold = false, ...rest } = options;
  const backward = createBackward(engine, model, { hold });
  const all = new Map<string, Float32Array>();
  const onGradients = (_: Place, gradients: Gradients): void => {
    for (const [name, gradient] of gradients) all.set(name, gradient);
  };
  const value = await backward.pass(text, { loss, wrt: everything(model), onGradients, ...rest });
  await backward.close();
  return { loss: value, gradients: all };
}

const norm = (values: Float32Array): number => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));

describe('the mean loss of a checkpoint and its gradients, as PyTorch has them', () => {
  test.each(goldenGradientCases)('%s', async (name) => {
    const model = await openModel(goldenDir(name));
    const { windows } = await readGolden(name);
    const golden = (await readGoldenGradients(name)).loss;
    const { loss, gradients } = await gradientsOf(ort, model, await embed(model, windows), { kind: 'nll' });
    expect(Math.abs(loss - golden.nll)).toBeLessThan(LOSS);
    const largest = Math.max(...Object.values(golden.norms));
    for (const [tensor, gradient] of gradients) {
      // PyTorch's gradient of a tied head is that of the embeddings too.
      if (tensor === model.tensorNames.embedding) continue;
      const expected = golden.norms[tensor]!;
      const scale = expected > 1e-12 * largest ? expected : largest;
      expect(Math.abs(norm(gradient) - expected) / scale, tensor).toBeLessThan(WHOLE_GRADIENT);
    }
    expect(gradients.size).toBeGreaterThan(10);
  });
});

const rng = rngOf(11);
const windowsOf = (count: number, length: number): Windows => ({
  length,
  windows: Array.from({ length: count }, () => Int32Array.from({ length }, () => rng.below(VOCABULARY))),
});

async function randomLike(stream: Activations): Promise<Activations> {
  const made = await sameShape(stream);
  for (const [chunk, count] of stream.chunks.entries()) {
    await made.write(chunk, randomTensor(rng, [count * stream.length * stream.width]).data as Float32Array);
  }
  return made;
}

describe('finite differences', () => {
  test.each(['nll', 'divergence', 'stream'] as const)('%s', async (kind) => {
    const model = await openModel(await makeFamily(join(await makeFolder(), 'model'), 'llama'));
    const text = await embed(model, windowsOf(2, 6));
    const other = await randomLike(text.embedded);
    const loss: Objective =
      kind === 'nll' ? { kind } : kind === 'divergence' ? { kind, reference: other } : { kind, target: other };
    const input = await sameShape(text.embedded);
    const { gradients } = await gradientsOf(reference, model, text, loss, { input });
    const slope = async (place: Place, name: string): Promise<readonly [number, number]> => {
      const stored = await readTensorFloat32(model.checkpoint, name);
      const gradient = gradients.get(name)!;
      const v = gradient.map((g) => g / norm(gradient)); // along itself, where rounding matters least
      const at = async (step: number): Promise<number> => {
        const moved = new Map([[name, stored.map((w, i) => w + step * v[i]!)]]);
        const weights = (where: Place): Weights => (where === place ? moved : new Map());
        return (await gradientsOf(reference, model, text, loss, { weights })).loss;
      };
      const step = 1e-3 / Math.max(1, norm(gradient));
      return [((await at(step)) - (await at(-step))) / (2 * step), norm(gradient)];
    };
    const names: readonly (readonly [Place, string])[] = [
      [0, 'model.layers.0.self_attn.k_proj.weight'],
      [0, 'model.layers.0.mlp.down_proj.weight'],
      [1, 'model.layers.1.input_layernorm.weight'],
      ...(kind === 'stream'
        ? []
        : ([
            ['head', 'model.norm.weight'],
            ['head', 'lm_head.weight'],
          ] as const)),
    ];
    for (const [place, name] of names) {
      const [measured, expected] = await slope(place, name);
      expect(Math.abs(measured - expected) / expected, name).toBeLessThan(1e-3);
    }
    // Moving the embeddings along their own gradient, likewise.
    const [g, x] = [await input.read(0), await text.embedded.read(0)];
    const at = async (step: number): Promise<number> => {
      const embedded = await sameShape(text.embedded);
      await embedded.write(
        0,
        x.map((value, i) => value + (step * g[i]!) / norm(g)),
      );
      return (await gradientsOf(reference, model, { ...text, embedded }, loss)).loss;
    };
    const step = 1e-3 / Math.max(1, norm(g));
    expect(((await at(step)) - (await at(-step))) / (2 * step) / norm(g)).toBeCloseTo(1, 3);
  });

  test.each([
    ['block', 'gemma2'],
    ['attention', 'llama'],
    ['attention', 'opt'],
    ['mlp', 'gemma2'],
    ['mlp', 'mixtral'],
    ['mlp', 'opt'],
  ] as const)('the squared error of a part: %s of %s', async (part, family) => {
    const model = await openModel(await makeFamily(join(await makeFolder(), 'model'), family));
    const graph = squaredError(partGraph(model, 0, part, { length: 5 }), 'y');
    const names = graph.initializers.map(({ name }) => name).filter((name) => name.includes('layers.0.'));
    const inputs = Object.fromEntries(
      graph.inputs.map(({ name }) => [name, randomTensor(rngOf(name.length), [2, 5, 32])]),
    );
    const errors = await slopeErrors(graph, inputs, { seeds: [ERROR], wrt: ['x', ...names] }, { together: true });
    for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThan(SLOPE);
    expect(names.length).toBeGreaterThan(3);
  });
});

test('a pair of blocks is differentiated too', async () => {
  const model = await openModel(await makeFamily(join(await makeFolder(), 'model'), 'qwen3'));
  const graph = pairGraph(model, 0, {
    ...{ length: 5, shares: { alpha: 0.7, gamma: 0.4 }, sites: ['mlp_in', 'mlp_out'], hidden: 'treated' },
    ...{ edited: new Map(), weighTokens: true },
  });
  const inputs = Object.fromEntries(graph.inputs.map(({ name }) => [name, randomTensor(rngOf(3), [2, 5, 32])]));
  const seeds = graph.outputs.map(({ name }) => name);
  expect(seeds).toEqual(expect.arrayContaining(['mlp_in.cross', 'mlp_out.pull', 'mlp_in.sums', 'y']));
  const wrt = ['x', 'x_dense', ...blockTensorNames(model, 0)];
  const errors = await slopeErrors(graph, inputs, { seeds, wrt }, { together: true });
  for (const error of Object.values(errors)) expect(error).toBeLessThan(SLOPE);
});

const families = Object.keys(FAMILY_CONFIGS);

describe.each(families)('%s', (family) => {
  test('halves make a block, or are refused; fitting one is the derivative of its error', async () => {
    const model = await openModel(await makeFamily(join(await makeFolder(), 'model'), family));
    const { embedded } = await embed(model, windowsOf(3, 7));
    const backward = createBackward(ort, model);
    if (model.config.parallel) {
      expect(() => partGraph(model, 0, 'mlp', { length: 7 })).toThrow(/no halves/);
      return;
    }
    const [whole, halves] = [await sameShape(embedded), await sameShape(embedded)];
    await backward.forward({ block: 1, part: 'block', from: embedded, to: whole });
    await backward.forward({ block: 1, part: 'attention', from: embedded, to: halves });
    await backward.forward({ block: 1, part: 'mlp', from: halves, to: halves });
    const [a, b] = [await whole.read(0), await halves.read(0)];
    expect(norm(a.map((x, i) => x - b[i]!)) / norm(a)).toBeLessThan(1e-6);
    const wrt = blockTensorNames(model, 1);
    const { loss, gradients } = await backward.fit({ block: 1, part: 'block', from: embedded, target: whole, wrt });
    expect(loss).toBe(0);
    expect([...gradients.keys()]).toEqual(wrt);
    for (const gradient of gradients.values()) expect(norm(gradient)).toBe(0);
  });
});

test('threads, kept sessions and fed weights change nothing', async () => {
  const model = await openModel(await makeFamily(join(await makeFolder(), 'model'), 'mixtral', { dtype: 'BF16' }));
  const text = await embed(model, windowsOf(70, 32)); // three chunks
  expect(text.embedded.chunks.length).toBe(3);
  const alone = await gradientsOf(ort, model, text, { kind: 'nll' });
  const three = await createOrtEngine({ device: 'cpu', workers: 3, threads: 1 });
  const lanes = await gradientsOf(three, model, text, { kind: 'nll' }, { hold: true });
  await three.close();
  expect(lanes.loss).toBe(alone.loss);
  for (const [name, gradient] of alone.gradients) expect(lanes.gradients.get(name), name).toEqual(gradient);
  const stored = new Map<string, Float32Array>();
  for (const name of alone.gradients.keys()) stored.set(name, await readTensorFloat32(model.checkpoint, name));
  const fed = await gradientsOf(ort, model, text, { kind: 'nll' }, { weights: () => stored });
  for (const [name, gradient] of alone.gradients) {
    const difference = gradient.map((x, i) => x - fed.gradients.get(name)![i]!);
    expect(norm(difference), name).toBeLessThanOrEqual(1e-5 * norm(gradient));
  }
});

test('only what is asked for is given, and nothing asked for is refused', async () => {
  const model = await openModel(await makeFamily(join(await makeFolder(), 'model'), 'llama', { blocks: 3 }));
  const text = await embed(model, windowsOf(2, 6));
  const before = (await text.embedded.read(0)).slice();
  const name = 'model.layers.1.self_attn.q_proj.weight';
  const backward = createBackward(ort, model);
  const seen: [Place, readonly string[]][] = [];
  await backward.pass(text, {
    loss: { kind: 'nll' },
    wrt: (place) => (place === 1 ? [name] : []),
    onGradients: (place, gradients) => void seen.push([place, [...gradients.keys()]]),
  });
  expect(seen).toEqual([
    ['head', []],
    [2, []],
    [1, [name]],
  ]);
  expect(await text.embedded.read(0)).toEqual(before);
  const nothing = backward.pass(text, { loss: { kind: 'nll' }, wrt: () => [], onGradients: () => {} });
  await expect(nothing).rejects.toMatchObject({ code: 'E_OPTION_GRADIENT' });
  const wrong = new Map([[name, new Float32Array(32 * 32).fill(Number.NaN)]]);
  const broken = backward.pass(text, {
    loss: { kind: 'nll' },
    wrt: () => [],
    input: await createActivations(text.embedded.chunks, 6, 32),
    weights: (place) => (place === 1 ? wrong : new Map()),
    onGradients: () => {},
  });
  await expect(broken).rejects.toMatchObject({ code: 'E_NUMERIC_LOSS' });
});
