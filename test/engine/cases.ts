// One list of cases for all engines: every op alone over odd shapes, whole blocks of every variant, the head.

import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/index.js';
import type { HostTensor } from '../../src/engine/index.js';
import { type Attribute, float, type Graph, GraphBuilder, int, ints, text } from '../../src/graph/index.js';
import {
  type BlockOutputs,
  blockGraph,
  blockTensors,
  headGraph,
  linearsOf,
  type Model,
  type ModelConfig,
  readModelConfig,
  tensorNamesOf,
} from '../../src/model/index.js';
import type { DType } from '../../src/tensor/index.js';
import { f32, i64, randomBytes, randomTensor, rngOf } from './numbers.js';

export type Case = {
  readonly name: string;
  readonly graph: Graph;
  readonly inputs: Readonly<Record<string, HostTensor>>;
};

/** A graph of one op whose tensor inputs are the graph's inputs, in order. */
export function oneOp(
  name: string,
  op: string,
  tensors: readonly HostTensor[],
  result: readonly number[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Case {
  const g = new GraphBuilder();
  const inputs = Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor]));
  const names = Object.entries(inputs).map(([key, { type, shape }]) => g.input(key, type, shape));
  g.output(g.op(op, names, attributes), 'y', result);
  return { name: `${op}: ${name}`, graph: g.build(op, undefined), inputs };
}

const rng = rngOf(23);
const random = (shape: readonly number[], scale = 1): HostTensor => randomTensor(rng, shape, scale);

export function gemm(M: number, K: number, N: number, options: { bias?: boolean; transB?: boolean } = {}): Case {
  const { bias = false, transB = true } = options;
  const tensors = [random([M, K]), random(transB ? [N, K] : [K, N]), ...(bias ? [random([N])] : [])];
  return oneOp(`[${M}, ${K}] × ${N} ${JSON.stringify(options)}`, 'Gemm', tensors, [M, N], {
    transB: int(transB ? 1 : 0),
  });
}

/** XᵀX of one tensor, as a tap asks for it. */
function gramOf(x: HostTensor): Case {
  const g = new GraphBuilder();
  const input = g.input('x', 'f32', x.shape);
  g.output(g.op('Gemm', [input, input], { transA: int(1) }), 'y', [x.shape[1]!, x.shape[1]!]);
  return { name: `Gemm: XᵀX of [${x.shape}]`, graph: g.build('gram', undefined), inputs: { x } };
}

export function attention(
  B: number,
  T: number,
  heads: number,
  kvHeads: number,
  h: number,
  options: { causal?: boolean; scale?: number; masked?: boolean; softcap?: number } = {},
): Case {
  const { causal = true, scale, masked = false, softcap } = options;
  const tensors = [random([B, T, heads * h], 3), random([B, T, kvHeads * h], 3), random([B, T, kvHeads * h])];
  // The first key of every query stays visible: a row of −∞ alone has no softmax.
  if (masked) {
    const hidden = Float32Array.from({ length: T * T }, (_, i) => (i % T > 0 && rng.below(2) === 1 ? -Infinity : 0));
    tensors.push(f32([T, T], hidden));
  }
  const name = `[${B}, ${T}, ${heads}/${kvHeads} × ${h}] ${JSON.stringify(options)}`;
  return oneOp(name, 'Attention', tensors, [B, T, heads * h], {
    is_causal: int(causal ? 1 : 0),
    q_num_heads: int(heads),
    kv_num_heads: int(kvHeads),
    ...(scale === undefined ? {} : { scale: float(scale) }),
    ...(softcap === undefined ? {} : { softcap: float(softcap) }),
  });
}

/** `dims` of each head's values turn, all of them unless given. */
export function rotary(B: number, T: number, heads: number, h: number, dims = h): Case {
  const rows = 2 * T + 3;
  const positions = Array.from({ length: B * T }, () => rng.below(rows));
  const half = dims / 2;
  const tensors = [random([B, T, heads * h]), random([rows, half]), random([rows, half]), i64([B, T], positions)];
  return oneOp(`${dims} of [${B}, ${T}, ${heads} × ${h}]`, 'RotaryEmbedding', tensors, [B, T, heads * h], {
    num_heads: int(heads),
    ...(dims < h ? { rotary_embedding_dim: int(dims) } : {}),
  });
}

