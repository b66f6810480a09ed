// How tokens find their experts in a graph. The router's softmax picks k of E experts for each of M tokens; every expert is
// then given the rows of its own tokens alone, so that experts cost what they do in training, k/E of computing them all.
// What they make of their rows is laid one expert after the other, and each token gathers its k rows from there and adds
// them up, the most probable expert first: nothing is scattered, so a sum does not depend on threads.

import { type GraphBuilder, int } from '../graph/index.js';
import type { Mixture } from './config.js';

export type Routing = {
  /** Of each expert, the numbers of its tokens, ascending. */
  readonly tokens: readonly string[];
  /** 1 where an expert was given a token, else 0: [E, M]. */
  readonly assigned: string;
  /** What each token's experts count for, and where what they make of it lies among the rows of all: [M, k]. */
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

  // How many rows stand before a token's in each expert; float32 counts to 2²⁴, and runs are of a few thousand tokens.
  const before = g.op('CumSum', [g.op('Reshape', [assigned, g.shape([-1])]), g.shape([0])], { exclusive: int(1) });
  const spread = g.op('Mul', [bySlot, g.op('Reshape', [before, g.shape([E, -1, 1])])]);
  return {
    tokens,
    assigned,
    weights,
    places: whole(g.op('ReduceSum', [spread, g.shape([0])], { keepdims: int(0) })),
  };
}

/** Each token's sum of what its experts make of it, [M, D], from what each makes of its tokens. */
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
