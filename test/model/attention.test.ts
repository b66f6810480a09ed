// Attention in tiles of queries against the plain op over the whole sequence, on both engines.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOrtEngine, createReferenceEngine, type Engine } from '../../src/engine/index.js';
import { float, type Graph, GraphBuilder, int } from '../../src/graph/index.js';
import { causalAttention } from '../../src/model/attention.js';
import { randomTensor, rngOf } from '../engine/numbers.js';
import { ENGINE } from '../tolerances.js';

const [B, heads, kvHeads, h] = [2, 4, 2, 6];
const attributes = { q_num_heads: int(heads), kv_num_heads: int(kvHeads), scale: float(0.4) };

type Names = { readonly q: string; readonly k: string; readonly v: string };

function attentionGraph(T: number, build: (g: GraphBuilder, names: Names) => string): Graph {
  const g = new GraphBuilder();
  const q = g.input('q', 'f32', ['B', T, heads * h]);
  const k = g.input('k', 'f32', ['B', T, kvHeads * h]);
  const v = g.input('v', 'f32', ['B', T, kvHeads * h]);
  g.output(build(g, { q, k, v }), 'y', ['B', T, heads * h]);
  return g.build('attention', undefined);
}

async function run(engine: Engine, graph: Graph, T: number): Promise<Float32Array> {
  const rng = rngOf(T);
  const session = await engine.load(graph);
  const inputs = {
    q: randomTensor(rng, [B, T, heads * h], 2),
    k: randomTensor(rng, [B, T, kvHeads * h], 2),
    v: randomTensor(rng, [B, T, kvHeads * h], 1),
  };
  const { y } = await session.run(inputs);
  await session.release();
  return y!.data as Float32Array;
}

let ort: Engine;
beforeAll(async () => {
  ort = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(() => ort.close());

// Below, at and beyond one tile of 64; whole tiles; a last tile of one query; more tokens than 16 tiles of 64 hold.
/** Attention of the plain op with the whole mask of a window. */
function windowed(g: GraphBuilder, { q, k, v }: Names, T: number, window: number): string {
  const mask = Float32Array.from({ length: T * T }, (_, i) => {
    const [query, key] = [Math.floor(i / T), i % T];
    return key <= query && key > query - window ? 0 : Number.NEGATIVE_INFINITY;
  });
  return g.op('Attention', [q, k, v, g.constant('mask', mask, [T, T])], attributes);
}

describe.each([
  [9, 1],
  [9, 4],
  [64, 64],
  [150, 20],
  [150, 64],
  [150, 100],
  [257, 1],
  [1100, 70],
])('%i tokens, a window of %i', (T, window) => {
  test.each([
    ['reference', () => createReferenceEngine()],
    ['ONNX Runtime', () => ort],
  ])('%s', async (_, engine) => {
    const tiled = attentionGraph(T, (g, names) => causalAttention(g, names, { length: T, window }, attributes));
    const whole = attentionGraph(T, (g, names) => windowed(g, names, T, window));
    const [got, expected] = [await run(engine(), tiled, T), await run(engine(), whole, T)];
    let worst = 0;
    for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(value - got[i]!));
    expect(worst).toBeLessThanOrEqual(ENGINE.absolute);
  });
});

describe.each([1, 63, 64, 65, 128, 150, 257, 1100])('%i tokens', (T) => {
  test.each([
    ['reference', () => createReferenceEngine()],
    ['ONNX Runtime', () => ort],
  ])('%s', async (_, engine) => {
    const tiled = attentionGraph(T, (g, names) =>
      causalAttention(g, names, { length: T, window: undefined }, attributes),
    );
    const whole = attentionGraph(T, (g, { q, k, v }) =>
      g.op('Attention', [q, k, v], { ...attributes, is_causal: int(1) }),
    );
    const [got, expected] = [await run(engine(), tiled, T), await run(engine(), whole, T)];
    let worst = 0;
    for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(value - got[i]!));
    expect(worst).toBeLessThanOrEqual(ENGINE.absolute);
  });
});
