// The two halves of LLaMA's block, which other families share: attention over the normed residual, and the gated MLP. Each
// ends with the input of its last linear and includes the taps of its linears. In phi3 (`joined`) one linear computes q, k
// and v, and one computes gate and up.

import type { BlockBuilder } from './block-builder.js';

/** Attention(rope(q x), rope(k x), v x), x the normed residual. */
export function attendTo<V>(builder: BlockBuilder<V>, x: V): V {
  const { hidden: D, heads, kvHeads, headDim: h, joined } = builder.config;
  builder.tap(x, 'attention_in', D);
  const [q, k, v] = joined
    ? builder.split(builder.linear(x, 'qkv'), [heads * h, kvHeads * h, kvHeads * h])
    : (['q', 'k', 'v'] as const).map((kind) => builder.linear(x, kind));
  const attended = builder.attend(builder.rotate(q!, heads, 'qNorm'), builder.rotate(k!, kvHeads, 'kNorm'), v!);
  builder.tap(attended, 'attention_out', heads * h);
  return attended;
}

/** act(gate x) ⊙ up x, x the normed residual. */
export function gateOf<V>(builder: BlockBuilder<V>, x: V): V {
  const { hidden: D, intermediate: F, joined } = builder.config;
  builder.tap(x, 'mlp_in', D);
  const [gate, up] = joined
    ? builder.split(builder.linear(x, 'gate_up'), [F, F])
    : (['gate', 'up'] as const).map((kind) => builder.linear(x, kind));
  const gated = builder.multiply(builder.activate(gate!), up!);
  builder.tap(gated, 'mlp_out', F);
  return gated;
}
