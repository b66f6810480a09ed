// The head: final norm, projection and cap where the model has them, LM head, and one result of the logits. Input `x` [N,
// D], rows of the residual.
//   nll: with `target` [N, 1], the next token of each row: −log p(target), [N, 1], nats.
//   choices: the same `nll`, and `lead` [N, 1]: the largest log-probability minus that of the target.
//   divergence: with `reference` [N, D], rows of another residual: KL(p_reference ‖ p_x), [N, 1], nats. Of S `streams`: x is
//     [S·N, D], the rows of one after those of another, and the result [S, N, 1]; the reference is scored once for all.
//   fidelity: the same `divergence`, and `choice` and `referenceChoice` [N, 1]: the likeliest token by each of the two, the
//     lowest of equals. They are float32, which holds every number up to 2^24.
//   logits: [N, V].
//   vectors: of CLIP and SigLIP, [N, P], of length 1.

import { type Graph, GraphBuilder, int } from '../graph/index.js';
import type { ModelConfig } from './config.js';
import { compareWithClasses, embedRows, requireEmbeds } from './embed-head.js';
import { classify } from './image/pool.js';
import { pooledWidth } from './image/tensors.js';
import { normalise, softCap, type TensorSource, weight } from './nodes.js';
import type { TensorNames } from './tensor-names.js';

export type HeadOutput = 'nll' | 'choices' | 'divergence' | 'fidelity' | 'logits' | 'vectors';

/** The name of a tensor of the reference's head, where it is apart. */
const ofReference = (name: string): string => `${name} (reference)`;

/**
 * With `referenceApart` the reference goes through tensors of other names, so that those of the head can be fed, or
 * differentiated with respect to, while the reference stays as it is.
 */
export function buildHeadGraph(
  config: ModelConfig,
  tensorNames: TensorNames,
  options: {
    readonly folder: string;
    readonly find: (name: string) => TensorSource;
    readonly outputs: HeadOutput;
    readonly referenceApart?: boolean | undefined;
    readonly streams?: number | undefined;
  },
): Graph {
  const g = new GraphBuilder();
  const { find, streams = 1 } = options;
  const { finalNorm, projectOut } = tensorNames;
  const logitsOf = (rows: string, tensor: (name: string) => TensorSource): string => {
    if (config.embeds || config.headless)
      return compareWithClasses(g, config, embedRows(g, config, tensorNames, rows, tensor));
    if (config.image) {
      const tensors = { find: tensor, weight: (source: TensorSource) => weight(g, source) };
      return classify(g, config, tensorNames.image!, rows, tensors);
    }
    const affine = finalNorm !== undefined && config.normAffine;
    const scale = affine ? tensor(`${finalNorm}.weight`) : undefined;
    const bias = affine && config.norm === 'layer' ? tensor(`${finalNorm}.bias`) : undefined;
    const normed = finalNorm ? normalise(g, config, rows, { scale, bias, width: config.hidden }) : rows;
    const linear = (x: string, name: string): string => g.op('Gemm', [x, weight(g, tensor(name))], { transB: int(1) });
    const projected = projectOut ? linear(normed, projectOut) : normed;
    return softCap(g, linear(projected, tensorNames.head), config.logitCap);
  };
  const findReference = (name: string): TensorSource =>
    options.referenceApart ? { ...find(name), name: ofReference(name) } : find(name);
  const width = config.image ? pooledWidth(config) : config.hidden;
  const x = g.input('x', 'f32', [streams === 1 ? 'N' : 'M', width]);
  if (options.outputs === 'vectors') {
    g.output(embedRows(g, config, tensorNames, x, find), 'vectors', ['N', requireEmbeds(config).width]);
    return g.build('head', options.folder);
  }
  const logits = logitsOf(x, find);
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
    case 'choices': {
      const target = g.input('target', 'i64', ['N', 1]);
      const logProbabilities = softened(logits);
      const chosen = g.op('GatherElements', [logProbabilities, target], { axis: int(1) });
      const largest = g.op('ReduceMax', [logProbabilities, g.shape([1])], { keepdims: int(1) });
      g.output(g.op('Neg', [chosen]), 'nll', ['N', 1]);
      g.output(g.op('Sub', [largest, chosen]), 'lead', ['N', 1]);
      break;
    }
    case 'divergence':
    case 'fidelity': {
      const reference = logitsOf(g.input('reference', 'f32', ['N', width]), findReference);
      const q = softened(reference);
      const p =
        streams === 1
          ? softened(logits)
          : g.op('Reshape', [softened(logits), g.shape([streams, -1, config.vocabulary])]);
      const terms = g.op('Mul', [g.op('Exp', [q]), g.op('Sub', [q, p])]);
      const sum = g.op('ReduceSum', [terms, g.shape([-1])], { keepdims: int(1) });
      g.output(sum, 'divergence', streams === 1 ? ['N', 1] : [streams, 'N', 1]);
      if (options.outputs === 'divergence') break;
      g.output(likeliest(g, logits), 'choice', ['N', 1]);
      g.output(likeliest(g, reference), 'referenceChoice', ['N', 1]);
      break;
    }
    default:
      options.outputs satisfies never;
  }
  return g.build('head', options.folder);
}

/** The number of the largest logit of each row, as float32. */
const likeliest = (g: GraphBuilder, logits: string): string =>
  g.op('Cast', [g.op('ArgMax', [logits], { axis: int(1), keepdims: int(1) })], { to: int(1) });
