// The loss of a half against the dense stream: for each token, ‖y − t‖²/‖t‖², y the half's output and t the dense residual
// there. The quotient keeps the few tokens with very large residuals from being all that counts.

import { type Graph, GraphBuilder, int } from '../graph/index.js';

/** Keeps the loss finite where a dense residual is 0. */
const SMALLEST = 1e-12;

/** The half's graph with one more input, `target` [B, T, D], and the output `loss` [B, T, 1]. */
export function streamLoss(half: Graph, length: number, width: number): Graph {
  const g = new GraphBuilder('loss_');
  g.add(half);
  const target = g.input('target', 'f32', ['B', length, width]);
  const squares = (x: string): string => g.op('ReduceSumSquare', [x, g.shape([2])], { keepdims: int(1) });
  const size = g.op('Add', [squares(target), g.constant('loss_smallest', Float32Array.of(SMALLEST), [1])]);
  g.output(g.op('Div', [squares(g.op('Sub', ['y', target])), size]), 'loss', ['B', length, 1]);
  const made = g.build(`stream loss of the ${half.name}`, half.folder);
  return { ...made, inputs: [...half.inputs, ...made.inputs], outputs: [...half.outputs, ...made.outputs] };
}