/** Where a comparison holds the one, elsewhere the other: truth stays inside a graph. */
function chosen(): Case {
  const g = new GraphBuilder();
  const [a, b, yes, no] = ['a', 'b', 'yes', 'no'].map((name, i) => g.input(name, 'f32', CHOSEN[i]!));
  g.output(g.op('Where', [g.op('LessOrEqual', [a!, b!]), yes!, no!]), 'y', [2, 1, 3, 4]);
  const inputs = {
    a: f32([2, 1, 1, 4], Float32Array.of(0, 1, 2, 3, 3, 2, 1, 0)),
    b: f32([3, 1], Float32Array.of(1, 2, 2.5)),
    yes: f32([1], Float32Array.of(-7)),
    no: random([3, 4]),
  };
  return { name: 'LessOrEqual and Where: broadcast', graph: g.build('chosen', undefined), inputs };
}
const CHOSEN = [[2, 1, 1, 4], [3, 1], [1], [3, 4]] as const;

/** A mask of its own for every sequence of a run, the same for all heads. */
function maskedBySequence(): Case {
  const { graph, inputs } = attention(2, 5, 4, 2, 6, { causal: false });
  const hidden = Float32Array.from({ length: 50 }, (_, i) => (i % 5 > 0 && rng.below(2) === 1 ? -Infinity : 0));
  const mask = f32([2, 1, 5, 5], hidden);
  const nodes = graph.nodes.map((node) =>
    node.op === 'Attention' ? { ...node, inputs: [...node.inputs, 'x3'] } : node,
  );
  const masked = {
    ...graph,
    nodes,
    inputs: [...graph.inputs, { name: 'x3', type: 'f32', shape: mask.shape } as const],
  };
  return { name: 'Attention: a mask for each sequence', graph: masked, inputs: { ...inputs, x3: mask } };
}

/** A shape op: `x` and int64 vectors that are constants, as they are in our graphs. */
function shaped(op: string, x: HostTensor, vectors: readonly (readonly number[])[], result: readonly number[]): Case {
  const g = new GraphBuilder();
  const constants = vectors.map((vector) => g.shape(vector));
  g.output(g.op(op, [g.input('x', x.type, x.shape), ...constants]), 'y', result);
  const name = `${op}: [${x.shape}] by ${JSON.stringify(vectors)}`;
  return { name, graph: g.build(op, undefined), inputs: { x } };
}

/** Sizes that are only known at run time, as the block makes its position ids of them. */
function dynamicShape(): Case {
  const g = new GraphBuilder();
  const x = g.input('x', 'f32', ['B', 3, 2]);
  const batch = g.op('Slice', [g.op('Shape', [x]), g.shape([0]), g.shape([1])]);
  const wide = g.op('Concat', [batch, g.shape([4])], { axis: int(0) });
  const row = g.constant('row', Float32Array.of(1, 2, 3, 4), [1, 4]);
  g.output(g.op('Expand', [row, wide]), 'y', ['B', 4]);
  g.output(g.op('Cast', [g.op('Shape', [x])], { to: int(1) }), 'sizes', [3]);
  return {
    name: 'sizes at run time',
    graph: g.build('shape', undefined),
    inputs: { x: random([5, 3, 2]) },
  };
}

/** Sums of what stands before. */
function exclusiveSum(): Case {
  const g = new GraphBuilder();
  const x = random([2, 9]);
  g.output(g.op('CumSum', [g.input('x', 'f32', [2, 9]), g.shape([1])], { exclusive: int(1) }), 'y', [2, 9]);
  return { name: 'CumSum: exclusive', graph: g.build('CumSum', undefined), inputs: { x } };
}

