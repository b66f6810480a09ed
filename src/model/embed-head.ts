// A head that makes one vector of a sample (CLIP, SigLIP): the row that is read, its norm and projection, and the vector divided by its
// length. With classes it is a classifier: a class has a vector, and its logit is the product of the two, scaled.
//   logits = factor · (v/‖v‖)·Eᵀ + shift, E [C, P] with rows of length 1

import { UnsupportedError } from '../base/portable.js';
import { type GraphBuilder, int } from '../graph/index.js';
import type { ModelConfig } from './config.js';
import type { Classes, EmbedConfig } from './embed.js';
import { normalise, type TensorSource, weight } from './nodes.js';
import type { TensorNames } from './tensor-names.js';

/** What makes a trunk's vectors. @throws UnsupportedError E_UNSUPPORTED_HEAD where it makes none */
export function requireEmbeds({ family, embeds }: ModelConfig): EmbedConfig {
  if (embeds) return embeds;
  throw new UnsupportedError(
    'E_UNSUPPORTED_HEAD',
    `This ${family} has no head that makes a vector of a sample (its checkpoint has no projection, or the model is of another kind). Start from the whole CLIP or SigLIP checkpoint.`,
    { family },
  );
}

/** @throws UnsupportedError E_UNSUPPORTED_HEAD where there are none */
function requireClasses(config: ModelConfig): Classes {
  const { classes } = requireEmbeds(config);
  if (classes) return classes;
  throw new UnsupportedError(
    'E_UNSUPPORTED_HEAD',
    `A ${config.family} has no classes of its own, so it gives no logits: give the names of the classes (--classes).`,
    { family: config.family },
  );
}

type Find = (name: string) => TensorSource;

/** Vectors of length 1, [N, P], from the rows that the head reads, [N, D]. */
export function embedRows(g: GraphBuilder, config: ModelConfig, names: TensorNames, rows: string, find: Find): string {
  const { spec } = requireEmbeds(config);
  const { finalNorm, projection } = names;
  // A pooled row of SigLIP is made of rows that are normed already.
  const pooled = config.image?.spec.pool === 'attention';
  const tensors = { scale: find(`${finalNorm}.weight`), bias: find(`${finalNorm}.bias`), width: config.hidden };
  const normed = pooled ? rows : normalise(g, config, rows, tensors);
  const bias = spec.projection?.bias ? [weight(g, find(`${projection}.bias`))] : [];
  const vector = spec.projection
    ? g.op('Gemm', [normed, weight(g, find(`${projection}.weight`)), ...bias], { transB: int(1) })
    : normed;
  const squares = g.op('ReduceSumSquare', [vector, g.shape([1])], { keepdims: int(1) });
  return g.op('Div', [vector, g.op('Sqrt', [squares])]);
}

/** Logits of the classes, [N, C], from vectors of length 1. */
export function compareWithClasses(g: GraphBuilder, config: ModelConfig, vectors: string): string {
  const { vectors: all, labels, factor, shift } = requireClasses(config);
  const matrix = g.constant('classes', all, [labels.length, requireEmbeds(config).width]);
  const products = g.op('Gemm', [vectors, matrix], { transB: int(1) });
  const scaled = g.op('Mul', [products, g.constant('factor', Float32Array.of(factor), [1])]);
  return shift === 0 ? scaled : g.op('Add', [scaled, g.constant('shift', Float32Array.of(shift), [1])]);
}

/** Names of the tensors that the head reads, besides those of the pooling. */
export function embedTensorNames({ embeds }: ModelConfig, { finalNorm, projection }: TensorNames): readonly string[] {
  const linear = embeds?.spec.projection;
  return [
    ...[`${finalNorm}.weight`, `${finalNorm}.bias`],
    ...(linear ? [`${projection}.weight`] : []),
    ...(linear?.bias ? [`${projection}.bias`] : []),
  ];
}
