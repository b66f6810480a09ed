// How much a token counts (src/profile/importance.ts): against finite differences of the loss at the outputs of linears; weighted
// taps and pairs against plain loops; one pass forward and back, whatever computes it.

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent, withResources } from '../../src/base/index.js';
import { createOrtEngine, createReferenceEngine, type Engine, type HostTensor } from '../../src/engine/index.js';
import { scoreSamples } from '../../src/evaluate/index.js';
import type { Graph } from '../../src/graph/index.js';
import {
  blockGraph,
  linearOutput,
  type Model,
  openModel,
  pairGraph,
  rootOf,
  sumsOf,
  type TapSite,
} from '../../src/model/index.js';
import { measureImportance } from '../../src/profile/index.js';
import { chunkTensor, embedWindows, passBlock, sameShape, type Text } from '../../src/stream/index.js';
import { makeFolder, VOCABULARY } from '../api/make.js';
import { randomTensor, rngOf } from '../engine/numbers.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';
import { TOKEN_WEIGHT } from '../tolerances.js';

let ort: Engine;
const reference = createReferenceEngine();
beforeAll(async () => {
  ort = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(() => ort.close());

const families = Object.keys(FAMILY_CONFIGS);
const mixtures = families.filter((family) => /mixtral|moe/.test(family));
const dense = families.filter((family) => !mixtures.includes(family));

const open = async (family: string): Promise<Model> =>
  await openModel(await makeFamily(join(await makeFolder(), 'model'), family));

async function textOf(model: Model, count: number, length: number, seed = 11): Promise<Text> {
  const rng = rngOf(seed);
  const windows = Array.from({ length: count }, () => Int32Array.from({ length }, () => rng.below(VOCABULARY)));
  return { content: { length, windows }, embedded: await embedWindows(model, { length, windows }) };
}

/** The weights of all tokens, by block and site. */
async function weightsOf(engine: Engine, model: Model, text: Text): Promise<Record<string, number[]>[]> {
  return await withResources(async (own) => {
    const importance = await measureImportance(own, engine, model, text, silent);
    const blocks: Record<string, number[]>[] = [];
    for (const sites of importance) {
      const block: Record<string, number[]> = {};
      for (const [site, store] of Object.entries(sites)) {
        const values: number[] = [];
        for (let chunk = 0; chunk < store.chunks.length; chunk++) {
          for (const root of await store.read(chunk)) values.push(root * root);
        }
        block[site] = values;
      }
      blocks.push(block);
    }
    return blocks;
  });
}

/** `graph` in which `moved` is added to an inner value. */
function movable(graph: Graph, value: string, width: number): Graph {
  const at = graph.nodes.findIndex(({ outputs }) => outputs.includes(value));
  const nodes = graph.nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map((name) => (name === value ? 'moved' : name)),
  }));
  nodes.splice(at + 1, 0, { op: 'Add', inputs: [value, 'by'], outputs: ['moved'], attributes: {} });
  return { ...graph, nodes, inputs: [...graph.inputs, { name: 'by', type: 'f32', shape: ['N', width] }] };
}

describe.each(['llama', 'gpt2'])('%s', (family) => {
  test('weights are squares of finite differences of the loss, for every linear that reads the value', async () => {
    const model = await open(family);
    const T = 5;
    const text = await textOf(model, 1, T);
    const weights = await weightsOf(ort, model, text);
    const { embedded } = text;
    const stored = blockGraph(model, 0, { length: T, outputs: 'hidden' });
    for (const site of ['attention_in', 'mlp_out'] as const) {
      const linears = model.linears[0]!.filter((linear) => linear.site === site);
      const squares = new Float64Array(T);
      for (const linear of linears) {
        const { rows } = linear;
        const session = await reference.load(movable(stored, linearOutput(stored, linear), rows));
        const loss = async (token: number, row: number, step: number): Promise<number> => {
          const by = new Float32Array(T * rows);
          by[token * rows + row] = step;
          const x = chunkTensor(embedded, 0, (await embedded.read(0)).slice());
          const { y } = await session.run({ x, by: { type: 'f32', shape: [T, rows], data: by } });
          const after = await sameShape(embedded);
          await after.write(0, y!.data as Float32Array);
          await passBlock(reference, model, 1, [[after, after]]);
          return (await scoreSamples(reference, model, after, text.content))[0]!;
        };
        const step = 0.02;
        for (let token = 0; token < T; token++) {
          for (let row = 0; row < rows; row++) {
            const slope = ((await loss(token, row, step)) - (await loss(token, row, -step))) / (2 * step);
            squares[token]! += slope ** 2 / (rows * linears.length);
          }
        }
        await session.release();
      }
      const mean = squares.reduce((a, b) => a + b, 0) / T;
      for (let token = 0; token < T; token++) {
        expect(Math.abs(weights[0]![site]![token]! - squares[token]! / mean), `${site} ${token}`).toBeLessThan(
          TOKEN_WEIGHT,
        );
      }
      // No loss is taken at a window's last token.
      expect(weights[0]![site]![T - 1]).toBe(0);
      expect(new Set(weights[0]![site]).size).toBe(T);
    }
  });
});