/** Values and places of the two largest; of equal ones the first. */
function twoLargest(): Case {
  const g = new GraphBuilder();
  const [values, places] = g.ops('TopK', [g.input('x', 'f32', [3, 5]), g.shape([2])], 2, { axis: int(-1) });
  g.output(values!, 'values', [3, 2]);
  g.output(g.op('Cast', [places!], { to: int(1) }), 'places', [3, 2]);
  const x = f32([3, 5], Float32Array.of(1, 4, 4, 0, -3, -1, -2, -3, -4, -5, 2, 2, 2, 2, 2));
  return { name: 'TopK: values and places', graph: g.build('TopK', undefined), inputs: { x } };
}

/** The place of the largest value of each row, the first of equals, as the head asks for it. */
function argMax(keep: boolean): Case {
  const g = new GraphBuilder();
  const x = f32([3, 4], Float32Array.of(1, 3, 3, 2, -1, -1, -1, -1, 0, -2, 5, 5));
  const places = g.op('ArgMax', [g.input('x', 'f32', [3, 4])], { axis: int(1), keepdims: int(keep ? 1 : 0) });
  g.output(g.op('Cast', [places], { to: int(1) }), 'places', keep ? [3, 1] : [3]);
  return { name: `ArgMax: ties, keepdims ${keep}`, graph: g.build('ArgMax', undefined), inputs: { x } };
}

function oneHot(): Case {
  const g = new GraphBuilder();
  const values = g.constant('values', Float32Array.of(-1, 3), [2]);
  const x = i64([2, 3], [0, 3, 1, 1, 2, 0]);
  const y = g.op('OneHot', [g.input('x', 'i64', [2, 3]), g.shape([4]), values], { axis: int(0) });
  g.output(y, 'y', [4, 2, 3]);
  return { name: 'OneHot: before the others', graph: g.build('OneHot', undefined), inputs: { x } };
}

/** Rows of a matrix in groups whose sizes are computed, as experts are given theirs: by where a matrix is not 0. */
function groups(sizes: readonly number[]): Case {
  const g = new GraphBuilder();
  const count = sizes.reduce((a, b) => a + b, 0);
  const mask = Float32Array.from({ length: sizes.length * count }, (_, i) =>
    Number(i % count >= count - sizes[Math.floor(i / count)]!),
  );
  const input = g.input('x', 'f32', [sizes.length, count]);
  const found = g.op('NonZero', [input]);
  const columns = g.op('Reshape', [g.op('Slice', [found, g.shape([1]), g.shape([2]), g.shape([0])]), g.shape([-1])]);
  const counts = g.op('Cast', [g.op('ReduceSum', [input, g.shape([1])], { keepdims: int(0) })], { to: int(7) });
  for (const [i, part] of g.ops('Split', [columns, counts], sizes.length, { axis: int(0) }).entries()) {
    g.output(g.op('Cast', [part], { to: int(1) }), `y${i}`, [sizes[i]!]);
  }
  const x = f32([sizes.length, count], mask);
  return { name: `NonZero, Split: ${sizes}`, graph: g.build('groups', undefined), inputs: { x } };
}

/** What a tap makes of no rows. */
function nothing(op: 'ReduceSumSquare' | 'Gemm', result: readonly number[]): Case {
  const g = new GraphBuilder();
  const x = g.input('x', 'f32', ['N', 3]);
  const y = op === 'Gemm' ? g.op(op, [x, x], { transA: int(1) }) : g.op(op, [x, g.shape([0])], { keepdims: int(0) });
  g.output(y, 'y', result);
  return { name: `${op}: no rows`, graph: g.build(op, undefined), inputs: { x: f32([0, 3], new Float32Array(0)) } };
}

