// The engine's threads: results that depend neither on workers nor on threads, calls that overlap, and ends of every kind.
// What is sent to workers is seen where it is posted.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { MessagePort } from 'node:worker_threads';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createOrtEngine, createReferenceEngine, type Engine, type HostTensor } from '../../src/engine/index.js';
import { type Graph, GraphBuilder, int } from '../../src/graph/index.js';
import { linearsOf, readModelConfig, tensorNamesOf } from '../../src/model/index.js';
import { runs } from '../scale.js';
import { ENGINE } from '../tolerances.js';
import { attention, blockOf, type Case, gemm, rotary } from './cases.js';
import { excess, f32, randomTensor, rngOf } from './numbers.js';

const rng = rngOf(11);
const start = (workers: number, threads = 1): Promise<Engine> => createOrtEngine({ device: 'cpu', workers, threads });

/** y = x + x, and a name for the session to be known by. */
function twice(name = 'twice'): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', 'f32', ['N']);
  g.output(g.op('Add', [x, x]), 'y', ['N']);
  return g.build(name, undefined);
}

async function runOn(engine: Engine, { graph, inputs }: Pick<Case, 'graph' | 'inputs'>) {
  const session = await engine.load(graph);
  const outputs = await session.run(inputs);
  await session.release();
  return outputs;
}

describe('results do not depend on', () => {
  // Wide enough that ONNX Runtime splits its work between threads.
  const shape = { model_type: 'llama', hidden_size: 512, intermediate_size: 1376, vocab_size: 2, num_hidden_layers: 1 };
  const config = readModelConfig({ ...shape, num_attention_heads: 8, num_key_value_heads: 2 });
  const wide = blockOf('wide', config, 'F16', 128, 1);

  test('threads inside a run: equal bit for bit with 1, 2 and 3', async () => {
    expect(
      linearsOf(
        config,
        tensorNamesOf(config, () => true),
        0,
      ).some(({ rows, columns }) => rows * columns > 500_000),
    ).toBe(true);
    const outputs: Record<string, HostTensor>[] = [];
    for (const threads of [1, 2, 3]) {
      const engine = await start(1, threads);
      outputs.push(await runOn(engine, wide));
      await engine.close();
    }
    expect(outputs[1]).toEqual(outputs[0]);
    expect(outputs[2]).toEqual(outputs[0]);
  });

  test('workers: equal bit for bit on one and on two, whichever worker it was', async () => {
    const [one, two] = [await start(1), await start(2)];
    const block = blockOf(
      'workers',
      readModelConfig({ ...shape, num_attention_heads: 8, hidden_size: 64 }),
      'BF16',
      16,
      2,
    );
    const inputs = Array.from({ length: 6 }, () => ({ x: randomTensor(rng, [2, 16, 64]) }));
    const results = [];
    for (const engine of [one, two]) {
      const session = await engine.load(block.graph);
      results.push(await Promise.all(inputs.map((input) => session.run(input))));
      await engine.close();
    }
    expect(results[1]).toEqual(results[0]);
  });
});

describe('any shape', () => {
  let cpu: Engine;
  const reference = createReferenceEngine();
  beforeAll(async () => {
    cpu = await start(1);
  });
  afterAll(() => cpu.close());

  async function agrees(item: Case): Promise<void> {
    const [{ y: got }, { y: expected }] = [await runOn(cpu, item), await runOn(reference, item)];
    expect(excess(got!, expected!, ENGINE), item.name).toBeLessThanOrEqual(1);
  }
  const size = (max: number) => fc.integer({ min: 1, max });

  test('Gemm', async () => {
    const shapes = fc.tuple(size(40), size(70), size(40), fc.boolean());
    await fc.assert(
      fc.asyncProperty(shapes, ([M, K, N, bias]) => agrees(gemm(M, K, N, { bias }))),
      { numRuns: runs(60) },
    );
  });

  test('RotaryEmbedding', async () => {
    const shapes = fc.tuple(size(3), size(20), size(5), size(20));
    await fc.assert(
      fc.asyncProperty(shapes, ([B, T, heads, half]) => agrees(rotary(B, T, heads, 2 * half))),
      {
        numRuns: runs(60),
      },
    );
  });

  test('Attention', async () => {
    const shapes = fc.tuple(size(3), size(40), size(3), size(4), size(20), fc.boolean());
    await fc.assert(
      fc.asyncProperty(shapes, ([B, T, kv, group, h, causal]) =>
        agrees(attention(B, T, kv * group, kv, h, { causal })),
      ),
      { numRuns: runs(60) },
    );
  });
});