describe.each(dense)('%s', (family) => {
  test('weights have the mean 1 at every site, and weighted taps are those of plain loops', async () => {
    const model = await open(family);
    const text = await textOf(model, 3, 7);
    for (const block of await weightsOf(ort, model, text)) {
      for (const [site, values] of Object.entries(block)) {
        expect(values).toHaveLength(21);
        expect(Math.abs(values.reduce((a, b) => a + b, 0) / 21 - 1), site).toBeLessThan(1e-5);
      }
    }
    const [B, T] = [2, 6];
    const x = randomTensor(rngOf(4), [B, T, model.config.hidden]);
    const sites = [...new Set(model.linears[1]!.map(({ site }) => site))];
    const roots = rootsOf(sites, B * T);
    for (const engine of [ort, reference]) {
      const X = await run(engine, blockGraph(model, 1, { length: T, outputs: 'inputs' }), { x: copy(x) });
      for (const outputs of ['gram', 'taps', 'sums'] as const) {
        const graph = blockGraph(model, 1, { length: T, outputs, weighted: true });
        const got = await run(engine, graph, { x: copy(x), ...copies(roots) });
        for (const site of sites) {
          const w = (roots[rootOf(site)]!.data as Float32Array).map((root) => root * root);
          expectClose(got[site]!, plainTap(outputs, X[site]!, w), `${site} ${outputs}`);
        }
      }
    }
  });

  test('a window that counts four times and one that counts nothing: four times the sums of the first alone', async () => {
    const model = await open(family);
    const T = 6;
    const { hidden } = model.config;
    const [first, both] = [
      [1, T, hidden],
      [2, T, hidden],
    ];
    const streams = { x: randomTensor(rngOf(5), both), x_dense: randomTensor(rngOf(6), both) };
    const sites = [...new Set(model.linears[1]!.map(({ site }) => site))];
    const options = { length: T, shares: { alpha: 0.5, gamma: 0.25 }, sites, edited: new Map() };
    const alone: Record<string, HostTensor> = {};
    for (const [name, { data }] of Object.entries(streams)) {
      alone[name] = { type: 'f32', shape: first, data: (data as Float32Array).slice(0, T * hidden) };
    }
    const roots = Object.fromEntries(
      sites.map((site) => {
        const data = Float32Array.from({ length: 2 * T }, (_, t) => (t < T ? 2 : 0));
        return [rootOf(site), { type: 'f32', shape: [2 * T, 1], data } as HostTensor];
      }),
    );
    const wanted = await run(ort, pairGraph(model, 1, options), alone);
    const got = await run(ort, pairGraph(model, 1, { ...options, weighted: true }), { ...copies(streams), ...roots });
    expect(Object.keys(got)).toEqual(Object.keys(wanted));
    expect(Object.keys(got)).toContain(sumsOf(sites[0]!));
    for (const [name, values] of Object.entries(wanted)) {
      expectClose(
        got[name]!,
        values.map((value) => 4 * value),
        name,
      );
    }
  });
});

test('neither workers nor threads change a weight; models with experts are refused', async () => {
  const model = await open('qwen3');
  const text = await textOf(model, 70, 48);
  const weights = await weightsOf(ort, model, text);
  for (const [workers, threads] of [
    [2, 1],
    [1, 2],
  ] as const) {
    const engine = await createOrtEngine({ device: 'cpu', workers, threads });
    expect(await weightsOf(engine, model, text)).toEqual(weights);
    await engine.close();
  }
  for (const family of mixtures) {
    const mixture = await open(family);
    await expect(weightsOf(ort, mixture, await textOf(mixture, 1, 5))).rejects.toMatchObject({
      code: 'E_UNSUPPORTED_HESSIAN',
    });
  }
});

test('where the loss does not depend on a linear, its tokens count alike, and it is said', async () => {
  const dir = await makeFamily(join(await makeFolder(), 'model'), 'llama', {
    change: (name, values) => void (name.includes('layers.1.self_attn.o_proj') && values.fill(0)),
  });
  const model = await openModel(dir);
  const text = await textOf(model, 2, 5);
  const notes: string[] = [];
  await withResources(async (own) => {
    const importance = await measureImportance(own, ort, model, text, (event) => {
      if (event.kind === 'note') notes.push(event.text);
    });
    expect([...(await importance[1]!.attention_in!.read(0))]).toEqual(new Array(10).fill(1));
  });
  expect(notes).toHaveLength(1);
  expect(notes[0]).toMatch(/block 1, attention_in/);
});

const rootsOf = (sites: readonly TapSite[], tokens: number): Record<string, HostTensor> =>
  Object.fromEntries(sites.map((site, s) => [rootOf(site), randomTensor(rngOf(20 + s), [tokens, 1])]));
const copy = (tensor: HostTensor): HostTensor => ({ ...tensor, data: tensor.data.slice() }) as HostTensor;
const copies = (tensors: Readonly<Record<string, HostTensor>>): Record<string, HostTensor> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, copy(tensor)]));

async function run(engine: Engine, graph: Graph, inputs: Record<string, HostTensor>) {
  const session = await engine.load(graph);
  const outputs = await session.run(inputs);
  await session.release();
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
}

function plainTap(what: 'gram' | 'taps' | 'sums', X: Float32Array, w: Float32Array): Float64Array {
  const n = X.length / w.length;
  const sum = new Float64Array(what === 'gram' ? n * n : n);
  for (const [t, weight] of w.entries()) {
    for (let i = 0; i < n; i++) {
      const x = weight * X[t * n + i]!;
      if (what === 'gram') for (let j = 0; j < n; j++) sum[i * n + j]! += x * X[t * n + j]!;
      else sum[i]! += what === 'taps' ? x * X[t * n + i]! : x;
    }
  }
  return sum;
}

function expectClose(got: ArrayLike<number>, wanted: ArrayLike<number>, what: string): void {
  expect(got.length, what).toBe(wanted.length);
  const largest = Math.max(1, ...Array.from(wanted, Math.abs));
  for (let i = 0; i < wanted.length; i++) {
    expect(Math.abs(got[i]! - wanted[i]!) / largest, `${what} at ${i}`).toBeLessThan(2e-5);
  }
}
