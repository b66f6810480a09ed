// Gradients of blocks of every variant and of the head on every engine, against the reference in double precision.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createOrtEngine, createReferenceEngine, type Engine, type HostTensor } from '../../src/engine/index.js';
import { cotangentOf, differentiate } from '../../src/graph/index.js';
import { limit } from '../scale.js';
import { ENGINE_GRADIENT } from '../tolerances.js';
import { blockCases, type Case, imageCase, writeHeadCases } from './cases.js';
import { convnextCase } from './image-cases.js';
import { randomTensor, rngOf } from './numbers.js';
import { startWebgpu } from './webgpu.js';

const dir = await mkdtemp(join(tmpdir(), 'layerwise-gradients-'));
const reference = createReferenceEngine();
const cpu = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
const webgpu = await startWebgpu();
if ('reason' in webgpu) console.warn(`skipped: gradients on the WebGPU engine (${webgpu.reason})`);

afterAll(async () => {
  await cpu.close();
  if ('engine' in webgpu) await webgpu.engine.close();
  await rm(dir, { recursive: true });
});

/** The gradients of a case's only result with respect to `x` and all stored weights. */
function backwardOf({ name, graph, inputs }: Case, seed: string, batch: number): Case {
  const weights = graph.initializers.filter((item) => /\.(weight|bias)$/.test(item.name)).map((item) => item.name);
  const backward = differentiate(graph, { seeds: [seed], wrt: ['x', ...weights], keep: [seed] });
  const shape = graph.outputs.find((output) => output.name === seed)!.shape;
  const cotangent = randomTensor(
    rngOf(3),
    shape.map((size) => (typeof size === 'number' ? size : batch)),
  );
  return { name, graph: backward, inputs: { ...inputs, [cotangentOf(seed)]: cotangent } };
}

const heads = (await writeHeadCases(dir)).filter(({ graph }) => graph.outputs.length === 1);
const cases: readonly Case[] = [
  backwardOf(imageCase(), 'y', 3),
  backwardOf(convnextCase(), 'y', 3),
  ...blockCases
    .filter(({ graph }) => graph.outputs.some(({ name }) => name === 'y'))
    .map((item) => backwardOf(item, 'y', item.inputs.x!.shape[0]!)),
  ...heads.map((item) => backwardOf(item, item.graph.outputs[0]!.name, item.inputs.x!.shape[0]!)),
];

/** ‖got − expected‖ / ‖expected‖. */
function distance(got: HostTensor, expected: HostTensor): { readonly error: number; readonly size: number } {
  expect(got.shape).toEqual(expected.shape);
  let [error, size] = [0, 0];
  for (let i = 0; i < expected.data.length; i++) {
    error += (Number(got.data[i]) - Number(expected.data[i])) ** 2;
    size += Number(expected.data[i]) ** 2;
  }
  return { error: Math.sqrt(error), size: Math.sqrt(size) };
}

async function compare(engine: Engine, { graph, inputs }: Case, tolerance: number): Promise<void> {
  const [expected, got] = await Promise.all(
    [reference, engine].map(async (one) => {
      const session = await one.load(graph);
      const outputs = await session.run(inputs);
      await session.release();
      return outputs;
    }),
  );
  expect(Object.keys(got!).sort()).toEqual(graph.outputs.map(({ name }) => name).sort());
  const distances = new Map(Object.entries(expected!).map(([name, tensor]) => [name, distance(got![name]!, tensor)]));
  const largest = Math.max(...[...distances.values()].map(({ size }) => size));
  for (const [name, { error, size }] of distances) {
    // What is exactly 0, such as that of OPT's bias of keys, has no size to compare with.
    const scale = size > ZERO * largest ? size : largest;
    expect(error / scale, name).toBeLessThan(tolerance);
  }
}
/** Of the largest gradient: what rounding in double leaves of one that is 0. */
const ZERO = 1e-12;

const named = cases.map((item) => [item.name, item] as const);

describe('ONNX Runtime on the CPU agrees with the reference', () => {
  test.each(named)('%s', { timeout: limit(30_000) }, (_, item) => compare(cpu, item, ENGINE_GRADIENT));
});

describe.skipIf('reason' in webgpu)('ONNX Runtime on WebGPU agrees with the reference', () => {
  test.each(named)('%s', { timeout: limit(30_000) }, async (_, item) => {
    if ('engine' in webgpu) await compare(webgpu.engine, item, 2 * ENGINE_GRADIENT);
  });
});
