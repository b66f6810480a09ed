// The head: final norm, LM head, and what is wanted of the logits. Input `x` [N, D], rows of the residual.
//   nll: with `target` [N, 1], the next token of each row: −log p(target), [N, 1], nats.
//   divergence: with `reference` [N, D], rows of another residual: KL(p_reference ‖ p_x), [N, 1], nats.
//   logits: [N, V].

import { float, type Graph, GraphBuilder, int } from '../graph/index.js';
import type { ModelConfig } from './config.js';
import type { TensorSource } from './layout.js';

export type HeadOutput = 'nll' | 'divergence' | 'logits';

export function buildHeadGraph(
  config: ModelConfig,
  tensors: { readonly norm: TensorSource; readonly head: TensorSource },
  options: { readonly folder: string; readonly outputs: HeadOutput },
): Graph {
  const g = new GraphBuilder();
  const weight = (source: TensorSource): string => {
    const raw = g.initializer({ name: source.name, dtype: source.dtype, shape: source.shape, source: source.source });
    return source.dtype === 'F32' ? raw : g.op('Cast', [raw], { to: int(1) });
  };
  const scale = weight(tensors.norm);
  const head = weight(tensors.head);
  const logitsOf = (rows: string): string => {
    const normed = g.op('RMSNormalization', [rows, scale], { axis: int(-1), epsilon: float(config.normEps) });
    return g.op('Gemm', [normed, head], { transB: int(1) });
  };
  const logits = logitsOf(g.input('x', 'f32', ['N', config.hidden]));
  const softened = (values: string): string => g.op('LogSoftmax', [values], { axis: int(-1) });
  switch (options.outputs) {
    case 'logits':
      g.output(logits, 'logits', ['N', config.vocabulary]);
      break;
    case 'nll': {
      const target = g.input('target', 'i64', ['N', 1]);
      g.output(g.op('Neg', [g.op('GatherElements', [softened(logits), target], { axis: int(1) })]), 'nll', ['N', 1]);
      break;
    }
    case 'divergence': {
      const q = softened(logitsOf(g.input('reference', 'f32', ['N', config.hidden])));
      const terms = g.op('Mul', [g.op('Exp', [q]), g.op('Sub', [q, softened(logits)])]);
      g.output(g.op('ReduceSum', [terms, g.shape([1])], { keepdims: int(1) }), 'divergence', ['N', 1]);
      break;
    }
    default:
      options.outputs satisfies never;
  }
  return g.build('head', options.folder);
}
