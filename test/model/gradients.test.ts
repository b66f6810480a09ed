// Gradients of a block and of the head of every family against PyTorch in float64 (scripts/golden/block_gradients.py).

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOrtEngine, type Engine, type HostTensor } from '../../src/engine/index.js';
import { cotangentOf, differentiate, type Graph, gradientOf } from '../../src/graph/index.js';
import {
  blockGraph,
  blockTensorNames,
  headGraph,
  headTensorNames,
  type Model,
  openModel,
} from '../../src/model/index.js';
import { TEXT_FAMILIES } from '../families.js';
import { GRADIENT } from '../tolerances.js';
import { goldenDir, goldenGradientCases, readGoldenGradients } from './golden.js';

let ort: Engine;
beforeAll(async () => {
  ort = await createOrtEngine({ device: 'cpu', workers: 1, threads: 1 });
});
afterAll(() => ort.close());

async function run(graph: Graph, inputs: Record<string, HostTensor>): Promise<Record<string, HostTensor>> {
  const session = await ort.load(graph);
  const outputs = await session.run(inputs);
  await session.release();
  return outputs;
}

const norm = (values: ArrayLike<number>): number => Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0));

/** Compares with `<prefix>g_<name>` of the golden values; what is exactly 0 there is compared with the largest. */
function compare(
  got: Record<string, HostTensor>,
  names: readonly string[],
  golden: ReadonlyMap<string, HostTensor>,
  prefix = '',
): void {
  const sizes = new Map(names.map((name) => [name, norm(golden.get(prefix + gradientOf(name))!.data as Float32Array)]));
  const largest = Math.max(...sizes.values());
  for (const [name, size] of sizes) {
    const [ours, theirs] = [got[gradientOf(name)]!, golden.get(prefix + gradientOf(name))!];
    expect(ours.shape, name).toEqual(theirs.shape);
    const difference = (ours.data as Float32Array).map((x, i) => x - Number(theirs.data[i]));
    expect(norm(difference) / (size > 1e-12 * largest ? size : largest), name).toBeLessThan(GRADIENT);
  }
}

test('every family has golden gradients', async () => {
  const families = await Promise.all(
    goldenGradientCases.map(async (name) => (await openModel(goldenDir(name))).config.family),
  );
  expect([...new Set(families)].sort()).toEqual([...TEXT_FAMILIES.keys()].sort());
});

describe.each(goldenGradientCases)('%s', (name) => {
  let model: Model;
  let golden: Awaited<ReturnType<typeof readGoldenGradients>>;
  beforeAll(async () => {
    model = await openModel(goldenDir(name));
    golden = await readGoldenGradients(name);
  });

  test('a block, its weights stored and fed', async () => {
    const { tensors, block } = golden;
    const [x, cotangent] = [tensors.get('x')!, tensors.get('d_y')!];
    const wrt = ['x', ...blockTensorNames(model, block)];
    const forward = blockGraph(model, block, { length: x.shape[1]!, outputs: 'hidden' });
    const got = await run(differentiate(forward, { seeds: ['y'], wrt, keep: ['y'] }), {
      x,
      [cotangentOf('y')]: cotangent,
    });
    compare({ ...got, g_y: got.y! }, ['y'], new Map([['g_y', tensors.get('y')!]]));
    compare(got, wrt, tensors);
  });

  test.each(['nll', 'divergence'] as const)('the head, %s', async (output) => {
    const { tensors } = golden;
    const read = (key: string): HostTensor => tensors.get(`head.${key}`)!;
    const wrt = ['x', ...headTensorNames(model)];
    const graph = differentiate(headGraph(model, output, { referenceApart: true }), { seeds: [output], wrt });
    const got = await run(graph, {
      x: read('x'),
      ...(output === 'nll' ? { target: read('target') } : { reference: read('reference') }),
      [cotangentOf(output)]: read('d'),
    });
    compare(got, wrt, tensors, `${output}.`);
  });
});
