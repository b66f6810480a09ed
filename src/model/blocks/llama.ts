// The block of LLaMA and its kin. With x [B, T, D] the residual:
//   x' = x + o(Attention(rope(q(RMS x)), rope(k(RMS x)), v(RMS x)));  y = x' + down(act(gate(RMS x')) ⊙ up(RMS x'))
// Where the model has them, q and k are normed over each head first. In phi3 one linear gives q, k and v, one after the
// other, and one gives gate and up.

import { attentionParts, mlpParts, normParts } from './parts.js';
import type { BlockShape } from './shape.js';

export const llamaBlock: BlockShape = {
  parts: (config) => ({
    norms: normParts(config),
    linears: [
      ...attentionParts(config, config.joined),
      ...(config.joined ? mlpParts(config, ['gate_up'], 2) : mlpParts(config, ['gate', 'up'])),
    ],
  }),
  build: (kit) => {
    const { hidden: D, intermediate: F, heads, kvHeads, headDim: h, joined } = kit.config;
    const attentionIn = kit.rows(kit.norm(kit.x, 'attentionNorm'));
    kit.tap(attentionIn, 'attention_in', D);
    const [q, k, v] = joined
      ? kit.split(kit.linear(attentionIn, 'qkv'), [heads * h, kvHeads * h, kvHeads * h])
      : (['q', 'k', 'v'] as const).map((kind) => kit.linear(attentionIn, kind));
    const attentionOut = kit.attend(kit.rotate(q!, heads, 'qNorm'), kit.rotate(k!, kvHeads, 'kNorm'), v!);
    kit.tap(attentionOut, 'attention_out', heads * h);
    const middle = kit.add(kit.x, kit.linear(attentionOut, 'o'));

    const mlpIn = kit.rows(kit.norm(middle, 'mlpNorm'));
    kit.tap(mlpIn, 'mlp_in', D);
    const [gate, up] = joined
      ? kit.split(kit.linear(mlpIn, 'gate_up'), [F, F])
      : (['gate', 'up'] as const).map((kind) => kit.linear(mlpIn, kind));
    const mlpOut = kit.multiply(kit.activate(gate!), up!);
    kit.tap(mlpOut, 'mlp_out', F);
    kit.output(() => kit.add(middle, kit.linear(mlpOut, 'down')));
  },
};