function widened(dtype: DType): Case {
  const g = new GraphBuilder();
  const shape = [7, 3];
  const bytes =
    dtype === 'F64'
      ? new Uint8Array(Float64Array.from({ length: 21 }, () => rng.uniform()).buffer)
      : randomBytes(rng, shape, dtype);
  const raw = g.initializer({ name: 'w', dtype, shape, source: { kind: 'bytes', bytes } });
  g.output(g.op('Add', [g.input('x', 'f32', shape), g.op('Cast', [raw], { to: int(1) })]), 'y', shape);
  return {
    name: `Cast: ${dtype} → F32`,
    graph: g.build('Cast', undefined),
    inputs: { x: random(shape) },
  };
}

const last = { axis: int(-1) };

export const opCases: readonly Case[] = [
  gemm(1, 1, 1),
  gemm(5, 7, 3, { bias: true }),
  gemm(2, 65, 33),
  gemm(37, 128, 11, { bias: true }),
  gemm(4, 6, 9, { transB: false }),
  oneOp('both transposed', 'Gemm', [random([6, 4]), random([9, 6])], [4, 9], { transA: int(1), transB: int(1) }),
  gramOf(random([13, 7])),
  oneOp('one row', 'RMSNormalization', [random([1, 1]), random([1])], [1, 1], { ...last, epsilon: float(1e-6) }),
  oneOp('rank 3', 'RMSNormalization', [random([2, 3, 37]), random([37])], [2, 3, 37], {
    ...last,
    epsilon: float(1e-5),
  }),
  oneOp('rank 4', 'RMSNormalization', [random([2, 3, 5, 6]), random([6])], [2, 3, 5, 6], last),
  oneOp('tiny values', 'RMSNormalization', [random([3, 9], 1e-4), random([9])], [3, 9], {
    ...last,
    epsilon: float(1e-6),
  }),
  rotary(1, 1, 1, 2),
  rotary(2, 5, 3, 6),
  rotary(3, 4, 2, 16),
  rotary(2, 5, 3, 8, 2),
  rotary(2, 4, 2, 16, 12),
  attention(1, 1, 1, 1, 2),
  attention(2, 7, 4, 4, 6),
  attention(2, 5, 6, 2, 4, { scale: 0.3 }),
  attention(1, 9, 3, 1, 8),
  attention(1, 4, 2, 1, 8, { causal: false }),
  attention(2, 6, 4, 2, 8, { causal: false, masked: true }),
  attention(2, 6, 4, 2, 8, { softcap: 1.5 }),
  attention(2, 6, 4, 2, 8, { causal: false, masked: true, softcap: 0.7 }),
  oneOp('equal shapes', 'Add', [random([3, 5]), random([3, 5])], [3, 5]),
  oneOp('broadcast', 'Add', [random([3, 1, 5]), random([4, 1])], [3, 4, 5]),
  oneOp('broadcast', 'Mul', [random([7, 3]), random([3])], [7, 3]),
  oneOp('both ends', 'Sigmoid', [f32([6], Float32Array.of(-90, -20, -0, 1, 20, 90))], [6]),
  oneOp('broadcast', 'Sub', [random([3, 5]), random([3, 1])], [3, 5]),
  oneOp('plain', 'Exp', [random([2, 3], 4)], [2, 3]),
  oneOp('plain', 'Log', [f32([4], Float32Array.of(1e-30, 0.5, 1, 1e30))], [4]),
  oneOp('both sides', 'Relu', [random([3, 7], 3)], [3, 7]),
  oneOp('halves to even', 'Round', [f32([8], Float32Array.of(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4999998, -7.1))], [8]),
  oneOp('both limits', 'Clip', [random([3, 7], 3), f32([], Float32Array.of(-1)), f32([], Float32Array.of(2))], [3, 7]),
  oneOp('both ends', 'Tanh', [f32([6], Float32Array.of(-90, -2, -0, 1e-4, 2, 90))], [6]),
  oneOp('exact', 'Gelu', [f32([8], Float32Array.of(-90, -5.9, -2.6, -0.5, 1e-4, 2.4, 6.5, 90))], [8]),
  oneOp('exact', 'Gelu', [random([3, 70], 2)], [3, 70], { approximate: text('none') }),
  oneOp('by tanh', 'Gelu', [random([3, 70], 2)], [3, 70], { approximate: text('tanh') }),
  oneOp('scale and bias', 'LayerNormalization', [random([2, 3, 37]), random([37]), random([37])], [2, 3, 37], {
    ...last,
    epsilon: float(1e-5),
  }),
  oneOp('scale alone, far from 0', 'LayerNormalization', [random([4, 6]), random([6])], [4, 6], {
    ...last,
    epsilon: float(2e-3),
  }),
  oneOp('plain', 'Neg', [random([2, 3])], [2, 3]),
  oneOp('plain', 'Identity', [random([2, 3])], [2, 3]),
  oneOp('large logits', 'LogSoftmax', [random([3, 33], 1e4)], [3, 33], last),
  oneOp('ordinary', 'LogSoftmax', [random([2, 1000], 5)], [2, 1000], last),
  oneOp('column', 'GatherElements', [random([3, 9]), i64([3, 1], [0, 8, 4])], [3, 1], { axis: int(1) }),
  oneOp('from the end', 'GatherElements', [random([2, 4]), i64([2, 2], [-1, 0, 3, -4])], [2, 2], { axis: int(1) }),
  shaped('ReduceSumSquare', random([13, 7]), [[0]], [1, 7]),
  shaped('ReduceSum', random([4, 57]), [[-1]], [4, 1]),
  shaped('ReduceMax', random([3, 4, 9], 100), [[1, 2]], [3, 1, 1]),
  shaped('Reshape', random([2, 3, 10]), [[0, -1, 5]], [2, 6, 5]),
  shaped('Reshape', random([4, 3]), [[-1]], [12]),
  shaped('Expand', random([3, 1]), [[2, 1, 4]], [2, 3, 4]),
  shaped('Expand', random([3, 1]), [[4]], [3, 4]),
  shaped(
    'Slice',
    random([5, 4]),
    [
      [1, 0],
      [-1, 100],
      [0, 1],
      [1, 2],
    ],
    [3, 2],
  ),
  oneOp('axis 1', 'Concat', [random([2, 3]), random([2, 1])], [2, 4], { axis: int(1) }),
  oneOp('broadcast', 'Div', [random([3, 5]), f32([3, 1], Float32Array.of(0.5, -2, 3))], [3, 5]),
  oneOp('rows', 'Gather', [random([5, 3]), i64([4], [4, 0, -1, 4])], [4, 3], { axis: int(0) }),
  oneOp('none', 'Gather', [random([5, 3]), i64([0], [])], [0, 3], { axis: int(0) }),
  oneOp('a table of rows', 'Gather', [random([5, 3]), i64([2, 2], [1, 3, 0, 4])], [2, 2, 3], { axis: int(0) }),
  shaped('CumSum', random([7]), [[0]], [7]),
  exclusiveSum(),
  twoLargest(),
  argMax(true),
  argMax(false),
  oneHot(),
  groups([3, 0, 2]),
  groups([0, 5, 0]),
  nothing('ReduceSumSquare', [3]),
  nothing('Gemm', [3, 3]),
  oneOp('plain', 'Conv', [random([2, 3, 5, 6]), random([4, 3, 3, 3]), random([4])], [2, 4, 3, 4]),
  oneOp('uneven pads, strides, groups', 'Conv', [random([2, 4, 7, 6]), random([6, 2, 3, 2])], [2, 6, 4, 3], {
    pads: ints([1, 0, 2, 1]),
    strides: ints([2, 2]),
    group: int(2),
  }),
  oneOp('dilations', 'Conv', [random([1, 2, 9, 8]), random([3, 2, 2, 3])], [1, 3, 6, 2], {
    dilations: ints([3, 2]),
    strides: ints([1, 2]),
  }),
  oneOp('plain', 'ConvTranspose', [random([2, 4, 3, 4]), random([4, 3, 3, 3])], [2, 3, 5, 6]),
  oneOp('strides, pads, groups', 'ConvTranspose', [random([2, 6, 4, 3]), random([6, 2, 3, 2])], [2, 4, 7, 6], {
    pads: ints([1, 0, 2, 1]),
    strides: ints([2, 2]),
    group: int(2),
    output_padding: ints([1, 1]),
  }),
  oneOp('groups', 'GroupNormalization', [random([2, 6, 3, 5]), random([6]), random([6])], [2, 6, 3, 5], {
    num_groups: int(3),
    epsilon: float(1e-3),
  }),
  chosen(),
  maskedBySequence(),
  dynamicShape(),
  widened('F16'),
  widened('BF16'),
  widened('F64'),
];