describe('calls', () => {
  test('more than workers all resolve, each with its own result', async () => {
    const engine = await start(2);
    const session = await engine.load(twice());
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => session.run({ x: f32([3], Float32Array.of(i, -i, 0.5)) })),
    );
    expect(results.map(({ y }) => [...y!.data])).toEqual(Array.from({ length: 20 }, (_, i) => [2 * i, -2 * i, 1]));
    await engine.close();
  });

  test('hand inputs over only where asked, and take views of larger buffers', async () => {
    const engine = await start(1);
    const session = await engine.load(twice());
    const kept = Float32Array.of(1, 2);
    await session.run({ x: f32([2], kept) });
    expect([...kept]).toEqual([1, 2]);
    const given = Float32Array.of(3, 4);
    await session.run({ x: f32([2], given) }, true);
    expect(given.length).toBe(0);
    const all = Float32Array.of(0, 5, 6, 0);
    const { y } = await session.run({ x: f32([2], all.subarray(1, 3)) }, true);
    expect([...y!.data]).toEqual([10, 12]);
    expect([...all]).toEqual([0, 5, 6, 0]);
    await engine.close();
  });

  test('of a released session fail by its name; the engine goes on', async () => {
    const engine = await start(1);
    const [gone, here] = [await engine.load(twice('gone')), await engine.load(twice('here'))];
    await gone.release();
    const x = f32([1], Float32Array.of(1));
    await expect(gone.run({ x })).rejects.toMatchObject({
      code: 'E_INTERNAL_ENGINE',
      message: expect.stringMatching(/gone.*released/),
    });
    await expect(here.run({ x })).resolves.toHaveProperty('y');
    await engine.close();
  });

  test('a graph that is not valid is refused by name; the engine goes on', async () => {
    const engine = await start(2);
    const g = new GraphBuilder();
    g.output(g.op('Gemm', [g.input('x', 'f32', [2, 2])], { transB: int(1) }), 'y', [2, 2]);
    await expect(engine.load(g.build('broken', undefined))).rejects.toMatchObject({
      code: 'E_INTERNAL_ENGINE',
      message: expect.stringContaining('broken'),
    });
    const { y } = await runOn(engine, { graph: twice(), inputs: { x: f32([1], Float32Array.of(4)) } });
    expect([...y!.data]).toEqual([8]);
    await engine.close();
  });

  test('an input that cannot be sent fails alone', async () => {
    const engine = await start(1);
    const session = await engine.load(twice());
    const data = Float32Array.of(1);
    structuredClone(data, { transfer: [data.buffer] });
    await expect(session.run({ x: f32([1], data) })).rejects.toMatchObject({ code: 'E_SHAPE_INPUT' });
    await expect(session.run({ x: f32([1], Float32Array.of(1)) })).resolves.toHaveProperty('y');
    await engine.close();
  });

  test('an input handed over to two calls at once fails in the second, which does not wait for ever', async () => {
    const engine = await start(1);
    const session = await engine.load(twice());
    const x = f32([1], Float32Array.of(3));
    const [first, second] = await Promise.allSettled([session.run({ x }, true), session.run({ x }, true)]);
    expect(first).toMatchObject({ status: 'fulfilled', value: { y: { data: Float32Array.of(6) } } });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'E_SHAPE_INPUT' } });
    await engine.close();
  });
});

test('what is lent comes back, over the same memory', async () => {
  const engine = await start(1);
  const session = await engine.load(twice());
  const data = Float32Array.of(3);
  const { inputs, outputs } = await session.lend({ x: f32([1], data) });
  expect(outputs.y!.data).toEqual(Float32Array.of(6));
  expect(inputs.x).toEqual(f32([1], Float32Array.of(3)));
  expect(data).toHaveLength(0);
  expect((await session.lend(inputs)).outputs.y!.data).toEqual(Float32Array.of(6));
  await engine.close();
});

