// Fake quantisation in the graph: its nodes against the grid in double precision (operators/clips), on ONNX Runtime and on the
// reference engine, and what the linears of every family read.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRng } from '../../src/base/index.js';
import { createOrtEngine, createReferenceEngine, type Engine, type HostTensor } from '../../src/engine/index.js';
import { type Graph, GraphBuilder } from '../../src/graph/index.js';
import { fakeQuantise } from '../../src/model/fake-quantise.js';
import {
  type ActivationGrid,
  blockGraph,
  clipOf,
  expertOf,
  linearOutput,
  type Model,
  openModel,
  partGraph,
  readLinear,
} from '../../src/model/index.js';
import { asymmetricGrid, clippedRange, roundAsymmetric } from '../../src/operators/index.js';
import { normal } from '../api/make.js';
import { FAMILY_CONFIGS, makeFamily } from '../families.js';

let scratch: string;
const engines: Engine[] = [];
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'layerwise-fake-'));
  engines.push(await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 }), createReferenceEngine());
});
afterAll(async () => {
  for (const engine of engines) await engine.close();
  await rm(scratch, { recursive: true, force: true });
});

const draw = (seed: number, length: number): Float32Array => {
  const rng = createRng(seed);
  return Float32Array.from({ length }, () => normal(rng));
};

/** Rows of `width` values on the grid, in double precision; `clip` where the grid has none of its own. */
function twin(x: Float32Array, width: number, { bits, range, clip }: ActivationGrid, given = 1): Float64Array {
  const p = clip === 'input' ? given : clip;
  const made = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += width) {
    const row = x.subarray(at, at + width);
    const [low, high] = range === 'token' ? clippedRange(row, p) : [p * range.low, p * range.high];
    const grid = asymmetricGrid(bits, low, high);
    for (let j = 0; j < width; j++) made[at + j] = roundAsymmetric(grid, row[j]!);
  }
  return made;
}

/** Nearly every value is on the twin's level; where float32 falls on the other side of a tie, on its neighbour. */
function expectLevels(got: Float32Array, wanted: Float64Array, step: number, what: string): void {
  let flipped = 0;
  for (let i = 0; i < wanted.length; i++) {
    const distance = Math.abs(got[i]! - wanted[i]!);
    if (distance > 1e-5) flipped++;
    expect(distance, `${what} at ${i}`).toBeLessThan(step + 1e-5);
  }
  expect(flipped, what).toBeLessThanOrEqual(Math.ceil(wanted.length / 500));
}