const tiny = {
  model_type: 'llama',
  hidden_size: 24,
  intermediate_size: 37,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  vocab_size: 53,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
};
const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };

const gemma = { model_type: 'gemma2', num_key_value_heads: 2, head_dim: 6, attn_logit_softcapping: 2 };
const opt = { model_type: 'opt', ffn_dim: 37, activation_function: 'relu' };
const gpt2 = { model_type: 'gpt2', n_embd: 24, n_layer: 1, n_head: 4, n_positions: 200, n_inner: null };
const neox = { model_type: 'gpt_neox', rotary_pct: 0.34 };

const mixtral = { model_type: 'mixtral', num_key_value_heads: 2, num_local_experts: 5, num_experts_per_tok: 2 };
const qwen3Moe = { ...mixtral, model_type: 'qwen3_moe', num_experts_per_tok: 3, moe_intermediate_size: 7 };

/** What distinguishes a block from the plain one: config keys, dtype of the weights, window length. */
const blocks: readonly (readonly [string, Record<string, unknown>, DType, number])[] = [
  ['plain', {}, 'F32', 5],
  ['one token', {}, 'F32', 1],
  ['attention in three tiles, the last shorter', { max_position_embeddings: 200 }, 'F32', 150],
  ['F16 weights, GQA', { num_key_value_heads: 2 }, 'F16', 6],
  ['BF16 weights, one key-value head', { num_key_value_heads: 1 }, 'BF16', 9],
  ['biases everywhere', { attention_bias: true, mlp_bias: true }, 'F32', 5],
  ['qwen2: biases of q, k, v', { model_type: 'qwen2', num_key_value_heads: 2 }, 'BF16', 5],
  ['qwen3: q and k norms, wide heads', { model_type: 'qwen3', num_key_value_heads: 2, head_dim: 10 }, 'F32', 7],
  ['mistral', { model_type: 'mistral', num_key_value_heads: 2 }, 'F16', 5],
  ['rope linear', { rope_scaling: { rope_type: 'linear', factor: 4 } }, 'F32', 12],
  ['rope llama3', { rope_scaling: { rope_type: 'llama3', ...llama3 }, head_dim: 16, rope_theta: 5e5 }, 'F32', 12],
  ['sliding window', { model_type: 'mistral', sliding_window: 3 }, 'F32', 9],
  [
    'sliding window over tiles',
    { model_type: 'mistral', sliding_window: 70, max_position_embeddings: 200 },
    'F32',
    150,
  ],
  ['phi3', { model_type: 'phi3', num_key_value_heads: 2 }, 'BF16', 7],
  ['gemma2, a window and caps', { ...gemma, sliding_window: 3 }, 'F16', 7],
  ['gemma2 in tiles', { ...gemma, sliding_window: 70, max_position_embeddings: 200 }, 'F32', 150],
  ['gemma3, a rotation of its own', { ...gemma, model_type: 'gemma3_text', attn_logit_softcapping: null }, 'BF16', 7],
  ['opt', opt, 'F16', 6],
  ['opt, norms after', { ...opt, do_layer_norm_before: false, enable_bias: false }, 'F32', 6],
  ['gpt2', gpt2, 'BF16', 7],
  ['gpt2 in tiles', gpt2, 'F32', 130],
  ['gpt_neox', neox, 'F32', 7],
  ['gpt_neox, one after the other', { ...neox, use_parallel_residual: false, attention_bias: false }, 'F16', 5],
  ['mixtral', mixtral, 'BF16', 7],
  ['mixtral, one of its experts for each token', { ...mixtral, num_experts_per_tok: 1 }, 'F16', 6],
  ['mixtral, more experts than tokens', { ...mixtral, num_local_experts: 40 }, 'F32', 5],
  ['mixtral, one expert', { ...mixtral, num_local_experts: 1, num_experts_per_tok: 1 }, 'F32', 5],
  ['qwen3_moe', qwen3Moe, 'F32', 7],
  ['qwen3_moe, an MLP', { ...qwen3Moe, mlp_only_layers: [0] }, 'F32', 7],
  ['odd widths', { hidden_size: 15, num_attention_heads: 3, num_key_value_heads: 1, head_dim: 2 }, 'F16', 3],
];

