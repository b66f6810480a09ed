// The halves that LLaMA's block shares with its kin: attention over what was normed, and the gated MLP, each up to what its
// last linear reads, with the taps of the linears in it. In phi3 (`joined`) one linear gives q, k and v, one after the
// other, and one gives gate and up.

import type { Kit } from './shape.js';

/** Attention(rope(q x), rope(k x), v x), x the normed residual. */
export function attendTo(kit: Kit, x: string): string {
  const { hidden: D, heads, kvHeads, headDim: h, joined } = kit.config;
  kit.tap(x, 'attention_in', D);
  const [q, k, v] = joined
    ? kit.split(kit.linear(x, 'qkv'), [heads * h, kvHeads * h, kvHeads * h])
    : (['q', 'k', 'v'] as const).map((kind) => kit.linear(x, kind));
  const attended = kit.attend(kit.rotate(q!, heads, 'qNorm'), kit.rotate(k!, kvHeads, 'kNorm'), v!);
  kit.tap(attended, 'attention_out', heads * h);
  return attended;
}

/** act(gate x) ⊙ up x, x the normed residual. */
export function gateOf(kit: Kit, x: string): string {
  const { hidden: D, intermediate: F, joined } = kit.config;
  kit.tap(x, 'mlp_in', D);
  const [gate, up] = joined
    ? kit.split(kit.linear(x, 'gate_up'), [F, F])
    : (['gate', 'up'] as const).map((kind) => kit.linear(x, kind));
  const gated = kit.multiply(kit.activate(gate!), up!);
  kit.tap(gated, 'mlp_out', F);
  return gated;
}
