// One decoder block as a graph. With x [B, T, D] the residual:
//   x' = x + o(Attention(rope(q(RMS x)), rope(k(RMS x)), v(RMS x)));  y = x' + down(silu(gate(RMS x')) ⊙ up(RMS x'))
// Linears run as Gemm over [B·T, in] with the checkpoint's own [out, in] weights (transB), so nothing is transposed or
// copied. A *tap* is an extra output: Σ over tokens of the squared input of each linear, [in], or of its outer product with
// itself, XᵀX [in, in]; linears that share an input (q, k, v; gate, up) share a tap. Asking for taps alone leaves the last
// linear out of the computation.

import { float, type Graph, GraphBuilder, int } from '../graph/index.js';
import { causalAttention } from './attention.js';
import type { ModelConfig } from './config.js';
import type { BlockTensors, LinearKind, TensorSource } from './layout.js';
import { ropeTables } from './rope.js';

/** The four places in a block where linears read: one tap each. */
export const TAP_SITES = ['attention_in', 'attention_out', 'mlp_in', 'mlp_out'] as const;
export type TapSite = (typeof TAP_SITES)[number];

/** Where each linear of a block reads its input. */
export const TAP_OF: Readonly<Record<LinearKind, TapSite>> = {
  q: 'attention_in',
  k: 'attention_in',
  v: 'attention_in',
  o: 'attention_out',
  gate: 'mlp_in',
  up: 'mlp_in',
  down: 'mlp_out',
};

/**
 * What the graph returns: the block's output, the taps (Σ x²), or both; or, instead of those, the sums Σ x, the Gram
 * matrices XᵀX, or the linears' inputs X themselves.
 */
export type BlockOutputs = 'hidden' | 'taps' | 'both' | 'sums' | 'gram' | 'inputs';

/**
 * The graph of one block for windows of `length` tokens. Input `x` [B, T, D]; outputs `y` [B, T, D] and, as asked,
 * a tap per site: `[in]` or (`gram`) `[in, in]`, summed over the B·T tokens of the run, or (`inputs`) `[B·T, in]`.
 */
export function buildBlockGraph(
  config: ModelConfig,
  tensors: BlockTensors,
  options: { readonly name: string; readonly folder: string; readonly length: number; readonly outputs: BlockOutputs },
): Graph {
  const { hidden: D, heads, kvHeads, headDim, normEps } = config;
  const T = options.length;
  const g = new GraphBuilder();

  const weight = (source: TensorSource): string => {
    const raw = g.initializer({ name: source.name, dtype: source.dtype, shape: source.shape, source: source.source });
    return source.dtype === 'F32' ? raw : g.op('Cast', [raw], { to: int(1) });
  };
  const linear = (x: string, kind: LinearKind): string => {
    const { weight: w, bias: b } = tensors.linears[kind];
    return g.op('Gemm', b ? [x, weight(w), weight(b)] : [x, weight(w)], { transB: int(1) });
  };
  const rmsNorm = (x: string, scale: TensorSource): string =>
    g.op('RMSNormalization', [x, weight(scale)], { axis: int(-1), epsilon: float(normEps) });
  const reshape = (x: string, shape: readonly number[]): string => g.op('Reshape', [x, g.shape(shape)]);
  const { outputs } = options;
  const tap = (x: string, site: TapSite, width: number): void => {
    if (outputs === 'hidden') return;
    if (outputs === 'inputs') g.output(x, site, ['N', width]);
    else if (outputs === 'gram') g.output(g.op('Gemm', [x, x], { transA: int(1) }), site, [width, width]);
    else if (outputs === 'sums') g.output(g.op('ReduceSum', [x, g.shape([0])], { keepdims: int(0) }), site, [width]);
    else g.output(g.op('ReduceSumSquare', [x, g.shape([0])], { keepdims: int(0) }), site, [width]);
  };

  const x = g.input('x', 'f32', ['B', T, D]);
  const attentionIn = reshape(rmsNorm(x, tensors.attentionNorm), [-1, D]);
  tap(attentionIn, 'attention_in', D);

  const tables = ropeTables(config.rope, headDim, T);
  const cos = g.constant('rope_cos', tables.cos, [T, headDim / 2]);
  const sin = g.constant('rope_sin', tables.sin, [T, headDim / 2]);
  const positions = g.initializer({
    name: 'positions',
    dtype: 'I64',
    shape: [1, T],
    source: {
      kind: 'bytes',
      bytes: new Uint8Array(new BigInt64Array(Array.from({ length: T }, (_, t) => BigInt(t))).buffer),
    },
  });
  // Rotation wants one position row per sequence: [1, T] broadcast to [B, T].
  const batch = g.op('Slice', [g.op('Shape', [x]), g.shape([0]), g.shape([1])]);
  const positionIds = g.op('Expand', [positions, g.op('Concat', [batch, g.shape([T])], { axis: int(0) })]);
  const rotate = (flat: string, count: number, norm: TensorSource | undefined): string => {
    const normed = norm ? rmsNorm(reshape(flat, [-1, T, count, headDim]), norm) : flat;
    const wide = reshape(normed, [-1, T, count * headDim]);
    return g.op('RotaryEmbedding', [wide, cos, sin, positionIds], { num_heads: int(count) });
  };
  const q = rotate(linear(attentionIn, 'q'), heads, tensors.qNorm);
  const k = rotate(linear(attentionIn, 'k'), kvHeads, tensors.kNorm);
  const v = reshape(linear(attentionIn, 'v'), [-1, T, kvHeads * headDim]);
  const attention = causalAttention(g, { q, k, v }, T, {
    q_num_heads: int(heads),
    kv_num_heads: int(kvHeads),
    scale: float(1 / Math.sqrt(headDim)),
  });
  const attentionOut = reshape(attention, [-1, heads * headDim]);
  tap(attentionOut, 'attention_out', heads * headDim);

  const middle = g.op('Add', [x, reshape(linear(attentionOut, 'o'), [-1, T, D])]);
  const mlpIn = reshape(rmsNorm(middle, tensors.mlpNorm), [-1, D]);
  tap(mlpIn, 'mlp_in', D);
  const gate = linear(mlpIn, 'gate');
  const silu = g.op('Mul', [gate, g.op('Sigmoid', [gate])]);
  const mlpOut = g.op('Mul', [silu, linear(mlpIn, 'up')]);
  tap(mlpOut, 'mlp_out', config.intermediate);
  if (outputs === 'hidden' || outputs === 'both') {
    const down = reshape(linear(mlpOut, 'down'), [-1, T, D]);
    g.output(g.op('Add', [middle, down]), 'y', ['B', T, D]);
  }
  return g.build(options.name, options.folder);
}