/** A model without files; its tensors are made where a graph asks for them. */
function modelOf(config: ModelConfig): Model {
  const checkpoint = { dir: '.', config: {}, tensors: new Map(), shards: [], files: [] };
  const tensorNames = tensorNamesOf(config, () => true);
  const linears = [linearsOf(config, tensorNames, 0)];
  return {
    checkpoint,
    config,
    tensorNames,
    linears,
    bytes: 0,
    parameters: 0,
    prunable: 0,
    blockWeights: 0,
    trunk: undefined,
    trunks: [],
    notes: [],
  };
}

/** A block of random weights that lie in the graph itself, over `B` windows of `T` tokens. */
export function blockOf(
  name: string,
  config: ModelConfig,
  dtype: DType,
  T: number,
  B: number,
  outputs: BlockOutputs = 'both',
  trees?: { readonly longest: number },
): Case {
  const model = modelOf(config);
  const shapes = new Map(blockTensors(config, model.tensorNames, 0).map(({ name, shape }) => [name, shape]));
  const find = (tensor: string) => {
    const shape = shapes.get(tensor)!;
    const bytes = randomBytes(rng, shape, dtype, 3 / Math.sqrt(shape.at(-1)!)); // keeps what a linear gives at about 1
    return { name: tensor, dtype, shape, source: { kind: 'bytes', bytes } as const };
  };
  const graph = blockGraph(model, 0, {
    length: T,
    outputs,
    ...(trees ? { trees } : {}),
    source: { folder: '.', find },
  });
  return { name: `block: ${name}`, graph, inputs: { x: random([B, T, config.hidden]) } };
}

