// The head: final norm, LM head, and the loss of each token. Input `x` [N, D] rows of the residual, `target` [N, 1] the
// next token of each; output `nll` [N, 1], −log p(target), in nats. `logits` [N, V] instead, for those who want them.

import { float, type Graph, GraphBuilder, int } from '../graph/index.js';
import type { ModelConfig } from './config.js';
import type { TensorSource } from './layout.js';

export function buildHeadGraph(
  config: ModelConfig,
  tensors: { readonly norm: TensorSource; readonly head: TensorSource },
  options: { readonly folder: string; readonly outputs: 'nll' | 'logits' },
): Graph {
  const g = new GraphBuilder();
  const weight = (source: TensorSource): string => {
    const raw = g.initializer({ name: source.name, dtype: source.dtype, shape: source.shape, source: source.source });
    return source.dtype === 'F32' ? raw : g.op('Cast', [raw], { to: int(1) });
  };
  const x = g.input('x', 'f32', ['N', config.hidden]);
  const normed = g.op('RMSNormalization', [x, weight(tensors.norm)], { axis: int(-1), epsilon: float(config.normEps) });
  const logits = g.op('Gemm', [normed, weight(tensors.head)], { transB: int(1) });
  if (options.outputs === 'logits') {
    g.output(logits, 'logits', ['N', config.vocabulary]);
  } else {
    const target = g.input('target', 'i64', ['N', 1]);
    const logProbabilities = g.op('LogSoftmax', [logits], { axis: int(-1) });
    g.output(g.op('Neg', [g.op('GatherElements', [logProbabilities, target], { axis: int(1) })]), 'nll', ['N', 1]);
  }
  return g.build('head', options.folder);
}
