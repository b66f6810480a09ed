// Two versions of a block in one graph (src/model/pair.ts): its sums against plain loops over the inputs of both versions, for
// every family, on ONNX Runtime and on the reference engine.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { readTensor } from '../../src/checkpoint/index.js';
import { createOrtEngine, createReferenceEngine, type Engine, type HostTensor } from '../../src/engine/index.js';
import {
  type BlockSource,
  blockGraph,
  checkpointSource,
  crossOf,
  expertOf,
  heldValues,
  type Linear,
  type Model,
  openModel,
  type PairOptions,
  pairGraph,
  pullOf,
  readLinear,
  sumsOf,
  TOKENS_PER_EXPERT,
  weightName,
  writesAlone,
} from '../../src/model/index.js';
import { fromFloat32, toFloat32 } from '../../src/tensor/index.js';
import { normal } from '../api/make.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';

let scratch: string;
const engines: Engine[] = [];
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-pair-'));
  engines.push(await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 }), createReferenceEngine());
});
afterAll(async () => {
  for (const engine of engines) await engine.close();
  await rm(scratch, { recursive: true, force: true });
});

const [WINDOWS, LENGTH] = [2, 11];
const SHARES = { alpha: 0.5, gamma: 0.25 };

/** A sample of a residual. */
function residual(model: Model, seed: number): Float32Array {
  const rng = createRng(seed);
  return Float32Array.from({ length: WINDOWS * LENGTH * model.config.hidden }, () => normal(rng));
}

/** The block's own weights, changed a little, in the file's order and dtype. */
async function edit(model: Model, linears: readonly Linear[]): Promise<Map<string, Uint8Array>> {
  const rng = createRng(5);
  const edited = new Map<string, Uint8Array>();
  for (const linear of linears) {
    const name = weightName(linear);
    const { dtype } = model.checkpoint.tensors.get(name)!;
    const values = toFloat32(await readTensor(model.checkpoint, name), dtype);
    edited.set(
      name,
      fromFloat32(
        values.map((value) => (normal(rng) > 0.5 ? 0 : value)),
        dtype,
      ),
    );
  }
  return edited;
}

const sourceOf = (model: Model, edited: ReadonlyMap<string, Uint8Array>): BlockSource => {
  const { folder, find } = checkpointSource(model.checkpoint);
  return {
    folder,
    find: (name) => {
      const bytes = edited.get(name);
      return bytes ? { ...find(name), source: { kind: 'bytes', bytes } } : find(name);
    },
  };
};

async function run(engine: Engine, graph: Parameters<Engine['load']>[0], inputs: Record<string, HostTensor>) {
  const session = await engine.load(graph);
  const outputs = await session.run(inputs);
  await session.release();
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
}

/** Aᵀ·B for A [n, a] and B [n, b], in double precision. */
function transposedProduct(A: ArrayLike<number>, a: number, B: ArrayLike<number>, b: number): Float64Array {
  const product = new Float64Array(a * b);
  for (let t = 0; t < B.length / b; t++) {
    for (let i = 0; i < a; i++) for (let j = 0; j < b; j++) product[i * b + j]! += A[t * a + i]! * B[t * b + j]!;
  }
  return product;
}

/** X·Wᵀ for X [n, in] and W [out, in]. */
function outputs(X: ArrayLike<number>, { rows, columns }: Linear, W: Float32Array): Float64Array {
  const n = X.length / columns;
  const y = new Float64Array(n * rows);
  for (let t = 0; t < n; t++) {
    for (let i = 0; i < rows; i++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += X[t * columns + j]! * W[i * columns + j]!;
      y[t * rows + i] = sum;
    }
  }
  return y;
}

const minus = (a: ArrayLike<number>, b: ArrayLike<number>): Float64Array =>
  Float64Array.from({ length: a.length }, (_, i) => a[i]! - b[i]!);

function expectClose(got: ArrayLike<number> | undefined, wanted: ArrayLike<number>, what: string): void {
  expect(got?.length, what).toBe(wanted.length);
  const largest = Math.max(1, ...Array.from(wanted, Math.abs));
  for (let i = 0; i < wanted.length; i++) {
    expect(Math.abs(got![i]! - wanted[i]!) / largest, `${what} at ${i}`).toBeLessThan(2e-5);
  }
}