/** Rows of trees: tokens of one tree see their ancestors, and none of another tree. */
function treesOf(T: number, what: string, change: Record<string, unknown>): Case {
  const config = readModelConfig({ ...tiny, max_position_embeddings: 200, ...change });
  const named = `trees in rows of ${T}, ${what}`;
  const { name, graph, inputs } = blockOf(named, config, 'F16', T, 2, 'hidden', { longest: 7 });
  // A trunk of five tokens with two branches, again and again; the last places are empty.
  const depths: number[] = [];
  const ends: number[] = [];
  for (let row = 0; row < 2; row++) {
    for (let i = 0; i < T; i++) {
      const at = i % 9;
      const start = i - at;
      const whole = start + 9 <= T;
      depths.push(whole ? (at < 7 ? at : at - 2) : 0);
      ends.push(whole ? (at < 5 ? start + 9 : at < 7 ? start + 7 : start + 9) : T);
    }
  }
  const shapes = { positions: i64([2, T], depths), subtree_end: f32([2, 1, 1, T], Float32Array.from(ends)) };
  return { name, graph, inputs: { ...inputs, ...shapes } };
}

export const blockCases: readonly Case[] = [
  treesOf(20, 'plain', { num_key_value_heads: 2 }),
  treesOf(150, 'plain', { num_key_value_heads: 2 }),
  treesOf(150, 'a sliding window', { model_type: 'mistral', sliding_window: 3 }),
  treesOf(20, 'no rotation', opt),
  treesOf(80, 'caps and a window', { ...gemma, sliding_window: 4 }),
  ...blocks.map(([name, change, dtype, T]) => blockOf(name, readModelConfig({ ...tiny, ...change }), dtype, T, 3)),
  blockOf('Gram matrices', readModelConfig({ ...tiny, num_key_value_heads: 2 }), 'F16', 5, 3, 'gram'),
  blockOf(
    'Gram matrices of experts',
    readModelConfig({ ...tiny, ...mixtral, num_local_experts: 25 }),
    'F32',
    5,
    3,
    'gram',
  ),
  blockOf('what experts read', readModelConfig({ ...tiny, ...qwen3Moe }), 'F32', 5, 3, 'inputs'),
];

