// The judge itself: each op against its formula written out for a handful of numbers, and what it refuses. Whole models
// through it agree with transformers in test/model.

import { describe, expect, test } from 'vitest';
import { createReferenceEngine, type HostTensor } from '../../src/engine/index.js';
import { type Attribute, float, type Graph, GraphBuilder, int } from '../../src/graph/index.js';
import { oneOp } from './cases.js';
import { f32, i64 } from './numbers.js';

const reference = createReferenceEngine();

async function evaluate(
  op: string,
  inputs: readonly HostTensor[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Promise<{ readonly shape: readonly number[]; readonly data: readonly number[] }> {
  const item = oneOp('', op, inputs, [], attributes);
  const session = await reference.load(item.graph);
  const { y } = await session.run(item.inputs);
  return { shape: y!.shape, data: Array.from(y!.data, Number) };
}

const row = (...data: readonly number[]): HostTensor => f32([1, data.length], Float32Array.from(data));

describe('ops by hand', () => {
  test('Gemm reads W as [out, in] and adds the bias to every row', async () => {
    const x = f32([2, 2], Float32Array.of(1, 2, 3, 4));
    const w = f32([3, 2], Float32Array.of(1, 0, 0, 1, 1, 1));
    const bias = f32([3], Float32Array.of(10, 20, 30));
    const y = await evaluate('Gemm', [x, w, bias], { transB: int(1) });
    expect(y).toEqual({ shape: [2, 3], data: [11, 22, 33, 13, 24, 37] });
  });

  test('ArgMax takes the first of equal largest values', async () => {
    const x = f32([2, 3], Float32Array.of(1, 5, 5, -2, -2, -3));
    expect(await evaluate('ArgMax', [x], { axis: int(1) })).toEqual({ shape: [2, 1], data: [1, 0] });
    expect((await evaluate('ArgMax', [x], { axis: int(-1), keepdims: int(0) })).shape).toEqual([2]);
  });

  test('RMSNormalization puts epsilon under the root', async () => {
    const y = await evaluate('RMSNormalization', [row(3, 4), f32([2], Float32Array.of(1, 2))], {
      axis: int(-1),
      epsilon: float(3.5),
    });
    expect(y.data).toEqual([3 / 4, (2 * 4) / 4]); // √((9 + 16) / 2 + 3.5) = 4
  });

  test('RotaryEmbedding turns the halves of a head, not its neighbours', async () => {
    const x = f32([1, 1, 4], Float32Array.of(1, 2, 3, 4));
    const cos = f32([2, 2], Float32Array.of(9, 9, 0, 1));
    const sin = f32([2, 2], Float32Array.of(9, 9, 1, 0));
    const y = await evaluate('RotaryEmbedding', [x, cos, sin, i64([1, 1], [1])], { num_heads: int(1) });
    expect(y.data).toEqual([-3, 2, 1, 4]); // the first pair by 90°, the second not at all
  });

  test('Attention looks back only, and shares key-value heads between neighbouring query heads', async () => {
    const q = f32([1, 2, 4], Float32Array.of(1, 1, 1, 1, 1, 1, 1, 1));
    const k = f32([1, 2, 2], new Float32Array(4)); // equal scores: plain means
    const v = f32([1, 2, 2], Float32Array.of(2, 10, 4, 30));
    const heads = { is_causal: int(1), q_num_heads: int(4), kv_num_heads: int(2) };
    const y = await evaluate('Attention', [q, k, v], heads);
    expect(y.data).toEqual([2, 2, 10, 10, 3, 3, 20, 20]);
  });

  test('Attention weighs by softmax of the scaled scores', async () => {
    const q = f32([1, 1, 1], Float32Array.of(2));
    const k = f32([1, 2, 1], Float32Array.of(0, 1));
    const v = f32([1, 2, 1], Float32Array.of(0, 1));
    const heads = { q_num_heads: int(1), kv_num_heads: int(1), scale: float(0.5) };
    const y = await evaluate('Attention', [q, k, v], heads);
    expect(y.data[0]).toBeCloseTo(Math.E / (1 + Math.E), 6);
  });

  test('LogSoftmax, GatherElements and Neg make a loss', async () => {
    const logs = await evaluate('LogSoftmax', [row(0, Math.log(3))], { axis: int(-1) });
    expect(logs.data[0]).toBeCloseTo(-Math.log(4), 6);
    const picked = await evaluate('GatherElements', [row(-1, -2, -3), i64([1, 1], [2])], { axis: int(1) });
    expect(picked).toEqual({ shape: [1, 1], data: [-3] });
    expect((await evaluate('Neg', [row(-3, 2)])).data).toEqual([3, -2]);
  });

  test('reductions sum over tokens, or find the largest', async () => {
    const x = f32([2, 2], Float32Array.of(1, 2, 3, 4));
    expect(await evaluate('ReduceSumSquare', [x, i64([1], [0])], { keepdims: int(0) })).toEqual({
      shape: [2],
      data: [10, 20],
    });
    expect(await evaluate('ReduceSum', [x, i64([1], [1])])).toEqual({ shape: [2, 1], data: [3, 7] });
    expect(await evaluate('ReduceMax', [f32([2], Float32Array.of(-2, -1))])).toEqual({ shape: [1], data: [-1] });
  });

  test('Sigmoid, Add, Sub and Mul', async () => {
    expect((await evaluate('Sigmoid', [row(0, -1e4, 1e4)])).data).toEqual([0.5, 0, 1]);
    const x = f32([2, 1], Float32Array.of(1, 2));
    expect(await evaluate('Add', [x, row(10, 20)])).toEqual({ shape: [2, 2], data: [11, 21, 12, 22] });
    expect((await evaluate('Sub', [row(5, 3), row(1, 4)])).data).toEqual([4, -1]);
    expect(await evaluate('Mul', [x, row(10, 20)])).toEqual({ shape: [2, 2], data: [10, 20, 20, 40] });
  });

  test('sums are kept in double precision from op to op', async () => {
    const g = new GraphBuilder();
    const x = g.input('x', 'f32', [2]);
    const big = g.constant('big', Float32Array.of(2 ** 24, -(2 ** 24)), [2]);
    g.output(g.op('Add', [g.op('Add', [x, big]), g.op('Neg', [big])]), 'y', [2]);
    const session = await reference.load(g.build('sum', undefined));
    const { y } = await session.run({ x: f32([2], Float32Array.of(0.25, 0.5)) });
    expect([...y!.data]).toEqual([0.25, 0.5]);
  });
});

describe('what it refuses', () => {
  const graphOf = (op: string, attributes: Readonly<Record<string, Attribute>> = {}): Graph =>
    oneOp('', op, [row(1)], [1, 1], attributes).graph;

  test('an op it does not have, naming those it has', async () => {
    await expect(reference.load(graphOf('LSTM'))).rejects.toMatchObject({
      code: 'E_UNSUPPORTED_OP',
      message: expect.stringMatching(/no op LSTM.*Attention.*Gemm/),
    });
  });

  test('an attribute it would have to ignore', async () => {
    await expect(reference.load(graphOf('Neg', { axis: int(1) }))).rejects.toMatchObject({
      code: 'E_UNSUPPORTED_ATTRIBUTE',
    });
  });

  test('a number of inputs it would have to ignore', async () => {
    await expect(reference.load(graphOf('Add'))).rejects.toMatchObject({ code: 'E_UNSUPPORTED_OP' });
  });

  test.each([
    ['Gemm', [row(1, 2), row(1, 2, 3)], { transB: int(1) }],
    ['Add', [row(1, 2), row(1, 2, 3)], {}],
    ['Reshape', [row(1, 2, 3), i64([2], [2, -1])], {}],
    ['Concat', [row(1, 2), f32([2, 1], Float32Array.of(1, 2))], { axis: int(1) }],
    ['GatherElements', [row(1, 2), i64([1, 1], [2])], { axis: int(1) }],
    ['LogSoftmax', [row(1, 2)], { axis: int(2) }],
    ['RMSNormalization', [row(1, 2), f32([3], new Float32Array(3))], {}],
    ['RMSNormalization', [row(1, 2), f32([1], new Float32Array(1))], { axis: int(0) }],
  ] as const)('%s of tensors that do not fit', async (op, inputs, attributes) => {
    await expect(evaluate(op, inputs, attributes)).rejects.toMatchObject({ code: 'E_SHAPE_OPERATION' });
  });

  test('a cast to a type that is not there', async () => {
    await expect(evaluate('Cast', [row(1)], { to: int(10) })).rejects.toMatchObject({ code: 'E_UNSUPPORTED_DTYPE' });
  });

  test('a value that nothing computes, and a session that is gone', async () => {
    const g = new GraphBuilder();
    g.output(g.op('Neg', ['nowhere']), 'y', [1]);
    const session = await reference.load(g.build('broken', undefined));
    await expect(session.run({})).rejects.toMatchObject({ code: 'E_INTERNAL_ENGINE' });
    await session.release();
    await expect(session.run({})).rejects.toMatchObject({ code: 'E_INTERNAL_ENGINE' });
  });
});