/** An engine, and what is posted to its workers: the messages of a kind, by the port that took them. */
async function spied(workers: number) {
  const posted = vi.spyOn(MessagePort.prototype, 'postMessage');
  const engine = await start(workers);
  const ports = (kind: string): ReadonlyMap<MessagePort, number> => {
    const counts = new Map<MessagePort, number>();
    for (const [i, [message]] of posted.mock.calls.entries()) {
      const port = posted.mock.contexts[i] as MessagePort;
      if ((message as { kind?: string }).kind === kind) counts.set(port, (counts.get(port) ?? 0) + 1);
    }
    return counts;
  };
  onTestFinished(() => posted.mockRestore());
  return { engine, ports };
}

test('every worker is sent as many calls as the others, and no more than it is in and finds next', async () => {
  const { engine, ports } = await spied(2);
  const session = await engine.load(twice());
  const asked = engine.concurrency + 3;
  const x = f32([1], Float32Array.of(1));
  const calls = Array.from({ length: asked }, () => session.run({ x }));
  await Promise.resolve(); // a call takes its worker in the next turn
  const share = engine.concurrency / 2;
  expect([...ports('run').values()]).toEqual([share, share]);
  await Promise.all(calls);
  expect([...ports('run').values()].reduce((a, b) => a + b)).toBe(asked);
  await engine.close();
});

describe('the end', () => {
  const x = f32([1], Float32Array.of(1));

  test('of a thread rejects what was under way and what comes after', async () => {
    const { engine, ports } = await spied(1);
    const session = await engine.load(twice());
    const [port] = ports('load').keys();
    port!.postMessage({ kind: 'stop', call: -1 }); // behind the engine's back
    const calls = await Promise.allSettled([session.run({ x }), session.run({ x })]);
    const reason = { code: 'E_RESOURCE_ENGINE', message: expect.stringContaining('its thread ended with code 0') };
    expect(calls).toMatchObject([{ reason }, { reason }]);
    await expect(session.run({ x })).rejects.toMatchObject({ code: 'E_RESOURCE_ENGINE' });
    await expect(engine.load(twice())).rejects.toMatchObject({ code: 'E_RESOURCE_ENGINE' });
    await engine.close();
  });

  test('of the engine rejects what was still waiting', async () => {
    const engine = await start(2);
    const session = await engine.load(twice());
    const calls = Promise.allSettled(Array.from({ length: 8 }, () => session.run({ x })));
    await engine.close();
    expect((await calls).at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'E_INTERNAL_ENGINE' } });
    await expect(session.run({ x })).rejects.toMatchObject({ code: 'E_INTERNAL_ENGINE' });
    await engine.close();
  });
});

test('in a worker a denormal number counts as zero, also in later engines; in this thread it does not', async () => {
  for (const workers of [2, 1]) {
    const engine = await start(workers);
    const session = await engine.load(twice());
    const results = await Promise.all(
      Array.from({ length: engine.concurrency }, () => session.run({ x: f32([1], Float32Array.of(1e-40)) })),
    );
    expect(results.map(({ y }) => y!.data[0])).toEqual(Array(engine.concurrency).fill(0));
    await engine.close();
  }
  expect(Float32Array.of(1e-40)[0]! * 2).toBeGreaterThan(0);
});

// A process that ends inside a run would abort, with no exit code or message of its own.
describe('the process may end in the middle of a run', () => {
  const script = fileURLToPath(new URL('./ending.mjs', import.meta.url));
  test.each([
    ['process.exit', 'exit', 3, ''],
    ['an uncaught error', 'throw', 1, 'Error: the end'],
    ['close', 'close', 0, ''],
    ['process.exit at its beginning', 'early', 3, ''],
  ])('by %s', async (_, how, code, said) => {
    const child = spawn(process.execPath, [script, how], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    const [exit, signal] = await once(child, 'close');
    expect({ exit, signal }).toEqual({ exit: code, signal: null });
    expect(errors).toContain(said);
    expect(errors).not.toContain('Napi');
  });
});
