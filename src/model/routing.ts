// Routing of tokens to experts, as a graph. The router’s softmax picks k of E experts for each of M tokens, and each expert
// computes only the rows of its own tokens, so experts cost k/E of computing all of them, as in training. The outputs of
// all experts are concatenated; each token gathers its k rows from there and adds them up, the most probable expert first.
// Nothing is scattered, so a sum does not depend on threads.

import { type GraphBuilder, int } from '../graph/index.js';
import type { Mixture } from './config.js';

export type Routing = {
  /** Per expert: the numbers of its tokens, ascending. */
  readonly tokens: readonly string[];
  /** 1 where a token is routed to an expert, else 0: [E, M]; and the same for each of its k choices: [E, M, k]. */
  readonly assigned: string;
  readonly chosen: string;
  /** The weight of each of a token’s experts, and the row of its output in the concatenation of all outputs: [M, k]. */
  readonly weights: string;
  readonly places: string;
};

/** Routes tokens by the router's `logits`, [M, E]. */
export function route(g: GraphBuilder, logits: string, { experts: E, perToken: k, normalised }: Mixture): Routing {
  const probabilities = g.op('Exp', [g.op('LogSoftmax', [logits], { axis: int(-1) })]);
  const [largest, chosen] = g.ops('TopK', [probabilities, g.shape([k])], 2, { axis: int(-1) });
  const total = (): string => g.op('ReduceSum', [largest!, g.shape([1])], { keepdims: int(1) });
  const weights = normalised ? g.op('Div', [largest!, total()]) : largest!;
  const offOn = g.constant('off, on', Float32Array.of(0, 1), [2]);
  const bySlot = g.op('OneHot', [chosen!, g.shape([E]), offOn], { axis: int(0) });
  const assigned = g.op('ReduceSum', [bySlot, g.shape([2])], { keepdims: int(0) });
  const whole = (x: string): string => g.op('Cast', [x], { to: int(7) });

  const counts = whole(g.op('ReduceSum', [assigned, g.shape([1])], { keepdims: int(0) }));
  const places = g.op('NonZero', [assigned]);
  const ofAll = g.op('Reshape', [g.op('Slice', [places, g.shape([1]), g.shape([2]), g.shape([0])]), g.shape([-1])]);
  const tokens = E === 1 ? [ofAll] : g.ops('Split', [ofAll, counts], E, { axis: int(0) });

  // How many rows come before a token’s in each expert. float32 counts exactly to 2²⁴, and runs have a few thousand tokens.
  const before = g.op('CumSum', [g.op('Reshape', [assigned, g.shape([-1])]), g.shape([0])], { exclusive: int(1) });
  const spread = g.op('Mul', [bySlot, g.op('Reshape', [before, g.shape([E, -1, 1])])]);
  return {
    tokens,
    assigned,
    chosen: bySlot,
    weights,
    places: whole(g.op('ReduceSum', [spread, g.shape([0])], { keepdims: int(0) })),
  };
}

/** What each expert's outputs are multiplied by for its own tokens: [tokens, 1] of each expert. */
export function sharesOfExperts(
  g: GraphBuilder,
  { tokens, chosen, weights }: Routing,
  { perToken: k }: Mixture,
): readonly string[] {
  const spread = g.op('Mul', [chosen, g.op('Reshape', [weights, g.shape([1, -1, k])])]);
  const shares = g.op('ReduceSum', [spread, g.shape([2])], { keepdims: int(0) });
  return tokens.map((own, expert) => {
    const ofExpert = g.op('Slice', [shares, g.shape([expert]), g.shape([expert + 1]), g.shape([0])]);
    const row = g.op('Reshape', [ofExpert, g.shape([-1, 1])]);
    return g.op('Gather', [row, own], { axis: int(0) });
  });
}

/** Adds up each token’s expert outputs, [M, D]. `made` holds each expert’s output for its own tokens. */
export function combine(
  g: GraphBuilder,
  { weights, places }: Routing,
  made: readonly string[],
  { perToken: k }: Mixture,
): string {
  const rows = g.op('Gather', [g.op('Concat', made, { axis: int(0) }), places], { axis: int(0) });
  const weighted = g.op('Mul', [rows, g.op('Reshape', [weights, g.shape([-1, k, 1])])]);
  return g.op('ReduceSum', [weighted, g.shape([1])], { keepdims: int(0) });
}
