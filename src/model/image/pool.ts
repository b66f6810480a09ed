// The row that a classifier's head reads, from the rows of an image's residual after the last block. Input `x` [B, T, D], output
// `pooled` [B, 1, D'].

import { type Graph, GraphBuilder, int } from '../../graph/index.js';
import type { ModelConfig } from '../config.js';
import { normalise, type TensorSource } from '../nodes.js';
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
        throw new Error('not yet');
      default:
        return image.spec.pool satisfies never;
    }
  };
  g.output(pooled(), 'pooled', ['B', 1, pooledWidth(config)]);
  return g.build('pool', folder);
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