/** A convolutional part of an image decoder: strides, groups, a norm of groups, upsampling by repetition. */
export function imageCase(): Case {
  const g = new GraphBuilder();
  const weight = (name: string, ...shape: readonly number[]): string =>
    g.initializer({ name, dtype: 'F16', shape, source: { kind: 'bytes', bytes: randomBytes(rng, shape, 'F16', 0.5) } });
  const wide = (name: string, ...shape: readonly number[]): string =>
    g.op('Cast', [weight(name, ...shape)], { to: int(1) });
  const x = g.input('x', 'f32', ['B', 4, 9, 7]);
  const down = g.op('Conv', [x, wide('down.weight', 6, 2, 3, 3), wide('down.bias', 6)], {
    group: int(2),
    pads: ints([1, 1, 1, 1]),
    strides: ints([2, 2]),
  });
  const scales = [wide('norm.weight', 6), wide('norm.bias', 6)];
  const normed = g.op('Relu', [
    g.op('GroupNormalization', [down, ...scales], { num_groups: int(3), epsilon: float(1e-5) }),
  ]);
  const apart = g.op('Reshape', [normed, g.shape([0, 6, 5, 1, 4, 1])]);
  const up = g.op('Reshape', [g.op('Expand', [apart, g.shape([1, 1, 1, 2, 1, 2])]), g.shape([0, 6, 10, 8])]);
  g.output(g.op('Conv', [up, wide('up.weight', 3, 6, 3, 3)], { pads: ints([1, 1, 1, 1]) }), 'y', ['B', 3, 10, 8]);
  return { name: 'image: convolutions', graph: g.build('image', undefined), inputs: { x: random([3, 4, 9, 7]) } };
}

/** The head over a file in `dir`, which is written here: losses and logits. */
export async function writeHeadCases(dir: string): Promise<readonly Case[]> {
  const config = readModelConfig({ ...tiny, tie_word_embeddings: true });
  const { hidden: D, vocabulary: V } = config;
  const tensor = (name: string, shape: readonly number[]) => {
    const bytes = randomBytes(rng, shape, 'F16', 2);
    return { name, dtype: 'F16', shape, read: async () => bytes } as const;
  };
  const path = join(dir, 'model.safetensors');
  await writeSafetensors(path, [tensor('model.embed_tokens.weight', [V, D]), tensor('model.norm.weight', [D])]);
  const { tensors } = await readSafetensors(path);
  const plain = modelOf(config);
  const model = { ...plain, checkpoint: { ...plain.checkpoint, dir, tensors } };
  const N = 7;
  const x = random([N, D]);
  const targets = Array.from({ length: N }, () => rng.below(V));
  return [
    { name: 'head: logits', graph: headGraph(model, 'logits'), inputs: { x } },
    {
      name: 'head: divergence from another residual',
      graph: headGraph(model, 'divergence'),
      inputs: { x, reference: random([N, D]) },
    },
    {
      name: 'head: divergence, and the choices of both residuals',
      graph: headGraph(model, 'fidelity'),
      inputs: { x, reference: random([N, D]) },
    },
    {
      name: 'head: losses, and how far the first choice leads',
      graph: headGraph(model, 'choices'),
      inputs: { x, target: i64([N, 1], targets) },
    },
    {
      name: 'head: losses',
      graph: headGraph(model, 'nll'),
      inputs: { x, target: i64([N, 1], targets) },
    },
  ];
}