describe.each(Object.keys(FAMILY_CONFIGS))('%s', (family) => {
  test('sums are those of plain loops over the inputs of both versions', async () => {
    // OPT norms after it adds only where it says so; the plain loops below do not.
    const config = { ...FAMILY_CONFIGS[family], ...(family === 'opt' ? { do_layer_norm_before: true } : {}) };
    const model = await openModel(await makeFamily(join(scratch, family), family, { dtype: 'F16', config }));
    const block = 1;
    const linears = model.linears[block]!;
    const sites = [...new Set(linears.map(({ site }) => site))];
    const early = linears.filter(({ site }) => site === sites[0]);
    const edited = await edit(model, early);
    const treatedSource = sourceOf(model, edited);
    const [dense, treated] = [residual(model, 1), residual(model, 2)];
    const shape = [WINDOWS, LENGTH, model.config.hidden];
    const tensor = (data: Float32Array): HostTensor => ({ type: 'f32', shape, data: data.slice() });
    for (const engine of engines) {
      const inputsOf = async (data: Float32Array, source: BlockSource) =>
        await run(engine, blockGraph(model, block, { length: LENGTH, outputs: 'inputs', source }), { x: tensor(data) });
      const X = await inputsOf(dense, checkpointSource(model.checkpoint));
      const Y = await inputsOf(treated, treatedSource);
      const graph = pairGraph(model, block, { length: LENGTH, shares: SHARES, sites, hidden: 'dense', edited });
      const got = await run(engine, graph, { x: tensor(treated), x_dense: tensor(dense) });
      const hidden = blockGraph(model, block, { length: LENGTH, outputs: 'hidden' });
      expectClose(got.y, (await run(engine, hidden, { x: tensor(dense) })).y!, 'the dense output');
      for (const site of sites) {
        const here = linears.filter((linear) => linear.site === site);
        const { columns } = here[0]!;
        expectClose(got[site], transposedProduct(Y[site]!, columns, Y[site]!, columns), `${site}, Gram matrix`);
        const sums = transposedProduct(new Float64Array(Y[site]!.length / columns).fill(1), 1, Y[site]!, columns);
        expectClose(got[sumsOf(site)], sums, `${site}, sums`);
        if (expertOf(site) !== undefined) {
          expect(got[crossOf(site)] ?? got[pullOf(site)]).toBeUndefined();
          continue;
        }
        const difference = minus(X[site]!, Y[site]!);
        if (!writesAlone(here)) {
          expectClose(got[crossOf(site)], transposedProduct(difference, columns, Y[site]!, columns), `${site}, cross`);
          continue;
        }
        const [linear] = here as [Linear];
        const W = await readLinear(model.checkpoint, linear);
        const wanted = outputs(difference, linear, W).map((value) => SHARES.alpha * value);
        const post = model.config.architecture.startsWith('gemma');
        if (!post) {
          const lost = await lostAt(model, linear, dense, treated, X, Y, edited);
          for (let i = 0; i < wanted.length; i++) wanted[i]! += SHARES.gamma * lost[i]!;
        }
        expectClose(got[pullOf(site)], transposedProduct(wanted, linear.rows, Y[site]!, columns), `${site}, pull`);
      }
      const experts = sites.some((site) => expertOf(site) !== undefined);
      expect(got[TOKENS_PER_EXPERT] !== undefined).toBe(experts);
    }
  });
});

test.each(Object.keys(FAMILY_CONFIGS))(
  '%s: given the values inside the block, the sums are the same',
  async (family) => {
    const model = await openModel(await makeFamily(join(scratch, `${family}-held`), family, { dtype: 'F16' }));
    const block = 1;
    const sites = [...new Set(model.linears[block]!.map(({ site }) => site))];
    const edited = await edit(model, model.linears[block]!);
    const shape = [WINDOWS, LENGTH, model.config.hidden];
    const streams = { x: residual(model, 3), x_dense: residual(model, 4) };
    const held = heldValues(model, block);
    const names = held.map(({ name }) => name);
    for (const engine of engines) {
      const runPair = async (
        hidden: 'dense' | 'treated',
        options: Partial<PairOptions>,
        more: Record<string, HostTensor>,
      ) => {
        const graph = pairGraph(model, block, { length: LENGTH, shares: SHARES, sites, hidden, edited, ...options });
        const whole: Record<string, HostTensor> = { ...more };
        for (const [name, data] of Object.entries(streams)) whole[name] = { type: 'f32', shape, data: data.slice() };
        return await run(engine, graph, Object.fromEntries(graph.inputs.map(({ name }) => [name, whole[name]!])));
      };
      const kept = await runPair('dense', { keep: names }, {});
      const given = Object.fromEntries(
        held.map(({ name, flat, width }) => {
          const rows = flat ? [WINDOWS * LENGTH, width] : [WINDOWS, LENGTH, width];
          return [name, { type: 'f32', shape: rows, data: kept[name]!.slice() } as HostTensor];
        }),
      );
      for (const hidden of ['dense', 'treated'] as const) {
        const wanted = await runPair(hidden, {}, {});
        const got = await runPair(hidden, { give: names }, given);
        expect(Object.keys(got)).toEqual(Object.keys(wanted));
        for (const name of Object.keys(wanted)) expectClose(got[name], wanted[name]!, `${hidden}, ${name}`);
      }
      const last = await runPair('treated', { sites: [], give: names }, given);
      expect(Object.keys(last)).toEqual(['y']);
    }
  },
);

/** The dense residual minus the treated one before the output of `o` or `down` is added. */
async function lostAt(
  model: Model,
  linear: Linear,
  dense: Float32Array,
  treated: Float32Array,
  X: Record<string, Float32Array>,
  Y: Record<string, Float32Array>,
  edited: ReadonlyMap<string, Uint8Array>,
): Promise<Float64Array> {
  const before = minus(dense, treated);
  if (linear.kind === 'o') return before;
  const o = model.linears[linear.block]!.find(({ kind }) => kind === 'o')!;
  expect(edited.has(weightName(o))).toBe(false);
  // The bias of o is in both streams and falls away.
  const W = await readLinear(model.checkpoint, o);
  const [a, b] = [outputs(X.attention_out!, o, W), outputs(Y.attention_out!, o, W)];
  return before.map((value, i) => value + a[i]! - b[i]!);
}

test('only the inputs that the outputs need are asked for', async () => {
  const model = await openModel(await makeFamily(join(scratch, 'inputs'), 'llama'));
  const edited = new Map<string, Uint8Array>();
  const graph = (shares: typeof SHARES, hidden: 'dense' | undefined) =>
    pairGraph(model, 0, { length: LENGTH, shares, sites: ['attention_in'], hidden, edited });
  const names = (shares: typeof SHARES, hidden: 'dense' | undefined) =>
    graph(shares, hidden).inputs.map(({ name }) => name);
  expect(names({ alpha: 0, gamma: 0 }, undefined)).toEqual(['x']);
  expect(names(SHARES, undefined)).toEqual(['x', 'x_dense']);
  const small = graph({ alpha: 0, gamma: 0 }, undefined);
  const tensors = small.initializers.map(({ name }) => name);
  expect(tensors.some((name) => name.includes('down_proj'))).toBe(false);
});
