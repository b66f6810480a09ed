// The row that a classifier's head reads, from the rows of an image's residual after the last block. Input `x` [B, T, D], output
// `pooled` [B, 1, D'].

import { float, type Graph, GraphBuilder, int } from '../../graph/index.js';
import type { ModelConfig } from '../config.js';
import { activate, normalise, type TensorSource, weight } from '../nodes.js';
import { tokensOf } from './config.js';
import { type ImageNames, pooledWidth } from './tensors.js';

export function buildPoolGraph(
  config: ModelConfig,
  names: ImageNames,
  options: { readonly length: number; readonly folder: string; readonly find: (name: string) => TensorSource },
): Graph {
  const { length: T, folder, find } = options;
  const image = config.image!;
  const D = config.hidden;
  const g = new GraphBuilder();
  const x = g.input('x', 'f32', ['B', T, D]);
  const rows = (of: string, from: number, to: number): string =>
    g.op('Slice', [of, g.shape([from]), g.shape([to]), g.shape([1])]);
  const mean = (of: string, count: number): string => {
    const sum = g.op('ReduceSum', [of, g.shape([1])], { keepdims: int(1) });
    return g.op('Mul', [sum, g.constant(`1/${count}`, Float32Array.of(1 / count), [1])]);
  };
  const { finalNorm } = names;
  const normed = (of: string): string =>
    normalise(g, config, of, { scale: find(`${finalNorm}.weight`), bias: find(`${finalNorm}.bias`), width: D });
  const pooled = (): string => {
    switch (image.spec.pool) {
      case 'first':
        // A distilled DeiT's two heads read a token each.
        return image.head === 'distilled' ? g.op('Reshape', [rows(x, 0, 2), g.shape([-1, 1, 2 * D])]) : rows(x, 0, 1);
      case 'first+mean': {
        const y = normed(x);
        const first = tokensOf(image);
        return g.op('Concat', [rows(y, 0, 1), mean(rows(y, first, T), T - first)], { axis: int(2) });
      }
      case 'mean':
        return mean(x, T);
      case 'attention':
        // Without its head SigLIP makes nothing of an image, and what reads the rows says so (head.ts).
        return names.pooling === undefined
          ? rows(x, 0, 1)
          : attentionPool(g, config, names.pooling, normed(x), T, find);
      default:
        return image.spec.pool satisfies never;
    }
  };
  g.output(pooled(), 'pooled', ['B', 1, pooledWidth(config)]);
  return g.build('pool', folder);
}

/** SigLIP's pooling of rows [B, T, D] into one, [B, 1, D]: a + MLP(LN(a)), where a is what one learned query makes of all rows. */
function attentionPool(
  g: GraphBuilder,
  config: ModelConfig,
  module: string,
  x: string,
  length: number,
  find: (name: string) => TensorSource,
): string {
  const { hidden: D, headDim } = config;
  const { heads } = config.stated;
  const tensor = (name: string, shape?: readonly number[]): string => {
    const source = find(`${module}.${name}`);
    return weight(g, shape ? { ...source, shape } : source);
  };
  const reshape = (of: string, shape: readonly number[]): string => g.op('Reshape', [of, g.shape(shape)]);
  // The three projections lie one after another in one tensor: those of queries, keys and values.
  const [weights, biases] = [tensor('attention.in_proj_weight'), tensor('attention.in_proj_bias')];
  const flat = reshape(x, [-1, D]);
  const project = (of: string, part: number): string => {
    const piece = (tensor_: string): string =>
      g.op('Slice', [tensor_, g.shape([part * D]), g.shape([(part + 1) * D]), g.shape([0])]);
    return g.op('Gemm', [of, piece(weights), piece(biases)], { transB: int(1) });
  };
  const batch = g.op('Slice', [g.op('Shape', [x]), g.shape([0]), g.shape([1])]);
  const sizes = g.op('Concat', [batch, g.shape([1, D])], { axis: int(0) });
  const query = g.op('Expand', [reshape(project(tensor('probe', [1, D]), 0), [1, 1, D]), sizes]);
  const [keys, values] = [1, 2].map((part) => reshape(project(flat, part), [-1, length, D]));
  const attended = g.op('Attention', [query, keys!, values!], {
    q_num_heads: int(heads),
    kv_num_heads: int(heads),
    scale: float(1 / Math.sqrt(headDim)),
  });
  const linear = (of: string, name: string): string =>
    g.op('Gemm', [of, tensor(`${name}.weight`), tensor(`${name}.bias`)], { transB: int(1) });
  const a = linear(reshape(attended, [-1, D]), 'attention.out_proj');
  const norm = { scale: find(`${module}.layernorm.weight`), bias: find(`${module}.layernorm.bias`), width: D };
  const middle = activate(g, config, linear(normalise(g, config, a, norm), 'mlp.fc1'));
  return reshape(g.op('Add', [a, linear(middle, 'mlp.fc2')]), [-1, 1, D]);
}

/** Logits of the classes from pooled rows [N, D']. */
export function classify(
  g: GraphBuilder,
  config: ModelConfig,
  names: ImageNames,
  pooled: string,
  tensors: { readonly find: (name: string) => TensorSource; readonly weight: (source: TensorSource) => string },
): string {
  const { find, weight } = tensors;
  const image = config.image!;
  const D = config.hidden;
  const { finalNorm, heads } = names;
  const normed = (of: string): string =>
    normalise(g, config, of, { scale: find(`${finalNorm}.weight`), bias: find(`${finalNorm}.bias`), width: D });
  const linear = (of: string, head: string): string =>
    g.op('Gemm', [of, weight(find(`${head}.weight`)), weight(find(`${head}.bias`))], { transB: int(1) });
  if (image.head === 'distilled') {
    const columns = (from: number, to: number): string =>
      g.op('Slice', [pooled, g.shape([from]), g.shape([to]), g.shape([1])]);
    const sum = g.op('Add', [linear(normed(columns(0, D)), heads[0]!), linear(normed(columns(D, 2 * D)), heads[1]!)]);
    return g.op('Mul', [sum, g.constant('half', Float32Array.of(0.5), [1])]);
  }
  return linear(image.spec.pool === 'first+mean' ? pooled : normed(pooled), heads[0]!);
}