async function run(
  engine: Engine,
  graph: Graph,
  inputs: Record<string, HostTensor>,
): Promise<Map<string, Float32Array>> {
  const session = await engine.load(graph);
  const outputs = await session.run(inputs);
  await session.release();
  return new Map(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
}

const [ROWS, WIDTH] = [37, 29];

describe('the nodes give the levels of the twin', () => {
  test.each<[ActivationGrid, number]>([
    [{ bits: 4, range: 'token', clip: 1 }, 1],
    [{ bits: 4, range: 'token', clip: 0.7 }, 1],
    [{ bits: 6, range: 'token', clip: 'input' }, 0.985],
    [{ bits: 4, range: { low: -2.5, high: 3 }, clip: 0.9 }, 1],
    [{ bits: 8, range: { low: 0, high: 2 }, clip: 'input' }, 0.5],
    [{ bits: 2, range: { low: 0, high: 0 }, clip: 1 }, 1],
  ])('%j with a clip of %d', async (grid, given) => {
    const x = draw(3, ROWS * WIDTH);
    // A token that is all zero, and one on one side of zero.
    x.fill(0, 0, WIDTH);
    for (let j = WIDTH; j < 2 * WIDTH; j++) x[j] = Math.abs(x[j]!);
    const g = new GraphBuilder();
    g.output(fakeQuantise(g, g.input('x', 'f32', ['N', WIDTH]), grid, 'a_site'), 'y', ['N', WIDTH]);
    const graph = g.build('fake quantisation', undefined);
    const inputs: Record<string, HostTensor> = { x: { type: 'f32', shape: [ROWS, WIDTH], data: x } };
    if (grid.clip === 'input') inputs[clipOf('a_site')] = { type: 'f32', shape: [1], data: Float32Array.of(given) };
    const wanted = twin(x, WIDTH, grid, given);
    const step = (grid.range === 'token' ? 8 : grid.range.high - grid.range.low) / (2 ** grid.bits - 1);
    for (const engine of engines) {
      expectLevels((await run(engine, graph, inputs)).get('y')!, wanted, step, engine.name);
    }
  });
});

const [WINDOWS, LENGTH] = [2, 11];

const gridsOf = (model: Model, block: number, grid: ActivationGrid): ReadonlyMap<string, ActivationGrid> =>
  new Map(model.linears[block]!.map(({ site }) => [site, grid]));

describe.each(Object.keys(FAMILY_CONFIGS))('%s', (family) => {
  test('every linear reads what lies at its site on the grid, and no other', async () => {
    const model = await openModel(await makeFamily(join(scratch, family), family, { dtype: 'F16' }));
    const block = 1;
    const grid: ActivationGrid = { bits: 4, range: 'token', clip: 0.8 };
    const read = { ...model, activations: model.linears.map((_, b) => gridsOf(model, b, grid)) };
    const plain = blockGraph(read, block, { length: LENGTH, outputs: 'inputs' });
    const linears = model.linears[block]!;
    // Taps alone leave the last linear out; the whole block has it.
    const whole = blockGraph(read, block, { length: LENGTH, outputs: 'hidden' });
    const last = whole.nodes.filter(({ op }) => op === 'Gemm').length;
    expect(last).toBe(linears.length + (model.config.mixtures[block] ? 1 : 0));
    const measured = linears.filter(({ feeds }) => feeds !== 'residual');
    const graph: Graph = {
      ...plain,
      nodes: [
        ...plain.nodes,
        ...measured.map((linear) => ({
          op: 'Identity',
          inputs: [linearOutput(plain, linear)],
          outputs: [linear.name],
          attributes: {},
        })),
      ],
      outputs: [
        ...plain.outputs,
        ...measured.map(({ name, rows }) => ({ name, type: 'f32' as const, shape: [`N_${name}`, rows] })),
      ],
    };
    const x: HostTensor = {
      type: 'f32',
      shape: [WINDOWS, LENGTH, model.config.hidden],
      data: draw(7, WINDOWS * LENGTH * model.config.hidden),
    };
    const values = await run(engines[1]!, graph, { x });
    for (const linear of measured) {
      const { name, site, rows, columns } = linear;
      const W = await readLinear(model.checkpoint, linear);
      const made = values.get(name)!;
      const inputs = values.get(site)!;
      const X = twin(inputs, columns, grid);
      const tokens = X.length / columns;
      // The bias is what the first token leaves over; it is the same for all.
      const product = (t: number, r: number): number => {
        let sum = 0;
        for (let j = 0; j < columns; j++) sum += X[t * columns + j]! * W[r * columns + j]!;
        return sum;
      };
      for (let r = 0; r < rows && tokens > 0; r += 5) {
        const bias = made[r]! - product(0, r);
        if (linear.expert !== undefined) expect(Math.abs(bias), name).toBeLessThan(1e-4);
        for (let t = 0; t < tokens; t++) {
          expect(Math.abs(made[t * rows + r]! - product(t, r) - bias), `${name} at ${t}, ${r}`).toBeLessThan(1e-4);
        }
      }
    }
    for (const linear of linears) {
      const made = linearOutput(whole, linear);
      const gemm = whole.nodes.find(({ outputs }) => outputs[0] === made)!;
      const source = whole.nodes.find(({ outputs }) => outputs[0] === gemm.inputs[0])!;
      expect(source.op, linear.name).toBe('Div');
    }
    if (model.config.parallel) return;
    // Halves, one after the other, are the block; a site without a grid is read as it is.
    const half = async (part: 'attention' | 'mlp', from: HostTensor): Promise<HostTensor> => {
      const cut = partGraph(read, block, part, { length: LENGTH });
      return { ...from, data: (await run(engines[1]!, cut, { x: from })).get('y')! } as HostTensor;
    };
    const halves = await half('mlp', await half('attention', x));
    const y = (await run(engines[1]!, whole, { x })).get('y')!;
    for (let i = 0; i < y.length; i++) expect(Math.abs(y[i]! - (halves.data[i] as number))).toBeLessThan(1e-2);
    const dense = partGraph(read, block, 'attention', { length: LENGTH, activations: new Map() });
    expect(dense.nodes.some(({ op }) => op === 'Round')).toBe(false);
    expect(linears.some(({ site }) => expertOf(site) !== undefined)).toBe(model.config.mixtures[block] !== undefined);
  });
});
